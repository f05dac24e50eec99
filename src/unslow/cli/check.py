"""`unslow check`: runs the user's app under a workload and says what is wrong with it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date, datetime
from math import isnan
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from ..diagnose.catalogue import RULES
from ..errors import SilentCommandError, UnslowError
from ..hosts import is_near
from ..model.checked import Checked, checked_text
from ..model.finding import Finding
from ..model.report import Report
from ..model.workload import Headers, Plan
from ..numbers import counted
from ..prove.check import ROUNDS_COUNT, Check, Limits
from ..prove.link import Link
from ..prove.operations import says
from ..prove.workload import login as logins
from ..prove.workload.filling import Given
from ..prove.workload.making import made
from ..prove.workload.openapi import DocumentError, Operation, operations
from ..prove.workload.recorded import FILE as RECORDED_FILE
from ..prove.workload.recorded import recorded_plan
from ..prove.workload.sending import open_client
from ..prove.workload.sniffing import read_file
from ..report.accepted import accept
from ..report.baseline_file import read_baseline, write_baseline
from ..report.progress import stages
from ..settings import Settings, load
from ..store import write_check
from ..wire import ARMS_VARIABLE
from .app_process import AppProcess, Words, app_process, free_port, refuse_taken
from .behind import TakesCommand, command_of
from .choice import Choice, of_operation, of_request
from .ending import Ended, Ending, cancelling
from .recording import Recording
from .reporting import form_of, form_options, say_what_is_kept, show_report
from .serving import Serving
from .silence import why_silent

_HOST: Final = "127.0.0.1"
_LOOK_EVERY_S: Final = 0.05
_END_IS_KNOWN_WITHIN_S: Final = 0.2
_MOST_ANSWERS: Final = 10
"""Told of when the check is over; the report has all of them."""
_HELP: Final = """\
Run your app under a workload and say what is wrong with it, where, and what it costs.

\b
  unslow check shop.main:app
  unslow check shop.main:app --requests shop.http --header 'Authorization: Bearer ...'
  unslow check --url http://127.0.0.1:8000 -- gunicorn -k uvicorn_worker.UvicornWorker shop.main:app

Starts the app, asks each GET operation of its OpenAPI document - or what a file holds - once, then
alone, then with several users, and ends the app. What wrote, sent a mail or called another machine
is not asked again.

\b
Exit code 0: nothing was found (or nothing of --fail-on); 1: something was; 2: it could not be done.
"""


class _Seconds(click.FloatRange):
    """A time that is longer than none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Reads it."""
        found = super().convert(value, param, ctx)
        if isnan(found):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return found


_SECONDS: Final = _Seconds(min=0, min_open=True)
_COUNT: Final = click.IntRange(min=1)


@dataclass(frozen=True, slots=True)
class _Running:
    """What is started."""

    name: str
    """MODULE:APP; empty for a command."""
    command: tuple[str, ...]
    url: str
    within_s: float


@dataclass(frozen=True, slots=True)
class _Who:
    """Who asks."""

    headers: Headers
    login: logins.Login | None


@dataclass(frozen=True, slots=True)
class _What:
    """Where the requests come from."""

    given: Plan | None
    """Those of a file; None where they are to be made."""
    openapi_path: str
    choice: Choice
    read_only_posts: frozenset[str]
    values: Mapping[str, Sequence[object]]


@click.command(
    cls=TakesCommand,
    options_metavar="[OPTIONS]",
    help=_HELP,
    short_help="Run your app under a workload and say what is wrong with it.",
)
@click.argument("targets", metavar="MODULE:APP | --url URL -- COMMAND ...", nargs=-1)
@click.option("--url", help="Where the app of COMMAND answers.")
@click.option("--factory", is_flag=True, help="APP is a function that makes the app.")
@click.option(
    "--requests",
    "requests_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Send what this file holds: .http, HAR, curl commands or an access log.",
)
@click.option("--recorded", is_flag=True, help="Send what was recorded with its values.")
@click.option("--openapi", default="/openapi.json", show_default=True, help="Path of the document.")
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Sent with each.")
@click.option(
    "--headers-from",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file of headers, one a line.",
)
@click.option("--login", metavar="'POST /token'", help="What is sent first, to be let in.")
@click.option("--form", multiple=True, metavar="NAME=VALUE", help="A field of the login.")
@click.option("--token-from", default="", metavar="NAME", help="Where its answer has the token.")
@click.option("--only", multiple=True, metavar="ROUTE", help="Only this route.")
@click.option("--skip", multiple=True, metavar="ROUTE", help="Not this route.")
@click.option("--read-only-post", multiple=True, metavar="ROUTE", help="A POST that only reads.")
@click.option("--allow-writes", multiple=True, metavar="ROUTE", help="May write, many times.")
@click.option("--allow-remote", multiple=True, metavar="HOST", help="May be called, many times.")
@click.option("--yes-this-database", is_flag=True, help="The database need not be near.")
@click.option("--also-counted", multiple=True, type=int, metavar="STATUS", help="Beside 2xx.")
@click.option(
    "--time", "time_s", default=300.0, type=_SECONDS, show_default=True, help="Seconds, at most."
)
@click.option("--concurrency", default=20, type=_COUNT, show_default=True, help="Users at once.")
@click.option("--max-requests", default=2_000, type=_COUNT, show_default=True, help="Of a route.")
@click.option(
    "--start-within", default=60.0, type=_SECONDS, show_default=True, help="Seconds to come up."
)
@click.option("--rounds", default=ROUNDS_COUNT, type=_COUNT, hidden=True)
@click.option("--fail-on", metavar="RULES|MS", help="Exit code 1 for these rules, or from so much.")
@click.option("--accept", is_flag=True, help="Accept what is found from now on; wants --reason.")
@click.option("--reason", metavar="TEXT", help="Why it is accepted.")
@form_options
@click.option(
    "--folder", type=click.Path(file_okay=False), help="Folder for the traces.  [default: .unslow]"
)
@click.pass_context
def check(
    ctx: click.Context, /, targets: tuple[str, ...], folder: str | None, **given: Any
) -> None:
    """Checks an app from its start to its end."""
    settings = load()
    # What a check sends is the user's own, and may be secret: none of its values is kept.
    settings = replace(settings, folder=folder or settings.folder, record_values=False)
    fails_on = _fail_on(given["fail_on"])
    form = form_of(*(given[name] for name in ("written", "as_json", "output", "everything")))
    _check_reason(given["accept"], given["reason"])
    running = _running(targets, command_of(ctx), given)
    who, what, limits = _who(given), _what(given, settings), _limits(given)
    with Ending() as ending:
        ending.hold()
        recording = Recording(settings)
        try:
            checked = _checked(running, recording, who, what, limits, ending, settings)
        except (Ended, UnslowError) as stopped:
            is_kept = say_what_is_kept(recording.folder, recording.run, load().folder)
            if isinstance(stopped, Ended):
                if not is_kept:
                    click.echo("unslow: stopped before anything was recorded", err=True)
                ctx.exit(stopped.exit_code)
            raise
        checked = replace(checked, target=running.name)
        write_check(recording.folder, recording.run, checked_text(checked))
        report = show_report(recording.folder, recording.run, settings, form=form, on_stdout=True)
        if given["accept"]:
            _accept(report, given["reason"], Path(settings.baseline))
            ctx.exit(0)
    ctx.exit(int(any(fails_on(one) for one in report.findings if not one.accepted)))


def _check_reason(is_accepting: bool, reason: str | None) -> None:
    if is_accepting != bool(reason and reason.strip()):
        raise click.UsageError(
            "--accept and --reason belong together: unslow check ... --accept --reason 'why'"
        )


def _accept(report: Report, reason: str, file: Path) -> None:
    """Writes what was found into the baseline's file."""
    today = datetime.now().astimezone().date()
    baseline = accept(report, read_baseline(file), reason=reason, today=today)
    write_baseline(file, baseline)
    count = counted(len(baseline.accepted), "finding")
    click.echo(f"unslow: {file} accepts {count}; commit it beside the source", err=True)


def _fail_on(text: str | None) -> Callable[[Finding], bool]:
    """Which findings make the exit code 1.

    Raises:
        UsageError: it is neither a time nor rules that there are.
    """
    if text is None:
        return lambda _: True
    wanted = f"--fail-on is {text!r}; wanted are ids of rules, or a number of milliseconds."
    try:
        least_ms = float(text)
    except ValueError:
        names = frozenset(filter(None, (one.strip() for one in text.split(","))))
        unknown = sorted(names - {one.id for one in RULES})
        if unknown or not names:
            raise click.UsageError(
                f"{wanted} There is no rule {', '.join(map(repr, unknown or [text]))}: unslow rules"
                " lists them."
            ) from None
        return lambda one: one.rule in names
    if not 0 <= least_ms < float("inf"):
        raise click.UsageError(f"{wanted} Give one from 0 on, such as --fail-on 50")
    return lambda one: (one.could_save_ms or 0.0) >= least_ms


def _running(targets: Sequence[str], command: Sequence[str], given: Mapping[str, Any]) -> _Running:
    """What is to be started, and where it will answer.

    Raises:
        UsageError: it is neither MODULE:APP nor a command with an address.
        PortError: something answers there already.
    """
    url, factory, within_s = given["url"], given["factory"], given["start_within"]
    if command and url and not targets and not factory:
        if not _is_address(url):
            raise click.UsageError(
                f"--url is {url!r}; wanted is where the app answers, such as http://127.0.0.1:8000"
            )
        refuse_taken(url)
        return _Running("", tuple(command), url.rstrip("/"), within_s)
    if len(targets) != 1 or command or url:
        raise click.UsageError(
            "Give one of both: MODULE:APP, or a command with the address that its app answers at,"
            f" such as unslow check --url http://127.0.0.1:8000 -- {' '.join(targets) or 'COMMAND'}"
        )
    port = free_port(_HOST)
    serving = Serving(targets[0], _HOST, port, factory=factory)
    return _Running(targets[0], serving.command(), f"http://{_HOST}:{port}", within_s)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _who(given: Mapping[str, Any]) -> _Who:
    headers = tuple(logins.header(one) for one in given["headers"])
    if given["headers_from"] is not None:
        headers = (*logins.headers_from(given["headers_from"]), *headers)
    if given["login"] is None:
        if given["form"] or given["token_from"]:
            raise click.UsageError("--form and --token-from belong to --login 'POST /token'")
        return _Who(headers, None)
    return _Who(headers, logins.login(given["login"], given["form"], given["token_from"]))


def _what(given: Mapping[str, Any], settings: Settings) -> _What:
    if given["recorded"] and given["requests_file"]:
        raise click.UsageError("Give one of both: --requests FILE or --recorded")
    if not given["openapi"].startswith("/"):
        raise click.UsageError(
            f"--openapi is {given['openapi']!r}; wanted is a path of the app, such as /openapi.json"
        )
    choice = Choice(given["only"], given["skip"])
    plan = None
    if given["recorded"]:
        plan = recorded_plan(Path(settings.folder) / RECORDED_FILE)
    elif given["requests_file"]:
        plan = read_file(given["requests_file"])
    return _What(
        given=plan and replace(plan, requests=choice.of(plan.requests, of_request)),
        openapi_path=given["openapi"],
        choice=choice,
        read_only_posts=frozenset(given["read_only_post"]),
        values=settings.values,
    )


def _limits(given: Mapping[str, Any]) -> Limits:
    return Limits(
        concurrency=given["concurrency"],
        time_s=given["time_s"],
        requests_per_route=given["max_requests"],
        rounds_count=given["rounds"],
        also_counted=frozenset(given["also_counted"]),
        allowed_writes=frozenset(given["allow_writes"]),
        allowed_hosts=frozenset(given["allow_remote"]),
        far_database=given["yes_this_database"],
    )


def _checked(
    running: _Running,
    recording: Recording,
    who: _Who,
    what: _What,
    limits: Limits,
    ending: Ending,
    settings: Settings,
) -> Checked:
    """Starts the app, sends everything, and ends it."""
    environment = {**recording.environment(os.environ), ARMS_VARIABLE: "1"}
    words = Words(running.name or "The app")
    with ExitStack() as stack:
        stack.enter_context(recording)
        try:
            app = stack.enter_context(app_process(running.command, environment, running.url, words))
            told = stack.enter_context(stages())
            ending.release()
            told("Starting the app", 0.0)
            app.wait_until_it_answers(running.within_s)
            _wait_for_hello(app, running.command, recording, settings.hello_timeout_s)
            return _sent(app, recording, who, what, limits, told, ending)
        finally:
            ending.hold()


def _wait_for_hello(
    app: AppProcess, command: Sequence[str], recording: Recording, within_s: float
) -> None:
    """Waits until the agent in the app has spoken.

    Raises:
        SilentCommandError: it did not.
    """
    deadline = time.monotonic() + within_s
    while not recording.serving_peers() and time.monotonic() < deadline:
        app.check()
        time.sleep(_LOOK_EVERY_S)
    if not recording.hellos:
        reason = why_silent(recording.troubles, app.process_id, command, recording.injected)
        raise SilentCommandError(
            f"The app answers, but nothing in it is recorded: {reason.says}. {reason.advice}."
        )


def _sent(
    app: AppProcess,
    recording: Recording,
    who: _Who,
    what: _What,
    limits: Limits,
    told: Callable[[str, float], None],
    ending: Ending,
) -> Checked:
    """Sends everything; a signal cancels it.

    Raises:
        Ended: a signal came.
    """

    async def sent() -> Checked:
        ending.call_instead(cancelling())
        async with open_client(app.address, max(1, limits.concurrency)) as client:
            link = Link(recording.listener, recording.serving_peers)
            one = Check(client, link, limits, who.headers, told)
            one.begin()
            if who.login is not None:
                await one.log_in(who.login)
            checked = await one.run(await _plan(one, link, what, limits))
            _tell_answers(one.uncounted_answers())
            return checked

    ending.hold()
    try:
        checked = asyncio.run(sent())
        app.check()
        return checked
    except asyncio.CancelledError:
        ending.release()
        raise
    except UnslowError:
        # Where the app itself has ended, that says more.
        app.check(_END_IS_KNOWN_WITHIN_S)
        raise
    finally:
        ending.hold()


def _tell_answers(answers: Sequence[str]) -> None:
    """Says what was answered that did not count: only here, for it may repeat what was sent."""
    for one in answers[:_MOST_ANSWERS]:
        click.echo(f"unslow: {one}", err=True)
    if len(answers) > _MOST_ANSWERS:
        click.echo(f"unslow: and {len(answers) - _MOST_ANSWERS} more did not count", err=True)


async def _plan(one: Check, link: Link, what: _What, limits: Limits) -> Plan:
    """What to send, from a file or made.

    Raises:
        DocumentError: the app's document cannot be used.
        RouteMissingError: a route was named that the document does not have.
    """
    if what.given is not None:
        return what.given
    found = what.choice.of(await _operations(one, what.openapi_path), of_operation)
    given = Given(
        today=date.today(),  # noqa: DTZ011  # the day of whoever asks, as their dates are
        values=what.values,
        keys=link.keys(lambda host: limits.far_database or is_near(host)),
        read_only_posts=what.read_only_posts,
        header_names=one.header_names,
    )
    return await made(found, given, one.ask)


async def _operations(one: Check, path: str) -> tuple[Operation, ...]:
    """The operations of the app's OpenAPI document.

    Raises:
        DocumentError: there is none, or it cannot be read.
    """
    exchange = await one.look_up(path)
    if exchange.kept is None:
        raise DocumentError(
            f"The app has no OpenAPI document at {path}: it answered {says(exchange)}. Say where it"
            " is: --openapi PATH, or give requests in a file: --requests FILE"
        )
    return operations(exchange.kept, path)

"""What commands that ask an app have in common: which app, who asks, what is asked, how much."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from math import isnan
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click

from ..errors import SilentCommandError
from ..hosts import is_near
from ..model.workload import Headers, Plan
from ..prove.check import ROUNDS_COUNT, Check, Limits
from ..prove.link import Link
from ..prove.operations import says
from ..prove.workload import login as logins
from ..prove.workload.filling import Given
from ..prove.workload.making import made
from ..prove.workload.openapi import DocumentError, Operation, operations
from ..prove.workload.recorded import FILE as RECORDED_FILE
from ..prove.workload.recorded import recorded_plan
from ..prove.workload.sniffing import read_file
from ..settings import Settings
from ..wire import ARMS_VARIABLE
from .app_process import AppProcess, Words, app_process, free_port, refuse_taken
from .choice import Choice, of_operation, of_request
from .recording import Recording
from .serving import Serving
from .silence import why_silent

Command = TypeVar("Command", bound=Callable[..., Any])

_HOST: Final = "127.0.0.1"
_LOOK_EVERY_S: Final = 0.05


class _Seconds(click.FloatRange):
    """A time that is longer than none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Reads it."""
        found = super().convert(value, param, ctx)
        if isnan(found):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return found


_SECONDS: Final = _Seconds(min=0, min_open=True)
COUNT: Final = click.IntRange(min=1)


@dataclass(frozen=True, slots=True)
class Running:
    """What is started."""

    name: str
    """MODULE:APP; empty for a command."""
    command: tuple[str, ...]
    url: str
    within_s: float
    is_factory: bool = False


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks."""

    headers: Headers
    login: logins.Login | None


@dataclass(frozen=True, slots=True)
class What:
    """Where the requests come from."""

    given: Plan | None
    """Those of a file; None where they are to be made."""
    openapi_path: str
    choice: Choice
    read_only_posts: frozenset[str]
    values: Mapping[str, Sequence[object]]


@dataclass(frozen=True, slots=True)
class Asked:
    """All that the options say."""

    running: Running
    who: Who
    what: What
    limits: Limits


_OPTIONS: Final = (
    click.option("--url", help="Where the app of COMMAND answers."),
    click.option("--factory", is_flag=True, help="APP is a function that makes the app."),
    click.option(
        "--requests",
        "requests_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Send what this file holds: .http, HAR, curl commands or an access log.",
    ),
    click.option("--recorded", is_flag=True, help="Send what was recorded with its values."),
    click.option(
        "--openapi",
        default="/openapi.json",
        show_default=True,
        help="Path of the document.",
    ),
    click.option(
        "--header",
        "headers",
        multiple=True,
        metavar="'NAME: VALUE'",
        help="Sent with each.",
    ),
    click.option(
        "--headers-from",
        type=click.Path(dir_okay=False, path_type=Path),
        help="A file of headers, one a line.",
    ),
    click.option("--login", metavar="'POST /token'", help="What is sent first, to be let in."),
    click.option("--form", multiple=True, metavar="NAME=VALUE", help="A field of the login."),
    click.option(
        "--token-from", default="", metavar="NAME", help="Where its answer has the token."
    ),
    click.option("--only", multiple=True, metavar="ROUTE", help="Only this route."),
    click.option("--skip", multiple=True, metavar="ROUTE", help="Not this route."),
    click.option(
        "--read-only-post", multiple=True, metavar="ROUTE", help="A POST that only reads."
    ),
    click.option("--allow-writes", multiple=True, metavar="ROUTE", help="May write, many times."),
    click.option(
        "--allow-remote", multiple=True, metavar="HOST", help="May be called, many times."
    ),
    click.option("--yes-this-database", is_flag=True, help="The database need not be near."),
    click.option("--also-counted", multiple=True, type=int, metavar="STATUS", help="Beside 2xx."),
    click.option(
        "--time",
        "time_s",
        default=300.0,
        type=_SECONDS,
        show_default=True,
        help="Seconds, at most.",
    ),
    click.option("--concurrency", default=20, type=COUNT, show_default=True, help="Users at once."),
    click.option(
        "--max-requests", default=2_000, type=COUNT, show_default=True, help="Of a route."
    ),
    click.option(
        "--start-within",
        default=60.0,
        type=_SECONDS,
        show_default=True,
        help="Seconds to come up.",
    ),
)


def asking_options(command: Command) -> Command:
    """The options that say which app is asked, by whom, for what, and how much."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def asked_of(
    targets: Sequence[str], command: Sequence[str], given: Mapping[str, Any], settings: Settings
) -> Asked:
    """What is asked of which app.

    Args:
        targets: What stands in front of `--`: MODULE:APP, or nothing.
        command: What stands behind it.
        given: The options.
        settings: What is set beside.

    Raises:
        UsageError: options do not go together.
        PortError: something answers already where the app is to.
        LoginError: a header or the login is not written as it must be.
    """
    running = _running(targets, command, given)
    return Asked(running, _who(given), _what(given, settings), _limits(given))


def another(asked: Asked) -> Asked:
    """The same app once more, at a port of its own.

    Raises:
        PortError: there is none.
    """
    running = asked.running
    port = free_port(_HOST)
    serving = Serving(running.name, _HOST, port, factory=running.is_factory)
    running = replace(running, command=serving.command(), url=f"http://{_HOST}:{port}")
    return replace(asked, running=running)


def _running(targets: Sequence[str], command: Sequence[str], given: Mapping[str, Any]) -> Running:
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
        return Running("", tuple(command), url.rstrip("/"), within_s)
    if len(targets) != 1 or command or url:
        raise click.UsageError(
            "Give one of both: MODULE:APP, or a command with the address that its app answers at,"
            f" such as unslow check --url http://127.0.0.1:8000 -- {' '.join(targets) or 'COMMAND'}"
        )
    port = free_port(_HOST)
    serving = Serving(targets[0], _HOST, port, factory=factory)
    return Running(targets[0], serving.command(), f"http://{_HOST}:{port}", within_s, factory)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _who(given: Mapping[str, Any]) -> Who:
    """Who asks, by the options.

    Raises:
        UsageError: options are missing that belong together.
        LoginError: a header or the login is not written as it must be.
    """
    headers = tuple(logins.header(one) for one in given["headers"])
    if given["headers_from"] is not None:
        headers = (*logins.headers_from(given["headers_from"]), *headers)
    if given["login"] is None:
        if given["form"] or given["token_from"]:
            raise click.UsageError("--form and --token-from belong to --login 'POST /token'")
        return Who(headers, None)
    return Who(headers, logins.login(given["login"], given["form"], given["token_from"]))


def _what(given: Mapping[str, Any], settings: Settings) -> What:
    """What is asked, by the options.

    Raises:
        UsageError: two of them say different things.
    """
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
    return What(
        given=plan and replace(plan, requests=choice.of(plan.requests, of_request)),
        openapi_path=given["openapi"],
        choice=choice,
        read_only_posts=frozenset(given["read_only_post"]),
        values=settings.values,
    )


def _limits(given: Mapping[str, Any]) -> Limits:
    """How much is asked, by the options."""
    return Limits(
        concurrency=given["concurrency"],
        time_s=given["time_s"],
        requests_per_route=given["max_requests"],
        rounds_count=given.get("rounds", ROUNDS_COUNT),
        also_counted=frozenset(given["also_counted"]),
        allowed_writes=frozenset(given["allow_writes"]),
        allowed_hosts=frozenset(given["allow_remote"]),
        far_database=given["yes_this_database"],
    )


@contextmanager
def app_of(running: Running, recording: Recording) -> Iterator[AppProcess]:
    """Starts an app for the length of the block, with an agent in it that has arms.

    Raises:
        CommandError: there is no such command.
    """
    environment = {**recording.environment(os.environ), ARMS_VARIABLE: "1"}
    words = Words(running.name or "The app")
    with app_process(running.command, environment, running.url, words) as app:
        yield app


def wait_until_recorded(
    app: AppProcess, running: Running, recording: Recording, settings: Settings
) -> None:
    """Waits until an app answers and the agent in it has spoken.

    Raises:
        SilentCommandError: the agent did not.
        UnslowError: the app ended, or did not come up in time.
    """
    app.wait_until_it_answers(running.within_s)
    deadline = time.monotonic() + settings.hello_timeout_s
    while not recording.serving_peers() and time.monotonic() < deadline:
        app.check()
        time.sleep(_LOOK_EVERY_S)
    if not recording.hellos:
        reason = why_silent(recording.troubles, app.process_id, running.command, recording.injected)
        raise SilentCommandError(
            f"The app answers, but nothing in it is recorded: {reason.says}. {reason.advice}."
        )


async def begun(check: Check, link: Link, asked: Asked) -> Plan:
    """Begins a check, logs in, and finds what is to be sent.

    Raises:
        DocumentError: the app's document cannot be used.
        FarDatabaseError: the app has a database that is not near.
        LoginError: the app did not let it in.
        RouteMissingError: a route was named that the document does not have.
    """
    check.begin()
    if asked.who.login is not None:
        await check.log_in(asked.who.login)
    return await _plan_of(check, link, asked)


async def _plan_of(one: Check, link: Link, asked: Asked) -> Plan:
    """What to send, from a file or made.

    Raises:
        DocumentError: the app's document cannot be used.
        RouteMissingError: a route was named that the document does not have.
    """
    what, limits = asked.what, asked.limits
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

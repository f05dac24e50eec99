"""`unslow check`: runs the user's app under a workload and says what is wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from ..diagnose.catalogue import RULES
from ..errors import UnslowError
from ..model.checked import checked_text
from ..model.finding import Finding
from ..model.report import Report
from ..numbers import counted
from ..prove.check import ROUNDS_COUNT, Check
from ..prove.link import Link
from ..prove.workload.sending import open_client
from ..report.accepted import accept
from ..report.baseline_file import read_baseline, write_baseline
from ..report.progress import stages
from ..settings import Settings, load
from ..store import write_check
from .app_process import AppProcess
from .asking import (
    COUNT,
    Asked,
    app_of,
    asked_of,
    asking_options,
    begun,
    wait_until_recorded,
)
from .behind import TakesCommand, command_of
from .ending import Ended, Ending, cancelling
from .recording import Recording
from .reporting import form_of, form_options, say_what_is_kept, show_report
from .trying import tried_on

_HOST: Final = "127.0.0.1"
_NOT_TO_ITS_END: Final = 2
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
alone, then with several users; tries the fixes of what was found on the running app, without an
edit; and ends the app. What wrote, sent a mail or called another machine is not asked again.

\b
Exit code 0: nothing was found (or nothing of --fail-on); 1: something was; 2: it could not be done.
"""


@click.command(
    cls=TakesCommand,
    options_metavar="[OPTIONS]",
    help=_HELP,
    short_help="Run your app under a workload and say what is wrong with it.",
)
@click.argument("targets", metavar="MODULE:APP | --url URL -- COMMAND ...", nargs=-1)
@asking_options
@click.option(
    "--trials/--no-trials", default=True, show_default=True, help="Try the fixes of what is found."
)
@click.option("--rounds", default=ROUNDS_COUNT, type=COUNT, hidden=True)
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
    asked = asked_of(targets, command_of(ctx), given, settings)
    with Ending() as ending:
        ending.hold()
        recording = Recording(settings)
        try:
            _check(asked, recording, ending, settings, is_tried=given["trials"])
        except (Ended, UnslowError) as stopped:
            is_kept = say_what_is_kept(recording.folder, recording.run, load().folder)
            if isinstance(stopped, Ended):
                if not is_kept:
                    click.echo("unslow: stopped before anything was recorded", err=True)
                ctx.exit(stopped.exit_code)
            raise
        report = show_report(recording.folder, recording.run, settings, form=form, on_stdout=True)
        if report.checked is not None and report.checked.is_broken:
            click.echo(
                "unslow: the app broke down on the way; what is reported is from before", err=True
            )
            ctx.exit(_NOT_TO_ITS_END)
        if given["accept"]:
            _accept(report, given["reason"], Path(settings.baseline))
            ctx.exit(0)
    open_ones = (one for one in report.findings if not one.accepted)
    ctx.exit(int(any(fails_on(one) for one in open_ones if not report.is_withdrawn(one))))


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


def _check(
    asked: Asked, recording: Recording, ending: Ending, settings: Settings, *, is_tried: bool
) -> None:
    """Starts the app, sends everything, tries what there is to try, and ends it."""
    with ExitStack() as stack:
        stack.enter_context(recording)
        try:
            app = stack.enter_context(app_of(asked.running, recording))
            told = stack.enter_context(stages())
            ending.release()
            told("Starting the app", 0.0)
            wait_until_recorded(app, asked.running, recording, settings)
            _send(app, asked, recording, told, ending, is_tried=is_tried)
        finally:
            ending.hold()


def _send(
    app: AppProcess,
    asked: Asked,
    recording: Recording,
    told: Callable[[str, float], None],
    ending: Ending,
    *,
    is_tried: bool,
) -> None:
    """Sends everything; a signal cancels it.

    Raises:
        Ended: a signal came.
    """

    async def sent() -> None:
        ending.call_instead(cancelling())
        async with open_client(app.address) as client:
            link = Link(recording.listener, recording.serving_peers)
            one = Check(client, link, asked.limits, asked.who.headers, told)
            checked = await one.run(await begun(one, link, asked))
            checked = replace(checked, target=asked.running.name)
            _tell_answers(one.uncounted_answers())
            # Before anything is tried: what was measured is kept, however the trials end.
            write_check(recording.folder, recording.run, checked_text(checked))
            if is_tried and not checked.is_broken:
                await tried_on(one.stage(), recording.folder, recording.run, checked, told)

    ending.hold()
    try:
        asyncio.run(sent())
        app.check()
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

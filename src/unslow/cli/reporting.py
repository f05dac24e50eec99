"""What a run shows: while it goes on, and at its end."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console

from ..diagnose.pages import rule_pages
from ..doctor import report_of_store
from ..errors import OutputError, UnslowError
from ..model.report import Report
from ..report.accepted import with_accepted
from ..report.as_json import json_text
from ..report.as_markdown import markdown_text
from ..report.as_sarif import sarif_text
from ..report.as_text import print_report
from ..report.baseline_file import read_baseline
from ..report.live import LiveReport, is_screen
from ..report.progress import progress
from ..settings import Settings
from ..store import reading
from .child import FileActions
from .passing import Passing

Command = TypeVar("Command", bound=Callable[..., Any])

_PERIOD_S: Final = 2.0
_PAUSES: Final = 4
"""The live report takes a fifth of one core at most."""
_NEWEST_COUNT: Final = 500
_ROOM_ABOVE_COUNT: Final = 8


@dataclass(frozen=True, slots=True)
class Form:
    """How a report is given out."""

    name: str = "text"
    """One of `FORMS`."""
    file: Path | None = None
    """Where it is written; None: to stdout."""
    everything: bool = False
    """Of text: each endpoint with its bar, and more lines below it."""


FORMS: Final = ("text", "json", "markdown", "sarif")


def form_options(command: Command) -> Command:
    """The options that say how a report is given out."""
    for option in reversed(
        (
            click.option(
                "--format",
                "written",
                type=click.Choice(FORMS),
                help="How the report is written.  [default: text]",
            ),
            click.option("--json", "as_json", is_flag=True, help="The same as --format json."),
            click.option(
                "--output",
                type=click.Path(dir_okay=False, path_type=Path),
                metavar="FILE",
                help="Write the report into this file.  [default: stdout]",
            ),
            click.option(
                "--all",
                "everything",
                is_flag=True,
                help="Give each endpoint its bar, and more lines below it.",
            ),
        )
    ):
        command = option(command)
    return command


def form_of(written: str | None, as_json: bool, output: Path | None, everything: bool) -> Form:
    """The form that the options say.

    Raises:
        UsageError: two of them say different things.
    """
    if as_json and written not in (None, "json"):
        raise click.UsageError(f"Give one of both: --json or --format {written}")
    return Form("json" if as_json else written or "text", output, everything)


def show_report(
    store_folder: Path,
    run: str | None,
    settings: Settings,
    *,
    target: str = "",
    newest_count: int | None = None,
    form: Form = Form(),  # frozen
    on_stdout: bool = False,
) -> Report:
    """Gives out the report of a run, of the newest when none is named.

    Text goes to stderr where stdout belongs to the user's command, unless a file is named.

    Raises:
        StoreMissingError: there is no such run.
        StoreFormatError: another version of unslow wrote the store, or another program.
        StoreDamagedError: the store cannot be read.
        BaselineError: the file of accepted findings cannot be read.
        OutputError: the file cannot be written.
    """
    baseline = read_baseline(Path(settings.baseline))
    with progress("Working out the receipts") as update:
        report = report_of_store(
            store_folder,
            run,
            target=target,
            newest_count=newest_count or settings.report_traces,
            on_progress=update,
        )
    report = with_accepted(report, baseline, datetime.now().astimezone().date())
    if form.file is not None:
        _write(form.file, _text(report, form))
    elif form.name == "text":
        print_report(report, Console(stderr=not on_stdout), everything=form.everything)
    else:
        click.echo(_text(report, form), nl=False)
    return report


def _text(report: Report, form: Form) -> str:
    if form.name == "json":
        return json_text(report)
    if form.name == "markdown":
        return markdown_text(report)
    if form.name == "sarif":
        return sarif_text(report, pages=rule_pages())
    written = io.StringIO()
    print_report(report, Console(file=written), everything=form.everything)
    return written.getvalue()


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"The report cannot be written to {file}: {error.strerror}. Name another file:"
            " --output FILE; unslow report shows it again."
        ) from error


def requests_kept(store_folder: Path, run: str) -> int:
    """How many requests of a run a later report can show."""
    try:
        with reading(store_folder) as reader:
            return reader.traces_count(run)
    except UnslowError:
        return 0


def say_what_is_kept(store_folder: Path, run: str, usual: str) -> bool:
    """Says how to see what was recorded before something came to its end; whether there is any."""
    count = requests_kept(store_folder, run)
    if count:
        click.echo(
            f"unslow: {count:,} requests were recorded until then; see them with:"
            f" {report_command(store_folder, usual)}",
            err=True,
        )
    return bool(count)


def report_command(store_folder: Path, usual: str) -> str:
    """What to type to see a report again, where `usual` is the folder that is set."""
    is_usual = str(store_folder) == os.path.abspath(usual)
    return "unslow report" if is_usual else f"unslow report --folder {store_folder}"


@contextmanager
def live_report(
    store_folder: Path, run: str, count: Callable[[], int], *, wanted: bool
) -> Iterator[FileActions]:
    """Keeps the report on the terminal up to date; does nothing without one.

    Gives what is to be done to the command's files: what it writes to the terminal is shown above
    the report, which would be torn otherwise.
    """
    console = Console(stderr=True)
    if not wanted:
        yield ()
        return
    if not is_screen(console):
        click.echo("unslow: --live needs a terminal; the report comes at the end", err=True)
        yield ()
        return
    ended = threading.Event()
    with (
        LiveReport(console=console, room_above_count=_ROOM_ABOVE_COUNT) as live,
        Passing(live.show_above) as passing,
    ):

        def show() -> None:
            shown, pause_s = 0, _PERIOD_S
            while not ended.wait(pause_s):
                passing.take_size()
                now = count()
                if now == shown:
                    continue
                shown, begun_s = now, time.monotonic()
                # Nothing may be written yet.
                with contextlib.suppress(UnslowError):
                    live.update(report_of_store(store_folder, run, newest_count=_NEWEST_COUNT))
                # Working the receipts out takes time of the machine that the app runs on.
                pause_s = max(_PERIOD_S, _PAUSES * (time.monotonic() - begun_s))

        thread = threading.Thread(target=show, name="unslow-live", daemon=True)
        thread.start()
        try:
            yield passing.file_actions
        finally:
            ended.set()
            thread.join()

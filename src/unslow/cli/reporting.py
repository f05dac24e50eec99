"""What a run shows: while it goes on, and at its end."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from ..doctor import report_of_store
from ..errors import UnslowError
from ..report.as_json import json_text
from ..report.as_text import print_report
from ..report.live import LiveReport, is_screen
from ..report.progress import progress
from ..store import reading
from .child import FileActions
from .passing import Passing

_PERIOD_S: Final = 2.0
_PAUSES: Final = 4
"""The live report takes a fifth of one core at most."""
_NEWEST_COUNT: Final = 500
_ROOM_ABOVE_COUNT: Final = 8


def show_report(
    store_folder: Path,
    run: str | None,
    *,
    newest_count: int,
    target: str = "",
    as_json: bool = False,
    on_stdout: bool = False,
    everything: bool = False,
) -> None:
    """Prints the report of a run, of the newest when none is named.

    JSON goes to stdout. The text goes to stderr, where stdout belongs to the user's command.

    Raises:
        StoreMissingError: there is no such run.
        StoreFormatError: another version of unslow wrote the store, or another program.
        StoreDamagedError: the store cannot be read.
    """
    with progress("Working out the receipts") as update:
        report = report_of_store(
            store_folder, run, target=target, newest_count=newest_count, on_progress=update
        )
    if as_json:
        click.echo(json_text(report))
    else:
        print_report(report, Console(stderr=not on_stdout), everything=everything)


def requests_kept(store_folder: Path, run: str) -> int:
    """How many requests of a run a later report can show."""
    try:
        with reading(store_folder) as reader:
            return reader.traces_count(run)
    except UnslowError:
        return 0


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

"""What a run shows: while it goes on, and at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from ..doctor import report_of_store
from ..errors import UnslowError
from ..report.as_json import json_text
from ..report.as_text import print_report
from ..report.live import LiveReport, is_screen
from ..report.progress import progress
from ..store import reading

_PERIOD_S = 2.0


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
) -> Iterator[None]:
    """Keeps the report on the terminal up to date; does nothing without one."""
    console = Console(stderr=True)
    if not wanted or not is_screen(console):
        yield
        return
    ended = threading.Event()

    def show() -> None:
        shown = 0
        with LiveReport(console=console) as live:
            while not ended.wait(_PERIOD_S):
                # Working the receipts out takes time of the machine that the app runs on.
                now = count()
                if now == shown:
                    continue
                shown = now
                try:
                    live.update(report_of_store(store_folder, run))
                except UnslowError:
                    # Nothing is written yet.
                    continue

    thread = threading.Thread(target=show, name="unslow-live", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

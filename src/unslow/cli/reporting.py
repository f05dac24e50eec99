"""What a run shows: while it goes on, and at its end."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from ..doctor import report_of_store

_PERIOD_S = 1


def show_report(store_folder: Path, run: str, *, target: str = "", as_json: bool = False) -> None:
    """Prints the report of a run: as JSON on stdout, else on stderr, as stdout is the command's.

    Raises:
        StoreMissingError: nothing of this run was written.
    """
    report = report_of_store(store_folder, run, target=target)
    if as_json:
        click.echo(json.dumps(asdict(report)))
    else:
        click.echo(f"unslow: {report.traces_count} requests recorded in {store_folder}", err=True)


@contextmanager
def live_report(count: Callable[[], int], *, wanted: bool) -> Iterator[None]:
    """Keeps a line with the number of requests on the terminal; does nothing without one."""
    if not wanted or not sys.stderr.isatty():
        yield
        return
    ended = threading.Event()

    def show() -> None:
        while not ended.wait(_PERIOD_S):
            click.echo(f"\runslow: {count()} requests recorded", err=True, nl=False)

    thread = threading.Thread(target=show, name="unslow-live", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        click.echo(err=True)

"""`unslow report`: what is in the store, shown again."""

from __future__ import annotations

from pathlib import Path

import click

from ..settings import load
from .reporting import show_report


@click.command()
@click.option(
    "--all", "everything", is_flag=True, help="Give each endpoint its bar, and more lines below it."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--run",
    metavar="RUN",
    help="The beginning of a run's name, such as 2026-03-01T12: when it was started.  [default:"
    " the newest run]",
)
@click.option(
    "--newest",
    "newest_count",
    type=click.IntRange(min=1),
    metavar="COUNT",
    help="Look at so many of its requests, the newest ones.  [default: 10000]",
)
@click.option(
    "--folder", type=click.Path(file_okay=False), help="Folder with the traces.  [default: .unslow]"
)
def report(
    everything: bool,
    as_json: bool,
    run: str | None,
    newest_count: int | None,
    folder: str | None,
) -> None:
    """Show a recorded run again.

    Where the time of all requests went; for each endpoint how long its requests took, and where
    every millisecond of them went; who blocked the event loop, and who held a pool's connections;
    and what was recorded, and what was not.
    """
    settings = load()
    show_report(
        Path(folder or settings.folder),
        run,
        newest_count=newest_count or settings.report_traces,
        as_json=as_json,
        on_stdout=True,
        everything=everything,
    )

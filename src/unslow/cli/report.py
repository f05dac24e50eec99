"""`unslow report`: what is in the store, shown again."""

from __future__ import annotations

from pathlib import Path

import click

from ..settings import load
from .reporting import form_of, form_options, show_report


@click.command()
@form_options
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
    written: str | None,
    as_json: bool,
    output: Path | None,
    everything: bool,
    run: str | None,
    newest_count: int | None,
    folder: str | None,
) -> None:
    """Show a recorded run again, also one of unslow check.

    What is wrong, and at which line; where the time of all requests went; for each endpoint how
    long its requests took, and where every millisecond of them went; who blocked the event loop,
    and who held a pool's connections; and what was recorded, and what was not.
    """
    settings = load()
    show_report(
        Path(folder or settings.folder),
        run,
        settings,
        newest_count=newest_count,
        form=form_of(written, as_json, output, everything),
        on_stdout=True,
    )

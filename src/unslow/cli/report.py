"""`unslow report`: what is in the store, shown again."""

from __future__ import annotations

from pathlib import Path

import click

from ..settings import load
from .reporting import show_report


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--all", "everything", is_flag=True, help="Leave out no endpoint and no line.")
@click.option("--run", metavar="RUN", help="A run by the beginning of its name; else the newest.")
@click.option("--folder", type=click.Path(file_okay=False), help="Folder of the store.")
def report(as_json: bool, everything: bool, run: str | None, folder: str | None) -> None:
    """Show a recorded run again: the newest, or the one that is named."""
    show_report(
        Path(folder or load().folder),
        run,
        as_json=as_json,
        on_stdout=True,
        everything=everything,
    )

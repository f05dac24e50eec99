"""`unslow compare`: two checks beside each other, route by route."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from ..doctor import compared_runs
from ..report.baseline_file import read_baseline
from ..report.compared import compared_json, compared_lines
from ..report.page import Page
from ..report.progress import progress
from ..settings import load
from .paper import print_lines

_HELP: Final = """\
Compare two checks, route by route: is it faster, and what was found or is gone.

\b
  unslow compare                             the newest two of the same target
  unslow compare 2026-03-01T12               that one, and the newest after it
  unslow compare 2026-03-01T12 2026-03-02T08
  unslow compare ../main/.unslow             the newest of another store, and the newest here

BEFORE and AFTER are the beginnings of runs' names, or folders of stores. Compared are the requests
that were sent alone; they were not measured side by side, so less is told than by a trial.

\b
Exit code 0; with --fail-on-slower 1: a route is slower or does not answer any more, or something
new was found; 2: it could not be done.
"""


@click.command(help=_HELP, short_help="Compare two checks, route by route.")
@click.argument("before", metavar="[BEFORE]", required=False)
@click.argument("after", metavar="[AFTER]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option(
    "--fail-on-slower",
    is_flag=True,
    help="Exit code 1 where a route is slower or does not answer any more, or for a new finding.",
)
@click.option(
    "--folder", type=click.Path(file_okay=False), help="Folder with the traces.  [default: .unslow]"
)
@click.pass_context
def compare(
    ctx: click.Context,
    before: str | None,
    after: str | None,
    as_json: bool,
    fail_on_slower: bool,
    folder: str | None,
) -> None:
    """Compares two checks."""
    settings = load()
    baseline = read_baseline(Path(settings.baseline))
    today = datetime.now().astimezone().date()
    accepted = {one.id for one in baseline.accepted if one.holds(today)}
    with progress("Working out the receipts"):
        found = compared_runs(Path(folder or settings.folder), before, after, accepted=accepted)
    if as_json:
        click.echo(json.dumps(compared_json(found), indent=2))
    else:
        print_lines(lambda width: compared_lines(found, Page(width, Path.cwd())))
    ctx.exit(int(fail_on_slower and found.is_worse))

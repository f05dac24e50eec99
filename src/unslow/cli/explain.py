"""`unslow explain`: one route of a run, and what became of each rule there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from ..doctor import report_of_store
from ..errors import UnslowError
from ..report.accepted import with_accepted
from ..report.baseline_file import read_baseline
from ..report.explained import explained, explained_json, explained_lines, routes_of
from ..report.page import Page
from ..report.progress import progress
from ..settings import load
from .paper import print_lines

_ROUTES_TOLD: Final = 20
_PARAMETER: Final = re.compile(r"\{[^{}]*\}")


class UnknownRouteError(UnslowError):
    """A run has no such route, or more than one of them."""


@click.command()
@click.argument("route")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
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
def explain(
    route: str, as_json: bool, run: str | None, newest_count: int | None, folder: str | None
) -> None:
    """Tell what was looked at on a route, and what was not.

    ROUTE is 'GET /users/{user_id}', or /users/{user_id}, or a part that no other route has. Each
    rule has found something there, has nearly found something, is clean, could not check, or broke.
    """
    settings = load()
    with progress("Working out the receipts") as update:
        report = report_of_store(
            Path(folder or settings.folder),
            run,
            newest_count=newest_count or settings.report_traces,
            on_progress=update,
        )
    baseline = read_baseline(Path(settings.baseline))
    report = with_accepted(report, baseline, datetime.now().astimezone().date())
    about = explained(report, named(route, routes_of(report)))
    if as_json:
        click.echo(json.dumps(explained_json(about), indent=2))
    else:
        print_lines(lambda width: explained_lines(about, Page(width, Path.cwd(), everything=True)))


def named(given: str, routes: Sequence[str]) -> str:
    """The one of the routes that is meant: as it is written, without its method, or by a part.

    A path with values in place of the parameters means its route.

    Raises:
        UnknownRouteError: none of them is meant, or several.
    """
    if not routes:
        raise UnknownRouteError(
            "The run holds no request, so there is no route to explain. Send the app some requests."
        )
    wanted = " ".join(given.split()).lower()
    lower = {one: one.lower() for one in routes}
    tries = (
        [one for one, text in lower.items() if text == wanted],
        [one for one, text in lower.items() if text.partition(" ")[2] == wanted],
        [one for one, text in lower.items() if _pattern(text).fullmatch(wanted)],
        [one for one, text in lower.items() if wanted in text],
    )
    found = next(filter(None, tries), [])
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownRouteError(
            f"{given!r} may be {_listed(found)}. Name one of them, with its method."
        )
    raise UnknownRouteError(
        f"There is no route {given!r} in this run; there are {_listed(routes)}."
    )


def _pattern(route: str) -> re.Pattern[str]:
    """What paths of a route look like, with or without the method in front."""
    method, _, path = route.partition(" ")
    parts = "[^/]+".join(map(re.escape, _PARAMETER.split(path)))
    return re.compile(f"(?:{re.escape(method)} )?{parts}")


def _listed(routes: Sequence[str]) -> str:
    told = ", ".join(routes[:_ROUTES_TOLD])
    left = len(routes) - _ROUTES_TOLD
    return f"{told} and {left} more" if left > 0 else told

"""A report as text for the terminal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from rich.console import Console, Group
from rich.text import Text

from ..model.proof import FASTER, SLOWER
from ..model.report import Report
from .bars import FILLS
from .blame import blocked_lines, holder_lines
from .card import head
from .coverage import coverage_lines
from .endpoints import endpoints
from .findings import not_looked_at
from .page import Page
from .summary import summary
from .trials import tried_lines
from .verdicts import SIGNS
from .worst import worst

WIDTH: Final = 100
_NARROWEST: Final = 60
_WIDEST: Final = 140
_PLAIN: Final = str.maketrans(
    {fill.sign: fill.plain_sign for fill in FILLS.values()}
    | {"·": "-", "…": "~", "→": ">"}
    | {SIGNS[FASTER]: "+", SIGNS[SLOWER]: "x"}
)


def print_report(
    report: Report,
    console: Console,
    *,
    width: int | None = None,
    folder: Path | None = None,
    everything: bool = False,
) -> None:
    """Print the report, as wide as the terminal or COLUMNS says, or `WIDTH` where neither is.

    `folder` is where shown paths start from, by default the current one; `everything` gives each
    endpoint its bar, and more lines of each.
    """
    if width is None:
        is_known = console.file.isatty() or os.environ.get("COLUMNS", "").isdigit()
        width = console.width if is_known else WIDTH
    lines = report_lines(report, width=width, folder=folder, everything=everything)
    if console.options.ascii_only:
        lines = [plain_signs(line) for line in lines]
    # Every line fits already; soft wrapping keeps the console from breaking or cutting any.
    console.print(Group(*lines), soft_wrap=True)


def render(
    report: Report, *, width: int = WIDTH, folder: Path | None = None, everything: bool = False
) -> Group:
    """The report as something that a rich console prints."""
    return Group(*report_lines(report, width=width, folder=folder, everything=everything))


def report_lines(
    report: Report, *, width: int = WIDTH, folder: Path | None = None, everything: bool = False
) -> list[Text]:
    """The report as lines of at most `width` cells, which is held between 60 and 140."""
    page = Page(max(_NARROWEST, min(_WIDEST, width)), folder or Path.cwd(), everything)
    lines = [
        *head(report, page),
        *worst(report, page),
        *summary(report, page),
        *endpoints(report, page),
        *blocked_lines(report.blocked, page),
        *holder_lines(report.holders, page),
        *tried_lines(report, page),
        *not_looked_at(report, page),
        *coverage_lines(report.coverage, page),
    ]
    for line in lines:
        line.rstrip()
    return lines


def plain_signs(line: Text) -> Text:
    """The line in ASCII, cell for cell where one of our signs stood."""
    plain = line.copy()
    plain.plain = line.plain.translate(_PLAIN).encode("ascii", "replace").decode("ascii")
    return plain

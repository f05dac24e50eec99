"""What could be recorded, and whether it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.text import Text

from ..model.trace import Coverage
from .lines import flow, one_line, sentence
from .page import MARGIN, Page, title

_STATE_WIDTH: Final = 13


def coverage_lines(coverage: tuple[Coverage, ...], page: Page) -> Iterator[Text]:
    """What was recorded in one paragraph, what was not on a line each, with the reason."""
    if not coverage:
        return
    yield from title("Coverage")
    indent = MARGIN + _STATE_WIDTH
    recorded = [_says(one, " ({})") for one in coverage if one.state == "on"]
    if recorded:
        head = f"{'':{MARGIN}}{'on':<{_STATE_WIDTH}}"
        yield from flow(recorded, page.width, first=head, indent=indent)
    for one in sorted(coverage, key=lambda one: one.state != "off"):
        if one.state != "on":
            head = f"{'':{MARGIN}}{one.state:<{_STATE_WIDTH}}"
            yield from sentence(_says(one, ": {}"), page.width, first=head, indent=indent)


def _says(one: Coverage, reason: str) -> str:
    return one_line(one.what + (reason.format(one.why) if one.why else ""))

"""A receipt as a bar, with the legend that says what is what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from rich.text import Text

from ..model.trace import LOOP_BUSY, SEGMENTS, UNEXPLAINED
from ..numbers import bare_milliseconds
from .lines import flow

OTHER: Final = "other"
_SMALLEST_MS: Final = 0.05
_SMALLEST_SHARE: Final = 0.005
_SURE_CELL_SHARE: Final = 0.01
_INDENT: Final = 2


class Fill(NamedTuple):
    """How a segment is drawn; the sign alone tells it from the others."""

    sign: str
    plain_sign: str
    """For terminals that know ASCII only."""
    colour: str


FILLS: Final[Mapping[str, Fill]] = {
    "own-code": Fill("█", "#", "green3"),
    "validation": Fill("▙", "v", "orange3"),
    "serialization": Fill("▚", "s", "gold3"),
    "hydration": Fill("▒", "h", "magenta"),
    "orm": Fill("▓", "@", "medium_purple"),
    "framework": Fill("▄", "f", "sandy_brown"),
    "gc": Fill("╬", "g", "hot_pink"),
    "probe": Fill("▖", "p", "bright_black"),
    "sql": Fill("░", "=", "deep_sky_blue1"),
    "rows": Fill("═", "r", "dodger_blue1"),
    "connect": Fill("/", "/", "cyan"),
    "pool-wait": Fill("║", "w", "bright_cyan"),
    "cache": Fill("X", "X", "spring_green3"),
    "remote": Fill("▌", "^", "turquoise2"),
    "thread-queue": Fill("≡", "t", "dark_sea_green4"),
    "receive": Fill("<", "<", "chartreuse3"),
    "send": Fill(">", ">", "dark_cyan"),
    "blocking": Fill("▀", "B", "bright_red"),
    "loop-busy": Fill("o", "o", "yellow"),
    "unexplained": Fill("?", "?", "default"),
    OTHER: Fill(".", ".", "bright_black"),
}
_UNKNOWN: Final = Fill("+", "+", "default")


def fill_of(name: str) -> Fill:
    """How a segment is drawn, also one that this version does not know."""
    return FILLS.get(name, _UNKNOWN)


class Part(NamedTuple):
    """A line of a receipt as it is shown."""

    name: str
    ms: float


def parts_of(receipt: Mapping[str, float]) -> list[Part]:
    """The lines of a receipt, longest first; what is too small to matter is `other`, last.

    `unexplained` is named however small it is.
    """
    smallest = max(_SMALLEST_MS, _SMALLEST_SHARE * sum(receipt.values()))
    named = [Part(*item) for item in receipt.items() if _is_named(*item, smallest)]
    small = [Part(*item) for item in receipt.items() if not _is_named(*item, smallest)]
    small = [part for part in small if part.ms > 0]
    named.sort(key=lambda part: -part.ms)
    if len(small) == 1:
        return named + small
    return [*named, Part(OTHER, sum(part.ms for part in small))] if small else named


def _is_named(name: str, ms: float, smallest_ms: float) -> bool:
    return ms >= smallest_ms or name == SEGMENTS[UNEXPLAINED]


def cells_of(amounts: Sequence[float], width: int) -> list[int]:
    """Whole cells for each amount that sum to `width`; one at least for each above 1 %."""
    amounts = [max(0.0, amount) for amount in amounts]
    total = sum(amounts)
    if not total or width <= 0:
        return [0] * len(amounts)
    exact = [amount / total * width for amount in amounts]
    cells = [
        max(int(share), amount / total > _SURE_CELL_SHARE)
        for share, amount in zip(exact, amounts, strict=True)
    ]
    while sum(cells) < width:
        cells[max(range(len(cells)), key=lambda at: exact[at] - cells[at])] += 1
    while sum(cells) > width:
        # The longest gives first: there a cell is the smallest change. With fewer cells than
        # parts above 1 %, the smallest parts go without.
        longest = max(cells)
        givers = [at for at, count in enumerate(cells) if count == longest]
        cells[min(givers, key=lambda at: exact[at] - cells[at])] -= 1
    return cells


def bar(receipt: Mapping[str, float], width: int) -> Text:
    """The receipt as one line of `width` cells."""
    parts = parts_of(receipt)
    line = Text()
    for part, count in zip(parts, cells_of([part.ms for part in parts], width), strict=True):
        fill = fill_of(part.name)
        line.append(fill.sign * count, fill.colour)
    return line


def legend(receipt: Mapping[str, float], loop_busy_most_ms: float, width: int) -> list[Text]:
    """The names and milliseconds of a bar's parts, each behind its sign."""
    items = []
    for name, ms in parts_of(receipt):
        fill = fill_of(name)
        amount = bare_milliseconds(ms)
        most = bare_milliseconds(loop_busy_most_ms)
        if name == SEGMENTS[LOOP_BUSY] and loop_busy_most_ms > ms and most != amount:
            amount += f" (at most {most})"
        items.append(Text.assemble((fill.sign, fill.colour), f" {name} {amount}"))
    return flow(items, width, first=" " * _INDENT, indent=_INDENT)

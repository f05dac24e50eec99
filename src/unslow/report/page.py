"""What a report is written on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from rich.text import Text

from ..model.trace import Place
from .lines import one_line
from .places import place_text

MARGIN: Final = 2

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Page:
    """The width, where paths start from, and how much is told."""

    width: int
    folder: Path
    everything: bool = False
    """Every endpoint with its bar, and every line of every list."""

    def first(self, items: Sequence[_Item], count: int) -> Sequence[_Item]:
        """As many of the items as are told."""
        return items if self.everything else items[:count]

    def items(self, *texts: str, place: Place | None = None) -> list[str]:
        """The texts that say something, and the place behind them, each on one line."""
        where = place_text(place, self.folder) if place is not None else ""
        return [flat for text in (*texts, where) if (flat := one_line(text))]


def title(text: str) -> Iterator[Text]:
    """The head of a part of the report."""
    yield Text()
    yield Text(text, "bold")

"""What a report is written on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from rich.text import Text

from ..model.trace import Place
from .lines import Item, one_line
from .places import place_texts, what_text

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

    def items(self, *texts: str, place: Place | None = None, brief: bool = False) -> list[Item]:
        """The texts that say something, and the place behind them, each on one line.

        Where it may be brief, the place leaves its function out rather than take another line.
        """
        items: list[Item] = [flat for text in texts if (flat := one_line(what_text(text)))]
        if place is not None:
            texts_of_place = place_texts(place, self.folder, brief=brief and not self.everything)
            items.append(tuple(map(one_line, texts_of_place)))
        return items


def title(text: str) -> Iterator[Text]:
    """The head of a part of the report."""
    yield Text()
    yield Text(text, "bold")

"""Numbers of many things in columns, each number with the words around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from rich.cells import cell_len
from rich.text import Text

GAP: Final = 2

_Thing = TypeVar("_Thing")


@dataclass(frozen=True, slots=True)
class Cell(Generic[_Thing]):
    """One number of a thing."""

    parts: Callable[[_Thing], tuple[str, str]]
    """The number, and what stands behind it; both empty where there is nothing to say."""
    before: str = ""
    style: str = ""


class Column(Generic[_Thing]):
    """A cell of many things, as wide as the widest: numbers at the right, words at the left."""

    def __init__(self, cell: Cell[_Thing], things: Iterable[_Thing]) -> None:
        parts = [cell.parts(thing) for thing in things]
        self._cell = cell
        self._amount_width = max((cell_len(amount) for amount, _ in parts), default=0)
        self._after_width = max((cell_len(after) for _, after in parts), default=0)
        width = self._amount_width + self._after_width
        self.width = len(cell.before) + width if width else 0

    def text(self, thing: _Thing) -> Text:
        """The cell of one thing, as wide as the column."""
        amount, after = self._cell.parts(thing)
        if not amount:
            return Text(" " * self.width)
        filled = f"{amount:>{self._amount_width}}{after:<{self._after_width}}"
        return Text(f"{self._cell.before}{filled}", self._cell.style)


def columns_of(cells: Iterable[Cell[_Thing]], things: Sequence[_Thing]) -> list[Column[_Thing]]:
    """The cells as columns, without those that are empty for every thing."""
    return [column for cell in cells if (column := Column(cell, things)).width]


def width_of(columns: Sequence[Column[_Thing]]) -> int:
    """The cells that the columns take side by side."""
    return sum(column.width + GAP for column in columns) - GAP if columns else 0


def rows_of(columns: Iterable[Column[_Thing]], width: int) -> list[list[Column[_Thing]]]:
    """The columns in as many rows as it takes for none to be wider than `width`."""
    rows: list[list[Column[_Thing]]] = [[]]
    for column in columns:
        if rows[-1] and width_of([*rows[-1], column]) > width:
            rows.append([])
        rows[-1].append(column)
    return rows


def fitting(columns: Iterable[Column[_Thing]], width: int) -> list[Column[_Thing]]:
    """The first columns, as many as stand side by side in `width`."""
    return rows_of(columns, width)[0]


def row_text(columns: Sequence[Column[_Thing]], thing: _Thing) -> Text:
    """The cells of one thing, side by side."""
    return Text(" " * GAP).join(column.text(thing) for column in columns)

"""A statement that is about to be sent, noted with what later tells loops from look-ups."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, Final

from ..current import Lane, OpenStatement, RawPlace
from .place import greenlet_above, own_code

ROWS_KEPT: Final = 500
"""Of each statement, until the request is over: what later statements took from them is lineage."""
_WIDE_ROWS_KEPT: Final = 20
_WIDE_BYTES: Final = 2_000
_LONGEST_BYTES: Final = 1_000
"""Longer texts and lists are no keys, and kept they would hold whole files in memory."""
_MOST_PARAMETERS: Final = 50
_SIZED: Final = (str, bytes, bytearray, memoryview, list, tuple)

_DEEPEST: Final = 120
_STACKS_KEPT: Final = 4
"""Of each line; a loop shows in its first rounds, and each walk takes some microseconds."""


def new_statement(
    lane: Lane, text: str, driver: str, place: RawPlace | None, parameters: Any = None
) -> OpenStatement:
    """Notes a statement; from the second one of its line on also by which way the line came there.

    Args:
        lane: The one that sends it.
        text: The text as the driver gets it.
        driver: The driver's name.
        place: The line that sends it.
        parameters: One set of parameters; None for several sets.
    """
    statement = lane.new_statement(text, driver, place)
    if parameters is not None and (lane.trace.keeps_values or is_short(parameters)):
        statement.parameters = parameters
    if place is not None:
        places = lane.trace.places
        line = id(place[0]), place[1]
        count = places.get(line, 0)
        places[line] = count + 1
        if 0 < count <= _STACKS_KEPT:
            statement.stack = _stack(sys._getframe(1))
    return statement


def _stack(frame: FrameType | None) -> int:
    """A hash of the lines of the user's own code that called one another; 0 where it is not whole.

    Crosses greenlets, as `place_from` does.
    """
    by_file = own_code.by_file
    lines: list[int] = []
    greenlet: Any = None
    for _ in range(_DEEPEST):
        if frame is None:
            greenlet = greenlet_above(greenlet)
            if greenlet is None:
                break
            frame = greenlet.gr_frame
            continue
        code = frame.f_code
        own = by_file.get(code.co_filename)
        if own is None:
            own = own_code.is_own_file(code.co_filename)
        if own:
            if own is not True:
                break
            lines += (id(code), frame.f_lasti)
        frame = frame.f_back
    else:
        return 0
    return hash(tuple(lines)) if lines else 0


def is_short(parameters: Any) -> bool:
    """Whether parameters may be kept until the request is over."""
    try:
        if len(parameters) > _MOST_PARAMETERS:
            return False
        for value in parameters.values() if isinstance(parameters, dict) else parameters:
            if isinstance(value, _SIZED) and len(value) > _LONGEST_BYTES:
                return False
    except TypeError:
        # A driver may take what has no length.
        return False
    return True


def keep_rows(statement: OpenStatement, rows: Any) -> None:
    """Keeps the first rows of a statement until the request is over, as far as there is room.

    Args:
        statement: The one that brought them.
        rows: All of them; of a sequence that can be cut.
    """
    count = room_for(statement, len(rows))
    if count and statement.rows is None:
        if count > _WIDE_ROWS_KEPT and _is_wide(rows[0]):
            count = _WIDE_ROWS_KEPT
        statement.allowance[0] -= count
        statement.rows = rows[:count]


def keep_row(statement: OpenStatement, row: Any) -> None:
    """The same for one row more."""
    kept = statement.rows
    if statement.allowance[0] <= 0:
        return
    if kept is None:
        statement.rows = [row]
    elif len(kept) < _WIDE_ROWS_KEPT or (len(kept) < ROWS_KEPT and not _is_wide(row)):
        kept.append(row)
    else:
        return
    statement.allowance[0] -= 1


def room_for(statement: OpenStatement, count: int) -> int:
    """How many of so many rows may be kept."""
    return min(count, ROWS_KEPT, statement.allowance[0])


def _is_wide(row: Any) -> bool:
    cells = row.values() if hasattr(row, "values") else row
    return sum(len(cell) for cell in cells if isinstance(cell, str | bytes)) > _WIDE_BYTES

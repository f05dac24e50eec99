"""A statement that is about to be sent, noted with what later tells loops from look-ups."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any, Final

from ..current import Lane, OpenStatement, RawPlace
from .place import greenlet_above, own_code

ROWS_KEPT: Final = 2_000
"""Of each statement, until the request is over: what later statements took from them is lineage."""

_DEEPEST: Final = 120
_STACKS_KEPT: Final = 8
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

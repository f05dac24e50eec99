"""Where one request's time went, and what is worked out about it beside."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from .trace import BLOCKING, CACHE, REMOTE, SQL, Place, Trace, What

BLOCKS_LOOP: Final = frozenset({SQL, REMOTE, CACHE, BLOCKING})
"""The waits whose `on_loop` time makes up *blocked the loop*."""


class Piece(NamedTuple):
    """A stretch of the receipt's one timeline."""

    start_ns: int
    end_ns: int
    segment: int
    what: What = None
    place: Place | None = None
    on_loop: bool = False
    """A wait that held the event loop's thread."""
    lane: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where one request's wall time went; `segments_ns` sums to `wall_ns`."""

    wall_ns: int
    segments_ns: tuple[int, ...]
    """By the index of the segment."""
    pieces: tuple[Piece, ...]
    """The timeline in order, and behind it what is known of its unexplained gaps."""
    overlap_ns: int
    """Work and waits of other lanes that was hidden behind what is shown."""
    off_cpu_ns: int | None
    """Time in which a running lane neither ran nor slept by its own will; None: not measured."""


class Culprit(NamedTuple):
    """Code that held a loop, whichever request ran it."""

    route: str
    what: str
    place: Place | None


@dataclass(slots=True)
class Waited:
    """What one request waited because others held its loop."""

    certain_ns: int = 0
    most_ns: int = 0
    """The certain part and what may be: bytes may have lain unread, or not have come yet."""
    by_culprit: dict[Culprit, list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0])
    )
    """`[certain, most]` ns."""


class Seen(NamedTuple):
    """One request with everything that was worked out about it."""

    trace: Trace
    receipt: Receipt
    waited: Waited
    alone: bool
    """No other request of its process was open meanwhile."""
    open_count: int
    """Requests of its process that were open when it began, itself included."""
    slice_cost_ns: int

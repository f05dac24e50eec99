"""Reading what an open trace holds, in tests."""

from __future__ import annotations

from typing import Any

from unslow.current import Lane, OpenTrace, RawPlace

RawSlice = tuple[int, int, int, Any, RawPlace | None]


def slices_of(trace: OpenTrace, *segments: int) -> list[RawSlice]:
    """The slices of these segments in all lanes, by their start; an outer one before its inner."""
    found = [one for lane in trace.lanes for one in lane.slices if one[2] in segments]
    return sorted(found, key=lambda one: (one[0], -one[1]))


def lanes_with(trace: OpenTrace, segment: int) -> list[Lane]:
    """The lanes that have a slice of this segment."""
    return [lane for lane in trace.lanes if any(one[2] == segment for one in lane.slices)]


def milliseconds(slices: list[RawSlice]) -> float:
    """The sum of their lengths."""
    return sum(end - start for start, end, *_ in slices) / 1e6


def wall_ms(trace: OpenTrace) -> float:
    """The length of the trace."""
    return (trace.end_ns - trace.start_ns) / 1e6


def everything_in(trace: OpenTrace) -> str:
    """All that was noted, as text in which a secret would be seen."""
    slices = [one[:4] for lane in trace.lanes for one in lane.slices]
    statements = [statement.text for statement in trace.statements]
    return repr((slices, statements, trace.holds, trace.error))

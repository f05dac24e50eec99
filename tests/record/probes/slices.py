"""Reading what an open trace holds, in tests."""

from __future__ import annotations

from typing import Any

from tests.record.probes.stub import Exchange
from unslow.current import Lane, OpenTrace, clock

RawSlice = tuple[int, int, int, Any, Any]


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


def covers(slices: list[RawSlice], seen: Exchange) -> bool:
    """Whether they begin before the server got a request and last until it had answered."""
    end = max(one[1] for one in slices)
    return min(one[0] for one in slices) <= seen.received_ns < seen.end_ns <= end


class OwnTime:
    """Stretches in which a test keeps the processor busy, as an app's own code does."""

    def __init__(self) -> None:
        self.stretches: list[tuple[int, int]] = []

    def spend_ms(self, length: float) -> None:
        start = end = clock()
        while end < start + length * 1e6:
            end = clock()
        self.stretches.append((start, end))

    def is_outside(self, slices: list[RawSlice]) -> bool:
        """Whether none of the slices takes any of it."""
        return not [
            one
            for one in slices
            for start, end in self.stretches
            if start < one[1] and one[0] < end
        ]

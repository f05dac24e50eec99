"""How much of a stretch of time a process computed, for whichever of its requests."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator

from ..model.trace import RUNS, Lane
from .views import Request

Interval = tuple[int, int]
"""From when until when, in nanoseconds of a process's clock."""


def occupied_share(requests: Iterable[Request], waits: Iterable[tuple[int, Interval]]) -> float:
    """The share of some waits during which their process computed for one of the requests.

    Args:
        requests: Whose work counts.
        waits: Each with the number of its process.
    """
    busy: dict[int, list[Interval]] = defaultdict(list)
    for request in requests:
        for lane in request.trace.lanes:
            busy[request.trace.process_id] += _computing(lane)
    ledgers = {process: _Ledger(found) for process, found in busy.items()}
    whole_ns = occupied_ns = 0
    for process, (start, end) in waits:
        whole_ns += end - start
        occupied_ns += ledgers[process].within(start, end) if process in ledgers else 0
    return occupied_ns / whole_ns if whole_ns else 0.0


def _computing(lane: Lane) -> Iterator[Interval]:
    """When a task held its event loop; when a thread was not waiting."""
    if lane.kind == "task":
        yield from ((step.start_ns, step.end_ns) for step in lane.steps)
        return
    since = lane.start_ns
    waits = ((one.start_ns, one.end_ns) for one in lane.slices if one.segment not in RUNS)
    for start, end in sorted(waits):
        if start > since:
            yield since, start
        since = max(since, end)
    if lane.end_ns > since:
        yield since, lane.end_ns


class _Ledger:
    """Stretches of time, those that overlap as one."""

    def __init__(self, intervals: Iterable[Interval]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(intervals):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def within(self, start: int, end: int) -> int:
        """How much of them lies in a stretch."""
        found = 0
        for index in range(bisect_right(self._ends, start), len(self._starts)):
            if self._starts[index] >= end:
                break
            found += min(end, self._ends[index]) - max(start, self._starts[index])
        return found

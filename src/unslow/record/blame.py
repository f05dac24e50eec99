"""Who held the event loop or a pool while others waited for it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Final, NamedTuple

from ..model.receipt import Culprit, Piece, Receipt, Waited
from ..model.report import Blocked, Holder, Victim
from ..model.trace import OWN_CODE, POOL_WAIT, RUNS, SEGMENTS, UNEXPLAINED, Place, Stall, Trace
from .receipt import dominant_place, lane_timelines, ready_time

_SHORTEST_CULPRIT_NS: Final = 1_000_000
_SHORTEST_WAIT_NS: Final = 100_000
_SAME_TURN_NS: Final = 1_000_000
"""Steps closer than this follow one another in one turn of the loop."""
_SHORTEST_BLOCK_NS: Final = 5_000_000
"""A step that holds the loop this long is listed, victims or not."""


class _Held(NamedTuple):
    """A stretch in which a loop's thread was held."""

    start_ns: int
    end_ns: int
    owner: int
    """The index of the trace; -1 for what belongs to none."""
    lane: int


class LoopLedger:
    """The steps of all requests of one process that held an event loop for long."""

    def __init__(self, traces: Sequence[Trace], stalls: Sequence[Stall]) -> None:
        self._traces = traces
        self._by_thread: dict[int, list[_Held]] = defaultdict(list)
        self._timelines: dict[int, list[list[Piece]]] = {}
        self._places: dict[int, Place | None] = {}
        self._culprits: dict[_Held, Culprit] = {}
        """Each stretch is asked for once per victim."""
        for owner, trace in enumerate(traces):
            for number, lane in enumerate(trace.lanes):
                for step in lane.steps:
                    if step.end_ns - step.start_ns >= _SHORTEST_CULPRIT_NS:
                        held = _Held(step.start_ns, step.end_ns, owner, number)
                        self._by_thread[lane.thread_id].append(held)
        for index, stall in enumerate(stalls):
            self._places[index] = stall.place
            held = _Held(stall.start_ns, stall.end_ns, -1, index)
            self._by_thread[stall.thread_id].append(held)
        self._longest: dict[int, int] = {}
        for thread, steps in self._by_thread.items():
            steps.sort()
            self._longest[thread] = max(held.end_ns - held.start_ns for held in steps)

    def waited(self, owner: int) -> Waited:
        """What a trace waited for the loop while others held it."""
        result = Waited()
        for lane in self._traces[owner].lanes:
            since = lane.start_ns
            for step in lane.steps:
                if step.start_ns - since >= _SHORTEST_WAIT_NS and lane.thread_id in self._by_thread:
                    ready = ready_time(step, since)
                    self._certain(result, owner, lane.thread_id, ready, step.start_ns)
                    if not since < step.known_ready_ns <= step.start_ns:
                        self._possible(result, owner, lane.thread_id, since, ready)
                since = step.end_ns
        return result

    def _certain(self, result: Waited, owner: int, thread: int, start: int, end: int) -> None:
        if end - start < _SHORTEST_WAIT_NS:
            return
        result.certain_ns += end - start
        result.most_ns += end - start
        for held in self._overlapping(thread, start, end):
            if held.owner != owner:
                shared = min(end, held.end_ns) - max(start, held.start_ns)
                counts = result.by_culprit[self.culprit(held)]
                counts[0] += shared
                counts[1] += shared

    def _possible(self, result: Waited, owner: int, thread: int, since: int, ready: int) -> None:
        """The last unbroken row of others' steps before the loop noticed what was waited for."""
        at = ready
        for held in reversed(list(self._overlapping(thread, since, ready))):
            if held.end_ns < at - _SAME_TURN_NS or held.owner == owner:
                return
            if held.end_ns > ready:
                # This very step woke the task up: before that there was nothing to wait for.
                return
            start = max(since, held.start_ns)
            end = min(held.end_ns, at)
            if end > start:
                result.most_ns += end - start
                result.by_culprit[self.culprit(held)][1] += end - start
            at = min(at, start)

    def _overlapping(self, thread: int, start: int, end: int) -> Iterator[_Held]:
        steps = self._by_thread[thread]
        first = bisect_left(steps, start - self._longest[thread], key=attrgetter("start_ns"))
        for index in range(first, len(steps)):
            held = steps[index]
            if held.start_ns >= end:
                return
            if held.end_ns > start:
                yield held

    def culprit(self, held: _Held) -> Culprit:
        """The line that held the loop for most of a stretch."""
        known = self._culprits.get(held)
        if known is None:
            known = self._culprits[held] = self._culprit(held)
        return known

    def _culprit(self, held: _Held) -> Culprit:
        if held.owner < 0:
            return Culprit("", "outside requests", self._places[held.lane])
        trace = self._traces[held.owner]
        timelines = self._timelines.get(held.owner)
        if timelines is None:
            timelines = self._timelines[held.owner] = lane_timelines(trace)
        totals: dict[tuple[int, str, Place | None], int] = defaultdict(int)
        pieces = timelines[held.lane]
        # In order, and none over another: of a request with hundreds of statements a step has few.
        first = bisect_right(pieces, held.start_ns, key=attrgetter("end_ns"))
        seen = dominant_place(trace.lanes[held.lane].samples, held.start_ns, held.end_ns)
        for piece in islice(pieces, first, None):
            if piece.start_ns >= held.end_ns:
                break
            shared = min(piece.end_ns, held.end_ns) - max(piece.start_ns, held.start_ns)
            what = piece.what if isinstance(piece.what, str) else ""
            totals[piece.segment, what, _place_of(trace, piece, seen)] += shared
        if not totals:
            return Culprit(route_name(trace), SEGMENTS[UNEXPLAINED], None)
        segment, what, place = max(totals, key=lambda key: totals[key])
        return Culprit(route_name(trace), what or SEGMENTS[segment], place)

    def blocked(self, waits: Sequence[Waited]) -> tuple[Blocked, ...]:
        """Who held the loop, worst for others first."""
        held_ns: dict[Culprit, int] = defaultdict(int)
        times: dict[Culprit, int] = defaultdict(int)
        for steps in self._by_thread.values():
            for held in steps:
                if held.end_ns - held.start_ns >= _SHORTEST_BLOCK_NS:
                    culprit = self.culprit(held)
                    held_ns[culprit] += held.end_ns - held.start_ns
                    times[culprit] += 1
        victims: dict[Culprit, dict[str, list[int]]] = defaultdict(dict)
        for trace, wait in zip(self._traces, waits, strict=True):
            for culprit, (least, most) in wait.by_culprit.items():
                if most >= _SHORTEST_CULPRIT_NS:
                    counts = victims[culprit].setdefault(route_name(trace), [0, 0, 0])
                    counts[0] += 1
                    counts[1] += least
                    counts[2] += most
        found = [
            Blocked(
                route=culprit.route,
                place=culprit.place,
                what=culprit.what,
                blocked_ms=held_ns[culprit] / 1e6,
                times_count=times[culprit],
                victims=_victims(victims[culprit]),
            )
            for culprit in held_ns
        ]
        found.sort(key=_worst_first)
        return tuple(found)


def _place_of(trace: Trace, piece: Piece, seen: Place | None) -> Place | None:
    """The line of a piece; `seen` is what the watchdog saw most of in the step around it."""
    if piece.segment == OWN_CODE or (piece.segment in RUNS and piece.place is None):
        return seen or piece.place
    if piece.place is None and isinstance(piece.what, int):
        return statement_place(trace, piece.what)
    return piece.place


def merged_blocked(found: Sequence[Blocked]) -> tuple[Blocked, ...]:
    """The culprits of several processes as one list, worst for others first."""
    groups: dict[Culprit, list[Blocked]] = defaultdict(list)
    for one in found:
        groups[Culprit(one.route, one.what, one.place)].append(one)
    merged = []
    for culprit, group in groups.items():
        victims: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for victim in (victim for one in group for victim in one.victims):
            counts = victims[victim.route]
            counts[0] += victim.requests_count
            counts[1] += round(victim.least_ms * 1e6)
            counts[2] += round(victim.most_ms * 1e6)
        merged.append(
            Blocked(
                route=culprit.route,
                place=culprit.place,
                what=culprit.what,
                blocked_ms=sum(one.blocked_ms for one in group),
                times_count=sum(one.times_count for one in group),
                victims=_victims(victims),
            )
        )
    merged.sort(key=_worst_first)
    return tuple(merged)


def merged_holders(found: Sequence[Holder]) -> tuple[Holder, ...]:
    """The holders of several processes' pools as one list, longest first."""
    waits: _Waits = defaultdict(lambda: defaultdict(float))
    for one in found:
        for waiting, ms in one.waits_ms.items():
            waits[one.pool, one.route, one.place][waiting] += ms
    return _holders(waits)


_Waits = dict[tuple[str, str, Place | None], dict[str, float]]
"""By pool, route and line of who held it: the time that others waited, by their routes."""


def _holders(waits: _Waits) -> tuple[Holder, ...]:
    found = [
        Holder(pool, route, place, sum(by_route.values()), dict(by_route))
        for (pool, route, place), by_route in waits.items()
    ]
    return tuple(sorted(found, key=lambda holder: -holder.ms))


def _worst_first(one: Blocked) -> tuple[float, float]:
    return -sum(victim.most_ms for victim in one.victims), -one.blocked_ms


def _victims(routes: dict[str, list[int]]) -> tuple[Victim, ...]:
    found = [
        Victim(route, count, least / 1e6, most / 1e6)
        for route, (count, least, most) in routes.items()
    ]
    return tuple(sorted(found, key=lambda victim: -victim.most_ms))


def route_name(trace: Trace) -> str:
    """How a route is called wherever one is named."""
    return f"{trace.method} {trace.route or '(no route)'}"


def statement_place(trace: Trace, index: int) -> Place | None:
    """The line that sent a trace's statement."""
    return trace.statements[index].place if 0 <= index < len(trace.statements) else None


def pool_holders(traces: Sequence[Trace], receipts: Sequence[Receipt]) -> tuple[Holder, ...]:
    """Who held a pool's connections while requests waited; the time is shared among them."""
    holds: dict[str, list[tuple[int, int, int, Place | None]]] = defaultdict(list)
    for owner, trace in enumerate(traces):
        for hold in trace.holds:
            holds[hold.pool].append((hold.start_ns, hold.end_ns, owner, hold.place))
    longest: dict[str, int] = {}
    for pool, held in holds.items():
        held.sort(key=lambda one: one[:3])
        longest[pool] = max(end - start for start, end, _, _ in held)
    waits: _Waits = defaultdict(lambda: defaultdict(float))
    for owner, receipt in enumerate(receipts):
        for piece in receipt.pieces:
            name = piece.what
            if piece.segment != POOL_WAIT or not isinstance(name, str) or name not in holds:
                continue
            rows = holds[name]
            first = bisect_left(rows, piece.start_ns - longest[name], key=lambda one: one[0])
            shares: list[tuple[int, int, Place | None]] = []
            for start, end, holder, place in rows[first:]:
                if start >= piece.end_ns:
                    break
                shared = min(end, piece.end_ns) - max(start, piece.start_ns)
                if shared > 0 and holder != owner:
                    shares.append((shared, holder, place))
            whole = sum(share[0] for share in shares)
            for shared, holder, place in shares:
                part = (piece.end_ns - piece.start_ns) * shared / whole
                waiting = route_name(traces[owner])
                waits[name, route_name(traces[holder]), place][waiting] += part / 1e6
    return _holders(waits)

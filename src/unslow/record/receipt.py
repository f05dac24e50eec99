"""The split of a request's wall time over the segments.

Each lane is cut into pieces that belong to its innermost open slice; of all lanes that are active
at an instant, one that runs goes before one that waits, and of two of the same rank the one that
started first. A lane that is only kept off its loop goes last: it may well be another lane of the
same request that holds the loop. What no lane accounts for is `unexplained`, the only line made by
subtraction.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from itertools import pairwise
from operator import itemgetter
from typing import Final

from ..model.receipt import Piece, Receipt
from ..model.trace import (
    FRAMEWORK,
    LOOP_BUSY,
    OWN_CODE,
    PROBE,
    RUNS,
    SEGMENTS,
    THREAD_QUEUE,
    UNEXPLAINED,
    Lane,
    Place,
    Sample,
    Slice,
    Step,
    Trace,
    What,
)

_IDLE: Final = -1
"""The segment of a suspended lane in which nothing is known to be waited for."""
_SHORTEST_LOOP_BUSY_NS: Final = 100_000
"""Below this, the way from a wait's end back into the task counts as part of the wait."""
_SHORTEST_SAMPLE_NS: Final = 1_000_000
_LATE_SAMPLE_NS: Final = 1_000_000
"""A watchdog that a call starved samples right behind that call's end."""


def receipt_of(trace: Trace, slice_cost_ns: int = 0) -> Receipt:
    """The receipt from the call of the app to the end of the response."""
    return _receipt(trace, trace.start_ns, trace.response_end_ns, slice_cost_ns)


def after_response(trace: Trace, slice_cost_ns: int = 0) -> Receipt:
    """The receipt of what the app did after the response: teardown, background tasks."""
    return _receipt(trace, trace.response_end_ns, trace.end_ns, slice_cost_ns)


def _receipt(trace: Trace, start: int, end: int, slice_cost_ns: int) -> Receipt:
    timelines = lane_timelines(trace, slice_cost_ns)
    clipped = [_clip(pieces, start, end) for pieces in timelines]
    merged = tuple(_merge(clipped))
    totals = [0] * len(SEGMENTS)
    for piece in merged:
        totals[piece.segment] += piece.end_ns - piece.start_ns
    shown = sum(totals)
    totals[UNEXPLAINED] = end - start - shown
    active = sum(piece.end_ns - piece.start_ns for pieces in clipped for piece in pieces)
    return Receipt(
        wall_ns=end - start,
        segments_ns=tuple(totals),
        pieces=merged + tuple(_awaited(trace, merged, start, end)),
        overlap_ns=active - shown,
        off_cpu_ns=_off_cpu(trace, start, end),
    )


def lane_timelines(trace: Trace, slice_cost_ns: int = 0) -> list[list[Piece]]:
    """For each lane, what it did: pieces in order, without those in which it was idle."""
    defaults = _default_segments(trace)
    timelines = []
    for index, lane in enumerate(trace.lanes):
        nested = _flatten(lane, index, lane.slices, defaults[index], trace.end_ns, slice_cost_ns)
        own = _own_framework(nested, lane.samples)
        timelines.append([piece for piece in _suspend(own, lane) if piece.segment != _IDLE])
    return timelines


def _default_segments(trace: Trace) -> list[int]:
    """What a lane does outside its slices: what the lane that started it did at that moment."""
    defaults: list[int] = []
    for lane in trace.lanes:
        if not 0 <= lane.parent < len(defaults):
            defaults.append(FRAMEWORK)
            continue
        found = defaults[lane.parent]
        shortest = None
        for one in trace.lanes[lane.parent].slices:
            if one.segment in (THREAD_QUEUE, UNEXPLAINED):
                continue
            if not one.start_ns <= lane.start_ns < one.end_ns:
                continue
            # Of two over the same stretch the inner one was kept first.
            if shortest is None or one.end_ns - one.start_ns < shortest:
                shortest, found = one.end_ns - one.start_ns, one.segment
        defaults.append(found)
    return defaults


def _flatten(
    lane: Lane, index: int, slices: Iterable[Slice], default: int, end: int, cost: int
) -> list[Piece]:
    """Nested slices as a row of pieces; at each instant the innermost slice holds.

    Around each slice, `cost` is taken off the slice that encloses it and given to `probe`.
    """
    # Of two slices over the same stretch the outer one was kept last; the sort is stable.
    # An `unexplained` slice only says what a task awaited, for the details.
    outer_first = [
        one for one in slices if one.segment != UNEXPLAINED and one.end_ns > one.start_ns
    ][::-1]
    ordered = sorted(outer_first, key=lambda one: (one.start_ns, -one.end_ns))
    lane_end = lane.end_ns or end
    whole = Slice(lane.start_ns, lane_end, default)
    stack = [whole]
    pieces: list[Piece] = []
    at = whole.start_ns
    before, after = cost // 3, cost - cost // 3

    def advance(to: int, probe_at_end: int = 0) -> None:
        nonlocal at
        if to <= at:
            return
        top = stack[-1]
        cut = max(at, to - probe_at_end) if probe_at_end else to
        if cut > at:
            pieces.append(Piece(at, cut, top.segment, top.what, top.place, lane=index))
        if to > cut:
            pieces.append(Piece(cut, to, PROBE, lane=index))
        at = to

    def close_until(time_ns: int) -> None:
        nonlocal at
        while len(stack) > 1 and stack[-1].end_ns <= time_ns:
            advance(stack[-1].end_ns)
            stack.pop()
            probe_end = min(at + after, time_ns, stack[-1].end_ns)
            if after and stack[-1].segment in RUNS and probe_end > at:
                pieces.append(Piece(at, probe_end, PROBE, lane=index))
                at = probe_end

    for one in ordered:
        start = max(one.start_ns, whole.start_ns)
        close_until(start)
        finish = min(one.end_ns, stack[-1].end_ns)
        if finish <= start:
            continue
        advance(start, before if stack[-1].segment in RUNS else 0)
        stack.append(one if finish == one.end_ns else Slice(start, finish, *_rest(one)))
    close_until(lane_end)
    advance(lane_end)
    return pieces


def _rest(one: Slice) -> tuple[int, What, Place | None]:
    return one.segment, one.what, one.place


def _own_framework(pieces: list[Piece], samples: tuple[Sample, ...]) -> list[Piece]:
    """Gives framework time in which the watchdog saw the user's own line executing to own code."""
    seen = [s for s in samples if s.innermost and s.weight_ns >= _SHORTEST_SAMPLE_NS]
    if not seen:
        return pieces
    changed: list[Piece] = []
    for piece in pieces:
        if piece.segment != FRAMEWORK:
            changed.append(piece)
            continue
        at = piece.start_ns
        for sample in seen:
            # What a sample of later work stands for may reach back to here: it saw nothing of it.
            if not piece.start_ns < sample.at_ns <= piece.end_ns:
                continue
            start, end = max(sample.at_ns - sample.weight_ns, at), sample.at_ns
            if start > at:
                changed.append(piece._replace(start_ns=at, end_ns=start))
            own = piece._replace(start_ns=start, end_ns=end, segment=OWN_CODE)
            changed.append(own._replace(what=None, place=sample.place))
            at = end
        if at < piece.end_ns:
            changed.append(piece._replace(start_ns=at))
    return changed


def _suspend(pieces: list[Piece], lane: Lane) -> Iterator[Piece]:
    """Marks what a task did while it did not hold its loop: waiting, ready but not run, or idle."""
    if lane.kind == "thread":
        yield from pieces
        return
    at = lane.start_ns
    stretches: list[tuple[int, int, Step | None]] = []
    for step in lane.steps:
        ready = ready_time(step, at)
        if step.start_ns > at:
            stretches.append((at, ready, None))
            stretches.append((ready, step.start_ns, _NOT_RUN))
        stretches.append((step.start_ns, step.end_ns, step))
        at = step.end_ns
    stretches.append((at, max(at, pieces[-1].end_ns if pieces else at), None))
    cursor = 0
    for start, end, held in stretches:
        if start >= end:
            continue
        while cursor < len(pieces) and pieces[cursor].end_ns <= start:
            cursor += 1
        index = cursor
        while index < len(pieces) and pieces[index].start_ns < end:
            yield _in_stretch(pieces[index], start, end, held)
            index += 1


_NOT_RUN = Step(0, 0)


def ready_time(step: Step, since: int) -> int:
    """When a suspended task could have run again; its start where nothing earlier is known."""
    known = [t for t in (step.ready_ns, step.known_ready_ns) if t and since <= t <= step.start_ns]
    return min(known, default=step.start_ns)


def _in_stretch(piece: Piece, start: int, end: int, step: Step | None) -> Piece:
    cut = _cut(piece, max(piece.start_ns, start), min(piece.end_ns, end))
    waits = piece.segment not in RUNS
    if step is _NOT_RUN:
        if waits and end - start < _SHORTEST_LOOP_BUSY_NS:
            return cut
        return cut._replace(segment=LOOP_BUSY, what=None, place=None)
    if step is not None:
        on_loop = waits and step.start_ns <= piece.start_ns and piece.end_ns <= step.end_ns
        return cut._replace(on_loop=on_loop) if on_loop else cut
    return cut if waits else cut._replace(segment=_IDLE)


def _clip(pieces: list[Piece], start: int, end: int) -> list[Piece]:
    return [
        _cut(piece, max(piece.start_ns, start), min(piece.end_ns, end))
        for piece in pieces
        if piece.end_ns > start and piece.start_ns < end
    ]


def _rank(segment: int) -> int:
    if segment in RUNS:
        return 0
    return 2 if segment == LOOP_BUSY else 1


def _merge(timelines: list[list[Piece]]) -> Iterator[Piece]:
    """Of several lanes' pieces, the one that holds at each instant."""
    active = [pieces for pieces in timelines if pieces]
    if len(active) == 1:
        yield from active[0]
        return
    starts = sorted((piece for pieces in active for piece in pieces), key=itemgetter(0))
    times = sorted({t for piece in starts for t in (piece.start_ns, piece.end_ns)})
    waiting: list[tuple[int, int, int, Piece]] = []
    next_start = 0
    held: Piece | None = None
    held_from = 0
    for begin, end in pairwise(times):
        while next_start < len(starts) and starts[next_start].start_ns <= begin:
            piece = starts[next_start]
            heappush(waiting, (_rank(piece.segment), piece.lane, next_start, piece))
            next_start += 1
        while waiting and waiting[0][3].end_ns <= begin:
            heappop(waiting)
        top = waiting[0][3] if waiting else None
        if top is not held:
            if held is not None and begin > held_from:
                yield _cut(held, held_from, min(begin, held.end_ns))
            held, held_from = top, begin
        if held is not None and held.end_ns <= end:
            yield _cut(held, held_from, held.end_ns)
            held = None


def _cut(piece: Piece, start: int, end: int) -> Piece:
    if piece.start_ns == start and piece.end_ns == end:
        return piece
    return piece._replace(start_ns=start, end_ns=end)


def _awaited(trace: Trace, shown: tuple[Piece, ...], start: int, end: int) -> Iterator[Piece]:
    """The unexplained gaps, as far as it is known at which line a task awaited something."""
    notes = [one for lane in trace.lanes for one in lane.slices if one.segment == UNEXPLAINED]
    if not notes:
        return
    bounds = [start, *(t for piece in shown for t in piece[:2]), end]
    for gap_start, gap_end in zip(bounds[::2], bounds[1::2], strict=True):
        if gap_start >= gap_end:
            continue
        at = gap_start
        for note in notes:
            begin, finish = max(note.start_ns, at), min(note.end_ns, gap_end)
            if begin < finish:
                yield Piece(begin, finish, UNEXPLAINED, note.what, note.place)
                at = finish


def _off_cpu(trace: Trace, start: int, end: int) -> int | None:
    """What the watchdog's samples in running segments lack in CPU time."""
    total: int | None = None
    for lane in trace.lanes:
        measured = [s for s in lane.samples if s.cpu_ns is not None and start <= s.at_ns <= end]
        if not measured:
            continue
        waits = [(one.start_ns, one.end_ns) for one in lane.slices if one.segment not in RUNS]
        waits.sort()
        begins = [wait[0] for wait in waits]
        for sample in measured:
            at = bisect_right(begins, sample.at_ns - sample.weight_ns // 2) - 1
            if at >= 0 and waits[at][1] > sample.at_ns - sample.weight_ns // 2:
                continue
            total = (total or 0) + max(0, sample.weight_ns - (sample.cpu_ns or 0))
    return total


def dominant_place(samples: Iterable[Sample], start: int, end: int) -> Place | None:
    """The line that the watchdog's samples give most of a stretch to; None when it saw none."""
    weights: dict[Place, int] = {}
    for sample in samples:
        if sample.place is not None and start <= sample.at_ns <= end + _LATE_SAMPLE_NS:
            weights[sample.place] = weights.get(sample.place, 0) + sample.weight_ns
    return max(weights, key=lambda place: weights[place]) if weights else None

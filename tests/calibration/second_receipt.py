"""The receipt a second time, from the raw slices, by another way: painting.

Time is cut at every boundary that occurs. Each lane is a canvas of these short intervals, on which
its slices are painted from the outermost to the innermost; then the rules are applied to every
interval by itself. Written from the rules, not from `unslow.record.receipt`, so that an error would
have to be made twice to stay unseen.

The rules:

1. In a lane the innermost open slice holds. A slice that outlasts the one it began in is cut there.
2. Outside its slices a lane does what the lane that started it did at that moment (its shortest
   slice there, a wait for a thread aside); the first lane: `framework`.
3. What recording a slice costs, a third before it and the rest behind it, is `probe` as far as the
   slice around it runs and is the innermost there.
4. `framework` in which the watchdog saw the user's own line executing is `own-code`, as far back as
   the sample stands for and the framework held without a break.
5. A task runs only within its steps. Outside them a wait is that wait and a run is nothing, except
   from the moment it was ready: then it is `loop-busy`, but a wait goes on if that took < 0.1 ms.
6. Of the lanes active in an interval a running one goes first, then one that waits, then one that
   is `loop-busy`; of two alike the earlier one.
7. What no lane accounts for is `unexplained`; notes of that name in a lane say nothing else.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import pairwise
from typing import Final, NamedTuple

from unslow.model.trace import SEGMENTS, Lane, Slice, Trace

NUMBER: Final = {name: index for index, name in enumerate(SEGMENTS)}
FRAMEWORK: Final = NUMBER["framework"]
PROBE: Final = NUMBER["probe"]
RUNNING: Final = frozenset(range(PROBE + 1))
UNEXPLAINED: Final = NUMBER["unexplained"]
NOTHING: Final = None
SHORT_GAP_NS: Final = 100_000
SHORT_SAMPLE_NS: Final = 1_000_000


class Paint(NamedTuple):
    """What covers an interval of a lane's canvas."""

    layer: int
    """0 for the lane itself, then one more for each slice."""
    segment: int
    end_ns: int


Canvas = list[Paint | None]


def second_receipt(
    trace: Trace, start_ns: int, end_ns: int, slice_cost_ns: int = 0
) -> tuple[int, ...]:
    """The nanoseconds of each segment between two moments of a trace; they sum to the distance."""
    cuts = boundaries(trace, (start_ns, end_ns), slice_cost_ns)
    defaults = [default_segment(trace, index) for index in range(len(trace.lanes))]
    lanes = [
        lane_segments(lane, default, trace.end_ns, cuts, slice_cost_ns)
        for lane, default in zip(trace.lanes, defaults, strict=True)
    ]
    order = sorted(range(len(lanes)), key=lambda index: trace.lanes[index].start_ns)
    totals = [0] * len(SEGMENTS)
    for interval, (begin, end) in enumerate(pairwise(cuts)):
        if start_ns <= begin and end <= end_ns:
            active = [lanes[index][interval] for index in order]
            totals[holder(active)] += end - begin
    return tuple(totals)


def holder(active: Iterable[int | None]) -> int:
    """Of what the lanes do in an interval, in the order of their starts, the one that counts."""
    found = [segment for segment in active if segment is not NOTHING]
    running = [segment for segment in found if segment in RUNNING]
    waiting = [segment for segment in found if segment != NUMBER["loop-busy"]]
    return (running or waiting or found or [UNEXPLAINED])[0]


def boundaries(trace: Trace, more: Iterable[int], cost: int) -> list[int]:
    """Every moment at which anything begins or ends."""
    times = {trace.end_ns, *more}
    for lane in trace.lanes:
        times |= {lane.start_ns, lane.end_ns}
        for one in lane.slices:
            times |= {one.start_ns, one.end_ns}
            times |= {one.start_ns - cost // 3, one.end_ns + cost - cost // 3}
        for step in lane.steps:
            times |= {step.start_ns, step.end_ns, step.ready_ns, step.known_ready_ns}
        for sample in lane.samples:
            times |= {sample.at_ns, sample.at_ns - sample.weight_ns}
    return sorted(times)


def default_segment(trace: Trace, index: int) -> int:
    """What a lane does outside its slices."""
    lane = trace.lanes[index]
    if not 0 <= lane.parent < index:
        return FRAMEWORK
    around = [
        one
        for one in trace.lanes[lane.parent].slices
        if one.start_ns <= lane.start_ns < one.end_ns
        and one.segment not in (NUMBER["thread-queue"], UNEXPLAINED)
    ]
    if not around:
        return default_segment(trace, lane.parent)
    # Of two over the same stretch the inner one was kept first, and `min` keeps to the first.
    return min(around, key=lambda one: one.end_ns - one.start_ns).segment


def lane_segments(
    lane: Lane, default: int, trace_end_ns: int, cuts: list[int], cost: int
) -> list[int | None]:
    """What a lane does in each interval."""
    end_ns = lane.end_ns or trace_end_ns
    canvas: Canvas = [NOTHING] * len(cuts)
    paint(canvas, cuts, lane.start_ns, end_ns, Paint(0, default, end_ns))
    segments = painted(canvas, lane, cuts, cost)
    for sample in lane.samples:
        if sample.innermost and sample.weight_ns >= SHORT_SAMPLE_NS:
            back = within(cuts, sample.at_ns - sample.weight_ns, sample.at_ns)[::-1]
            seen = canvas[back[0]]
            for interval in back:
                if canvas[interval] != seen or segments[interval] != FRAMEWORK:
                    break
                segments[interval] = NUMBER["own-code"]
    return segments if lane.kind == "thread" else suspended(segments, lane, cuts)


def within(cuts: list[int], start_ns: int, end_ns: int) -> range:
    """The intervals between two moments, which are themselves cuts."""
    return range(bisect_left(cuts, start_ns), bisect_left(cuts, end_ns))


def paint(canvas: Canvas, cuts: list[int], start_ns: int, end_ns: int, what: Paint) -> None:
    """Covers the intervals between two moments."""
    for interval in within(cuts, start_ns, end_ns):
        canvas[interval] = what


def painted(canvas: Canvas, lane: Lane, cuts: list[int], cost: int) -> list[int | None]:
    """Rules 1 and 3: the slices on the canvas, and what recording them cost."""
    costs: list[tuple[int, int, Paint]] = []
    slices: list[Slice] = [one for one in lane.slices if one.segment != UNEXPLAINED]
    # Outer slices first. They are kept in the order of their ends: of two over the same stretch the
    # outer one was kept last.
    order = sorted(range(len(slices)), key=lambda n: (slices[n].start_ns, -slices[n].end_ns, -n))
    for layer, number in enumerate(order, start=1):
        one = slices[number]
        start = max(one.start_ns, lane.start_ns)
        around = canvas[bisect_left(cuts, start)]
        if around is NOTHING or start >= (end := min(one.end_ns, around.end_ns)):
            continue
        paint(canvas, cuts, start, end, Paint(layer, one.segment, end))
        if around.segment in RUNNING:
            costs.append((start - cost // 3, start, around))
            costs.append((end, end + cost - cost // 3, around))
    segments = [None if what is NOTHING else what.segment for what in canvas]
    for start, end, around in costs:
        for interval in within(cuts, start, end):
            if canvas[interval] == around:
                segments[interval] = PROBE
    return segments


def suspended(segments: list[int | None], lane: Lane, cuts: list[int]) -> list[int | None]:
    """Rule 5: what a task does while it does not hold its loop."""
    result: list[int | None] = [None if segment in RUNNING else segment for segment in segments]
    since = lane.start_ns
    for step in lane.steps:
        ready = min(
            (t for t in (step.ready_ns, step.known_ready_ns) if t and since <= t <= step.start_ns),
            default=step.start_ns,
        )
        for interval in within(cuts, ready, step.start_ns):
            segment = segments[interval]
            waits_on = segment not in RUNNING and step.start_ns - ready < SHORT_GAP_NS
            if segment is not None and not waits_on:
                result[interval] = NUMBER["loop-busy"]
        for interval in within(cuts, step.start_ns, step.end_ns):
            result[interval] = segments[interval]
        since = step.end_ns
    return result

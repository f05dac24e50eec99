"""A receipt's lines are what the rules say, and sum to the wall time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.calibration.second_receipt import second_receipt
from tests.record.handmade import (
    HERE,
    MS,
    THERE,
    a_slice,
    a_step,
    a_task,
    a_thread,
    a_trace,
)
from unslow.model.receipt import Receipt
from unslow.model.trace import (
    BLOCKING,
    FRAMEWORK,
    GC,
    HYDRATION,
    LOOP_BUSY,
    ORM,
    OWN_CODE,
    POOL_WAIT,
    PROBE,
    REMOTE,
    ROWS,
    SEGMENTS,
    SQL,
    THREAD_QUEUE,
    UNEXPLAINED,
    Lane,
    Sample,
    Slice,
    Step,
    Trace,
)
from unslow.record.receipt import (
    after_response,
    dominant_place,
    lane_timelines,
    ready_time,
    receipt_of,
)


def lines(receipt: Receipt) -> dict[int, float]:
    """The lines that are not 0, in ms."""
    return {index: ns / MS for index, ns in enumerate(receipt.segments_ns) if ns}


def check_sums(trace: Trace, cost_ns: int = 0) -> None:
    """What holds for each receipt, whatever was recorded."""
    for receipt, start, end in (
        (receipt_of(trace, cost_ns), trace.start_ns, trace.response_end_ns),
        (after_response(trace, cost_ns), trace.response_end_ns, trace.end_ns),
    ):
        assert receipt.wall_ns == end - start == sum(receipt.segments_ns)
        assert min(receipt.segments_ns) >= 0
        assert receipt.overlap_ns >= 0
        assert second_receipt(trace, start, end, cost_ns) == receipt.segments_ns
        shown = [piece for piece in receipt.pieces if piece.segment != UNEXPLAINED]
        assert all(one.end_ns <= other.start_ns for one, other in pairwise(shown))


def test_a_request_without_slices_is_framework() -> None:
    trace = a_trace(a_task(0, 10))

    assert lines(receipt_of(trace)) == {FRAMEWORK: 10}
    check_sums(trace)


def test_the_innermost_open_slice_holds() -> None:
    lane = a_task(0, 20, a_slice(6, 8, HYDRATION), a_slice(4, 12, SQL), a_slice(2, 18, OWN_CODE))
    trace = a_trace(lane)

    assert lines(receipt_of(trace)) == {FRAMEWORK: 4, OWN_CODE: 8, SQL: 6, HYDRATION: 2}
    check_sums(trace)


def test_of_two_slices_over_the_same_stretch_the_one_that_ended_first_is_inside() -> None:
    trace = a_trace(a_task(0, 10, a_slice(2, 8, SQL), a_slice(2, 8, ORM)))

    assert lines(receipt_of(trace)) == {FRAMEWORK: 4, SQL: 6}
    check_sums(trace)


def test_a_slice_that_outlasts_the_one_around_it_is_cut_there() -> None:
    trace = a_trace(a_task(0, 10, a_slice(2, 6, OWN_CODE), a_slice(4, 8, SQL)))

    assert lines(receipt_of(trace)) == {FRAMEWORK: 6, OWN_CODE: 2, SQL: 2}
    check_sums(trace)


def test_a_suspended_task_that_waits_for_nothing_known_is_unexplained() -> None:
    lane = a_task(0, 10, a_slice(1, 9, OWN_CODE), steps=(a_step(0, 2), a_step(7, 10)))
    trace = a_trace(lane)

    assert lines(receipt_of(trace)) == {FRAMEWORK: 2, OWN_CODE: 3, UNEXPLAINED: 5}
    check_sums(trace)


def test_a_suspended_task_waits_for_what_its_slice_says() -> None:
    lane = a_task(0, 10, a_slice(1, 8, REMOTE), steps=(a_step(0, 2), a_step(7, 10)))
    trace = a_trace(lane)

    assert lines(receipt_of(trace)) == {FRAMEWORK: 3, REMOTE: 7}
    check_sums(trace)


def test_from_the_moment_it_was_queued_a_task_waits_for_the_loop() -> None:
    lane = a_task(0, 10, a_slice(1, 8, REMOTE), steps=(a_step(0, 2), a_step(7, 10, ready_ms=4)))
    trace = a_trace(lane)

    assert lines(receipt_of(trace)) == {FRAMEWORK: 3, REMOTE: 4, LOOP_BUSY: 3}
    check_sums(trace)


def test_the_time_of_a_timer_counts_before_the_moment_at_which_the_loop_saw_it() -> None:
    late = a_step(7, 10, ready_ms=6.9, known_ready_ms=3)
    trace = a_trace(a_task(0, 10, a_slice(1, 8, REMOTE), steps=(a_step(0, 2), late)))

    assert lines(receipt_of(trace)) == {FRAMEWORK: 3, REMOTE: 3, LOOP_BUSY: 4}
    check_sums(trace)


def test_the_short_way_back_into_the_task_is_part_of_the_wait() -> None:
    back = a_step(7, 10, ready_ms=6.95)
    trace = a_trace(a_task(0, 10, a_slice(1, 8, SQL), steps=(a_step(0, 2), back)))

    assert lines(receipt_of(trace)) == {FRAMEWORK: 3, SQL: 7}
    check_sums(trace)


def test_a_moment_of_readiness_outside_of_the_wait_is_not_believed() -> None:
    step = a_step(7, 10, ready_ms=1, known_ready_ms=8)

    assert ready_time(step, since=2 * MS) == 7 * MS


def test_a_lane_that_runs_goes_before_one_that_waits() -> None:
    waits = a_task(0, 10, a_slice(0, 10, REMOTE))
    trace = a_trace(waits, a_task(2, 5, a_slice(2, 5, OWN_CODE)))

    receipt = receipt_of(trace)

    assert lines(receipt) == {OWN_CODE: 3, REMOTE: 7}
    assert receipt.overlap_ns == 3 * MS
    check_sums(trace)


def test_of_two_waits_the_one_of_the_lane_that_started_first_is_shown() -> None:
    idle = a_task(0, 40, a_slice(0, 40, OWN_CODE), steps=(a_step(0, 0), a_step(40, 40)))
    first, second = a_task(0, 20, a_slice(0, 20, SQL)), a_task(0, 40, a_slice(0, 40, REMOTE))
    trace = a_trace(idle, first, second)

    receipt = receipt_of(trace)

    assert lines(receipt) == {SQL: 20, REMOTE: 20}
    assert receipt.overlap_ns == 20 * MS
    check_sums(trace)


def test_a_lane_that_is_kept_off_the_loop_by_another_of_the_same_request_does_not_hide_it() -> None:
    kept_off = a_task(0, 30, steps=(a_step(0, 1), a_step(29, 30, ready_ms=5)))
    blocks = a_task(1, 29, a_slice(5, 25, BLOCKING), steps=(a_step(1, 29),))
    trace = a_trace(kept_off, blocks)

    assert lines(receipt_of(trace)) == {FRAMEWORK: 10, BLOCKING: 20}
    check_sums(trace)


def test_a_child_does_outside_its_slices_what_its_parent_did_when_it_started_it() -> None:
    parent = a_task(
        0,
        10,
        a_slice(2, 4, THREAD_QUEUE),
        a_slice(1, 9, OWN_CODE),
        steps=(a_step(0, 2), a_step(8, 10)),
    )
    trace = a_trace(parent, a_thread(3, 8))

    assert lines(receipt_of(trace)) == {FRAMEWORK: 2, OWN_CODE: 7, THREAD_QUEUE: 1}
    check_sums(trace)


def test_a_task_that_has_ended_waits_for_nothing_more() -> None:
    parent = a_task(0, 20, a_slice(1, 4, SQL), steps=(a_step(0, 2), a_step(18, 20)))
    child = a_task(2, 6, steps=(a_step(2, 3), a_step(5, 6)))
    trace = a_trace(parent, child)

    assert lines(receipt_of(trace)) == {FRAMEWORK: 3, SQL: 5, UNEXPLAINED: 12}
    check_sums(trace)


def test_a_sync_wait_in_a_step_held_the_loop_and_an_awaited_one_did_not() -> None:
    lane = a_task(
        0,
        20,
        a_slice(1, 5, SQL),
        a_slice(6, 15, SQL),
        steps=(a_step(0, 7), a_step(14, 20)),
    )
    receipt = receipt_of(a_trace(lane))

    held = [piece for piece in receipt.pieces if piece.on_loop]

    assert [(piece.start_ns // MS, piece.end_ns // MS) for piece in held] == [(1, 5)]


def test_framework_in_which_the_users_line_was_seen_executing_is_own_code() -> None:
    seen = Sample(6 * MS, 4 * MS, HERE, innermost=True)
    library = Sample(9 * MS, 3 * MS, HERE, innermost=False)
    short = Sample(10 * MS, MS // 2, HERE, innermost=True)
    trace = a_trace(replace(a_task(0, 10), samples=(seen, library, short)))

    receipt = receipt_of(trace)

    assert lines(receipt) == {FRAMEWORK: 6, OWN_CODE: 4}
    assert [piece.place for piece in receipt.pieces if piece.segment == OWN_CODE] == [HERE]
    check_sums(trace)


def test_a_sample_of_the_endpoint_says_nothing_of_the_framework_before_it() -> None:
    seen = Sample(6 * MS, 6 * MS, HERE, innermost=True)
    trace = a_trace(replace(a_task(0, 10, a_slice(1, 9, OWN_CODE)), samples=(seen,)))

    assert lines(receipt_of(trace)) == {FRAMEWORK: 2, OWN_CODE: 8}
    check_sums(trace)


def test_what_recording_costs_is_taken_off_the_slice_around_it_when_that_runs() -> None:
    lane = a_task(0, 20, a_slice(4, 6, SQL), a_slice(2, 10, OWN_CODE), a_slice(12, 18, ROWS))
    trace = a_trace(lane)

    receipt = receipt_of(trace, slice_cost_ns=300_000)

    assert lines(receipt) == pytest.approx(
        {FRAMEWORK: 6 - 0.6, OWN_CODE: 6 - 0.3, PROBE: 0.9, SQL: 2, ROWS: 6}
    )
    check_sums(trace, 300_000)


def test_what_recording_costs_is_never_more_than_there_is_room_for() -> None:
    lane = a_task(
        0, 4, a_slice(0, 1, SQL), a_slice(1, 2, SQL), a_slice(2, 4, SQL), a_slice(0, 4, ORM)
    )
    trace = a_trace(lane)

    assert lines(receipt_of(trace, slice_cost_ns=MS)) == {SQL: 4}
    check_sums(trace, MS)


def test_what_the_app_does_after_its_response_is_a_receipt_of_its_own() -> None:
    trace = a_trace(a_task(0, 10, a_slice(2, 8, OWN_CODE)), response_end_ms=6)

    assert lines(receipt_of(trace)) == {FRAMEWORK: 2, OWN_CODE: 4}
    assert lines(after_response(trace)) == {FRAMEWORK: 2, OWN_CODE: 2}
    check_sums(trace)


def test_a_note_of_what_was_awaited_names_the_gap_and_changes_no_line() -> None:
    note = Slice(2 * MS, 7 * MS, UNEXPLAINED, "asyncio.sleep", HERE)
    lane = a_task(0, 10, note, steps=(a_step(0, 2), a_step(7, 10)))
    trace = a_trace(lane)

    receipt = receipt_of(trace)

    assert lines(receipt) == {FRAMEWORK: 5, UNEXPLAINED: 5}
    assert receipt.pieces[-1][:5] == (2 * MS, 7 * MS, UNEXPLAINED, "asyncio.sleep", HERE)
    check_sums(trace)


def test_the_cpu_that_running_stretches_lacked_is_off_cpu_and_waits_are_left_out() -> None:
    samples = (
        Sample(4 * MS, 2 * MS, HERE, innermost=True, cpu_ns=MS // 2),
        Sample(6 * MS, 2 * MS, HERE, innermost=True),
        Sample(9 * MS, 2 * MS, HERE, innermost=True, cpu_ns=0),
    )
    lane = replace(a_task(0, 10, a_slice(7, 10, SQL)), samples=samples)

    assert receipt_of(a_trace(lane)).off_cpu_ns == 1_500_000
    assert receipt_of(a_trace(replace(lane, samples=samples[1:2]))).off_cpu_ns is None


def test_the_line_with_the_most_weight_is_the_dominant_one() -> None:
    samples = (
        Sample(2 * MS, 2 * MS, HERE, innermost=True),
        Sample(3 * MS, 1 * MS, THERE, innermost=True),
        Sample(6 * MS, 3 * MS, THERE, innermost=True),
        Sample(9 * MS, 9 * MS, None, innermost=False),
    )

    assert dominant_place(samples, 0, 10 * MS) == THERE
    assert dominant_place(samples, 0, 2 * MS) == HERE, "a late sample counts up to 1 ms later"
    assert dominant_place(samples, 20 * MS, 30 * MS) is None


def test_a_gc_in_a_wait_of_another_lane_is_shown_because_it_runs() -> None:
    first = a_task(0, 10, a_slice(0, 10, POOL_WAIT), steps=(a_step(0, 0), a_step(10, 10)))
    trace = a_trace(first, a_task(3, 5, a_slice(3, 5, GC)))

    assert lines(receipt_of(trace)) == {POOL_WAIT: 8, GC: 2}
    check_sums(trace)


# Random traces: whole numbers of a "tick" that is long enough for each of the thresholds to matter.
TICK = 50_000
LENGTH = 60
times = st.integers(0, LENGTH)
recorded = st.sampled_from([index for index, name in enumerate(SEGMENTS)])


@st.composite
def stretches(draw: st.DrawFn, start: int, end: int, most: int) -> list[tuple[int, int]]:
    """Stretches that do not overlap, in order."""
    cuts = sorted(draw(st.lists(st.integers(start, end), max_size=2 * most, unique=True)))
    return list(zip(cuts[::2], cuts[1::2], strict=False))


@st.composite
def nested(draw: st.DrawFn, start: int, end: int, depth: int) -> list[Slice]:
    """Slices within a stretch, each after those within it, as they are kept."""
    found: list[Slice] = []
    for begin, finish in draw(stretches(start, end, 3)):
        if depth:
            found += draw(nested(begin, finish, depth - 1))
        found.append(Slice(begin * TICK, finish * TICK, draw(recorded)))
    return found


@st.composite
def lanes(draw: st.DrawFn, index: int) -> Lane:
    start, end = sorted((draw(times), draw(times))) if index else (0, LENGTH)
    slices = draw(nested(start, end, 2))
    # Streams and generators can leave slices that cross.
    crossing = draw(st.lists(st.tuples(times, times).map(sorted), max_size=2))
    slices += [Slice(low * TICK, high * TICK, draw(recorded)) for low, high in crossing]
    steps = tuple(
        Step(begin * TICK, finish * TICK, draw(times) * TICK, draw(times) * TICK)
        for begin, finish in draw(stretches(start, end, 5))
    )
    samples = tuple(
        Sample(finish * TICK, (finish - begin) * TICK, HERE, draw(st.booleans()))
        for begin, finish in draw(stretches(start, end, 3))
    )
    is_thread = index > 0 and draw(st.booleans())
    return Lane(
        kind="thread" if is_thread else "task",
        thread_id=index,
        parent=draw(st.integers(0, index - 1)) if index else -1,
        start_ns=start * TICK,
        end_ns=draw(st.sampled_from([0, end * TICK])) if index else 0,
        steps=() if is_thread else steps,
        slices=tuple(slices),
        samples=samples,
    )


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    made = [draw(lanes(index)) for index in range(draw(st.integers(1, 4)))]
    # Lanes are numbered as they start.
    ordered = (made[0], *sorted(made[1:], key=lambda lane: lane.start_ns))
    return replace(
        a_trace(*ordered, end_ms=LENGTH * TICK / MS),
        response_end_ns=draw(times) * TICK,
        lanes=tuple(
            lane if index == 0 else replace(lane, parent=min(lane.parent, index - 1))
            for index, lane in enumerate(ordered)
        ),
    )


@given(trace=traces(), cost_ns=st.sampled_from([0, 1, 30_000, 70_000, 400_000]))
@settings(max_examples=400)
def test_any_receipt_sums_to_its_wall_and_equals_the_second_one(trace: Trace, cost_ns: int) -> None:
    check_sums(trace, cost_ns)


@given(trace=traces())
@settings(max_examples=100)
def test_a_lanes_timeline_is_in_order_and_within_the_lane(trace: Trace) -> None:
    for lane, pieces in zip(trace.lanes, lane_timelines(trace), strict=True):
        end = lane.end_ns or trace.end_ns
        assert all(one.end_ns <= other.start_ns for one, other in pairwise(pieces))
        assert all(lane.start_ns <= piece.start_ns < piece.end_ns <= end for piece in pieces)

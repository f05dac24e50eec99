"""Traces made by hand, in milliseconds."""

from __future__ import annotations

from unslow.model.trace import Hold, Lane, Place, Sample, Slice, Statement, Step, Trace

MS = 1_000_000
LOOP = 7
"""The thread of the event loop."""
HERE = Place("app.py", 10, "endpoint")
THERE = Place("app.py", 20, "other")


def ns(ms: float) -> int:
    return round(ms * MS)


def a_slice(
    start_ms: float,
    end_ms: float,
    segment: int,
    what: str | int | None = None,
    place: Place | None = None,
) -> Slice:
    return Slice(ns(start_ms), ns(end_ms), segment, what, place)


def a_step(start_ms: float, end_ms: float, ready_ms: float = 0, known_ready_ms: float = 0) -> Step:
    return Step(ns(start_ms), ns(end_ms), ns(ready_ms), ns(known_ready_ms))


def a_sample(at_ms: float, weight_ms: float, place: Place | None = HERE) -> Sample:
    return Sample(ns(at_ms), ns(weight_ms), place, innermost=True)


def a_task(
    start_ms: float,
    end_ms: float,
    *slices: Slice,
    steps: tuple[Step, ...] | None = None,
    samples: tuple[Sample, ...] = (),
) -> Lane:
    """A task, child of the first one, that holds its loop all the time unless it has steps."""
    whole = (a_step(start_ms, end_ms),)
    return Lane(
        kind="task",
        thread_id=LOOP,
        parent=0,
        start_ns=ns(start_ms),
        end_ns=ns(end_ms),
        steps=whole if steps is None else steps,
        slices=slices,
        samples=samples,
    )


def a_thread(start_ms: float, end_ms: float, *slices: Slice) -> Lane:
    return Lane("thread", LOOP + 1, 0, ns(start_ms), ns(end_ms), (), slices)


def a_hold(pool: str, start_ms: float, end_ms: float, place: Place | None = HERE) -> Hold:
    return Hold(pool, ns(start_ms), ns(end_ms), place)


def a_trace(
    *lanes: Lane,
    start_ms: float | None = None,
    end_ms: float | None = None,
    response_end_ms: float | None = None,
    route: str = "/",
    status: int = 200,
    response_bytes: int = 0,
    statements: tuple[Statement, ...] = (),
    holds: tuple[Hold, ...] = (),
    dropped_count: int = 0,
) -> Trace:
    """A request that goes from the start of its first lane to that lane's end."""
    first = lanes[0]
    start = first.start_ns if start_ms is None else ns(start_ms)
    end = first.end_ns if end_ms is None else ns(end_ms)
    root = Lane(
        first.kind,
        first.thread_id,
        -1,
        first.start_ns,
        first.end_ns,
        first.steps,
        first.slices,
        first.samples,
    )
    return Trace(
        number=1,
        process_id=1,
        method="GET",
        route=route,
        status=status,
        started_at=start / 1e9,
        start_ns=start,
        response_end_ns=end if response_end_ms is None else ns(response_end_ms),
        end_ns=end,
        response_bytes=response_bytes,
        dropped_count=dropped_count,
        lanes=(root, *lanes[1:]),
        statements=statements,
        holds=holds,
    )

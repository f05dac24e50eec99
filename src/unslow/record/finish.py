"""Making an open trace plain data, after its request.

Here values fall away: a statement's text becomes its shape, code objects become lines.
"""

from __future__ import annotations

import os
from typing import Any

from ..current import Lane, OpenStatement, OpenTrace
from ..model.codec import Packed, dumps
from .place import PackedPlace, resolve
from .shape import is_known, shape_of

_QUICK_SIZE = 1_000
"""A trace of more slices is left to the writer: finishing it would hold the loop for about 1 ms."""


def finished_at_once(trace: OpenTrace, *, with_values: bool = False) -> bytes | None:
    """The bytes of a closed trace, or None where making them may take long.

    It may for a large trace, and for a statement whose text was not seen before.
    """
    if trace.size > _QUICK_SIZE:
        return None
    for statement in trace.statements:
        if not is_known(statement.text):
            return None
    data = dumps(finished(trace, with_values=with_values))
    trace.release()
    return data


def finished(trace: OpenTrace, *, with_values: bool = False) -> Packed:
    """The tuple of the closed trace, as `model.codec.trace_of` reads it."""
    return (
        trace.number,
        os.getpid(),
        trace.method,
        trace.route,
        trace.status,
        trace.started_at,
        trace.start_ns,
        trace.response_end_ns or trace.end_ns,
        trace.end_ns,
        trace.response_bytes,
        trace.error,
        trace.disconnected,
        trace.dropped_count,
        tuple([_lane(lane, trace.end_ns) for lane in tuple(trace.lanes)]),
        tuple([_statement(statement, with_values) for statement in tuple(trace.statements)]),
        tuple([_hold(hold, trace.end_ns) for hold in tuple(trace.holds)]),
    )


def _lane(lane: Lane, trace_end: int) -> Packed:
    return (
        lane.kind,
        lane.thread_id,
        lane.parent,
        lane.start_ns,
        min(lane.end_ns or trace_end, trace_end),
        tuple(lane.steps),
        tuple(
            [
                (start, end, segment, what, None if place is None else resolve(place))
                for start, end, segment, what, place in tuple(lane.slices)
            ]
        ),
        tuple(
            [
                (at, weight, resolve(place), *rest)
                for at, weight, place, *rest in tuple(lane.samples)
            ]
        ),
    )


def _statement(statement: OpenStatement, with_values: bool) -> Packed:
    return (
        shape_of(statement.text),
        statement.driver,
        resolve(statement.place),
        statement.parent,
        "" if statement.relationship is None else str(statement.relationship),
        "" if statement.row_key is None else format(hash(statement.row_key) & 0xFFFFFFFF, "08x"),
        statement.rows_count,
        statement.executions_count,
        repr(statement.parameters) if with_values and statement.parameters is not None else None,
    )


def _hold(hold: list[Any], trace_end: int) -> tuple[str, int, int, PackedPlace | None]:
    pool, start, end, place = hold
    return pool, start, end or trace_end, resolve(place)

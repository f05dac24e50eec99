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
    """The closed trace, as `model.codec.trace_of` reads it."""
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
        [_lane(lane, trace.end_ns) for lane in trace.lanes],
        [_statement(statement, with_values) for statement in trace.statements],
        [_hold(hold, trace.end_ns) for hold in trace.holds],
    )


def _lane(lane: Lane, trace_end: int) -> Packed:
    # Most slices have no place, and stay the tuples that they are.
    slices: list[Any] = lane.slices.copy()
    for index, one in enumerate(slices):
        place = one[4]
        if place is not None:
            slices[index] = (one[0], one[1], one[2], one[3], resolve(place))
    samples: list[Any] = lane.samples.copy()
    for index, (at, weight, place, *rest) in enumerate(samples):
        samples[index] = (at, weight, resolve(place), *rest)
    end = lane.end_ns
    return (
        lane.kind,
        lane.thread_id,
        lane.parent,
        lane.start_ns,
        end if 0 < end < trace_end else trace_end,
        lane.steps,
        slices,
        samples,
    )


def _statement(statement: OpenStatement, with_values: bool) -> Packed:
    relationship, key = statement.relationship, statement.row_key
    return (
        shape_of(statement.text),
        statement.driver,
        resolve(statement.place),
        statement.parent,
        "" if relationship is None else str(relationship),
        "" if key is None else format(hash(key) & 0xFFFFFFFF, "08x"),
        statement.rows_count,
        statement.executions_count,
        repr(statement.parameters) if with_values and statement.parameters is not None else None,
    )


def _hold(hold: list[Any], trace_end: int) -> tuple[str, int, int, PackedPlace | None]:
    pool, start, end, place = hold
    return pool, start, end or trace_end, resolve(place)

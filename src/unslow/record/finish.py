"""Making an open trace plain data, after its request.

Here values fall away: a statement's text becomes its shape, code objects become lines.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from ..current import Lane, OpenStatement, OpenTrace
from ..model.codec import Packed, dumps
from .multiplied import multiplied_of
from .parameters import is_batch, key_of, note_parents, repeated, values_of
from .place import PackedPlace, resolve
from .recorder import log
from .returned import field_read, returned_of
from .shape import TextFacts, facts_of, is_known, keyed

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
    repeats: dict[str, list[OpenStatement]] = {}
    if len(trace.statements) > 1:
        repeats = repeated(trace)
        for calls in repeats.values():
            try:
                note_parents(trace, calls)
            except Exception as error:
                # Rows and parameters are whatever a driver makes of them.
                log.error("unslow could not tell where parameters come from: %s", error)
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
        [
            _statement(trace, statement, statement.text in repeats, with_values)
            for statement in trace.statements
        ],
        [_hold(hold, trace.end_ns) for hold in trace.holds],
        resolve(trace.endpoint),
        trace.response,
        returned_of(trace.returned),
        None if trace.watched is None else _usages(trace),
    )


def _usages(trace: OpenTrace) -> Any:
    # Only in a check: nothing of it is imported before.
    from .probes.sqlalchemy.usage import usages_of

    return usages_of(trace.watched)


def _lane(lane: Lane, trace_end: int) -> Packed:
    # Most slices have no place, and stay the tuples that they are.
    slices: list[Any] = lane.slices.copy()
    for index, one in enumerate(slices):
        place = one[4]
        if place is not None:
            what = one[3]
            if place[0].__class__ is tuple:
                place, *callers = place
                if what is not None:
                    what = (*what, False, *map(resolve, callers))
            slices[index] = (one[0], one[1], one[2], what, resolve(place))
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


def _statement(
    trace: OpenTrace, statement: OpenStatement, is_repeated: bool, with_values: bool
) -> Packed:
    relationship, key, parameters = statement.relationship, statement.row_key, statement.parameters
    facts = facts_of(statement.text)
    place = resolve(statement.place)
    values = values_of(statement) if is_repeated else ()
    value_key = key_of(values)
    is_lazy = relationship is not None and key is not None
    return (
        facts.shape,
        statement.driver,
        place,
        statement.parent,
        "" if relationship is None else str(relationship),
        "" if key is None else keyed(key),
        statement.rows_count,
        statement.executions_count,
        repr(parameters) if with_values and parameters is not None else None,
        field_read(trace.returned, relationship) if is_lazy and place is None else None,
        keyed(value_key) if is_repeated and statement.executions_count == 1 else "",
        # Simple values are their own key, and no lists.
        value_key is not values and is_batch(values),
        keyed(statement.stack) if statement.stack else "",
        facts.literals_key,
        None if facts.offset is None else _skipped(facts.offset, parameters),
        _multiplied(statement, facts) if facts.joins_count > 1 else None,
    )


def _multiplied(statement: OpenStatement, facts: TextFacts) -> tuple[int, int] | None:
    try:
        return multiplied_of(statement, facts)
    except Exception as error:
        # As above: rows are whatever a driver makes of them.
        log.error("unslow could not tell whether a join multiplies: %s", error)
        return None


def _skipped(offset: int | str, parameters: Any) -> int | None:
    """How many rows an OFFSET skips, rounded down to one digit; None where that is not known."""
    value: Any = None
    if isinstance(offset, int) and offset < 0:
        value = -1 - offset
    elif isinstance(parameters, dict | list | tuple):
        with suppress(KeyError, IndexError, TypeError):
            value = parameters[offset]  # type: ignore[index]  # a name or an index
    if type(value) is not int or value < 0:
        return None
    digit = 10 ** (len(str(value)) - 1)
    return int(value // digit * digit)


def _hold(hold: list[Any], trace_end: int) -> tuple[str, int, int, PackedPlace | None]:
    pool, start, end, place = hold
    return pool, start, end or trace_end, resolve(place)

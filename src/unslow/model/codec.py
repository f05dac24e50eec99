"""Traces as nested tuples and as bytes.

The bytes are `marshal`, version 4, which every Python from 3.4 on reads: writing 50 slices costs
some microseconds, as JSON ten times that. They are read from the user's own folder only.
"""

from __future__ import annotations

import marshal
from dataclasses import fields
from typing import Any, Final, cast

from .trace import (
    Hold,
    Lane,
    Place,
    Response,
    Returned,
    Sample,
    Slice,
    Stall,
    Statement,
    Step,
    Trace,
)
from .usage import Usage

MARSHAL_VERSION: Final = 4

_PLACES_OF_STATEMENT: Final = tuple(
    index for index, one in enumerate(fields(Statement)) if one.name in {"place", "field"}
)

Packed = tuple[Any, ...]
"""A dataclass of `model.trace` as the plain tuple of its fields, all the way down."""


def dumps(value: Any) -> bytes:
    """Plain tuples, strings and numbers as bytes."""
    return marshal.dumps(value, MARSHAL_VERSION)


def loads(data: bytes) -> Any:
    """The tuples that `dumps` wrote.

    Raises:
        ValueError, EOFError, TypeError: the bytes are not whole or not ours.
    """
    return marshal.loads(data)  # noqa: S302  # the user's own folder, mode 0700


def trace_of(packed: Packed) -> Trace:
    """The trace from its tuple."""
    *head, lanes, statements, holds, endpoint, response, returned, usages = packed
    values: tuple[Any, ...] = (
        *head,
        tuple(_lane(lane) for lane in lanes),
        tuple(_statement(statement) for statement in statements),
        tuple(Hold(pool, start, end, _place(at)) for pool, start, end, at in holds),
        _place(endpoint),
        None if response is None else Response(*response),
        None if returned is None else Returned(*returned),
        None if usages is None else tuple(Usage(*one) for one in usages),
    )
    return Trace(*values)


def stall_of(packed: Packed) -> Stall:
    """The stall from its tuple."""
    thread_id, start, end, place = packed
    return Stall(thread_id, start, end, _place(place))


def packed_trace(trace: Trace) -> Packed:
    """The tuple of a trace; the inverse of `trace_of`."""
    return cast(Packed, _plain(trace))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_plain(one) for one in value)
    if hasattr(value, "__slots__"):
        return tuple(_plain(getattr(value, name)) for name in value.__slots__)
    return value


def _lane(packed: Packed) -> Lane:
    kind, thread_id, parent, start, end, steps, slices, samples = packed
    return Lane(
        kind,
        thread_id,
        parent,
        start,
        end,
        tuple(Step(*step) for step in steps),
        tuple(Slice(s, e, segment, what, _place(at)) for s, e, segment, what, at in slices),
        tuple(Sample(at, weight, _place(place), *rest) for at, weight, place, *rest in samples),
    )


def _statement(packed: Packed) -> Statement:
    values = list(packed)
    for index in _PLACES_OF_STATEMENT:
        values[index] = _place(values[index])
    return Statement(*values)


_places: dict[tuple[str, int, str], Place] = {}


def _place(packed: tuple[str, int, str] | None) -> Place | None:
    if packed is None:
        return None
    place = _places.get(packed)
    if place is None:
        place = _places[packed] = Place(*packed)
    return place

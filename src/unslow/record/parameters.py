"""What a statement's parameters have to do with those of others, and with rows of earlier ones.

Looked at after the request, and only for texts that one line sent several times. Parameters and
rows stay here: what leaves is which statement they come from, and which of them are equal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any, Final
from uuid import UUID

from ..current import OpenStatement, OpenTrace

_FEWEST_CALLS: Final = 3
_CALLS_COUNT: Final = 50
_ROWS_COUNT: Final = 200
_PARENTS_COUNT: Final = 8
"""Bounds of the search for the rows that parameters come from: it takes 0.1 ms and not ten."""
_LEAST_SHARE: Final = 0.8
"""A loop may skip rows, and a parameter may be equal to something in a row by chance."""
_MOST_MISSES: Final = 2
"""Pages follow one another from the first on; an empty one ends them."""
_LISTS: Final = (list, tuple, set, frozenset)
_SEQUENCES: Final = (list, tuple)
_KEYS: Final = frozenset({int, str, bytes, UUID})
"""What keys are by far most often."""
_SIMPLE: Final = frozenset({int, str, bytes, float, bool, type(None)})
_NO_KEYS: Final = (bool, dict, set)
_LONGEST_BATCH: Final = 20
"""Of a list so many values count: with more it is a batch in any case."""


def values_of(statement: OpenStatement) -> tuple[Any, ...]:
    """The values of one set of parameters; empty where they are not known."""
    parameters = statement.parameters
    if parameters is None or statement.executions_count != 1:
        return ()
    if parameters.__class__ is tuple:
        # By far the most; the abstract classes below take their time.
        found: tuple[Any, ...] = parameters
        return found
    if isinstance(parameters, Mapping):
        return tuple(parameters.values())
    if isinstance(parameters, Sequence) and not isinstance(parameters, str | bytes):
        return tuple(parameters)
    return ()


def is_batch(values: Iterable[Any]) -> bool:
    """Whether one of the values is a list of several."""
    return any(isinstance(one, _LISTS) and len(one) > 1 for one in values)


def key_of(values: tuple[Any, ...]) -> Any:
    """What is equal for equal parameters and can be hashed."""
    for value in values:
        if value.__class__ not in _SIMPLE:
            return tuple(_hashable(value) for value in values)
    return values


def _hashable(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return (len(value), *(_hashable(one) for one in islice(value, _LONGEST_BATCH)))
    if isinstance(value, set):
        # Equal sets may give their values in another order.
        return frozenset(value)
    try:
        hash(value)
    except (TypeError, ValueError):
        # A `memoryview` that can be written raises the second.
        return repr(value)
    return value


def repeated(trace: OpenTrace) -> dict[str, list[OpenStatement]]:
    """The texts that were sent more than once, with their statements."""
    by_text: dict[str, list[OpenStatement]] = defaultdict(list)
    for statement in trace.statements:
        by_text[statement.text].append(statement)
    return {text: found for text, found in by_text.items() if len(found) > 1}


def note_parents(trace: OpenTrace, calls: Sequence[OpenStatement]) -> None:
    """Writes on statements of one text which earlier statement's rows their parameters come from.

    Where each call takes a value from the last row of the call before, as paging by key does, that
    one is its parent.
    """
    calls = [one for one in calls if one.parent < 0 and one.row_key is None]
    if len(calls) < _FEWEST_CALLS:
        return
    sources = [one for one in trace.statements[: calls[0].index] if one.rows is not None]
    if sources:
        values = [_plain(values_of(one)) for one in calls]
        for source in reversed(sources[-_PARENTS_COUNT:]):
            cells = _column_with(values, source)
            if cells is not None:
                for call, has in zip(calls, values, strict=True):
                    call.parent = source.index
                    call.row_key = frozenset(has & cells or has)
                return
    misses = 0
    for before, call in pairwise(calls):
        rows = list(before.rows or ())
        if rows and _changed(before, call) & _plain(cells_of(rows[-1])):
            call.parent = before.index
        else:
            misses += 1
            if misses == _MOST_MISSES:
                return


def _changed(before: OpenStatement, call: OpenStatement) -> set[Any]:
    """The values of a call without what is the same in the call before it, such as a tenant."""
    had, has = values_of(before), values_of(call)
    changes = zip(key_of(had), key_of(has), has, strict=False)
    return _plain(value for old, new, value in changes if old != new)


def _column_with(values: Sequence[set[Any]], source: OpenStatement) -> set[Any] | None:
    """The values of a column that nearly all calls took a parameter from; None if there is none."""
    every = set().union(*values)
    first = values[:_CALLS_COUNT]
    rows = islice(source.rows, _ROWS_COUNT)
    for column in zip(*map(cells_of, rows), strict=False):
        cells = _keys_in(column)
        if len(cells & every) < _FEWEST_CALLS:
            continue
        met = [one & cells for one in first]
        enough = _LEAST_SHARE * len(met)
        if len(set().union(*met)) >= _FEWEST_CALLS and sum(map(bool, met)) >= enough:
            return cells
    return None


def _keys_in(column: tuple[Any, ...]) -> set[Any]:
    try:
        cells = set(column)
    except (TypeError, ValueError):
        # One by one, without those that cannot be hashed.
        return _plain(column)
    # A flag equals a number.
    return set() if any(cell.__class__ is bool for cell in column) else cells


def _plain(values: Iterable[Any]) -> set[Any]:
    """Those values that may be a key: texts, numbers, UUIDs; no flag, and nothing empty."""
    found: set[Any] = set()
    for value in values:
        if value.__class__ in _KEYS:
            found.add(value)
        elif isinstance(value, _SEQUENCES):
            # `= ANY($1)` with one key is a look-up of one key.
            found |= _plain(value) if len(value) == 1 else set()
        elif value is not None and not isinstance(value, _NO_KEYS):
            try:
                found.add(value)
            except (TypeError, ValueError):
                # What cannot be hashed is no key.
                continue
    found.discard("")
    return found


def cells_of(row: Any) -> tuple[Any, ...]:
    """The values of a row, whatever a driver makes of one."""
    return tuple(row.values()) if hasattr(row, "values") else tuple(row)

"""Whether a join pairs each row of one list with each of another, seen in the rows that came."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, Final

from ..current import OpenStatement
from .parameters import cells_of
from .shape import TextFacts

_FEWEST_ROWS: Final = 50
_COLUMNS_COUNT: Final = 40
_TRIES: Final = 5
_FEWEST_EACH: Final = 2
_PARENTS_COUNT: Final = 4
"""The parent's key is one of the first columns."""
_LEAST_GROWTH: Final = 1.25
"""Times as many rows as both lists have together: two lists of two bring none more."""

_tries: dict[str, int] = {}
_found: dict[str, tuple[int, int]] = {}
"""By shape. Rows of a text are looked at a few times only: it takes a millisecond or two."""


def multiplied_of(statement: OpenStatement, facts: TextFacts) -> tuple[int, int] | None:
    """How long two lists are that a join of both pairs with each other; None where it does not."""
    shape = facts.shape
    rows = statement.rows
    if rows is None or (statement.rows_count or 0) < _FEWEST_ROWS:
        return None
    known = _found.get(shape)
    if known is not None or _tries.get(shape, 0) >= _TRIES:
        return known
    _tries[shape] = _tries.get(shape, 0) + 1
    found = _lists([cells_of(row) for row in rows])
    if found is not None:
        _found[shape] = found
    return found


def _lists(rows: Sequence[tuple[Any, ...]]) -> tuple[int, int] | None:
    keys = [number for number in _candidates(rows) if _is_key_like(rows, number)]
    for parent in (None, *keys[:_PARENTS_COUNT]):
        groups = _groups(rows, parent)
        if parent is not None and (len(groups) < 2 or len(groups) * 4 > len(rows)):
            continue
        for left, right in combinations([one for one in keys if one != parent], 2):
            sizes = list(_products(groups, left, right))
            if len(sizes) == len(groups):
                first, second = zip(*sizes, strict=True)
                mean = round(sum(first) / len(first)), round(sum(second) / len(second))
                if min(mean) >= _FEWEST_EACH and len(rows) >= _LEAST_GROWTH * sum(
                    (*first, *second)
                ):
                    return mean
    return None


def _candidates(rows: Sequence[tuple[Any, ...]]) -> range:
    return range(min(_COLUMNS_COUNT, len(rows[0]))) if rows else range(0)


def _is_key_like(rows: Sequence[tuple[Any, ...]], number: int) -> bool:
    """Whether a column has values that come several times, and are such as keys are."""
    cells = [row[number] for row in rows]
    first = next((cell for cell in cells if cell is not None), None)
    if first is None or isinstance(first, bool | float | dict | list):
        return False
    try:
        count = len(set(cells))
    except TypeError:
        return False
    return _FEWEST_EACH <= count <= len(rows) // 2


def _groups(
    rows: Sequence[tuple[Any, ...]], parent: int | None
) -> Sequence[Sequence[tuple[Any, ...]]]:
    if parent is None:
        return [rows]
    found: dict[Any, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        found[row[parent]].append(row)
    # The last one may have been cut.
    return list(found.values())[: max(1, len(found) - 1)]


def _products(
    groups: Sequence[Sequence[tuple[Any, ...]]], left: int, right: int
) -> Iterator[tuple[int, int]]:
    """The lengths of the two lists of each group, as long as the groups are whole products."""
    for group in groups:
        first = {row[left] for row in group}
        second = {row[right] for row in group}
        pairs = {(row[left], row[right]) for row in group}
        if not len(first) * len(second) == len(pairs) == len(group):
            return
        yield len(first), len(second)

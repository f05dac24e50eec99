"""Whether a join pairs each row of one list with each of another, seen in the rows that came."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations, islice
from typing import Any, Final

from ..current import OpenStatement
from .parameters import cells_of
from .shape import TextFacts

_FEWEST_ROWS: Final = 50
_COLUMNS_COUNT: Final = 40
_TRIES: Final = 5
_SHAPES_KEPT: Final = 2_000
_FEWEST_EACH: Final = 2
_PARENTS_COUNT: Final = 4
"""The parent's key is one of the first columns."""
_PROBED_COUNT: Final = 200
_PAIRS_COUNT: Final = 8
"""Of the pairs of columns with fitting numbers so many are looked at cell by cell."""
_LEAST_GROWTH: Final = 1.25
"""Times as many rows as both lists have together: two lists of two bring none more."""

Row = tuple[Any, ...]

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
    if len(_tries) >= _SHAPES_KEPT:
        _tries.clear()
        _found.clear()
    _tries[shape] = _tries.get(shape, 0) + 1
    found = _lists([cells_of(row) for row in rows])
    if found is not None:
        _found[shape] = found
    return found


def _lists(rows: Sequence[Row]) -> tuple[int, int] | None:
    keys = [number for number in _candidates(rows) if _is_key_like(rows, number)]
    for parent in (None, *keys[:_PARENTS_COUNT]):
        groups = _groups(rows, parent)
        if parent is not None and (len(groups) < 2 or len(groups) * 4 > len(rows)):
            continue
        fitting = _fitting(groups, [one for one in keys if one != parent])
        for left, right, mean in islice(fitting, _PAIRS_COUNT):
            if all(_is_product(group, left, right) for group in groups):
                return mean
    return None


def _candidates(rows: Sequence[Row]) -> range:
    return range(min(_COLUMNS_COUNT, len(rows[0]))) if rows else range(0)


def _is_key_like(rows: Sequence[Row], number: int) -> bool:
    """Whether a column has values that come several times, and are such as keys are."""
    cells = [row[number] for row in rows]
    first = next((cell for cell in cells if cell is not None), None)
    if first is None or isinstance(first, bool | float | dict | list):
        return False
    try:
        count = len(set(cells))
    except (TypeError, ValueError):
        return False
    return _FEWEST_EACH <= count <= len(rows) // 2


def _groups(rows: Sequence[Row], parent: int | None) -> Sequence[Sequence[Row]]:
    if parent is None:
        return [rows]
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[row[parent]].append(row)
    # The last one may have been cut.
    return list(found.values())[: max(1, len(found) - 1)]


def _fitting(
    groups: Sequence[Sequence[Row]], keys: Sequence[int]
) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Pairs of columns with as many values as a product of two lists has, and the lists' lengths.

    The values of a column are counted once for all of its pairs.
    """

    @cache
    def count(column: int, number: int) -> int:
        return len({row[column] for row in groups[number]})

    numbers = range(len(groups))
    rows_count = sum(map(len, groups))
    for left, right in combinations(keys, 2):
        if any(count(left, n) * count(right, n) != len(groups[n]) for n in numbers):
            continue
        first, second = (sum(count(column, n) for n in numbers) for column in (left, right))
        mean = round(first / len(groups)), round(second / len(groups))
        if min(mean) >= _FEWEST_EACH and rows_count >= _LEAST_GROWTH * (first + second):
            yield left, right, mean


def _is_product(group: Sequence[Row], left: int, right: int) -> bool:
    """Whether no pair comes twice, and no cell says anything that only the two together tell."""
    # The first rows nearly always show what the others would.
    for rows in (group[:_PROBED_COUNT], group):
        for column in range(len(group[0])):
            if not (_is_told_by(rows, column, left) or _is_told_by(rows, column, right)):
                return False
    return len({(row[left], row[right]) for row in group}) == len(group)


def _is_told_by(group: Sequence[Row], column: int, key: int) -> bool:
    """Whether the cells of a column are equal wherever those of a key are."""
    told: dict[Any, Any] = {}
    return all(told.setdefault(row[key], row[column]) == row[column] for row in group)

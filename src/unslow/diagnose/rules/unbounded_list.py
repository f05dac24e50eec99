"""A list without an end.

Looks for: a query without LIMIT, of many rows, that the endpoint answers as one list. Nothing in
the query or the request bounds it: it grows with the table.
Costs: rows, objects and bytes that nobody reads, each year more; the process's memory with them.
Instead: pages by key (`WHERE id > ... ORDER BY id LIMIT ...`), with a largest page; a stream for
exports.
Misses: lists that are short today; LIMITs so large that they bound nothing; reports of sums, which
have as many rows as they have groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from statistics import median
from typing import Final

from ...model.finding import Finding
from ...model.trace import HYDRATION, ROWS, SEND, SERIALIZATION, SQL, VALIDATION
from ...numbers import counted
from ..rule import Nearly, Threshold, rule, swept
from ..views import Calls, Requests, is_select

_BOUND: Final = re.compile(
    r"\bLIMIT\b|\bFETCH (FIRST|NEXT)\b|(?<!\bNOT )\bIN \(|= ?ANY ?\(", re.IGNORECASE
)
_GROUPED: Final = re.compile(r"\bGROUP BY\b", re.IGNORECASE)
"""A report of sums is read as a whole: pages of it are no use."""
_INNERMOST: Final = re.compile(r"\([^()]*\)")
_AT_STAKE: Final = (SQL, ROWS, HYDRATION, SERIALIZATION, VALIDATION, SEND)
_BYTES_PER_ROW: Final = 8
"""A row that is answered takes at least so many."""
_PAGE_COUNT: Final = 100
"""The rows of the page that the estimate of what could be saved is made with."""


@rule(
    id="unbounded-list",
    title="A list has no limit",
    needs=("statements",),
    threshold=Threshold(500, "rows per request", swept("unbounded-list")),
    fixes=("limit-rows",),
)
def unbounded_list(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each query."""
    for calls in requests.groups:
        if not _is_unbound(calls):
            continue
        rows = _rows(calls)
        if rows < threshold:
            if rows > _PAGE_COUNT:
                yield Nearly(f"a query without LIMIT brings {counted(round(rows), 'row')}")
            continue
        mine = [request for request, _ in calls.by_request]
        sizes = median(one.trace.response_bytes for one in mine)
        if any(one.is_streamed for one in mine) or sizes < rows * _BYTES_PER_ROW:
            yield Nearly(f"{rows:,.0f} rows are fetched, and not answered as one list")
            continue
        at_stake_ms = sum(one.segment_ms(segment) for one in mine for segment in _AT_STAKE)
        yield requests.finding(
            f"{rows:,.0f} rows are fetched and answered each time; nothing bounds the list.",
            calls.place,
            could_save_ms=at_stake_ms / len(requests) * (1 - _PAGE_COUNT / rows),
            shape=calls.shape,
            evidence={"rows": round(rows), "response_bytes": round(sizes)},
        )


def _is_unbound(calls: Calls) -> bool:
    is_child = any(one.parent >= 0 or one.relationship for _, _, one in calls.statements())
    if not is_select(calls.shape) or is_child or _BOUND.search(calls.shape):
        return False
    return _GROUPED.search(_outermost(calls.shape)) is None


def _outermost(shape: str) -> str:
    """A shape without what stands in parentheses: subqueries, and what functions take."""
    while (shorter := _INNERMOST.sub("", shape)) != shape:
        shape = shorter
    return shape


def _rows(calls: Calls) -> float:
    counts = [one.rows_count for _, _, one in calls.statements() if one.rows_count is not None]
    return median(counts) if counts else 0.0

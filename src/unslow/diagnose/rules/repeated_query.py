"""The same statement, once per row.

Looks for: one statement shape from one line of your code, whose parameters come from the rows of an
earlier statement of the request; or whose calls grow with those rows by about one each; or that one
loop sends with different values each time. Reads and writes alike, by ORM, Core or driver.
Costs: a round trip per row; a page of n rows waits n times.
Instead: ask once, with a JOIN or `WHERE id = ANY(...)`; write once, with `executemany` or one
statement of many rows.
Misses: loops that send a new shape each time, or send from several lines; loops over more than
500 rows of which only the last ones are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Final

from ...model.finding import Finding
from ...model.trace import Statement
from ...numbers import times
from ..rule import Nearly, Threshold, rule, swept
from ..views import Calls, Request, Requests, is_write

_LOOP_COUNT: Final = 5
_LOOP_OF_LISTS_COUNT: Final = 10
"""From so many different parameters on, sent by the very same lines, it is a loop, though nobody
knows over what; a loop of statements with several rows each may be one over pages."""


@rule(
    id="repeated-query",
    title="The same query runs once per row",
    needs=("statements",),
    threshold=Threshold(3, "calls with lineage per request", swept("repeated-query")),
    fixes=("batch-by-key",),
)
def repeated_query(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each shape and line."""
    for calls in requests.groups:
        if calls.relationship or calls.most_count < threshold:
            continue
        found = _evidence(calls, threshold)
        if found is None:
            growth = "growth not identifiable" if calls.growth is None else "no growth per row"
            yield Nearly(
                f"one statement is sent up to {calls.most_count} times a request from one line;"
                f" no lineage, {growth}"
            )
            continue
        why, lineage = found
        yield requests.finding(
            f"{_kind(calls)} {times(calls.mean_count)} a request from this line: {why}.",
            calls.place,
            could_save_ms=calls.saved_ms(),
            round_trips=max(0.0, calls.mean_count - 1),
            shape=calls.shape,
            evidence={
                "statements": round(calls.mean_count, 1),
                "shape": calls.shape,
                "growth_per_row": None if calls.growth is None else round(calls.growth.slope, 3),
                "lineage": lineage,
            },
        )


def _kind(calls: Calls) -> str:
    return "The same write is sent" if is_write(calls.shape) else "The same query runs"


def _evidence(calls: Calls, threshold: float) -> tuple[str, bool] | None:
    """Why it is a loop, and whether lineage says so; None where nothing does."""
    if any(one.is_batch or one.executions_count > 1 for _, _, one in calls.statements()):
        return None
    for request, indices in calls.by_request:
        parent = _parent(request, indices, threshold)
        if parent is not None:
            line = "" if parent.place is None else f" of line {parent.place.line}"
            return f"its parameters are the rows of the statement{line}", True
    if calls.growth is not None and calls.growth.is_per_row:
        return f"{calls.growth.slope:.2g} calls more for each row of an earlier statement", False
    for request, indices in calls.by_request:
        if _is_loop([request.trace.statements[index] for index in indices]):
            return "a loop sends it with another value each time", False
    return None


def _parent(request: Request, indices: list[int], threshold: float) -> Statement | None:
    """The statement from whose rows enough of the calls took their parameters."""
    statements = request.trace.statements
    keys: dict[int, set[str]] = {}
    for index in indices:
        one = statements[index]
        if one.parent >= 0 and statements[one.parent].shape != one.shape:
            keys.setdefault(one.parent, set()).add(one.row_key)
    for parent, mine in keys.items():
        if len(mine) >= threshold and _same_way([statements[index] for index in indices]):
            return statements[parent]
    return None


def _same_way(calls: list[Statement]) -> bool:
    """Whether the same lines called one another; the first call of a line is not asked for it."""
    stacks = [one.stack for one in calls if one.stack]
    return not stacks or len(set(stacks)) < len(stacks) or len(stacks) == 1


def _is_loop(calls: list[Statement]) -> bool:
    if not calls or "OFFSET" in calls[0].shape.upper():
        return False
    stacks = [one.stack for one in calls if one.stack]
    distinct = {one.parameters_key for one in calls if one.parameters_key}
    pages = [one for one in calls if one.parent >= 0]
    if len(stacks) < 2 or len(set(stacks)) > len(stacks) // 2 or len(pages) > len(calls) // 2:
        return False
    rows = [one.rows_count for one in calls if one.rows_count is not None]
    is_of_lists = bool(rows) and median(rows) > 1
    return len(distinct) >= (_LOOP_OF_LISTS_COUNT if is_of_lists else _LOOP_COUNT)

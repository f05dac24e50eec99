"""A relationship that is loaded row by row.

Looks for: a relationship or column of an ORM's object that is loaded when it is first read, for one
row after the other of the same earlier statement. Each load is known by the row that it belongs to,
so nothing is guessed from equal texts.
Costs: a round trip and the ORM's work per row; a page of n rows waits n times.
Instead: load it with the rows, by a loader option at their statement: `selectinload`,
`joinedload`, `subqueryload`. Which one is best depends on the data; for few rows with large texts
the loop may even be the quickest.
Misses: loads of objects that a request found in a cache of the app's own; a walk up a tree, where
each load belongs to another statement's row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from ...model.finding import Finding
from ...model.trace import Statement, Trace
from ..rule import Nearly, Threshold, rule, swept
from ..views import Calls, Requests

_LEAST_SHARE: Final = 0.1
"""Loads per row of the earlier statement: of few objects that many rows share each comes once."""


@rule(
    id="lazy-load-loop",
    title="A relationship is loaded once per row",
    needs=("statements",),
    threshold=Threshold(3, "loads from different rows per request", swept("lazy-load-loop")),
    fixes=("eager-load",),
)
def lazy_load_loop(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each relationship and line that reads it."""
    for calls in requests.groups:
        if not calls.relationship:
            continue
        loads = [_loads(request.trace, indices) for request, indices in calls.by_request]
        looped = [one for one in loads if len(one) >= threshold and _is_loop(one)]
        if looped:
            yield _finding(requests, calls)
        elif max(map(len, loads), default=0) > 1:
            most = max(map(len, loads))
            yield Nearly(f"{calls.relationship} is loaded for {most} rows in one request at most")


def _loads(trace: Trace, indices: list[int]) -> list[tuple[int, str, int | None]]:
    """The loads that a row caused: parent, key of the row, and rows of the parent."""
    found = {}
    for index in indices:
        one = trace.statements[index]
        if one.row_key:
            rows = trace.statements[one.parent].rows_count if one.parent >= 0 else None
            found[one.row_key] = (one.parent, one.row_key, rows)
    return list(found.values())


def _is_loop(loads: list[tuple[int, str, int | None]]) -> bool:
    parents = Counter(parent for parent, _, _ in loads)
    if max(parents.values()) < 2:
        return False
    rows = [rows for parent, rows in {parent: rows for parent, _, rows in loads}.items() if rows]
    return not rows or len(loads) >= _LEAST_SHARE * sum(rows)


def _finding(requests: Requests, calls: Calls) -> Finding:
    request, _, statement = next(calls.statements())
    path, root = _path(request.trace, statement)
    per_request = calls.mean_count
    first_rows = _rows_of_parents(calls)
    entity, _, attribute = calls.relationship.rpartition(".")
    what = "column" if attribute == "*" else attribute
    rows = f" for {first_rows:,.0f} rows" if first_rows else ""
    at = f" of line {root.place.line}" if root is not None and root.place is not None else ""
    growth = calls.growth
    return requests.finding(
        f"Every {entity} loads its {what} alone: {calls.relationship},"
        f" {per_request:,.0f} statements{rows}{at}.",
        None if root is None else root.place,
        could_save_ms=calls.saved_ms(),
        round_trips=max(0.0, per_request - 1),
        touched=calls.place or statement.field,
        shape=f"{calls.relationship} {calls.shape}",
        evidence={
            "statements": round(per_request, 1),
            "relationship": " -> ".join(path),
            "rows_of_parent": first_rows,
            "growth_per_row": None if growth is None else round(growth.slope, 3),
            "lineage": True,
        },
    )


def _path(trace: Trace, statement: Statement) -> tuple[list[str], Statement | None]:
    """The relationships that lead to a lazy load, and the statement that all began with."""
    path = [statement.relationship]
    parent = trace.statements[statement.parent] if statement.parent >= 0 else None
    while parent is not None and parent.relationship:
        path.insert(0, parent.relationship)
        parent = trace.statements[parent.parent] if parent.parent >= 0 else None
    return path, parent


def _rows_of_parents(calls: Calls) -> float | None:
    """How many rows the loads' parents had, per request."""
    sums = []
    for request, indices in calls.by_request:
        statements = request.trace.statements
        parents = {statements[index].parent for index in indices} - {-1}
        rows = [statements[parent].rows_count for parent in parents]
        sums.append(sum(count for count in rows if count is not None))
    mean = sum(sums) / len(sums) if sums else 0.0
    return round(mean, 1) or None

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
from ...numbers import counted
from ..rule import Nearly, Threshold, rule, swept
from ..views import Calls, Requests

_LEAST_SHARE: Final = 0.1
"""Loads per row of the earlier statement: of few objects that many rows share each comes once."""
_FEWEST_OF_ONE: Final = 2
"""On a walk up a tree each load has another one for its parent."""


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
        loads = [(one.trace, _loads(one.trace, indices)) for one, indices in calls.by_request]
        looped = [one for one in loads if len(one[1]) >= threshold and _is_loop(*one)]
        most = max((len(mine) for _, mine in loads), default=0)
        if looped:
            yield _finding(requests, calls, *looped[0])
        elif most > 1:
            yield Nearly(f"{calls.relationship} is loaded for {most} rows in one request at most")


def _loads(trace: Trace, indices: list[int]) -> list[Statement]:
    """The loads that a row caused, one for each row."""
    statements = [trace.statements[index] for index in indices]
    return list({one.row_key: one for one in statements if one.row_key}.values())


def _is_loop(trace: Trace, loads: list[Statement]) -> bool:
    """Whether rows of one statement caused the loads, and not a few that many rows share."""
    parents = Counter(one.parent for one in loads)
    if max(parents.values()) < _FEWEST_OF_ONE:
        above = [trace.statements[parent] for parent in parents if parent >= 0]
        return _are_links(loads, above) and _is_loop(trace, above)
    rows = sum(trace.statements[parent].rows_count or 0 for parent in parents if parent >= 0)
    return len(loads) >= _LEAST_SHARE * rows


def _are_links(loads: list[Statement], above: list[Statement]) -> bool:
    """Whether each load follows one of another relationship, the same for all: `row.one.other`."""
    names = {one.relationship if one.row_key else "" for one in above}
    return (
        len(above) == len(loads)
        and len(names) == 1
        and names.isdisjoint({"", loads[0].relationship})
    )


def _finding(requests: Requests, calls: Calls, trace: Trace, loads: list[Statement]) -> Finding:
    ((parent, _),) = Counter(one.parent for one in loads).most_common(1)
    statement = next(one for one in loads if one.parent == parent)
    path, root = _path(trace, statement)
    per_request = calls.mean_count
    rows = _rows_of_parents(requests, calls)
    entity, _, attribute = calls.relationship.rpartition(".")
    what = "columns" if attribute == "*" else attribute
    growth = calls.growth
    return requests.finding(
        f"Every {entity} loads its {what} alone: {calls.relationship},"
        f" {counted(round(per_request), 'statement')}{_of_rows(rows, path, root)}.",
        None if root is None else root.place,
        could_save_ms=calls.saved_ms(),
        round_trips=max(0.0, per_request - 1),
        touched=calls.place or statement.field,
        shape=f"{calls.relationship} {calls.shape}",
        evidence={
            "statements": round(per_request, 1),
            "relationship": " -> ".join(path),
            "rows_of_parent": rows,
            "growth_per_row": None if growth is None else round(growth.slope, 3),
            "lineage": True,
        },
    )


def _of_rows(rows: float | None, path: list[str], root: Statement | None) -> str:
    if not rows:
        return ""
    if root is None or root.place is None:
        return f" for {counted(round(rows), 'row')}"
    line = f"line {root.place.line}"
    return f" for {counted(round(rows), 'row')} " + (
        f"of {line}" if len(path) == 1 else f"that {line} led to"
    )


def _path(trace: Trace, statement: Statement) -> tuple[list[str], Statement | None]:
    """The relationships that lead to a lazy load, and the statement that all began with."""
    path = [statement.relationship]
    parent = trace.statements[statement.parent] if statement.parent >= 0 else None
    while parent is not None and parent.relationship:
        path.insert(0, parent.relationship)
        parent = trace.statements[parent.parent] if parent.parent >= 0 else None
    return path, parent


def _rows_of_parents(requests: Requests, calls: Calls) -> float | None:
    """How many rows the loads' parents had, per request."""
    rows = 0
    for request, indices in calls.by_request:
        statements = request.trace.statements
        parents = {statements[index].parent for index in indices} - {-1}
        rows += sum(statements[parent].rows_count or 0 for parent in parents)
    return round(rows / len(requests), 1) or None

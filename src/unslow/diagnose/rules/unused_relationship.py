"""A relationship that is loaded and not read.

Looks for: eager loads - `selectinload`, `joinedload`, `subqueryload`, or `lazy="selectin"` on the
model - of a relationship that nothing read, on no object, in no request that was watched.
Costs: a statement, its rows and objects; with `joinedload` wider and more rows of the parent.
Instead: take the option out of this query, or make the relationship lazy on the model and load it
where it is read.
Misses: relationships that are read in one request of a hundred: a sample is watched.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from ...model.finding import Finding
from ...model.trace import Place
from ..rule import Nearly, Threshold, rule, swept
from ..views import Request, Requests


class _Key(NamedTuple):
    place: Place | None
    relationship: str
    how: str


@rule(
    id="unused-relationship",
    title="A relationship is loaded and never read",
    needs=("usage",),
    threshold=Threshold(
        2, "watched requests, none of which reads it", swept("unused-relationship")
    ),
)
def unused_relationship(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each relationship and query."""
    reads: dict[_Key, list[bool]] = defaultdict(list)
    rows: dict[_Key, int] = defaultdict(int)
    for request in requests.watched:
        for usage in request.trace.usages or ():
            place = _root_place(request, usage.statement)
            for name, how, rows_count, is_read in usage.relationships:
                key = _Key(place, f"{usage.entity}.{name}", how)
                reads[key].append(is_read)
                rows[key] += rows_count
    for key, seen in reads.items():
        if any(seen):
            continue
        if len(seen) < threshold:
            yield Nearly(f"{key.relationship} was not read in {len(seen)} request")
            continue
        mean_rows = rows[key] / len(seen)
        ms = sum(one.mean_ms() for one in requests.groups if one.relationship == key.relationship)
        yield requests.finding(
            f"{key.relationship} is loaded ({key.how}), {mean_rows:,.0f} objects a request, and"
            f" nothing read it in {len(seen)} requests that were watched.",
            key.place,
            could_save_ms=ms or None,
            round_trips=1.0 if ms else None,
            shape=key.relationship,
            evidence={"relationship": key.relationship, "how": key.how, "objects": mean_rows},
        )


def _root_place(request: Request, index: int) -> Place | None:
    """The line of the query that all began with: an eager load has none of its own."""
    statements = request.trace.statements
    while statements[index].relationship and statements[index].parent >= 0:
        index = statements[index].parent
    return statements[index].place

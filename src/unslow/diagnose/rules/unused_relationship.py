"""A relationship that is loaded and not read.

Looks for: eager loads - `selectinload`, `joinedload`, `subqueryload`, or `lazy="selectin"` on the
model - of a relationship that nothing read, on no object, in no request that was watched.
Costs: a statement, its rows and objects; with `joinedload` wider and more rows of the parent.
Instead: take the option out of this query, or make the relationship lazy on the model and load it
where it is read.
Misses: relationships that are read in one request of a hundred: a sample is watched; joins that
found nothing to load, and widen the statement all the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from ...model.finding import Finding
from ...model.trace import Place
from ...numbers import counted
from ..rule import Nearly, Threshold, rule, swept
from ..views import Request, Requests


class _Key(NamedTuple):
    place: Place | None
    relationship: str
    how: str


@dataclass(slots=True)
class _Seen:
    requests: set[int] = field(default_factory=set)
    objects_count: int = 0
    is_read: bool = False


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
    for key, seen in _seen(requests).items():
        if seen.is_read:
            continue
        watched = len(seen.requests)
        if watched < threshold:
            yield Nearly(f"{key.relationship} was not read; watched requests: {watched}")
            continue
        objects = seen.objects_count / watched
        ms, statements = _costs(requests, key)
        if not seen.objects_count and not statements:
            # A join that found nobody, or a load that was left out as no key was set.
            yield Nearly(f"{key.relationship} was not read; there was nothing to load")
            continue
        what = f"{counted(round(objects), 'object')} a request"
        if not seen.objects_count:
            what = f"{counted(statements, 'statement')} a request for nothing new"
        yield requests.finding(
            f"{key.relationship} is loaded ({key.how}), {what}, and nothing read it in {watched}"
            " requests that were watched.",
            key.place,
            could_save_ms=ms or None,
            round_trips=statements or None,
            shape=key.relationship,
            evidence={"relationship": key.relationship, "how": key.how, "objects": objects},
        )


def _seen(requests: Requests) -> dict[_Key, _Seen]:
    found: dict[_Key, _Seen] = defaultdict(_Seen)
    for number, request in enumerate(requests.watched):
        for usage in request.trace.usages or ():
            place = _root_place(request, usage.statement)
            for name, how, objects_count, is_read in usage.relationships:
                seen = found[_Key(place, f"{usage.entity}.{name}", how)]
                seen.requests.add(number)
                seen.objects_count += objects_count
                seen.is_read |= is_read
    return found


def _costs(requests: Requests, key: _Key) -> tuple[float, float]:
    """What its own statements take and how many they are, per request; a join has none."""
    ms, count = 0.0, 0
    for calls in requests.groups:
        if calls.relationship != key.relationship:
            continue
        for request, index, one in calls.statements():
            if not one.row_key and _root_place(request, index) == key.place:
                ms += request.costs[index].whole / 1e6
                count += 1
    return ms / len(requests), count / len(requests)


def _root_place(request: Request, index: int) -> Place | None:
    """The line of the query that all began with: an eager load has none of its own."""
    statements = request.trace.statements
    while statements[index].relationship and statements[index].parent >= 0:
        index = statements[index].parent
    return statements[index].place

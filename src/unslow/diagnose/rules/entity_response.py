"""A long list of the ORM's objects as answer.

Looks for: lists of a hundred and more entities that become the response model attribute by
attribute, where building the objects and reading them again is most of what is computed.
Costs: an object for each row, a state for each object, a descriptor for each attribute, all to be
copied out once.
Instead: select the columns that are answered (`select(User.id, User.name)`), or let the database
make the JSON.
Misses: short lists; objects inside of objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Final

from ...model.finding import Finding
from ...model.trace import HYDRATION, SERIALIZATION, VALIDATION
from ...numbers import counted, milliseconds, percent
from ..rule import Nearly, Threshold, rule, swept
from ..views import Requests

_LEAST_SHARE: Final = 0.5
"""Of the computing: waits depend on the machine, and collections come when they come."""


@rule(
    id="entity-response",
    title="A long list of ORM objects is turned into the answer",
    needs=("returned",),
    threshold=Threshold(100, "objects per answer", swept("entity-response")),
)
def entity_response(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """At most one finding."""
    counts = [
        one.trace.returned.items_count
        for one in requests
        if one.trace.returned is not None and one.trace.returned.kind == "entity"
    ]
    if len(counts) * 2 < len(requests) or median(counts) < threshold:
        return
    ms = requests.segment_ms(HYDRATION, SERIALIZATION, VALIDATION)
    share = ms / max(ms, requests.computing_ms)
    objects = counted(round(median(counts)), "object")
    if share < _LEAST_SHARE:
        yield Nearly(f"{objects} are answered, {percent(share)} of the computing")
        return
    yield requests.finding(
        f"{objects} are built and read again for each answer: {milliseconds(ms)},"
        f" {percent(share)} of what is computed for it.",
        requests.endpoint,
        could_save_ms=ms,
        evidence={"objects": round(median(counts)), "share": share},
    )

"""Rows that are loaded and thrown away.

Looks for: queries for many objects of the ORM of which the app used only a few: of the others it
read nothing, or only what it chose by, in all requests that were watched.
Costs: all rows are fetched and built for the few; it grows with the table.
Instead: let the database choose: WHERE, ORDER BY with LIMIT, `count(*)`, EXISTS.
Misses: rows of Core and of drivers; choices that read more than half as much of a row as its use.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from statistics import median
from typing import Final

from ...model.finding import Finding
from ...model.trace import Returned
from ...model.usage import Usage
from ..rule import Nearly, Threshold, rule, swept
from ..views import Requests, StatementKey

_LEAST_SHARE: Final = 0.7
_LEAST_MORE: Final = 2
"""Times as many attributes are read for use as for a choice; one more may be read of some only."""


@rule(
    id="discarded-rows",
    title="Most of the rows that are loaded are thrown away",
    needs=("usage",),
    threshold=Threshold(100, "rows thrown away per request", swept("discarded-rows")),
)
def discarded_rows(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each class and query."""
    found: dict[tuple[str, StatementKey], list[tuple[int, int]]] = defaultdict(list)
    for request in requests.watched:
        for usage in request.trace.usages or ():
            one = request.trace.statements[usage.statement]
            if not one.relationship:
                key = StatementKey(one.shape, one.place, "")
                discarded = _discarded(usage, request.trace.returned)
                found[usage.entity, key].append((discarded, usage.rows_count))
    for (entity, key), counts in found.items():
        unused = median(count for count, _ in counts)
        rows = median(rows for _, rows in counts)
        if unused < threshold or unused < _LEAST_SHARE * rows:
            if unused > 1:
                yield Nearly(f"{unused:,.0f} of {rows:,.0f} rows of {entity} were not used")
            continue
        ms = sum(
            one.mean_ms(lambda cost: cost.rows + cost.hydration)
            for one in requests.groups
            if (one.shape, one.place) == (key.shape, key.place)
        )
        yield requests.finding(
            f"{rows - unused:,.0f} of {rows:,.0f} rows of {entity} are used; of the others nothing"
            " is read, or only what they were chosen by.",
            key.place,
            could_save_ms=ms * unused / rows,
            shape=f"{entity} {key.shape}",
            evidence={"rows": round(rows), "discarded": round(unused)},
        )


def _discarded(usage: Usage, returned: Returned | None) -> int:
    """The objects that were not used: nothing was read, or far less than of each one that was."""
    unread = max(0, usage.rows_count - usage.read_rows_count - usage.written_rows_count)
    is_answered = returned is not None and returned.items_count >= usage.rows_count
    if len(usage.profile) < 2 or is_answered:
        return unread
    (first, count), *others = usage.profile
    chosen_by = set(first)
    if all(chosen_by < set(one) and len(one) >= _LEAST_MORE * len(first) for one, _ in others):
        return unread + count
    return unread

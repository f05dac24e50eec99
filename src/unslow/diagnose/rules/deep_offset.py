"""A page that is far in.

Looks for: a query whose OFFSET skips many times the rows that it answers.
Costs: the database makes each skipped row and throws it away; the last page is the slowest.
Instead: pages by key: `WHERE (created_at, id) < (...) ORDER BY created_at DESC, id DESC LIMIT ...`.
Misses: OFFSETs that are computed in the database; pages behind the last one, where nobody knows how
many rows there were to skip.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...model.finding import Finding
from ..rule import Nearly, Threshold, rule, swept
from ..views import Requests

_TIMES_THE_PAGE = 10
"""The tenth page is still read by somebody."""


@rule(
    id="deep-offset",
    title="A page is reached by skipping rows",
    needs=("statements",),
    threshold=Threshold(1_000, "rows skipped", swept("deep-offset")),
)
def deep_offset(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each query."""
    for calls in requests.groups:
        skips = []
        deep: set[int] = set()
        saved_ns = 0.0
        for request, index, one in calls.statements():
            skipped, rows = one.offset_rows_count or 0, one.rows_count or 0
            if one.rows_count == 0:
                # Behind the last page: how many there were to skip is not known.
                continue
            if skipped >= max(threshold, _TIMES_THE_PAGE * rows):
                skips.append(skipped)
                deep.add(id(request))
                saved_ns += request.costs[index].sql * skipped / (skipped + rows)
        if skips:
            yield requests.finding(
                f"Up to {max(skips):,} rows are skipped to reach a page,"
                f" in {len(deep)} of {len(requests)} requests.",
                calls.place,
                could_save_ms=saved_ns / 1e6 / len(requests),
                shape=calls.shape,
                evidence={"rows_skipped": max(skips), "requests": len(deep)},
            )
        elif any(one.offset_rows_count for _, _, one in calls.statements()):
            yield Nearly("OFFSET is used, for pages that are near")

"""A join that multiplies.

Looks for: rows in which each item of one list stands beside each item of another one, for the same
parent: two lists were joined that have nothing to do with each other. Seen in the rows themselves.
Costs: m times n rows where m plus n would do, each with all columns.
Instead: one statement per list (`selectinload` for the second), or aggregate each before joining.
Misses: lists of which one is nearly always empty; results of more than 500 rows are judged by
their first ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...model.finding import Finding
from ..rule import Threshold, rule, swept
from ..views import Requests, is_select


@rule(
    id="cartesian-join",
    title="A join pairs each row of one list with each of another",
    needs=("statements",),
    threshold=Threshold(50, "rows per statement", swept("cartesian-join")),
    fixes=("split-joins",),
)
def cartesian_join(requests: Requests, threshold: float) -> Iterator[Finding]:
    """One finding for each statement."""
    for calls in requests.groups:
        if not is_select(calls.shape) or "GROUP BY" in calls.shape.upper():
            continue
        seen = [
            (one.multiplied, one.rows_count)
            for _, _, one in calls.statements()
            if one.multiplied is not None and (one.rows_count or 0) >= threshold
        ]
        if not seen:
            continue
        (first, second), rows = seen[0][0] or (1, 1), seen[0][1] or 0
        needed = rows * (first + second) / (first * second)
        yield requests.finding(
            f"Lists of {first} and {second} are joined with each other: {rows:,} rows come where"
            f" {needed:,.0f} would do.",
            calls.place,
            could_save_ms=calls.mean_ms() * (1 - needed / rows) if rows else None,
            shape=calls.shape,
            evidence={"rows": rows, "rows_needed": round(needed)},
        )

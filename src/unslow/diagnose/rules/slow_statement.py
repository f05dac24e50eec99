"""A statement that the database works long for.

Looks for: a statement that is sent once or twice a request, takes many times what a round trip
takes on this machine, and is most of the request, while nobody else is asked.
Costs: its time, and a connection for as long.
Instead: look at its plan (`EXPLAIN (ANALYZE, BUFFERS)`): an index, fewer rows, another question.
Misses: statements that are quick on the data of today. What waits for a lock looks the same here.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Final

from ...model.finding import Finding
from ...numbers import milliseconds, percent
from ..rule import Nearly, Threshold, rule, swept
from ..views import Calls, Requests

_MOST_CALLS: Final = 2
_LEAST_SHARE: Final = 0.5


@rule(
    id="slow-statement",
    title="One statement takes most of the request",
    needs=("statements",),
    threshold=Threshold(50, "round trips", swept("slow-statement")),
)
def slow_statement(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each statement."""
    for calls in requests.groups:
        trip_ms = requests.run.round_trip_of(calls.driver)
        least_ms = threshold * trip_ms
        if calls.mean_count > _MOST_CALLS:
            continue
        took_ms, share = _took(calls)
        if share < _LEAST_SHARE:
            continue
        if took_ms < least_ms:
            if took_ms > least_ms / 3:
                yield Nearly(
                    f"a statement takes {milliseconds(took_ms)}, {percent(share)} of its request"
                )
            continue
        trips = took_ms / trip_ms
        yield requests.finding(
            f"The database takes {milliseconds(took_ms)} for it, {percent(share)} of the request"
            f" and {trips:,.0f} times a round trip.",
            calls.place,
            could_save_ms=min((took_ms - trip_ms) * calls.mean_count, requests.mean_wall_ms),
            shape=calls.shape,
            evidence={"sql_ms": round(took_ms, 3), "share": round(share, 3)},
        )


def _took(calls: Calls) -> tuple[float, float]:
    """The middle time of the statement, and its share of the request, alone where it was so."""
    alone = [one for one in calls.statements() if one[0].seen.alone]
    took, shares = [], []
    for request, index, _ in alone or calls.statements():
        ms = request.costs[index].sql / 1e6
        took.append(ms)
        shares.append(min(1.0, ms / request.wall_ms))
    return median(took), median(shares)

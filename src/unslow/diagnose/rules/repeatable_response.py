"""The same answer, made again each time.

Looks for: answers that hang on nothing in the request - no parameter, query or login -, were the
same each time, cost a good deal of database or of other services, and say nothing of how long they
stay the same.
Costs: the whole request, for something that was known already.
Instead: keep it for a time (in the process, in Redis), or say so: an ETag, `Cache-Control`.
Misses: answers that hang on parameters and are often the same; a cache in front, which is not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ...model.finding import Finding
from ...model.trace import REMOTE
from ...numbers import milliseconds
from ..rule import Nearly, Threshold, rule, swept
from ..views import Requests

_MANY_ROWS: Final = 500
"""So many are much work, however quickly the database gives them."""
_FEWEST_ANSWERS: Final = 3


@rule(
    id="repeatable-response",
    title="The same expensive answer is made each time",
    needs=("digests",),
    threshold=Threshold(20, "round trips waited per request", swept("repeatable-response")),
)
def repeatable_response(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """At most one finding."""
    if requests.method != "GET" or "{" in requests.route:
        return
    if any(one.is_streamed for one in requests):
        # An export is to be made when it is asked for, and too large to be kept.
        return
    answers = [one.trace.response for one in requests if one.trace.response is not None]
    same = [one for one in answers if one.digest]
    if len(same) < _FEWEST_ANSWERS or len({one.digest for one in same}) > 1:
        return
    if any(one.has_query or one.is_personal or one.has_validator for one in same):
        yield Nearly("answers are the same, and hang on the request or say how long they stay so")
        return
    least_ms = threshold * requests.run.round_trip_ms
    rows = requests.mean(lambda one: sum(s.rows_count or 0 for s in one.trace.statements))
    work_ms = requests.mean(lambda one: one.database_work_ms(requests.run))
    if rows < _MANY_ROWS and work_ms + requests.segment_ms(REMOTE) < least_ms:
        yield Nearly(f"answers are the same, and cheap: {milliseconds(requests.mean_wall_ms)}")
        return
    yield requests.finding(
        f"{len(same)} answers were the same, for {milliseconds(requests.mean_wall_ms)} each, and"
        " nothing says how long they stay so.",
        requests.endpoint,
        could_save_ms=requests.mean_wall_ms,
        evidence={"answers": len(same)},
    )

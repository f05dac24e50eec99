"""A pool that does not keep its connections.

Looks for: a pool that goes on opening connections when it has long been warm: because most of them
are overflow, which is closed when it comes back, or because they are thrown away soon.
Costs: a new connection where there was one a moment ago; milliseconds in the requests that meet it.
Instead: make the pool as large as the usual crowd and the overflow small; recycle connections
after minutes, not seconds.
Misses: pools that are the right size for this traffic and not for another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ...model.finding import Finding
from ..addresses import driver_of
from ..opened import Opening, opened, pooled
from ..rule import Nearly, Threshold, rule, swept
from ..views import Requests


@rule(
    id="pool-settings",
    title="The pool opens and closes connections all the time",
    needs=("statements",),
    threshold=Threshold(0.2, "connections opened per later request", swept("pool-settings")),
    fixes=("resize-pool",),
    in_crowd=True,
)
def pool_settings(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each route."""
    seen = opened(requests)
    every = [one for one in seen.openings if pooled(one, seen)]
    if not every:
        return
    most_at_once = max(one.seen.open_count for one in requests)
    again = _churned(every, most_at_once)
    if len(again) < max(1, threshold * seen.requests_count):
        yield Nearly(
            f"{len(every)} connections were opened in the last {seen.requests_count} requests"
        )
        return
    ms = sum(one.ms for one in again) / seen.requests_count
    yield requests.finding(
        f"{len(again)} connections were opened in the last {seen.requests_count} requests,"
        f" by {again[-1].name}.",
        again[-1].place,
        could_save_ms=ms,
        shape=driver_of(again[-1].name),
        evidence={"opened": len(again), "requests": seen.requests_count, "connect_ms": ms},
    )


def _churned(every: Sequence[Opening], most_at_once: int) -> list[Opening]:
    """Without those of pools that may only have grown: as many as there were requests at once."""
    counts = Counter(map(_pool_of, every))
    not_kept = {_pool_of(one) for one in every if one.is_again}
    return [
        one for one in every if _pool_of(one) in not_kept or counts[_pool_of(one)] > most_at_once
    ]


def _pool_of(opening: Opening) -> tuple[int, int, str]:
    return opening.request.trace.process_id, opening.pool, opening.name

"""A pool that does not keep its connections.

Looks for: a pool that goes on opening connections when it has long been warm: because most of them
are overflow, which is closed when it comes back, or because they are thrown away soon.
Costs: a new connection where there was one a moment ago; milliseconds in the requests that meet it.
Instead: make the pool as large as the usual crowd and the overflow small; recycle connections
after minutes, not seconds.
Misses: pools that are the right size for this traffic and not for another.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...model.finding import Finding
from ..opened import opened, pooled
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
    again = [one for one in seen.openings if pooled(one, seen)]
    if not again:
        return
    if len(again) < threshold * seen.requests_count:
        yield Nearly(
            f"{len(again)} of the last {seen.requests_count} requests met a new connection"
        )
        return
    ms = sum(one.ms for one in again) / seen.requests_count
    yield requests.finding(
        f"{len(again)} connections were opened in the last {seen.requests_count} requests,"
        f" by {again[-1].name}.",
        again[-1].place,
        could_save_ms=ms,
        shape=again[-1].name,
        evidence={"opened": len(again), "requests": seen.requests_count, "connect_ms": ms},
    )

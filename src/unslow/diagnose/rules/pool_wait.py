"""Waiting for a connection.

Looks for: requests that wait for a connection of a pool while others are open, for a good part of
their time.
Costs: the wait, in each request of the crowd; what they hold meanwhile, others wait for.
Instead: hold connections for less time (see `held-connection`), or make the pool larger, as far as
the server's `max_connections` allows: workers x (pool + overflow).
Misses: pools that nobody recorded; waits in a proxy such as PgBouncer, which look like statements;
and waits during which the app computes all the time, or for the event loop even longer: there more
connections only make another queue.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from ...model.finding import Finding
from ...model.report import Holder
from ...model.trace import LOOP_BUSY, POOL_WAIT, Place
from ...numbers import milliseconds, percent
from ..addresses import driver_of
from ..occupied import Interval, occupied_share
from ..rule import Nearly, Threshold, rule, swept
from ..views import Request, Requests

_SHORTEST_MS: Final = 1.0
"""Below this it was the way to a free connection."""
_FEWEST_REQUESTS: Final = 3
_OCCUPIED: Final = 0.7
"""Of the wait: from here on it is the computing that is waited for.

Pools that were too small had 0.03 to 0.37, in the field and in the samples; where the event loop
was full it was 0.87 to 0.98, as what a server does beside its requests is not seen.
"""


@rule(
    id="pool-wait",
    title="Requests wait for a connection of the pool",
    needs=("crowd",),
    threshold=Threshold(0.1, "of the time of requests in a crowd", swept("pool-wait")),
    fixes=("resize-pool",),
    in_crowd=True,
)
def pool_wait(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each pool."""
    crowd = [one for one in requests if one.seen.open_count > 1]
    whole_ms = sum(one.wall_ms for one in crowd)
    loop_ms = sum(one.segment_ms(LOOP_BUSY) for one in crowd)
    waits: dict[str, dict[Place | None, float]] = defaultdict(lambda: defaultdict(float))
    waited: dict[str, int] = defaultdict(int)
    for request in crowd:
        mine: dict[str, float] = defaultdict(float)
        for piece in request.pieces(POOL_WAIT):
            pool = str(piece.what or "")
            ms = (piece.end_ns - piece.start_ns) / 1e6
            waits[pool][piece.place] += ms
            mine[pool] += ms
        for pool, ms in mine.items():
            waited[pool] += ms >= _SHORTEST_MS
    for pool, places in waits.items():
        ms = sum(places.values())
        if waited[pool] < _FEWEST_REQUESTS or ms < threshold * whole_ms:
            if waited[pool]:
                yield Nearly(f"{waited[pool]} requests waited for {pool}")
            continue
        if loop_ms > ms:
            # With more connections they would all wait for it.
            yield Nearly(
                f"{waited[pool]} requests waited for {pool}, and longer for the event loop"
            )
            continue
        occupied = occupied_share(crowd, _waits_for(pool, crowd))
        if occupied > _OCCUPIED:
            yield Nearly(
                f"{waited[pool]} requests waited for {pool}, and the app computed for"
                f" {percent(occupied)} of that time"
            )
            continue
        place = max(places, key=lambda one: places[one])
        holder = _holder(pool, requests)
        held = f"; {holder.route} held them longest" if holder else ""
        yield requests.finding(
            f"{waited[pool]} of {len(crowd)} requests waited for {pool},"
            f" {milliseconds(ms / len(crowd))} on average{held}.",
            place,
            could_save_ms=ms / len(requests),
            touched=None if holder is None else holder.place,
            shape=driver_of(pool),
            evidence={
                "pool": pool,
                "requests_waited": waited[pool],
                "share": ms / whole_ms,
                "computed_share": occupied,
            },
        )


def _waits_for(pool: str, crowd: Sequence[Request]) -> Iterator[tuple[int, Interval]]:
    for request in crowd:
        for piece in request.pieces(POOL_WAIT):
            if str(piece.what or "") == pool:
                yield request.trace.process_id, (piece.start_ns, piece.end_ns)


def _holder(pool: str, requests: Requests) -> Holder | None:
    """Who held a pool's connections for most of the time that these requests waited."""
    held = [
        one for one in requests.run.holders if one.pool == pool and requests.name in one.waits_ms
    ]
    return max(held, key=lambda one: one.waits_ms[requests.name], default=None)

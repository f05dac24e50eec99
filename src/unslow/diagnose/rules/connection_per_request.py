"""A new connection for each request.

Looks for: requests that open a database connection of their own, each time: without a pool, with a
pool that keeps nothing, or with an engine that is made in the request.
Costs: a connection takes some round trips and, in PostgreSQL, a new process: milliseconds each
time, more with TLS and passwords.
Instead: one engine or pool per process, made when the app starts.
Misses: connections that a proxy opens.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...model.finding import Finding
from ...numbers import milliseconds
from ..addresses import driver_of
from ..opened import opened, pooled
from ..rule import Threshold, rule, swept
from ..views import Requests


@rule(
    id="connection-per-request",
    title="Each request opens a database connection of its own",
    needs=("statements",),
    threshold=Threshold(0.7, "of the later requests open one", swept("connection-per-request")),
    fixes=("share-engine",),
)
def connection_per_request(requests: Requests, threshold: float) -> Iterator[Finding]:
    """One finding for each route."""
    seen = opened(requests)
    own = [one for one in seen.openings if not pooled(one, seen)]
    count = len({id(one.request) for one in own})
    if not own or count < threshold * seen.requests_count:
        return
    ms = sum(one.ms for one in own) / seen.requests_count
    yield requests.finding(
        f"{count} of the last {seen.requests_count} requests opened a connection of their own,"
        f" {milliseconds(ms)} a request.",
        own[-1].place,
        could_save_ms=ms,
        shape=driver_of(own[-1].name),
        evidence={"requests": count, "of": seen.requests_count, "connect_ms": ms},
    )

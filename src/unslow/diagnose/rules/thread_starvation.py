"""Waiting for a worker thread.

Looks for: requests of a crowd that wait for one of the threads in which a framework runs `def`
endpoints and dependencies; there are 40 by default.
Costs: the wait, in each request, once per function that is to run in a thread.
Instead: shorter calls in threads, asynchronous drivers, fewer `def` dependencies; more threads only
where the database's pool has connections for them.
Misses: thread pools that the app makes and queues for itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ...model.finding import Finding
from ...model.trace import THREAD_QUEUE
from ...numbers import milliseconds, percent
from ..rule import Nearly, Threshold, rule, swept
from ..views import Request, Requests

_SHORTEST_MS: Final = 2.0
"""Below this it was the start of a thread, or its turn at the interpreter."""
_FEWEST_REQUESTS: Final = 3


@rule(
    id="thread-starvation",
    title="Requests wait for a worker thread",
    needs=("crowd",),
    threshold=Threshold(0.03, "of the time of requests in a crowd", swept("thread-starvation")),
    fixes=("resize-pool",),
    in_crowd=True,
)
def thread_starvation(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each route."""
    crowd = [one for one in requests if one.seen.open_count > 1]
    waits = [_waited_ms(one) for one in crowd]
    waited = [ms for ms, _ in waits if ms >= _SHORTEST_MS]
    whole_ms = sum(ms for ms, _ in waits)
    share = whole_ms / sum(one.wall_ms for one in crowd)
    if len(waited) < _FEWEST_REQUESTS or share < threshold:
        if waited:
            yield Nearly(
                f"{len(waited)} requests waited for a thread, {percent(share)} of their time"
            )
        return
    pool = next(pool for _, pool in waits if pool)
    most = max(one.seen.open_count for one in crowd)
    yield requests.finding(
        f"{len(waited)} of {len(crowd)} requests waited for one of {pool}, all of which were busy:"
        f" {milliseconds(whole_ms / len(crowd))} on average, with up to {most} requests at once.",
        requests.endpoint,
        could_save_ms=whole_ms / len(requests),
        evidence={"requests_waited": len(waited), "share": share, "open_at_once": most},
    )


def _waited_ms(request: Request) -> tuple[float, str]:
    """How long a request waited for threads that were all busy, and which those were."""
    slices = [one for _, one in request.slices(THREAD_QUEUE) if one.what]
    ms = sum(one.end_ns - one.start_ns for one in slices) / 1e6
    # Of functions that wait side by side each has a wait of its own.
    return min(ms, request.wall_ms), str(slices[0].what) if slices else ""

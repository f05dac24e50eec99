"""A service that is called in a loop.

Looks for: the same lines calling the same service several times in one request, one call after the
other, with nothing but work in between.
Costs: the sum of all answers' times, where the longest would do, or one call.
Instead: ask for all at once if the service can; else call at the same time: `asyncio.gather`, a
`TaskGroup`, with a bound.
Misses: loops whose calls stand on several lines; a loop that stops as soon as an answer is right
looks the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from ...model.finding import Finding
from ...model.trace import BLOCKING, UNEXPLAINED, Place
from ...numbers import times
from ..addresses import steady
from ..rule import Nearly, Threshold, rule, swept
from ..views import RemoteCall, Request, Requests


@rule(
    id="repeated-remote-call",
    title="Another service is called once per item",
    needs=("remote",),
    threshold=Threshold(3, "calls per request", swept("repeated-remote-call")),
)
def repeated_remote_call(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each service and line."""
    found: dict[tuple[str, Place | None], list[list[RemoteCall]]] = defaultdict(list)
    for request in requests:
        lines: dict[tuple[object, ...], list[RemoteCall]] = defaultdict(list)
        for call in request.remote_calls():
            lines[call.host, call.lane, call.chain].append(call)
        for calls in lines.values():
            if len(calls) > 1 and not _waits_between(request, calls):
                found[calls[0].host, calls[0].place].append(calls)
    said = set()
    for (host, place), loops in sorted(found.items(), key=_longest_first):
        if place is not None and loops[0][0].is_mail:
            # A mail takes several calls: the longest one stands for all.
            if (host, place.path, place.function) in said:
                continue
            said.add((host, place.path, place.function))
        most = max(map(len, loops))
        if most < threshold:
            yield Nearly(f"{host} is called {most} times from one line")
            continue
        count = sum(map(len, loops)) / len(requests)
        saved = sum(sum(c.ms for c in calls) - max(c.ms for c in calls) for calls in loops)
        yield requests.finding(
            f"{host} is called {times(count)} a request, one call after the other.",
            place,
            could_save_ms=saved / len(requests),
            shape=steady(host),
            evidence={"host": host, "calls": round(count, 1)},
        )


def _longest_first(item: tuple[object, list[list[RemoteCall]]]) -> float:
    return -sum(call.ms for calls in item[1] for call in calls)


def _waits_between(request: Request, calls: list[RemoteCall]) -> bool:
    """Whether it waits on purpose between calls, as who asks whether something is done does."""
    waits = [
        (one.start_ns, one.end_ns)
        for segment in (BLOCKING, UNEXPLAINED)
        for _, one in request.slices(segment)
    ]
    gaps = [(before.end_ns, call.start_ns) for before, call in pairwise(calls)]
    waited = [
        sum(max(0, min(end, until) - max(start, since)) for start, end in waits)
        for since, until in gaps
    ]
    waiting = sum(
        ns * 2 > until - since and ns > 1_000_000
        for ns, (since, until) in zip(waited, gaps, strict=True)
    )
    return waiting * 2 >= len(gaps)

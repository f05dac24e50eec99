"""A connection that is held for nothing.

Looks for: a connection of a pool, often with its transaction open, that a request holds while it
waits for something else than the database: another service, a cache, a sleep.
Costs: nothing while few ask; in a crowd the pool is empty, and requests wait for connections that
do nothing. An open transaction also keeps old rows from being cleaned up.
Instead: ask the other service first, or give the connection back before: end the session or the
`async with` block, and open another one after.
Misses: connections outside pools; computing while a connection is held.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from ...model.finding import OTHERS, Finding
from ...model.trace import (
    BLOCKING,
    CACHE,
    REMOTE,
    SEGMENTS,
    UNEXPLAINED,
    Hold,
    Place,
)
from ...numbers import milliseconds
from ..addresses import driver_of
from ..rule import Nearly, Threshold, rule, swept
from ..views import Request, Requests

_IDLE: Final = (REMOTE, CACHE, BLOCKING, UNEXPLAINED)
_SHORTEST_MS: Final = 1.0

_LEAST_TOLD: Final = 0.1

_Key = tuple[str, Place | None]
_Wait = tuple[Place | None, int]


@rule(
    id="held-connection",
    title="A connection is held while something else is waited for",
    needs=("statements",),
    threshold=Threshold(0.4, "of the time it is held", swept("held-connection")),
    fixes=("release-early",),
)
def held_connection(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each line that takes connections."""
    idle: dict[_Key, float] = defaultdict(float)
    held: dict[_Key, float] = defaultdict(float)
    culprits: dict[_Key, dict[_Wait, float]] = {}
    for request in requests:
        for hold in request.trace.holds:
            key = hold.pool, hold.place
            end_ns = min(hold.end_ns, request.trace.response_end_ns)
            held[key] += max(0, end_ns - hold.start_ns) / 1e6
            waits = culprits.setdefault(key, defaultdict(float))
            for wait, ms in _waits(request, hold, end_ns):
                idle[key] += ms
                waits[wait] += ms
    for key, ms in idle.items():
        pool, place = key
        mean_ms = ms / len(requests)
        if mean_ms < _SHORTEST_MS or ms < threshold * held[key]:
            yield Nearly(f"{pool} is held for {milliseconds(mean_ms)} of other waits a request")
            continue
        where, _ = max(culprits[key], key=lambda wait: culprits[key][wait])
        yield requests.finding(
            f"A connection of {pool} is held for {milliseconds(held[key] / len(requests))} a"
            f" request, {milliseconds(mean_ms)} of it in {_words(culprits[key])}.",
            place,
            could_save_ms=mean_ms,
            saves_for=OTHERS,
            touched=where,
            shape=driver_of(pool),
            evidence={"pool": pool, "held_ms": held[key] / len(requests), "idle_ms": mean_ms},
        )


def _waits(request: Request, hold: Hold, end_ns: int) -> Iterator[tuple[_Wait, float]]:
    """The waits for other things within a hold, in milliseconds.

    By the receipt: while another task of the request is with the database, nothing is held in vain.
    """
    for segment in _IDLE:
        for one in request.pieces(segment):
            took_ns = min(one.end_ns, end_ns) - max(one.start_ns, hold.start_ns)
            if took_ns > 0:
                yield (one.place, segment), took_ns / 1e6


def _words(waits: Mapping[_Wait, float]) -> str:
    """What was waited for, the longest first, without what is a small part of it."""
    segments: dict[int, float] = defaultdict(float)
    for (_, segment), ms in waits.items():
        segments[segment] += ms
    least_ms = _LEAST_TOLD * sum(segments.values())
    longest = sorted(segments, key=lambda segment: -segments[segment])
    return " and ".join(_word(segment) for segment in longest if segments[segment] >= least_ms)


def _word(segment: int) -> str:
    if segment == UNEXPLAINED:
        return "waits for something else"
    return f"`{SEGMENTS[segment]}`"

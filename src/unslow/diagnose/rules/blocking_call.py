"""A call that stops the event loop.

Looks for: waits that hold the event loop's thread: `time.sleep`, files and child processes, and
drivers and clients that are not asynchronous, inside `async def`.
Costs: while it waits, no other request of the process goes on; with 20 users each waits for all.
Instead: the asynchronous driver or client; `await asyncio.to_thread(...)` around the call; or `def`
in place of `async def`, so that the framework runs the endpoint in a thread.
Misses: waits in C code that no probe knows; they show as `own-code` or `unexplained`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from ...model.finding import OTHERS, Finding
from ...model.receipt import BLOCKS_LOOP
from ...model.trace import BLOCKING, REMOTE, SEGMENTS, SQL, Lane, Place, Slice
from ...numbers import milliseconds
from ..rule import Nearly, Threshold, rule, swept
from ..views import Request, Requests

_THREAD_START: Final = "threading.Thread.start"
_NETWORK_SHARE: Final = 0.1
"""Who waits for a network waits longer on another day: a tenth of the threshold is enough."""


@rule(
    id="blocking-call",
    title="A blocking call stops the event loop",
    needs=("receipts",),
    threshold=Threshold(1.0, "ms per request", swept("blocking-call")),
    fixes=("off-loop",),
)
def blocking_call(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each function and kind of wait, at its longest line."""
    lines: dict[tuple[str, str, int], dict[tuple[Place | None, str], float]] = {}
    awaited = _awaited(requests)
    for request in requests:
        for one in _held(request):
            place = _place(request, one)
            if (place, one.segment) in awaited:
                # An asynchronous driver's own work between two waits.
                continue
            where = ("", "") if place is None else (place.path, place.function)
            found = lines.setdefault((*where, one.segment), defaultdict(float))
            found[place, _what(one)] += (one.end_ns - one.start_ns) / 1e6
    for (_, _, segment), found in lines.items():
        ms = sum(found.values()) / len(requests)
        (place, what), _ = max(found.items(), key=lambda item: item[1])
        bar = threshold if segment == BLOCKING else threshold * _NETWORK_SHARE
        if ms < bar:
            yield Nearly(
                f"{what or SEGMENTS[segment]} holds the loop for {milliseconds(ms)} a request"
            )
            continue
        waited_ms = requests.others_waited_ms(what or SEGMENTS[segment], place)
        yield requests.finding(
            f"{_who(segment, what)} holds the event loop for {milliseconds(ms)} a request"
            f" (`{SEGMENTS[segment]}`){_victims(waited_ms)}.",
            place,
            could_save_ms=ms,
            saves_for=OTHERS,
            others_waited_ms=waited_ms,
            shape=f"{SEGMENTS[segment]} {what}",
            evidence={"segment": SEGMENTS[segment], "what": what, "blocked_ms": ms},
        )


def _awaited(requests: Requests) -> set[tuple[Place | None, int]]:
    """The lines that gave the loop up in some request while they waited, and for what."""
    return {
        (place, one.segment)
        for request in requests
        for segment in BLOCKS_LOOP
        for lane, one in request.slices(segment)
        if lane.steps
        and not _lies_in_a_step(lane, one)
        and (place := _place(request, one)) is not None
    }


def _held(request: Request) -> Iterator[Slice]:
    """The waits that held the loop; what lies within another one is part of that."""
    for lane in request.trace.lanes:
        outer: Slice | None = None
        # In the order of their ends: what lies inside another slice stands before it.
        for one in reversed(lane.slices):
            if one.segment not in BLOCKS_LOOP or one.start_ns >= request.trace.response_end_ns:
                continue
            if (outer is None or one.end_ns <= outer.start_ns) and _holds_loop(lane, one):
                outer = one
                yield one


def _holds_loop(lane: Lane, one: Slice) -> bool:
    """Whether a wait lies within one step of its task; one that gives the loop up does not."""
    what = one.what
    if what == _THREAD_START or (isinstance(what, tuple) and True in what[3:4]):
        # Python's own work for a thread; and what lay in a buffer when it was read.
        return False
    return _lies_in_a_step(lane, one)


def _lies_in_a_step(lane: Lane, one: Slice) -> bool:
    at = bisect_right(lane.steps, one.start_ns, key=lambda step: step.start_ns) - 1
    return at >= 0 and one.end_ns <= lane.steps[at].end_ns


def _place(request: Request, one: Slice) -> Place | None:
    if one.place is None and isinstance(one.what, int):
        return request.trace.statements[one.what].place
    return one.place


def _what(one: Slice) -> str:
    """What is called, as the culprits of a blocked loop are named; empty for a statement."""
    return one.what if isinstance(one.what, str) else ""


def _who(segment: int, what: str) -> str:
    if what:
        return what
    return {SQL: "A statement", REMOTE: "A call of another service"}.get(segment, "A call")


def _victims(waited_ms: float) -> str:
    return (
        f"; others waited up to {milliseconds(waited_ms)} for it in all" if waited_ms >= 1 else ""
    )

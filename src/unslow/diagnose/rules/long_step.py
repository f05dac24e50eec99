"""Computing that holds the event loop.

Looks for: long stretches in which your own code runs on the event loop without giving it up.
Costs: all other requests of the process wait; timers, health checks and streams stand still.
Instead: less work (a better algorithm, less data, something that was computed before), or a process
of its own. A thread gains little: under the GIL it still takes turns with the loop.
Misses: stretches below the watchdog's period, those of libraries in C, and what fewer than a fifth
of the requests do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from typing import Final

from ...model.finding import OTHERS, Finding
from ...model.trace import OWN_CODE, SEGMENTS, Lane, Place
from ...numbers import milliseconds
from ..rule import Nearly, Threshold, rule, swept
from ..views import Request, Requests

_LEAST_SHARE: Final = 0.5
_FEWEST_REQUESTS: Final = 3
_LEAST_OF_REQUESTS: Final = 0.2
"""What only some ids lead to counts as well; a first import or a busy machine does not."""


@rule(
    id="long-step",
    title="Computing holds the event loop",
    needs=("receipts",),
    threshold=Threshold(20.0, "ms in one step", swept("long-step")),
)
def long_step(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each function that is running most of the time."""
    alone = [one for one in requests if one.seen.alone]
    looked_at = alone or list(requests)
    steps: dict[tuple[str, str], list[tuple[int, float, Place | None]]] = defaultdict(list)
    for number, request in enumerate(looked_at):
        for ms, place in _steps(request, threshold / 2):
            where = ("", "") if place is None else (place.path, place.function)
            steps[where].append((number, ms, place))
    for found in steps.values():
        long = [one for one in found if one[1] >= threshold]
        requests_count = len({number for number, _, _ in long})
        if requests_count < _needed(len(looked_at)):
            longest = max(ms for _, ms, _ in found)
            yield Nearly(f"own code held the loop for {milliseconds(longest)} in a step")
            continue
        places: dict[Place | None, float] = defaultdict(float)
        for _, ms, place in long:
            places[place] += ms
        whole_ms = sum(places.values())
        step_ms = whole_ms / len(long)
        often = f", in {requests_count} of {len(looked_at)} requests"
        yield requests.finding(
            f"Own code runs for {milliseconds(step_ms)} without giving the event loop up"
            f"{'' if requests_count == len(looked_at) else often}.",
            max(places, key=lambda one: places[one]),
            could_save_ms=whole_ms / len(looked_at),
            saves_for=OTHERS,
            others_waited_ms=requests.others_waited_ms(SEGMENTS[OWN_CODE]),
            evidence={"step_ms": step_ms, "requests": requests_count},
        )


def _needed(requests_count: int) -> float:
    """In how many requests it has to happen: in half of a few, in a fifth of more."""
    few = min(requests_count / 2, _FEWEST_REQUESTS)
    return max(few, _LEAST_OF_REQUESTS * requests_count)


def _steps(request: Request, least_ms: float) -> Iterator[tuple[float, Place | None]]:
    """The own code in long steps, and the line that the watchdog saw in it most."""
    own: dict[int, list[tuple[int, int, Place | None]]] = defaultdict(list)
    for piece in request.pieces(OWN_CODE):
        own[piece.lane].append((piece.start_ns, piece.end_ns, piece.place))
    for index, lane in enumerate(request.trace.lanes):
        for step in lane.steps if lane.kind == "task" else ():
            if (step.end_ns - step.start_ns) / 1e6 < least_ms:
                continue
            parts = [
                (max(start, step.start_ns), min(end, step.end_ns), place)
                for start, end, place in own[index]
                if start < step.end_ns and end > step.start_ns
            ]
            ms = sum(end - start for start, end, _ in parts) / 1e6
            if ms >= least_ms and ms >= _LEAST_SHARE * (step.end_ns - step.start_ns) / 1e6:
                yield ms, _hottest(lane, step.start_ns, step.end_ns, parts)


def _hottest(
    lane: Lane, start_ns: int, end_ns: int, parts: list[tuple[int, int, Place | None]]
) -> Place | None:
    weights: dict[Place, float] = defaultdict(float)
    inside = (one for one in lane.samples if start_ns < one.at_ns <= end_ns)
    for place, weight in chain(
        ((one.place, float(one.weight_ns)) for one in inside),
        ((place, 1e-3 * (end - start)) for start, end, place in parts),
    ):
        if place is not None:
            weights[place] += weight
    return max(weights, key=lambda one: weights[one], default=None)

"""What recording costs on this machine, measured in the process that records."""

from __future__ import annotations

from collections.abc import Generator
from types import coroutine
from typing import Any, NamedTuple

from ..current import LANE, OpenTrace, clock
from ..model.trace import OWN_CODE
from .lanes import driven

_ROUNDS = 5
_CALLS = 200


class Cost(NamedTuple):
    """The price of one slice and of one step of a task, in ns."""

    slice_ns: int
    step_ns: int


def measure() -> Cost:
    """Times the recorder's own parts; takes about a millisecond."""
    return Cost(_best(_slices), _best(_steps))


def _best(run: Any) -> int:
    return int(min(run() for _ in range(_ROUNDS)) / _CALLS)


def _slices() -> int:
    trace = OpenTrace("GET", _CALLS)
    token = LANE.set(trace.root)
    begin = clock()
    for _ in range(_CALLS):
        lane = LANE.get()
        if lane is not None:
            start = clock()
            lane.add(OWN_CODE, start, clock())
    took = clock() - begin
    LANE.reset(token)
    return took


@coroutine
def _yields() -> Generator[None, None, None]:
    while True:
        yield


def _steps() -> int:
    trace = OpenTrace("GET", _CALLS)
    work: Any = _yields()
    steps: Any = driven(work, trace.root)
    begin = clock()
    for _ in range(_CALLS):
        steps.send(None)
    took = clock() - begin
    steps.close()
    return took

"""What recording costs on this machine, measured in the process that records."""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import coroutine
from typing import Any, NamedTuple

from ..current import LANE, OpenTrace, clock
from ..model.trace import OWN_CODE
from .lanes import driven

_ROUNDS = 5
_CALLS = 1_000


class Cost(NamedTuple):
    """The price of one slice and of one step of a task, in ns."""

    slice_ns: int
    step_ns: int


def measure() -> Cost:
    """Times the recorder's own parts; takes some 10 ms."""
    return Cost(_usual(_slices), _usual(_steps))


def _usual(run: Callable[[], int]) -> int:
    """The middle round: the best one is of a machine with nothing else to do."""
    return max(sorted(run() for _ in range(_ROUNDS))[_ROUNDS // 2] // _CALLS, 0)


def _slices() -> int:
    trace = OpenTrace("GET", _CALLS)
    token = LANE.set(trace.root)
    begin = clock()
    for _ in range(_CALLS):
        _recorded()
    between = clock()
    for _ in range(_CALLS):
        _called()
    end = clock()
    LANE.reset(token)
    return (between - begin) - (end - between)


def _called() -> None:
    return None


def _recorded() -> None:
    """What a probe puts in the place of a function."""
    lane = LANE.get()
    if lane is None:
        return _called()
    start = clock()
    try:
        return _called()
    finally:
        lane.add(OWN_CODE, start, clock())


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

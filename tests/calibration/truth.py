"""What the calibration app knows of its own time, measured by itself and kept beside the response.

A request's truth is a list of stretches per lane (the endpoint, each child task). Nothing here
looks at what unslow records, except the number by which a request is found again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from time import perf_counter_ns
from typing import Any, Final, NamedTuple

RUNS: Final = frozenset(
    {
        "own-code",
        "validation",
        "serialization",
        "hydration",
        "orm",
        "framework",
        "gc",
        "probe",
    }
)


class Stretch(NamedTuple):
    """A stretch of time that was spent in one segment."""

    start_ns: int
    end_ns: int
    segment: str


def _add_up(stretches: Iterable[Stretch]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for one in stretches:
        sums[one.segment] += (one.end_ns - one.start_ns) / 1e6
    return dict(sums)


def _rank(segment: str) -> int:
    return 0 if segment in RUNS else 2 if segment == "unexplained" else 1


class Truth:
    """What one request did."""

    def __init__(self) -> None:
        self.lanes: list[list[Stretch]] = [[]]
        self.endpoint_ns = 0
        """How long the endpoint itself took."""

    def lines_ms(self) -> dict[str, float]:
        """The milliseconds of each segment on a receipt, where lanes may hide one another."""
        times = sorted({t for lane in self.lanes for one in lane for t in one[:2]})
        lines: dict[str, float] = defaultdict(float)
        for begin, end in pairwise(times):
            active = [
                one.segment
                for lane in self.lanes
                for one in lane
                if one.start_ns <= begin and end <= one.end_ns
            ]
            # A lane that runs goes first, then the one that started first.
            active.sort(key=_rank)
            if active:
                lines[active[0]] += (end - begin) / 1e6
        return dict(lines)

    def most_ms(self) -> dict[str, float]:
        """The same, where no lane hides another."""
        return _add_up(one for lane in self.lanes for one in lane)


TRUTH: ContextVar[Truth | None] = ContextVar("calibration_truth", default=None)
STRETCHES: ContextVar[list[Stretch] | None] = ContextVar("calibration_stretches", default=None)
"""Those of the lane that the calling code works in."""


def note(segment: str, start_ns: int, end_ns: int | None = None) -> None:
    """Notes that time was spent in a segment, until now if no end is given."""
    stretches = STRETCHES.get()
    if stretches is not None:
        stretches.append(Stretch(start_ns, end_ns or perf_counter_ns(), segment))


@contextmanager
def spent(segment: str) -> Iterator[None]:
    """Notes the time of the block, without what is noted within it."""
    stretches = STRETCHES.get()
    count = 0 if stretches is None else len(stretches)
    at = perf_counter_ns()
    try:
        yield
    finally:
        end = perf_counter_ns()
        if stretches is not None:
            for inner in sorted(stretches[count:]):
                stretches.append(Stretch(at, inner.start_ns, segment))
                at = max(at, inner.end_ns)
            stretches.append(Stretch(at, end, segment))


@contextmanager
def child_lane() -> Iterator[None]:
    """The block is the work of a child task."""
    truth = TRUTH.get()
    assert truth is not None
    stretches: list[Stretch] = []
    truth.lanes.append(stretches)
    token = STRETCHES.set(stretches)
    try:
        yield
    finally:
        STRETCHES.reset(token)


@contextmanager
def endpoint() -> Iterator[None]:
    """The block is the whole endpoint: own code, as far as nothing else is noted within it."""
    truth = TRUTH.get()
    start = perf_counter_ns()
    try:
        with spent("own-code"):
            yield
    finally:
        if truth is not None:
            truth.endpoint_ns = perf_counter_ns() - start


class CollectionWatch:
    """The app's own stop watch for garbage collections, forced or not."""

    def __init__(self) -> None:
        self._started_ns = 0

    def __call__(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._started_ns = perf_counter_ns()
        else:
            note("gc", self._started_ns)


class Truths:
    """The outermost layer inside the recorded app: opens a truth for each request.

    It also measures what only it can see: waits for the client.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.by_number: dict[int, Truth] = {}
        """By the number of the request's trace."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        trace = scope.get("unslow")
        if trace is None:
            await self.app(scope, receive, send)
            return
        truth = self.by_number[trace.number] = Truth()
        tokens = TRUTH.set(truth), STRETCHES.set(truth.lanes[0])

        async def timed_receive() -> Any:
            start = perf_counter_ns()
            message = await receive()
            if message["type"] == "http.request":
                note("receive", start)
            return message

        async def timed_send(message: Any) -> None:
            with spent("send"):
                await send(message)

        try:
            await self.app(scope, timed_receive, timed_send)
        finally:
            STRETCHES.reset(tokens[1])
            TRUTH.reset(tokens[0])

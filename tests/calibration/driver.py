"""Requests to an app in this process, recorded with every probe, and what is known of each."""

from __future__ import annotations

import asyncio
import gc
import importlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any, Final

from tests.calibration.app import recorded_call
from tests.calibration.second_receipt import second_receipt
from tests.calibration.truth import RUNS, CollectionWatch, Truth, Truths
from unslow.current import LANE, OpenTrace, clock
from unslow.model.codec import dumps, loads, trace_of
from unslow.model.receipt import Receipt
from unslow.model.trace import OWN_CODE, SEGMENTS, Trace
from unslow.patching import Patches
from unslow.record.catalogue import PROBES
from unslow.record.cost import measure
from unslow.record.finish import finished
from unslow.record.lanes import unwatch_all
from unslow.record.middleware import call_traced
from unslow.record.probe import Probes
from unslow.record.receipt import after_response, receipt_of
from unslow.record.recorder import Recorder
from unslow.record.watchdog import Watchdog


def _add_one(number: int) -> int:
    return number + 1


def _calls_ms() -> float:
    """How long 20,000 calls of a Python function take, the fastest of 20 times."""
    fastest = float("inf")
    for _ in range(20):
        start, count = perf_counter_ns(), 0
        while count < 20_000:
            count = _add_one(count)
        fastest = min(fastest, (perf_counter_ns() - start) / 1e6)
    return fastest


SHARE: Final = 0.05
LEAST_MS: Final = 0.5 * max(1.0, _calls_ms() / 1.5)
"""A line is right within 5 % or this of the truth, whichever is more, also where that is 0.

0.5 ms, for what is off by that is Python of ours and of the app at the seams; in proportion more
where the interpreter is slower than on the machine that the bound was set on (1.5 ms for the calls
above, and with 1.04 all errors stay below 0.4 ms).
"""

WAITS: Final = tuple(name for name in SEGMENTS if name not in RUNS)

NOT_RECORDED_HERE: Final = frozenset({"servers"})
"""Probes that wrap the app on its way into a server: here it is wrapped by hand."""


class Recording:
    """All probes, the watchdog, and a recorder that keeps what closes."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.probes = Probes(self.recorder, "unslow.record.probes")
        self.watchdog = Watchdog(self.recorder)
        self.slice_cost_ns = 0
        self._collections = CollectionWatch()

    def start(self) -> None:
        """Installs everything; each probe must come up."""
        for probe in PROBES:
            for module in () if probe.name in NOT_RECORDED_HERE else probe.modules:
                try:
                    importlib.import_module(module)
                except ModuleNotFoundError:
                    continue
                self.probes.start(probe, module)
        # What was there before is not looked through again: a collection is short, as in an app.
        gc.collect()
        gc.freeze()
        gc.callbacks.append(self._collections)
        self.watchdog.start()
        self.slice_cost_ns = measure().slice_ns
        self.recorder.recording = True

    def stop(self) -> None:
        """Takes everything back."""
        self.recorder.recording = False
        self.watchdog.stop()
        self.probes.stop()
        gc.callbacks.remove(self._collections)
        gc.unfreeze()
        unwatch_all()

    def off(self) -> list[str]:
        """What does not record, and why."""
        coverage = self.recorder.coverage.values()
        return [f"{one.what}: {one.why}" for one in coverage if one.state == "off"]


@contextmanager
def recorded_calls() -> Iterator[None]:
    """Has the app's `recorded_call` recorded by a probe at its shortest."""

    def recording(original: Any) -> Any:
        def here() -> Any:
            lane = LANE.get()
            if lane is None:
                return original()
            start = clock()
            try:
                return original()
            finally:
                lane.add(OWN_CODE, start, clock())

        return here

    patches = Patches()
    patches.replace(recorded_call, "here", recording)
    try:
        yield
    finally:
        patches.undo()


@dataclass
class Exchange:
    """What a client sends, how slowly, and what it got back."""

    method: str
    path: str
    body: bytes = b""
    body_delay_s: float = 0.0
    """How long the client takes before each half of its body."""
    read_delay_s: float = 0.0
    """How long the client takes to read each part of the answer."""
    leaves: bool = False
    """Whether it is gone when the app sends the second part of its answer."""
    messages: list[Any] = field(default_factory=list)
    wall_ns: int = 0
    scope: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    _sent_count: int = 0
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def status(self) -> int:
        return next((m["status"] for m in self.messages if m["type"].endswith("start")), 0)

    @property
    def answer(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.messages)

    async def receive(self) -> Any:
        """The body in two halves, each after its time; then nothing until the client leaves."""
        if self._sent_count == 2 or (self._sent_count and not self.body):
            await self._over.wait()
            return {"type": "http.disconnect"}
        self._sent_count += 1
        if self.body_delay_s:
            await asyncio.sleep(self.body_delay_s)
        half = len(self.body) // 2
        part = self.body[:half] if self._sent_count == 1 else self.body[half:]
        more = self._sent_count == 1 and bool(self.body)
        return {"type": "http.request", "body": part, "more_body": more}

    async def send(self, message: Any) -> None:
        """Takes a part of the answer."""
        if message["type"] == "http.response.body":
            if self.leaves and any(m["type"].endswith("body") for m in self.messages):
                self._over.set()
                raise ConnectionResetError("the client has left")
            if self.read_delay_s:
                await asyncio.sleep(self.read_delay_s)
            if not message.get("more_body", False):
                self._over.set()
        self.messages.append(message)

    def new_scope(self) -> dict[str, Any]:
        """The request as a server says it."""
        path, _, query = self.path.partition("?")
        headers = [(b"host", b"calibration")]
        if self.body:
            headers.append((b"content-type", b"application/json"))
            headers.append((b"content-length", str(len(self.body)).encode()))
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 80),
        }


async def perform(app: Any, recorder: Recorder, exchange: Exchange) -> Exchange:
    """Sends one request; an error that leaves the app is kept, as a server would."""
    exchange.scope = exchange.new_scope()
    start = perf_counter_ns()
    try:
        await call_traced(app, recorder, exchange.scope, exchange.receive, exchange.send)
    except Exception as error:
        exchange.error = error
    exchange.wall_ns = perf_counter_ns() - start
    return exchange


def get(path: str) -> Exchange:
    """A request without a body."""
    return Exchange("GET", path)


def closed_trace(exchange: Exchange) -> Trace:
    """The trace of an exchange as the store gives it back."""
    opened: OpenTrace = exchange.scope["unslow"]
    return trace_of(loads(dumps(finished(opened))))


@dataclass(frozen=True, slots=True)
class Seen:
    """A request with its receipt and its truth."""

    trace: Trace
    receipt: Receipt
    after: Receipt
    truth: Truth
    wall_ns: int
    """Measured by the client."""

    def line_ms(self, segment: str) -> float:
        """A line of the receipt."""
        return self.receipt.segments_ns[SEGMENTS.index(segment)] / 1e6

    @property
    def outside_endpoint_ms(self) -> float:
        """The time in which the framework had the request: its line cannot be longer."""
        return (self.wall_ns - self.truth.endpoint_ns) / 1e6


class Driver:
    """An app under recording on one event loop."""

    def __init__(self, recording: Recording, app: Any) -> None:
        self.recording = recording
        self.truths = Truths(app)

    async def send(self, *exchanges: Exchange) -> list[Seen]:
        """Sends requests at once, and gives what is known of each."""
        recorder = self.recording.recorder
        await asyncio.gather(*(perform(self.truths, recorder, one) for one in exchanges))
        return [self.seen(one) for one in exchanges]

    def seen(self, exchange: Exchange) -> Seen:
        """What is known of an exchange that is over."""
        self.recording.recorder.closed.clear()
        return self.seen_trace(closed_trace(exchange), exchange.wall_ns)

    def seen_trace(self, trace: Trace, wall_ns: int) -> Seen:
        """What is known of a trace; checks the sums by the second way."""
        cost = self.recording.slice_cost_ns
        receipt, after = receipt_of(trace, cost), after_response(trace, cost)
        assert receipt.wall_ns == sum(receipt.segments_ns)
        assert receipt.segments_ns == second_receipt(
            trace, trace.start_ns, trace.response_end_ns, cost
        )
        assert after.segments_ns == second_receipt(trace, trace.response_end_ns, trace.end_ns, cost)
        truth = self.truths.by_number.pop(trace.number)
        return Seen(trace, receipt, after, truth, wall_ns)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the receipt beside the truth, each a median over requests."""

    segment: str
    truth_ms: float
    receipt_ms: float
    error_ms: float
    """The median of the differences; not the difference of the medians."""

    @property
    def bound_ms(self) -> float:
        return max(SHARE * self.truth_ms, LEAST_MS)

    @property
    def is_right(self) -> bool:
        """Within the bound; of the framework's line only the most is known."""
        if self.segment == "framework":
            return self.error_ms <= self.bound_ms
        return abs(self.error_ms) <= self.bound_ms

    def __str__(self) -> str:
        return f"{self.segment}: {self.receipt_ms:.2f} ms, truly {self.truth_ms:.2f}"


def lines(
    seen: Sequence[Seen], truth_of: Callable[[Truth], dict[str, float]] = Truth.lines_ms
) -> list[Line]:
    """Each segment's line beside the truth."""
    truths = [truth_of(one.truth) | {"framework": one.outside_endpoint_ms} for one in seen]
    return [
        Line(
            segment,
            statistics.median(truth.get(segment, 0.0) for truth in truths),
            statistics.median(one.line_ms(segment) for one in seen),
            statistics.median(
                one.line_ms(segment) - truth.get(segment, 0.0)
                for one, truth in zip(seen, truths, strict=True)
            ),
        )
        for segment in SEGMENTS
    ]


def together(line: Sequence[Line], *segments: str) -> Line:
    """Several lines as one."""
    found = [one for one in line if one.segment in segments]
    return Line(
        "+".join(segments),
        sum(one.truth_ms for one in found),
        sum(one.receipt_ms for one in found),
        sum(one.error_ms for one in found),
    )


OUTSIDE: Final = ("framework",)
"""Of these lines together only the most is known: the time around the endpoint."""
OUTSIDE_OF_A_THREAD: Final = ("framework", "thread-queue", "loop-busy")
"""The same for a `def` endpoint: the framework takes it to a thread and back."""


def wrong_lines(seen: Sequence[Seen], outside: Sequence[str] = OUTSIDE) -> list[str]:
    """The lines that are not within their bound."""
    found = lines(seen)
    around = together(found, *outside)
    wrong = [str(line) for line in found if not line.is_right and line.segment not in outside]
    if around.error_ms > around.bound_ms:
        wrong.append(str(around))
    return wrong


def wrong_lines_in_a_crowd(seen: Sequence[Seen], outside: Sequence[str] = OUTSIDE) -> list[str]:
    """The same where others hold the loop: of a wait the app cannot know which part that was.

    So no wait may be longer than the app saw it, and all waits with `loop-busy` are as long.
    """
    found = lines(seen)
    most = {line.segment: line for line in lines(seen, Truth.most_ms)}
    runs = [line for line in found if line.segment not in (*outside, *WAITS)]
    wrong = [str(line) for line in runs if not line.is_right]
    waits = [most[name] for name in WAITS if name != "loop-busy"]
    wrong += [str(line) for line in waits if line.error_ms > line.bound_ms]
    around = together(found, *outside)
    if around.error_ms > around.bound_ms:
        wrong.append(str(around))
    all_waits = together(found, *WAITS)
    # Each of them may be off by its own bound.
    bound_ms = sum(one.bound_ms for one in found if one.segment in WAITS and one.truth_ms)
    if abs(all_waits.error_ms) > max(bound_ms, LEAST_MS):
        wrong.append(str(all_waits))
    return wrong

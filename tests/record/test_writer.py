"""Closed traces are finished outside requests and written in batches."""

from __future__ import annotations

import threading

from unslow.current import OpenTrace
from unslow.model.codec import Packed, loads, trace_of
from unslow.model.trace import SQL, Process
from unslow.record.cost import Cost, measure
from unslow.record.place import caller_place
from unslow.record.recorder import Recorder
from unslow.record.writer import Writer


class Kept:
    def __init__(self) -> None:
        self.traces: list[bytes] = []
        self.stalls: list[Packed] = []
        self.arrived = threading.Event()

    def __call__(
        self, traces: tuple[bytes, ...], stalls: tuple[Packed, ...], _process: Process
    ) -> None:
        self.traces.extend(traces)
        self.stalls.extend(stalls)
        if traces:
            self.arrived.set()


def closed_trace() -> OpenTrace:
    trace = OpenTrace("GET", 100)
    trace.route = "/x/{y}"
    statement = trace.root.new_statement(
        "SELECT a FROM t WHERE b = 'secret'", "asyncpg", caller_place()
    )
    statement.parameters = ("also secret",)
    statement.row_key = ("User", 7)
    start = trace.start_ns
    trace.root.add(SQL, start, start + 5, statement.index)
    trace.holds.append(["pool", start, 0, None])
    trace.close()
    return trace


def test_a_closed_trace_arrives_as_plain_data_without_values() -> None:
    recorder, kept = Recorder(), Kept()
    writer = Writer(recorder, kept, Cost(1, 2))
    writer.start()
    recorder.keep(closed_trace(), {})
    assert kept.arrived.wait(10)
    writer.stop()

    trace = trace_of(loads(kept.traces[0]))
    assert trace.route == "/x/{y}"
    assert trace.statements[0].shape == "SELECT a FROM t WHERE b = ?"
    assert trace.statements[0].parameters is None
    assert trace.statements[0].place is not None
    assert trace.statements[0].place.function == "closed_trace"
    assert len(trace.statements[0].row_key) == 8
    assert trace.lanes[0].slices[0].what == 0
    assert trace.holds[0].end_ns == trace.end_ns
    assert "secret" not in repr(kept.traces)


def test_values_are_kept_when_they_were_asked_for() -> None:
    recorder, kept = Recorder(), Kept()
    recorder.record_values = True
    recorder.keep(closed_trace(), {})
    Writer(recorder, kept, Cost(1, 2)).flush()

    assert trace_of(loads(kept.traces[0])).statements[0].parameters == "('also secret',)"


def test_stopping_writes_what_is_left() -> None:
    recorder, kept = Recorder(), Kept()
    writer = Writer(recorder, kept, Cost(1, 2))
    writer.start()
    for _ in range(10):
        recorder.keep(closed_trace(), {})
    recorder.stall(1, 2, 3, None)
    recorder.stall(1, 3, 5, None)
    writer.stop()

    assert len(kept.traces) == 10
    assert kept.stalls == [(1, 2, 5, None)]
    assert "unslow-writer" not in [thread.name for thread in threading.enumerate()]


def test_a_sink_that_fails_ends_recording_and_says_so() -> None:
    def failing(*_: object) -> None:
        raise OSError("disk full")

    recorder = Recorder()
    recorder.recording = True
    writer = Writer(recorder, failing, Cost(1, 2))
    recorder.keep(closed_trace(), {})
    writer.start()
    writer._thread.join(10)

    assert not recorder.recording
    assert recorder.coverage["store"].why == "OSError: disk full"


def test_requests_beyond_what_is_pending_are_counted_as_dropped() -> None:
    recorder = Recorder()
    trace = closed_trace()
    for _ in range(5_003):
        recorder.keep(trace, {})

    assert len(recorder.closed) == 5_000
    assert recorder.dropped_traces_count == 3


def test_the_cost_of_recording_is_measured() -> None:
    cost = measure()

    assert 0 < cost.slice_ns < 100_000
    assert 0 < cost.step_ns < 100_000

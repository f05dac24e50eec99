"""Traces survive the way into bytes and back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from unslow.model import codec
from unslow.model.trace import Hold, Lane, Place, Sample, Slice, Stall, Statement, Step, Trace

NS = st.integers(0, 2**62)
TEXT = st.text(max_size=20)
PLACES = st.none() | st.builds(Place, TEXT, st.integers(1, 10**6), TEXT)
SLICES = st.builds(Slice, NS, NS, st.integers(0, 19), st.none() | TEXT | st.integers(0, 99), PLACES)
SAMPLES = st.builds(Sample, NS, NS, PLACES, st.booleans(), st.none() | NS, st.none() | NS)
LANES = st.builds(
    Lane,
    st.sampled_from(["task", "thread"]),
    NS,
    st.integers(-1, 5),
    NS,
    NS,
    st.lists(st.builds(Step, NS, NS, NS, NS), max_size=3).map(tuple),
    st.lists(SLICES, max_size=3).map(tuple),
    st.lists(SAMPLES, max_size=2).map(tuple),
)
STATEMENTS = st.builds(
    Statement,
    shape=TEXT,
    driver=TEXT,
    place=PLACES,
    parent=st.integers(-1, 9),
    relationship=TEXT,
    row_key=TEXT,
    rows_count=st.none() | st.integers(0, 10**6),
    executions_count=st.integers(1, 99),
    parameters=st.none() | TEXT,
)
TRACES = st.builds(
    Trace,
    number=NS,
    process_id=NS,
    method=TEXT,
    route=TEXT,
    status=st.integers(0, 599),
    started_at=st.floats(0, 4e9),
    start_ns=NS,
    response_end_ns=NS,
    end_ns=NS,
    response_bytes=NS,
    error=TEXT,
    disconnected=st.booleans(),
    dropped_count=NS,
    lanes=st.lists(LANES, max_size=3).map(tuple),
    statements=st.lists(STATEMENTS, max_size=3).map(tuple),
    holds=st.lists(st.builds(Hold, TEXT, NS, NS, PLACES), max_size=2).map(tuple),
)


@given(TRACES)
def test_a_trace_survives_bytes(trace: Trace) -> None:
    data = codec.dumps(codec.packed_trace(trace))

    assert codec.trace_of(codec.loads(data)) == trace


@given(NS, NS, NS, PLACES)
def test_a_stall_survives_bytes(thread: int, start: int, end: int, place: Place | None) -> None:
    packed = (thread, start, end, place and (place.path, place.line, place.function))

    assert codec.stall_of(codec.loads(codec.dumps(packed))) == Stall(thread, start, end, place)

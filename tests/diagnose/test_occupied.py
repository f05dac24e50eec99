"""How much of a wait a process computed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.diagnose.story import Story, seen
from unslow.diagnose.occupied import Interval, _Ledger, occupied_share
from unslow.diagnose.views import Request
from unslow.model.trace import SQL, Trace

MS = 1_000_000


def share(trace: Trace, start_ms: float, end_ms: float, *, process: int | None = None) -> float:
    begins = trace.start_ns
    wait = (begins + int(start_ms * MS), begins + int(end_ms * MS))
    number = trace.process_id if process is None else process
    return occupied_share([Request(seen(trace))], [(number, wait)])


def test_a_task_computes_in_its_steps() -> None:
    trace = Story().runs(10).waits(SQL, 30).runs(10).trace()

    assert 1.0 == pytest.approx(share(trace, 0, 10), abs=0.05)
    assert 0.0 == pytest.approx(share(trace, 11, 39), abs=0.05)
    assert 0.4 == pytest.approx(share(trace, 0, 50), abs=0.02)


def test_a_thread_computes_where_it_does_not_wait() -> None:
    trace = Story(in_thread=True).runs(10).waits(SQL, 30).runs(10).trace()

    assert 0.4 == pytest.approx(share(trace, 0, 50), abs=0.02)


def test_another_process_is_not_occupied_by_it() -> None:
    assert 0.0 == share(Story().runs(50).trace(), 0, 50, process=7)


def test_two_at_once_occupy_it_once() -> None:
    trace = Story(in_thread=True).runs(50).trace()
    requests = [Request(seen(trace)), Request(seen(replace(trace, number=2)))]
    wait = (trace.start_ns, trace.start_ns + 100 * MS)

    assert 0.5 == pytest.approx(occupied_share(requests, [(trace.process_id, wait)]), abs=0.02)


def test_without_a_wait_nothing_is_shared() -> None:
    assert 0.0 == occupied_share([Request(seen(Story().runs(5).trace()))], [])


intervals = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda two: (min(two), max(two)))


@given(st.lists(intervals, max_size=12), intervals)
def test_a_ledger_counts_each_instant_once(kept: list[Interval], asked: Interval) -> None:
    covered = {instant for start, end in kept for instant in range(start, end)}

    assert len(covered & set(range(*asked))) == _Ledger(kept).within(*asked)

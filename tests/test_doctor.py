"""From what processes recorded to one report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from unslow.doctor import report_of, report_of_store
from unslow.model.codec import dumps, packed_trace
from unslow.model.trace import OWN_CODE, Coverage, Lane, Place, Process, Slice, Step, Trace
from unslow.store import Batch, Recorded, StoreMissingError, StoreWriter

MS = 1_000_000
LINE = Place("/srv/app.py", 7, "spin")


def process(number: int = 1, *coverage: Coverage) -> Process:
    return Process(number, 1.0, "3.11.7", 0, 0, coverage)


def request(start_ms: float, wall_ms: float, route: str = "/x") -> Trace:
    """A request whose only lane holds its loop for the whole time, in one line of own code."""
    start, end = int(start_ms * MS), int((start_ms + wall_ms) * MS)
    lane = Lane(
        "task", 5, -1, start, end, (Step(start, end),), (Slice(start, end, OWN_CODE, None, LINE),)
    )
    return Trace(1, 1, "GET", route, 200, start_ms / 1e3, start, end, end, 2, lanes=(lane,))


def waiting(start_ms: float, ready_ms: float, end_ms: float) -> Trace:
    """A request that was ready at a known time and could run only at its end."""
    start, ready, end = (int(value * MS) for value in (start_ms, ready_ms, end_ms))
    steps = (Step(start, start + 1), Step(end - 1, end, ready))
    lane = Lane("task", 5, -1, start, end, steps)
    return Trace(2, 1, "GET", "/waits", 200, start_ms / 1e3, start, end, end, 2, lanes=(lane,))


def test_requests_that_overlap_are_counted_and_not_alone() -> None:
    traces = (request(0, 10), request(5, 10), request(8, 4), request(50, 10), request(70, 1))

    (endpoint,) = report_of([Recorded(process(), traces, ())]).endpoints

    assert endpoint.concurrency_max == 3
    assert endpoint.requests_count == 5


def test_alone_and_crowded_requests_are_shown_apart() -> None:
    crowd = tuple(request(1000 + number, 50) for number in range(6))
    alone = tuple(request(100 * number, 10) for number in range(4))

    (endpoint,) = report_of([Recorded(process(), crowd + alone, ())]).endpoints

    assert endpoint.alone is not None
    assert endpoint.alone.requests_count == 4
    assert endpoint.alone.wall_ms.mean == pytest.approx(10)


def test_a_culprit_and_its_victim_are_found_and_added_over_processes() -> None:
    traces = (request(0, 30, "/spins"), waiting(-1, 10, 30))
    recorded = [Recorded(process(number), traces, ()) for number in (1, 2)]

    (blocked,) = report_of(recorded).blocked

    assert (blocked.route, blocked.place) == ("GET /spins", LINE)
    assert blocked.times_count == 2
    assert blocked.blocked_ms == pytest.approx(60)
    (victim,) = blocked.victims
    assert (victim.route, victim.requests_count) == ("GET /waits", 2)
    assert victim.least_ms == pytest.approx(40, abs=0.01)


def test_a_part_that_is_off_in_one_process_is_shown_as_off() -> None:
    recorded = [
        Recorded(process(1, Coverage("asyncpg", "on")), (), ()),
        Recorded(process(2, Coverage("asyncpg", "off", "why")), (), ()),
    ]

    assert report_of(recorded).coverage == (Coverage("asyncpg", "off", "why"),)


def test_what_was_dropped_is_said() -> None:
    facts = replace(process(), dropped_traces_count=3)
    trace = replace(request(0, 1), dropped_count=7)

    notes = report_of([Recorded(facts, (trace,), ())]).notes

    assert any("3 requests were not kept" in note for note in notes)
    assert any("7 slices were not kept" in note for note in notes)


def test_a_run_is_named_by_its_beginning(tmp_path: Path) -> None:
    for run in ("2026-01-01 a", "2026-01-02 b"):
        writer = StoreWriter(tmp_path, 2**20, run, process())
        writer.write(Batch((dumps(packed_trace(request(0, 1, "/" + run[-1]))),), ()), process())
        writer.close()

    assert report_of_store(tmp_path).endpoints[0].route == "/b"
    assert report_of_store(tmp_path, "2026-01-01").endpoints[0].route == "/a"
    with pytest.raises(StoreMissingError, match="no run whose name begins with '2025'"):
        report_of_store(tmp_path, "2025")


def test_progress_goes_from_little_to_all() -> None:
    told: list[float] = []
    traces = tuple(request(number, 1) for number in range(4))

    report_of([Recorded(process(), traces, ())], on_progress=told.append)

    assert told == sorted(told)
    assert told[-1] == 1.0

"""Samples weigh what they stand for; a fake clock, real frames."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from weakref import ReferenceType, ref

import pytest

from tests.injection.running import until
from unslow.current import OpenTrace, running
from unslow.record.lanes import unwatch_all
from unslow.record.recorder import Recorder
from unslow.record.watchdog import ThreadClock, Watchdog

THREAD = 12345
MS = 1_000_000


@pytest.fixture
def trace() -> Iterator[OpenTrace]:
    trace = OpenTrace("GET", 100)
    trace.root.thread_id = THREAD
    trace.root.step_start_ns = 0
    running[THREAD] = trace.root
    yield trace
    running.pop(THREAD, None)


@pytest.fixture
def watchdog() -> Watchdog:
    return Watchdog(Recorder())


def test_a_sample_stands_for_the_time_since_the_one_before(
    trace: OpenTrace, watchdog: Watchdog
) -> None:
    frame = sys._getframe()
    for now in (5 * MS, 10 * MS, 510 * MS):
        watchdog.tick(now, lambda: {THREAD: frame})

    assert [sample[1] for sample in trace.root.samples] == [5 * MS, 5 * MS, 500 * MS]
    place = trace.root.samples[0][2]
    assert place is not None
    assert place[0].co_name == "test_a_sample_stands_for_the_time_since_the_one_before"
    assert all(sample[3] for sample in trace.root.samples)


def test_a_new_step_starts_a_new_count(trace: OpenTrace, watchdog: Watchdog) -> None:
    frame = sys._getframe()
    watchdog.tick(5 * MS, lambda: {THREAD: frame})
    trace.root.step_start_ns = 8 * MS
    watchdog.tick(10 * MS, lambda: {THREAD: frame})

    assert [sample[1] for sample in trace.root.samples] == [5 * MS, 2 * MS]


def test_a_short_step_is_not_looked_at(trace: OpenTrace, watchdog: Watchdog) -> None:
    unwatch_all()
    looks: list[int] = []

    def look() -> dict[int, FrameType]:
        looks.append(1)
        return {}

    trace.root.step_start_ns = 30 * MS
    watchdog.tick(30 * MS, look)
    watchdog.tick(30 * MS + MS // 2, look)

    assert looks == []
    assert trace.root.samples == []


def test_a_library_below_own_code_is_not_innermost(trace: OpenTrace, watchdog: Watchdog) -> None:
    leave = threading.Event()

    def work() -> None:
        leave.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    waits = threading.Condition.wait.__code__
    until(lambda: sys._current_frames()[thread.ident or 0].f_code is waits)
    frames = sys._current_frames()
    watchdog.tick(5 * MS, lambda: {THREAD: frames[thread.ident or 0]})
    leave.set()
    thread.join()

    _, _, place, innermost, _, _ = trace.root.samples[0]
    assert place is not None
    assert place[0] is work.__code__
    assert innermost is False


def test_a_closed_trace_gets_no_sample(trace: OpenTrace, watchdog: Watchdog) -> None:
    trace.close()
    watchdog.tick(5 * MS, lambda: {THREAD: sys._getframe()})

    assert trace.root.samples == []


def test_samples_count_towards_the_bound(watchdog: Watchdog) -> None:
    trace = OpenTrace("GET", 2)
    trace.root.thread_id = THREAD
    trace.root.step_start_ns = 0
    running[THREAD] = trace.root
    for now in range(1, 6):
        watchdog.tick(now * MS, lambda: {THREAD: sys._getframe()})
    running.pop(THREAD)

    assert len(trace.root.samples) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="schedstat is Linux's")
class Frames(dict[int, FrameType]):
    """Something that can be seen to be gone."""


@pytest.mark.parametrize("was_collecting", [True, False])
def test_other_threads_frames_are_let_go_before_anything_that_lets_those_threads_run(
    trace: OpenTrace,
    watchdog: Watchdog,
    was_collecting: bool,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    request.addfinalizer(gc.enable if gc.isenabled() else gc.disable)
    (gc.enable if was_collecting else gc.disable)()
    frame = sys._getframe()
    looked: list[ReferenceType[Frames]] = []
    is_collecting: list[bool] = []

    def look() -> Frames:
        is_collecting.append(gc.isenabled())
        frames = Frames({THREAD: frame})
        looked.append(ref(frames))
        return frames

    def read(_: ThreadClock, thread_id: int) -> None:
        assert THREAD == thread_id
        assert [None] == [frames() for frames in looked]
        assert was_collecting is gc.isenabled()

    monkeypatch.setattr(ThreadClock, "read", read)
    watchdog.tick(5 * MS, look)

    assert 1 == len(trace.root.samples)
    assert [was_collecting and sys.version_info >= (3, 12)] == is_collecting
    assert was_collecting is gc.isenabled()


def test_the_cpu_time_of_a_thread_is_read() -> None:
    clock = ThreadClock()
    first = clock.read(threading.get_ident())
    assert first is not None
    deadline = time.thread_time() + 5
    # The kernel brings its counters up to date at its own ticks, some milliseconds apart.
    while clock.read(threading.get_ident()) == first and time.thread_time() < deadline:
        sum(range(10_000))
    second = clock.read(threading.get_ident())

    assert second is not None
    assert second[0] > first[0] > 0


def test_a_thread_that_is_gone_has_no_counters() -> None:
    assert ThreadClock().read(987654321) is None


def test_the_thread_starts_and_stops(watchdog: Watchdog) -> None:
    watchdog.start()
    names = [thread.name for thread in threading.enumerate()]
    watchdog.stop()

    assert "unslow-watchdog" in names
    assert "unslow-watchdog" not in [thread.name for thread in threading.enumerate()]


def test_it_does_not_call_what_an_apps_tests_put_in_the_place_of_sleep(
    watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    ticked = threading.Event()
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(watchdog, "tick", lambda *_: ticked.set())

    watchdog.start()
    assert ticked.wait(30)
    watchdog.stop()

    assert slept == []

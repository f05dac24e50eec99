"""Collections that interrupt a request."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator

import pytest

from tests.record.probes.asgi import receipt_ms
from tests.record.probes.conftest import Bench
from tests.record.probes.slices import slices_of
from unslow.current import LANE, clock
from unslow.model.trace import GC, OWN_CODE


@pytest.fixture
def probed(bench: Bench) -> Iterator[Bench]:
    gc.disable()
    bench.install("garbage")
    yield bench
    gc.enable()


class Knot:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.self = self


def test_a_collection_is_gc_within_what_it_interrupts(probed: Bench) -> None:
    times: list[int] = []

    async def work() -> None:
        lane = LANE.get()
        assert lane is not None
        start = clock()
        knots = [Knot() for _ in range(20_000)]
        del knots
        times.append(clock())
        assert 20_000 <= gc.collect()
        times.append(clock())
        lane.add(OWN_CODE, start, clock())

    trace = probed.run(work)

    (only,) = slices_of(trace, GC)
    begin, end = times
    assert "generation 2" == only[3]
    assert begin <= only[0] < only[1] <= end
    assert (only[1] - only[0]) / 1e6 == pytest.approx(receipt_ms(trace)["gc"])


def test_a_collection_that_the_interpreter_starts_is_seen(probed: Bench) -> None:
    def work() -> None:
        gc.enable()
        knots = [[Knot()] for _ in range(5_000)]
        gc.disable()
        assert 5_000 == len(knots)

    trace = probed.run(work)

    assert "generation 0" in {one[3] for one in slices_of(trace, GC)}


def test_each_request_has_the_collections_of_its_own_thread(probed: Bench) -> None:
    async def work() -> None:
        thread = threading.Thread(target=gc.collect)
        thread.start()
        await asyncio.to_thread(thread.join)

    assert [] == slices_of(probed.run(work), GC)


def test_outside_of_requests_nothing_happens(probed: Bench) -> None:
    gc.collect()

    assert [] == slices_of(probed.run(lambda: None), GC)


def test_an_app_that_clears_the_callbacks_stops_the_recording_and_nothing_else(
    bench: Bench,
) -> None:
    before = list(gc.callbacks)
    bench.install("garbage")
    assert len(before) + 1 == len(gc.callbacks)
    gc.callbacks.clear()
    trace = bench.run(gc.collect)
    bench.probes.stop()
    gc.callbacks.extend(before)

    assert [] == slices_of(trace, GC)
    assert before == gc.callbacks


def test_undo_removes_ours_and_leaves_the_others(bench: Bench) -> None:
    def theirs(phase: str, info: dict[str, int]) -> None:
        """Does nothing."""

    before = list(gc.callbacks)
    bench.install("garbage")
    gc.callbacks.append(theirs)
    bench.probes.stop()
    after = list(gc.callbacks)
    gc.callbacks.remove(theirs)

    assert [*before, theirs] == after

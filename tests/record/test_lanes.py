"""Tasks are driven step by step and behave as before."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import math
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import uvloop

from unslow.current import LANE, OpenTrace, running
from unslow.model.trace import UNEXPLAINED
from unslow.record.lanes import Steps, driven, run_in_lane, unwatch_all, watch, watched_loops

Runner = Callable[[Awaitable[Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Runner]:
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner.run  # type: ignore[misc]  # it gives what is awaited
        unwatch_all()


async def traced(work: Any) -> OpenTrace:
    watch(asyncio.get_running_loop())
    trace = OpenTrace("GET", 1_000)
    token = LANE.set(trace.root)
    try:
        await driven(work, trace.root)
    finally:
        LANE.reset(token)
        trace.close()
    return trace


def test_each_stretch_between_two_waits_is_a_step(run: Runner) -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    trace = run(traced(work()))

    assert len(trace.root.steps) == 3
    assert all(start <= end for start, end, _, _ in trace.root.steps)
    assert running == {}


def test_child_tasks_are_lanes_and_grandchildren_too(run: Runner) -> None:
    async def grandchild() -> int:
        await asyncio.sleep(0)
        return 1

    async def child() -> int:
        return sum(await asyncio.gather(grandchild(), grandchild()))

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child()) for _ in range(2)]
        assert [task.result() for task in tasks] == [2, 2]

    trace = run(traced(work()))

    assert [lane.parent for lane in trace.lanes] == [-1, 0, 0, 1, 1, 2, 2]
    assert all(lane.steps for lane in trace.lanes)


def test_the_wait_of_a_child_task_before_its_first_step_is_known(run: Runner) -> None:
    async def child() -> None:
        return None

    async def work() -> None:
        task = asyncio.ensure_future(child())
        await task

    trace = run(traced(work()))

    start, _, ready, _ = trace.lanes[1].steps[0]
    assert ready == trace.lanes[1].start_ns <= start


def test_a_timer_tells_when_its_task_could_have_run(run: Runner) -> None:
    async def work() -> None:
        asyncio.get_running_loop().call_soon(holds_the_loop)
        await asyncio.sleep(0.002)

    def holds_the_loop() -> None:
        until = time.perf_counter() + 0.02
        while time.perf_counter() < until:
            pass

    trace = run(traced(work()))

    (_, first_end, _, _), (start, _, _, known) = trace.root.steps
    assert first_end < known
    assert known - first_end < 3_000_000
    assert start - known > 15_000_000


def test_a_wake_up_over_several_callbacks_counts_from_the_first(run: Runner) -> None:
    """`shield` and `gather` wake their task by a callback of the inner one."""

    def holds_the_loop() -> None:
        until = time.perf_counter() + 0.01
        while time.perf_counter() < until:
            pass

    async def child() -> None:
        await asyncio.sleep(0)
        # Queued before the callback that tells the outer future.
        asyncio.get_running_loop().call_soon(holds_the_loop)

    async def work() -> None:
        await asyncio.shield(asyncio.ensure_future(child()))

    trace = run(traced(work()))

    child_end = trace.lanes[1].steps[-1][1]
    start, _, ready, _ = trace.root.steps[-1]
    assert abs(ready - child_end) < 2_000_000
    assert start - ready > 8_000_000


def test_a_long_wait_names_the_line_and_what_was_awaited(run: Runner) -> None:
    async def helper() -> None:
        await asyncio.sleep(0.005)

    async def work() -> None:
        await helper()

    trace = run(traced(work()))

    ((start, end, segment, what, place),) = trace.root.slices
    assert segment == UNEXPLAINED
    assert what == "asyncio.sleep"
    assert place is not None
    assert place[0] is helper.__code__
    assert end - start >= 4_000_000


def test_errors_results_and_cancellation_pass_through(run: Runner) -> None:
    seen: list[str] = []

    async def failing() -> None:
        await asyncio.sleep(0)
        raise LookupError("mine")

    async def cancelled() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def work() -> None:
        with pytest.raises(LookupError, match="mine"):
            await asyncio.ensure_future(failing())
        task = asyncio.ensure_future(cancelled())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.sleep(60)

    trace = run(traced(work()))

    assert seen == ["cancelled"]
    assert len(trace.lanes) == 3


def test_a_task_cancelled_before_its_first_step_leaves_no_warning(run: Runner) -> None:
    async def never() -> None:
        raise AssertionError

    async def work() -> None:
        task = asyncio.ensure_future(never())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(traced(work()))
        gc.collect()


def test_a_driven_coroutine_looks_like_the_one_inside(run: Runner) -> None:
    async def child() -> None:
        await asyncio.sleep(0)

    async def work() -> None:
        task = asyncio.ensure_future(child())
        await asyncio.sleep(0)
        coroutine: Any = task.get_coro()
        assert inspect.getcoroutinestate(coroutine) == "CORO_SUSPENDED"
        assert coroutine.__qualname__.endswith("child")
        assert "child" in repr(task)
        assert task.get_stack()[0].f_code is child.__code__
        await task

    run(traced(work()))


def test_tasks_outside_a_trace_are_left_alone(run: Runner) -> None:
    async def child() -> None:
        return None

    async def work() -> None:
        watch(asyncio.get_running_loop())
        task = asyncio.ensure_future(child())
        assert not isinstance(task.get_coro(), Steps)
        await task

    run(work())


def test_a_task_that_outlives_its_request_goes_on_unrecorded(run: Runner) -> None:
    done: list[bool] = []

    async def work() -> OpenTrace:
        async def lingering() -> None:
            await released.wait()
            done.append(True)

        async def request() -> None:
            tasks.append(asyncio.ensure_future(lingering()))
            await asyncio.sleep(0)

        released = asyncio.Event()
        tasks: list[asyncio.Task[None]] = []
        trace = await traced(request())
        steps = len(trace.lanes[1].steps)
        released.set()
        await tasks[0]
        assert len(trace.lanes[1].steps) == steps
        return trace

    trace = run(work())

    assert done == [True]
    assert trace.dropped_count == 0


def test_a_task_factory_that_was_there_is_still_asked(run: Runner) -> None:
    made: list[Any] = []

    def theirs(loop: asyncio.AbstractEventLoop, coro: Any, **rest: Any) -> asyncio.Task[Any]:
        made.append(coro)
        return asyncio.Task(coro, loop=loop, **rest)

    async def child() -> None:
        return None

    async def request() -> None:
        await asyncio.ensure_future(child())

    async def work() -> None:
        asyncio.get_running_loop().set_task_factory(theirs)
        await traced(request())
        unwatch_all()
        assert asyncio.get_running_loop().get_task_factory() is theirs

    run(work())

    assert len(made) == 1


def test_unwatching_gives_the_loop_back(run: Runner) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        before = dict(vars(loop))
        watch(loop)
        watch(loop)
        assert len(watched_loops()) == 1
        unwatch_all()
        assert loop.get_task_factory() is None
        assert {name: vars(loop)[name] for name in before} == before
        assert "call_soon" not in vars(loop)

    run(work())


def test_a_function_in_a_thread_is_a_lane_with_its_own_segment() -> None:
    trace = OpenTrace("GET", 100)

    result = run_in_lane(trace.root, 3, lambda a, b: a + b, (1,), {"b": 2})

    assert result == 3
    (lane,) = trace.lanes[1:]
    assert (lane.kind, lane.parent) == ("thread", 0)
    assert lane.slices == [(lane.start_ns, lane.end_ns, 3, None, None)]
    assert LANE.get() is None


def test_a_full_trace_says_what_it_dropped(run: Runner) -> None:
    async def request() -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    async def work() -> OpenTrace:
        watch(asyncio.get_running_loop())
        trace = OpenTrace("GET", 10)
        await driven(request(), trace.root)
        trace.close()
        return trace

    trace = run(work())

    # A wait that a busy machine made long takes one of the ten places, and counts when it does not.
    assert 8 <= len(trace.root.steps) <= 10
    assert trace.dropped_count >= 41


@pytest.mark.parametrize("wait_s", [math.inf, 1e300])
def test_a_sleep_without_end_is_a_sleep(run: Runner, wait_s: float) -> None:
    async def work() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.sleep(wait_s)

    trace = run(traced(work()))

    assert trace.end_ns - trace.start_ns >= 9_000_000

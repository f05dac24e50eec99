"""Worker threads, executors and threads of a request's own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Any

import anyio
import anyio._backends._asyncio
import anyio.from_thread
import anyio.to_thread
import pytest

from tests.record.probes.asgi import function_of, receipt_ms
from tests.record.probes.conftest import Bench
from tests.record.probes.slices import OwnTime, slices_of
from unslow.current import LANE, THREAD, Lane, OpenTrace, clock, running
from unslow.model.trace import BLOCKING, OWN_CODE, REMOTE, SERIALIZATION, SQL, THREAD_QUEUE

MS = 1_000_000
PATIENCE_S = 30


@pytest.fixture
def probed(bench: Bench) -> Iterator[Bench]:
    bench.install("threads")
    threads = set(threading.enumerate())
    yield bench
    for thread in set(threading.enumerate()) - threads:
        thread.join(PATIENCE_S)
    assert {} == running


def wait_ms(length: float) -> None:
    """Waits as a driver does, without holding the interpreter's lock."""
    threading.Event().wait(length / 1000)


async def until(event: threading.Event) -> None:
    """Lets the loop run until a thread has set the event."""
    while not event.is_set():  # noqa: ASYNC110  # the event is one of threads
        await asyncio.sleep(0.001)


def threads_of(trace: OpenTrace) -> list[Lane]:
    return [lane for lane in trace.lanes if lane.kind == THREAD]


Way = Callable[[Callable[[], Any]], Awaitable[Any]]


async def by_anyio(function: Callable[[], Any]) -> Any:
    return await anyio.to_thread.run_sync(function)


async def by_asyncio(function: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(function)


async def by_default_executor(function: Callable[[], Any]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, function)


async def by_executor(function: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as executor:
        return await asyncio.wrap_future(executor.submit(function))


async def by_context(function: Callable[[], Any]) -> Any:
    """As asgiref's `sync_to_async` does it."""
    context = copy_context()

    def handler(_: Any, run: Any, child: Any) -> Any:
        return run(child)

    call = functools.partial(handler, None, context.run, functools.partial(function))
    return await asyncio.get_running_loop().run_in_executor(None, call)


ways = pytest.mark.parametrize(
    "way", [by_anyio, by_asyncio, by_default_executor, by_executor, by_context]
)


@ways
def test_a_function_in_a_thread_is_own_code_in_a_lane_of_the_request(
    probed: Bench, way: Way
) -> None:
    own = OwnTime()
    seen: list[Lane | None] = []

    def work_in_thread() -> str:
        own.spend_ms(5)
        seen.append(LANE.get())
        return threading.current_thread().name

    async def work() -> None:
        name = await way(work_in_thread)
        assert name != threading.current_thread().name
        assert LANE.get() is not None
        assert "task" == LANE.get().kind  # type: ignore[union-attr]  # just looked at

    trace = probed.run(work)

    (lane,) = threads_of(trace)
    (only,) = slices_of(trace, OWN_CODE)
    assert ([lane], 0) == (seen, lane.parent)
    assert only[0] <= own.stretches[0][0] < own.stretches[0][1] <= only[1]
    assert 5 <= receipt_ms(trace)["own-code"]
    if way is not by_context:
        assert "work_in_thread" == function_of(only)


@ways
def test_results_errors_and_context_variables_pass_as_before(probed: Bench, way: Way) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="unset")

    def look() -> str:
        seen = variable.get()
        variable.set("set in the thread")
        return f"{seen} then {variable.get()}"

    def fail() -> None:
        raise LookupError("mine")

    async def work() -> list[str]:
        variable.set("set by the task")
        said = [await way(look), await way(look), variable.get()]
        with pytest.raises(LookupError, match="mine"):
            await way(fail)
        return said

    without = asyncio.run(work())
    said: list[list[str]] = []

    async def traced() -> None:
        said.append(await work())

    probed.run(traced)

    assert [without] == said
    assert "set by the task" == without[2]


def test_the_wait_for_the_limiter_is_thread_queue(probed: Bench) -> None:
    held = threading.Event()
    released = threading.Event()
    times: list[int] = []

    def hold() -> None:
        held.set()
        released.wait(PATIENCE_S)

    def second() -> None:
        times.append(clock())

    async def work() -> None:
        limiter = anyio.CapacityLimiter(1)
        other = asyncio.create_task(anyio.to_thread.run_sync(hold, limiter=limiter))
        await until(held)
        times.append(clock())
        asyncio.get_running_loop().call_later(0.03, released.set)
        await anyio.to_thread.run_sync(second, limiter=limiter)
        await other

    trace = probed.run(work)

    queued = next(one for one in slices_of(trace, THREAD_QUEUE) if function_of(one) == "second")
    asked, started = times
    assert asked <= queued[0] <= asked + 5 * MS
    assert 25 * MS <= queued[1] - queued[0]
    assert 25 * MS <= started - queued[0]
    assert queued in trace.root.slices


def test_the_wait_for_an_executors_thread_is_thread_queue(probed: Bench) -> None:
    times: list[int] = []

    def first() -> None:
        wait_ms(20)
        times.append(clock())

    def second() -> None:
        times.append(clock())

    async def work() -> None:
        with ThreadPoolExecutor(1) as executor:
            loop = asyncio.get_running_loop()
            futures = [loop.run_in_executor(executor, one) for one in (first, second)]
            times.append(clock())
            await asyncio.gather(*futures)

    trace = probed.run(work)

    before, behind = threads_of(trace)
    (queued,) = [one for one in behind.slices if one[2] == THREAD_QUEUE]
    submitted, ended, started = times
    assert behind.start_ns == queued[0] <= submitted
    assert ended <= before.end_ns <= queued[1] <= started
    assert "second" == function_of(queued)


def test_a_function_of_a_library_goes_on_with_what_its_caller_did(probed: Bench) -> None:
    own = OwnTime()
    inherit = functools.partial(next, iter(()))

    class Slow(dict[str, str]):
        def __missing__(self, key: str) -> str:
            own.spend_ms(5)
            return key

    async def work() -> None:
        lane = LANE.get()
        assert lane is not None
        start = clock()
        assert "a" == await anyio.to_thread.run_sync("{a}".format_map, Slow())
        lane.add(SERIALIZATION, start, clock())
        assert "none" == await anyio.to_thread.run_sync(inherit, "none")

    trace = probed.run(work)

    assert [] == slices_of(trace, OWN_CODE)
    assert 5 <= receipt_ms(trace)["serialization"]


def test_the_loops_delay_behind_a_thread_is_loop_busy(probed: Bench) -> None:
    own = OwnTime()
    done: list[int] = []
    in_thread = threading.Event()

    def quick() -> None:
        in_thread.wait(PATIENCE_S)
        done.append(clock())

    async def victim() -> None:
        await anyio.to_thread.run_sync(quick)
        done.append(clock())

    async def culprit() -> None:
        in_thread.set()
        # The thread ends within this stretch, in which nothing else runs on the loop.
        while not done:
            own.spend_ms(1)
        own.spend_ms(20)

    async def work() -> None:
        task = asyncio.create_task(victim())
        await asyncio.sleep(0.01)
        # Outside of the request: it does not hide what the victim waits for.
        token = LANE.set(None)
        other = asyncio.create_task(culprit())
        LANE.reset(token)
        await asyncio.gather(task, other)

    trace = probed.run(work)

    ended, resumed = done
    assert 20 * MS <= resumed - ended
    # Less what the thread waited for the interpreter's lock before it could say that it is done.
    assert 10 <= receipt_ms(trace)["loop-busy"] <= (resumed - ended) / MS + 5


def test_a_call_that_is_cancelled_in_the_queue_leaves_only_its_wait(probed: Bench) -> None:
    called: list[str] = []

    async def work() -> None:
        limiter = anyio.CapacityLimiter(1)
        async with limiter:
            # A task holds the limiter as one borrower only, so another one has to ask.
            task = asyncio.create_task(
                anyio.to_thread.run_sync(called.append, "x", limiter=limiter)
            )
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    trace = probed.run(work)

    assert [] == called
    assert [] == threads_of(trace)
    (queued,) = slices_of(trace, THREAD_QUEUE)
    assert [queued] == trace.lanes[1].slices[-1:]


def test_a_thread_that_is_abandoned_does_not_hold_its_request(probed: Bench) -> None:
    released = threading.Event()
    started = threading.Event()
    lanes: list[Lane | None] = []

    def work_in_thread() -> None:
        lanes.append(LANE.get())
        started.set()
        released.wait(PATIENCE_S)

    async def work() -> None:
        with anyio.CancelScope() as scope:
            loop = asyncio.get_running_loop()
            leaving = loop.create_task(until(started))
            leaving.add_done_callback(lambda _: scope.cancel())
            await anyio.to_thread.run_sync(work_in_thread, abandon_on_cancel=True)
        assert scope.cancelled_caught

    async def run() -> OpenTrace:
        try:
            return await probed.run_async(work)
        finally:
            released.set()

    trace = asyncio.run(run())

    (lane,) = threads_of(trace)
    (only,) = slices_of(trace, OWN_CODE)
    assert ([lane], [only]) == (lanes, lane.slices)
    assert only[1] <= trace.end_ns
    assert 0 < receipt_ms(trace)["own-code"]


def test_a_coroutine_from_a_thread_is_a_lane_and_the_thread_waits_for_it(probed: Bench) -> None:
    own = OwnTime()

    async def on_loop() -> str:
        lane = LANE.get()
        assert lane is not None
        start = clock()
        await asyncio.sleep(0.02)
        lane.add(SQL, start, clock(), 0)
        own.spend_ms(5)
        return "from the loop"

    def work_in_thread() -> str:
        own.spend_ms(5)
        said = anyio.from_thread.run(on_loop)
        own.spend_ms(5)
        return said

    async def work() -> None:
        assert "from the loop" == await anyio.to_thread.run_sync(work_in_thread)

    trace = probed.run(work)
    receipt = receipt_ms(trace)

    before, behind = threads_of(trace)
    (task,) = [lane for lane in trace.lanes[1:] if lane.kind == "task"]
    assert (0, 0, before.index) == (before.parent, behind.parent, task.parent)
    assert before.start_ns < task.start_ns < behind.start_ns
    assert 15 <= receipt["own-code"]
    assert 18 <= receipt["sql"]
    assert "concurrent.futures.Future.result" not in {one[3] for one in slices_of(trace, BLOCKING)}


def test_a_function_that_a_thread_runs_on_the_loop_works_as_before(probed: Bench) -> None:
    def work_in_thread() -> Any:
        return anyio.from_thread.run_sync(asyncio.get_running_loop)

    async def work() -> None:
        loop = await anyio.to_thread.run_sync(work_in_thread)
        assert loop is asyncio.get_running_loop()

    assert 1 <= len(threads_of(probed.run(work)))


def test_a_thread_that_shares_its_work_shows_what_the_others_do(probed: Bench) -> None:
    def ask(number: int) -> int:
        lane = LANE.get()
        assert lane is not None
        start = clock()
        wait_ms(20)
        lane.add(REMOTE, start, clock(), "somewhere")
        return number

    def work_in_thread() -> list[int]:
        with ThreadPoolExecutor(2) as executor:
            return list(executor.map(ask, range(4)))

    async def work() -> None:
        assert [0, 1, 2, 3] == await asyncio.to_thread(work_in_thread)

    trace = probed.run(work)
    receipt = receipt_ms(trace)

    assert 30 <= receipt["remote"]
    assert receipt["own-code"] + receipt["blocking"] < receipt["remote"]


def test_waiting_for_a_future_on_the_loop_is_blocking(probed: Bench) -> None:
    times: list[int] = []

    def slow() -> None:
        wait_ms(20)
        times.append(clock())

    async def work() -> None:
        with ThreadPoolExecutor(1) as executor:
            future = executor.submit(slow)
            times.append(clock())
            assert future.result() is None
            times.append(clock())
            with pytest.raises(concurrent.futures.TimeoutError):
                executor.submit(slow).result(timeout=0.005)

    trace = probed.run(work)

    # A thread may be slow to start on a machine that is busy.
    waits = [one for one in slices_of(trace, BLOCKING) if one[3] != "threading.Thread.start"]
    result, short, leaving = waits
    assert ["concurrent.futures.Future.result"] * 2 == [result[3], short[3]]
    assert "threading.Thread.join" == leaving[3]
    assert ["work"] * 3 == [function_of(one) for one in (result, short, leaving)]
    asked, ended, got, _ = times
    assert asked <= result[0] < ended <= result[1] <= got


def test_a_thread_that_a_request_starts_and_joins_is_own_code(probed: Bench) -> None:
    own = OwnTime()

    def work_in_thread() -> None:
        own.spend_ms(5)

    class Worker(threading.Thread):
        def run(self) -> None:
            own.spend_ms(5)

    async def work() -> None:
        threads = [
            threading.Thread(target=work_in_thread),
            threading.Thread(target=copy_context().run, args=(work_in_thread,)),
            Worker(),
        ]
        for thread in threads:
            thread.start()
            await asyncio.to_thread(thread.join)
            assert "run" not in vars(thread)

    trace = probed.run(work)

    functions = [function_of(one) for one in slices_of(trace, OWN_CODE)]
    assert ["work_in_thread", "work_in_thread", "run"] == functions
    assert 3 == len(threads_of(trace)) - 3
    assert 15 <= receipt_ms(trace)["own-code"]


def test_a_thread_that_outlives_its_request_counts_only_with_its_waits(probed: Bench) -> None:
    released = threading.Event()
    waited = threading.Event()
    ended = threading.Event()

    def serve() -> None:
        lane = LANE.get()
        assert lane is not None
        start = clock()
        wait_ms(10)
        lane.add(SQL, start, clock(), 0)
        waited.set()
        released.wait(PATIENCE_S)
        lane.add(SQL, start, clock(), 0)
        ended.set()

    async def work() -> None:
        threading.Thread(target=serve, daemon=True).start()
        await until(waited)
        await asyncio.sleep(0.02)

    trace = probed.run(work)
    receipt = receipt_ms(trace)
    released.set()
    assert ended.wait(PATIENCE_S)

    assert [] == threads_of(trace)
    assert 1 == len(slices_of(trace, SQL))
    assert 0 == receipt["own-code"]
    assert 10 <= receipt["unexplained"]


def test_threads_of_libraries_and_those_outside_of_requests_are_left_alone(probed: Bench) -> None:
    called: list[Any] = []

    async def work() -> None:
        timer = threading.Timer(0.001, called.append, ("timer",))
        timer.start()
        await asyncio.to_thread(timer.join)

    trace = probed.run(work)
    thread = threading.Thread(target=lambda: called.append(LANE.get()))
    thread.start()
    thread.join()
    with ThreadPoolExecutor(1) as executor:
        called.append(executor.submit(LANE.get).result())

    assert ["timer", None, None] == called
    assert 1 == len(threads_of(trace))


def test_a_thread_that_cannot_start_fails_as_before(
    probed: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    async def work() -> None:
        thread = threading.Thread(target=wait_ms, args=(1,))
        with monkeypatch.context() as patch:
            patch.setattr("threading._start_new_thread", refuse)
            with pytest.raises(RuntimeError, match="can't start"):
                thread.start()
        assert "run" not in vars(thread)

    probed.run(work)


def test_a_full_trace_takes_no_more_lanes_and_all_runs(probed: Bench) -> None:
    async def work() -> None:
        lane = LANE.get()
        assert lane is not None
        lane.trace.left = 0
        assert [1, 1, 1] == [
            await way(lambda: 1) for way in (by_anyio, by_asyncio, by_default_executor)
        ]

    assert [] == threads_of(probed.run(work))


def test_undo_leaves_nothing_behind(bench: Bench) -> None:
    owners = (
        anyio._backends._asyncio.AsyncIOBackend,
        concurrent.futures.Future,
        ThreadPoolExecutor,
        threading.Thread,
    )
    before = [dict(vars(owner)) for owner in owners]

    bench.install("threads")
    during = [dict(vars(owner)) for owner in owners]
    bench.probes.stop()

    assert all(one != other for one, other in zip(before, during, strict=True))
    assert before == [dict(vars(owner)) for owner in owners]

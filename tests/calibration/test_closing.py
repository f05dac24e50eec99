"""However a request ends, its trace closes rightly and the app behaves as without us."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import anyio
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.middleware.base import BaseHTTPMiddleware

from tests.calibration.driver import Driver, Exchange, Recording, Seen, get
from tests.calibration.stage import LOOPS
from tests.calibration.truth import Truth, spent
from tests.calibration.world import spin
from unslow.current import LANE, running
from unslow.model.trace import OWN_CODE, SEGMENTS
from unslow.record.middleware import call_traced
from unslow.record.recorder import Recorder

SECRET = "secret-in-an-error"
AFTER_MS = 5.0


class OwnError(Exception):
    """An error of the app's own."""


async def pause() -> int:
    await asyncio.sleep(0.002)
    return 1


async def failing() -> None:
    await asyncio.sleep(0)
    raise OwnError(SECRET)


async def teardown() -> AsyncIterator[None]:
    yield
    with spent("own-code"):
        spin(AFTER_MS)


def make_app() -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.get("/gather")
    async def gather() -> int:
        return sum(await asyncio.gather(*(pause() for _ in range(5))))

    @app.get("/group")
    async def group() -> int:
        async with asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(pause()) for _ in range(5)]
        return sum(task.result() for task in started)

    @app.get("/anyio-group")
    async def anyio_group() -> int:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(pause)
        return 5

    @app.get("/failing-group")
    async def failing_group() -> str:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(failing())
                tasks.create_task(asyncio.sleep(10))
        except ExceptionGroup as errors:
            return type(errors.exceptions[0]).__name__
        return "no error"

    @app.get("/thread")
    def in_thread() -> int:
        return len(os.getcwd())

    @app.get("/threads")
    async def in_threads() -> int:
        return sum(await asyncio.gather(*(asyncio.to_thread(len, "abc") for _ in range(5))))

    @app.get("/back-from-a-thread")
    async def back_from_thread() -> int:
        return await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(pause))

    @app.get("/generator")
    async def generator() -> list[int]:
        async def numbers() -> AsyncIterator[int]:
            for number in range(3):
                await asyncio.sleep(0)
                yield number

        return [number async for number in numbers()]

    @app.get("/background")
    async def background(tasks: BackgroundTasks) -> None:
        tasks.add_task(spin, AFTER_MS)

    @app.get("/teardown", dependencies=[Depends(teardown)])
    async def torn_down() -> None:
        return None

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(3):
                await asyncio.sleep(0.001)
                yield b"part"

        return StreamingResponse(parts())

    @app.get("/broken-stream")
    async def broken_stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"part"
            raise OwnError(SECRET)

        return StreamingResponse(parts())

    @app.get("/error")
    async def error() -> None:
        raise OwnError(SECRET)

    @app.get("/error-in-thread")
    def error_in_thread() -> None:
        raise OwnError(SECRET)

    @app.get("/not-allowed")
    async def not_allowed() -> None:
        raise HTTPException(403, "not you")

    @app.get("/timeout")
    async def timeout() -> JSONResponse:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)
        except TimeoutError:
            return JSONResponse("too slow", 504)
        raise AssertionError

    @app.get("/cancelled-child")
    async def cancelled_child() -> str:
        child = asyncio.ensure_future(asyncio.sleep(10))
        await asyncio.sleep(0)
        child.cancel()
        try:
            await child
        except asyncio.CancelledError:
            return "cancelled"
        return "not cancelled"

    @app.get("/leaves-a-task")
    async def leaves_a_task(request: Request) -> None:
        request.app.state.left = asyncio.ensure_future(asyncio.sleep(0.02, "done"))

    @app.get("/waits")
    async def waits(request: Request) -> None:
        request.app.state.waiting.set()
        await asyncio.sleep(10)

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.close()

    app.mount("/below", sub_application())
    return app


def sub_application() -> FastAPI:
    below = FastAPI(openapi_url=None)

    @below.get("/item")
    async def item() -> str:
        return "item"

    return below


async def add_header(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    response = await call_next(request)
    response.headers["passed"] = "yes"
    return response


PATHS = (
    "/gather",
    "/group",
    "/anyio-group",
    "/failing-group",
    "/thread",
    "/threads",
    "/back-from-a-thread",
    "/generator",
    "/background",
    "/teardown",
    "/stream",
    "/broken-stream",
    "/error",
    "/error-in-thread",
    "/not-allowed",
    "/timeout",
    "/cancelled-child",
    "/leaves-a-task",
    "/below/item",
    "/nowhere",
)


@pytest.fixture(params=LOOPS)
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
        yield runner


@pytest.fixture(params=["plain", "under BaseHTTPMiddleware"])
def app(request: pytest.FixtureRequest) -> FastAPI:
    app = make_app()
    if request.param != "plain":
        app.add_middleware(BaseHTTPMiddleware, dispatch=add_header)
    return app


@pytest.fixture
def driver(recording: Recording, app: FastAPI) -> Driver:
    return Driver(recording, app)


def line_ms(segments_ns: tuple[int, ...], name: str) -> float:
    return segments_ns[SEGMENTS.index(name)] / 1e6


async def without_us(app: Any, exchange: Exchange) -> Exchange:
    """Sends a request past us: what is under no trace is not recorded."""
    exchange.scope = exchange.new_scope()
    # The probe of Starlette opens no trace where one seems to be open.
    exchange.scope["unslow"] = None
    try:
        await app(exchange.scope, exchange.receive, exchange.send)
    except Exception as error:
        exchange.error = error
    return exchange


def outcome(exchange: Exchange) -> tuple[Any, ...]:
    error = exchange.error
    return exchange.messages, type(error), str(error)


def closed(seen: Seen) -> None:
    """What holds for each trace, however it ended."""
    trace = seen.trace
    assert trace.start_ns < trace.response_end_ns <= trace.end_ns
    assert trace.dropped_count == 0
    assert trace.end_ns - trace.start_ns <= seen.wall_ns
    assert all(lane.start_ns <= lane.end_ns <= trace.end_ns for lane in trace.lanes)
    assert LANE.get() is None
    assert running == {}


@pytest.mark.parametrize("path", PATHS)
def test_a_request_closes_its_trace_and_is_answered_as_without_us(
    runner: asyncio.Runner, driver: Driver, app: FastAPI, path: str
) -> None:
    recorded, bare = get(path), get(path)

    (seen,) = runner.run(driver.send(recorded))
    runner.run(without_us(app, bare))

    closed(seen)
    assert outcome(recorded) == outcome(bare)
    assert seen.trace.status == recorded.status
    assert seen.trace.response_bytes == len(recorded.answer)
    assert seen.trace.error == ("" if recorded.error is None else type(recorded.error).__name__)
    assert not seen.trace.disconnected


@pytest.mark.parametrize("path", ["/gather", "/group", "/anyio-group", "/threads"])
def test_the_tasks_and_threads_of_a_request_are_its_lanes(
    runner: asyncio.Runner, driver: Driver, path: str
) -> None:
    (seen,) = runner.run(driver.send(get(path)))

    lanes = seen.trace.lanes
    assert len(lanes) >= 6
    assert all(lane.kind == "thread" or lane.steps for lane in lanes)
    # They end when they are done, not with the request: what they waited for at last is over.
    assert sum(lane.end_ns < seen.trace.response_end_ns for lane in lanes) >= 5


@pytest.mark.parametrize("path", ["/background", "/teardown"])
def test_what_runs_behind_the_response_has_a_receipt_of_its_own(
    runner: asyncio.Runner, driver: Driver, path: str
) -> None:
    (seen,) = runner.run(driver.send(get(path)))

    assert line_ms(seen.after.segments_ns, "own-code") >= AFTER_MS * 0.95
    assert line_ms(seen.receipt.segments_ns, "own-code") < AFTER_MS


@pytest.mark.parametrize("path", ["/error", "/error-in-thread", "/broken-stream"])
def test_of_an_error_only_its_type_is_kept(
    runner: asyncio.Runner, driver: Driver, path: str
) -> None:
    (seen,) = runner.run(driver.send(get(path)))

    assert seen.trace.error == "OwnError"
    assert SECRET not in repr(seen.trace)


def test_a_stream_ends_with_its_last_part(runner: asyncio.Runner, driver: Driver) -> None:
    exchange = replace(get("/stream"), read_delay_s=0.005)

    (seen,) = runner.run(driver.send(exchange))

    assert seen.trace.response_bytes == 12
    # Three parts and the empty one behind them.
    assert line_ms(seen.receipt.segments_ns, "send") >= 20 * 0.95


def test_a_client_that_leaves_is_noted(
    runner: asyncio.Runner, driver: Driver, app: FastAPI
) -> None:
    recorded, bare = (replace(get("/stream"), leaves=True) for _ in range(2))

    (seen,) = runner.run(driver.send(recorded))
    runner.run(without_us(app, bare))

    closed(seen)
    assert seen.trace.disconnected
    assert outcome(recorded) == outcome(bare)


def test_a_request_that_is_cancelled_closes_its_trace(
    runner: asyncio.Runner, driver: Driver, app: FastAPI
) -> None:
    async def cancelled() -> Seen:
        app.state.waiting = asyncio.Event()
        exchange = get("/waits")
        request = asyncio.ensure_future(driver.send(exchange))
        await app.state.waiting.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        return driver.seen(exchange)

    trace = runner.run(cancelled()).trace

    assert (trace.status, trace.error) == (0, "CancelledError")
    assert trace.response_end_ns == trace.end_ns
    assert running == {}


def test_a_timeout_around_the_app_closes_the_trace(
    runner: asyncio.Runner, driver: Driver, app: FastAPI
) -> None:
    async def timed_out() -> Seen:
        app.state.waiting = asyncio.Event()
        exchange = get("/waits")

        async def set_alarm() -> None:
            await app.state.waiting.wait()
            limit.reschedule(asyncio.get_running_loop().time() + 0.01)

        alarm = asyncio.ensure_future(set_alarm())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(None) as limit:
                await driver.send(exchange)
        await alarm
        return driver.seen(exchange)

    seen = runner.run(timed_out())

    assert seen.trace.error == "CancelledError"
    assert sum(seen.receipt.segments_ns) >= 9e6


def test_a_task_that_outlives_its_request_goes_on_unseen(
    runner: asyncio.Runner, driver: Driver, app: FastAPI
) -> None:
    async def left() -> tuple[Seen, str]:
        (seen,) = await driver.send(get("/leaves-a-task"))
        return seen, await app.state.left

    seen, result = runner.run(left())

    closed(seen)
    assert result == "done"


def test_a_mounted_app_opens_no_second_trace(runner: asyncio.Runner, driver: Driver) -> None:
    (seen,) = runner.run(driver.send(get("/below/item")))

    assert not driver.recording.recorder.closed
    assert seen.trace.route == "/below/item"


def test_a_body_is_passed_on_as_it_came(runner: asyncio.Runner, driver: Driver) -> None:
    body = b"0123456789" * 100
    exchange = Exchange("POST", "/echo", body)

    (seen,) = runner.run(driver.send(exchange))

    assert exchange.answer == body
    assert seen.trace.response_bytes == 1_000


def test_a_trace_that_is_full_says_how_much_it_did_not_keep(
    runner: asyncio.Runner, recording: Recording
) -> None:
    async def busy(_scope: Any, _receive: Any, send: Any) -> None:
        for number in range(500):
            lane = LANE.get()
            assert lane is not None
            lane.add(OWN_CODE, number, number + 1)
            lane.new_statement("SELECT 1", "test", None)
            await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def request() -> Seen:
        recorder.recording = True
        exchange = get("/")
        exchange.scope = exchange.new_scope()
        await call_traced(busy, recorder, exchange.scope, exchange.receive, exchange.send)
        driver.truths.by_number[exchange.scope["unslow"].number] = Truth()
        return driver.seen(exchange)

    recorder = Recorder(slices_per_trace=100)
    driver = Driver(recording, busy)
    trace = runner.run(request()).trace

    kept = sum(len(lane.slices) + len(lane.steps) + len(lane.samples) for lane in trace.lanes)
    assert kept == 100
    assert len(trace.statements) <= 100
    # 500 slices and 501 steps, two sends and what the watchdog saw.
    assert trace.dropped_count >= 1_003 - 100
    assert (trace.status, trace.error) == (204, "")


class Probe:
    """An app that notes what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def __call__(self, *arguments: Any) -> None:
        self.calls.append(arguments)


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
def test_lifespan_and_websockets_pass_untouched(
    runner: asyncio.Runner, recording: Recording, kind: str
) -> None:
    async def receive() -> Any:
        raise AssertionError

    async def send(_: Any) -> None:
        raise AssertionError

    scope, probe = {"type": kind}, Probe()

    async def call() -> None:
        await call_traced(probe, recording.recorder, scope, receive, send)

    runner.run(call())

    assert probe.calls == [(scope, receive, send)]
    assert probe.calls[0][0] is scope
    assert scope == {"type": kind}
    assert not recording.recorder.closed


def test_a_websocket_is_served_as_without_us(
    runner: asyncio.Runner, recording: Recording, app: FastAPI
) -> None:
    async def talk() -> list[Any]:
        incoming = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}]
        sent: list[Any] = []

        async def receive() -> Any:
            return incoming.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = get("/socket").new_scope() | {"type": "websocket", "scheme": "ws"}
        await call_traced(app, recording.recorder, scope, receive, send)
        return sent

    messages = runner.run(talk())

    assert [one["type"] for one in messages] == [
        "websocket.accept",
        "websocket.send",
        "websocket.close",
    ]
    assert messages[1]["text"] == "hello"
    assert not recording.recorder.closed

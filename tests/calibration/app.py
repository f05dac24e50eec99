"""The calibration app: for each segment an endpoint that spends a known time in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from time import perf_counter_ns
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, PlainSerializer, WrapValidator

from tests.calibration.deeds import AWAITED, CALLED, CalledDeed, many_objects
from tests.calibration.truth import child_lane, endpoint, note, spent
from tests.calibration.world import World, spin

CULPRIT_MS = 30.0
VALIDATION_MS = 20.0
SERIALIZATION_MS = 20.0
TIMER_S = 0.005
RECORDED = 3_000
PART = b"x" * 100_000


def _slow_to_validate(value: Any) -> Any:
    with spent("validation"):
        spin(VALIDATION_MS)
    return value


def _slow_to_serialize(value: str) -> str:
    with spent("serialization"):
        spin(SERIALIZATION_MS)
    return value


class Parcel(BaseModel):
    """A body that takes its time to be checked."""

    name: Annotated[str, BeforeValidator(_slow_to_validate)]


class Letter(BaseModel):
    """An answer that takes its time to be written."""

    name: Annotated[str, PlainSerializer(_slow_to_serialize)]


class Line(BaseModel):
    """A line of a large body or answer."""

    number: int
    name: str
    tags: list[str]


MANY_LINES = [Line(number=number, name="name", tags=["a", "b"]) for number in range(30_000)]
"""They live on: to free them would be a part of the request."""


def _timed(segment: str) -> Callable[[Any, Callable[[Any], Any]], Any]:
    def timed(value: Any, handler: Callable[[Any], Any]) -> Any:
        with spent(segment):
            return handler(value)

    return timed


BodyLines = Annotated[list[Line], WrapValidator(_timed("validation"))]


class TimedRequest(Request):
    """The app's own stop watch around the reading of JSON."""

    async def json(self) -> Any:
        with spent("validation"):
            return await super().json()


class TimedRoute(APIRoute):
    """A route whose endpoint gets a `TimedRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def timed(request: Request) -> Response:
            return await handle(TimedRequest(request.scope, request.receive))

        return timed


async def in_child_lane(work: Awaitable[Any]) -> None:
    with child_lane(), spent("own-code"):
        await work


def called_in_thread(deed: CalledDeed, world: World, asked_ns: int) -> int:
    note("thread-queue", asked_ns)
    with spent("own-code"):
        deed(world)
    return perf_counter_ns()


def make_app(world: World, *, http_middleware: bool = False, routes_before: int = 0) -> FastAPI:
    """The app, over what it speaks to."""
    app = FastAPI(openapi_url=None)
    for number in range(routes_before):
        app.get(f"/other/{number}/{{item}}/never")(_never)
    _add_deeds(app, world)
    _add_exchanges(app)
    _add_culprit_and_victims(app, world)
    _add_afterwards(app, world)
    if http_middleware:

        @app.middleware("http")
        async def tag(request: Request, call_next: Callable[..., Awaitable[Response]]) -> Response:
            response = await call_next(request)
            response.headers["tag"] = "tagged"
            return response

    return app


async def _never() -> None:
    raise AssertionError("these routes are only there to be passed by")


def _add_deeds(app: FastAPI, world: World) -> None:
    @app.get("/alone/{deed}")
    async def alone(deed: str) -> str:
        with endpoint():
            await AWAITED[deed](world)
        return deed

    @app.get("/many-objects")
    async def load_many_objects() -> int:
        with endpoint():
            return many_objects(world)

    @app.get("/sequence/{first}/{second}")
    async def sequence(first: str, second: str) -> str:
        with endpoint():
            await AWAITED[first](world)
            await AWAITED[second](world)
        return first

    @app.get("/gather/{first}/{second}")
    async def gather(first: str, second: str) -> str:
        with endpoint(), spent("unexplained"):
            await asyncio.gather(
                in_child_lane(AWAITED[first](world)), in_child_lane(AWAITED[second](world))
            )
        return first

    @app.get("/group/{first}/{second}")
    async def group(first: str, second: str) -> str:
        with endpoint(), spent("unexplained"):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(in_child_lane(AWAITED[first](world)))
                tasks.create_task(in_child_lane(AWAITED[second](world)))
        return first

    @app.get("/on-loop/{deed}")
    async def on_loop(deed: str) -> str:
        with endpoint():
            CALLED[deed](world)
        return deed

    @app.get("/to-thread/{deed}")
    async def to_thread(deed: str) -> str:
        with endpoint(), spent("unexplained"):
            ended = await asyncio.to_thread(
                called_in_thread, CALLED[deed], world, perf_counter_ns()
            )
            note("loop-busy", ended)
        return deed

    @app.get("/def/{deed}")
    def in_thread(deed: str) -> str:
        with endpoint():
            CALLED[deed](world)
        return deed

    async def awaited_dependency(deed: str) -> None:
        with endpoint():
            await AWAITED[deed](world)

    @app.get("/dependency/{deed}", dependencies=[Depends(awaited_dependency)])
    async def dependency(deed: str) -> str:
        return deed


def _add_exchanges(app: FastAPI) -> None:
    @app.get("/empty")
    async def empty() -> None:
        with endpoint():
            pass

    @app.post("/validation")
    async def validation(_parcel: Parcel) -> None:
        with endpoint():
            pass

    @app.get("/serialization")
    async def serialization() -> Letter:
        with endpoint():
            return Letter(name="x")

    large = APIRouter(route_class=TimedRoute)

    @large.post("/lines")
    async def take_lines(lines: BodyLines) -> int:
        with endpoint():
            return len(lines)

    @large.get("/lines")
    async def give_lines() -> list[Line]:
        with endpoint():
            return MANY_LINES

    app.include_router(large)

    @app.post("/receive")
    async def receive(request: Request) -> int:
        with endpoint():
            return len(await request.body())

    @app.get("/send")
    async def send() -> Response:
        with endpoint():
            return Response(b"x" * 10_000)

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(4):
                with spent("own-code"):
                    spin(5)
                yield b"x" * 10_000

        with endpoint():
            return StreamingResponse(parts())

    @app.get("/parts/{count}")
    async def many_parts(count: int) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(count):
                yield PART
                # Servers take what is sent to a client that has left, until the loop has seen it.
                # Not each time: a turn of the loop takes longer than to make a part.
                if number % 10 == 0:
                    await asyncio.sleep(0)

        with endpoint():
            return StreamingResponse(parts())

    @app.get("/probe")
    async def recorded() -> None:
        with endpoint():
            start = perf_counter_ns()
            for _ in range(RECORDED):
                recorded_call.original()
            plain = perf_counter_ns() - start
            with spent("probe"):
                start = perf_counter_ns()
                for _ in range(RECORDED):
                    recorded_call.here()
                # What the calls take without being recorded is own code.
                note("own-code", start, start + plain)


class _RecordedCall:
    """A function that does nothing, and the place at which a test has it recorded."""

    @staticmethod
    def here() -> None:
        return None

    original = here


recorded_call = _RecordedCall()


def _add_culprit_and_victims(app: FastAPI, world: World) -> None:
    @app.get("/culprit")
    async def culprit(after_s: float = 0.0) -> None:
        with endpoint():
            if after_s:
                with spent("unexplained"):
                    await asyncio.sleep(after_s)
            world.rung_at_ns = perf_counter_ns()
            world.bell.set()
            spin(CULPRIT_MS)

    @app.get("/victim/event")
    async def victim_of_an_event() -> None:
        with endpoint():
            start = perf_counter_ns()
            await world.bell.wait()
            note("unexplained", start, world.rung_at_ns)
            note("loop-busy", world.rung_at_ns)

    @app.get("/victim/timer")
    async def victim_on_a_timer() -> None:
        with endpoint():
            due = perf_counter_ns() + int(TIMER_S * 1e9)
            start = perf_counter_ns()
            await asyncio.sleep(TIMER_S)
            note("unexplained", start, due)
            note("loop-busy", due)

    @app.get("/victim/thread")
    async def victim_of_a_thread() -> None:
        with endpoint(), spent("unexplained"):
            ended = await asyncio.to_thread(
                called_in_thread, _five_milliseconds, world, perf_counter_ns()
            )
            note("loop-busy", ended)

    @app.get("/victim/answer")
    async def victim_of_an_answer() -> None:
        with endpoint():
            await world.async_httpx_client.get(f"{world.remote_url}/10")


def _five_milliseconds(world: World) -> None:
    world.stop.wait(TIMER_S)


def _add_afterwards(app: FastAPI, world: World) -> None:
    async def teardown(deed: str) -> AsyncIterator[None]:
        yield
        with spent("own-code"):
            await AWAITED[deed](world)

    async def in_background(deed: str) -> None:
        with spent("own-code"):
            await AWAITED[deed](world)

    @app.get("/background/{deed}")
    async def background(deed: str, tasks: BackgroundTasks) -> None:
        tasks.add_task(in_background, deed)

    @app.get("/teardown/{deed}", dependencies=[Depends(teardown)])
    async def torn_down(deed: str) -> str:
        return deed

"""Requests of trials: what their header says, which arm they run under, what is kept of them."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.routing import Mount

from tests.record.probes.asgi import scope_of
from tests.record.probes.conftest import Bench
from unslow.current import ARM, LANE, OpenArm
from unslow.record.armed import ArmedRequests
from unslow.record.lanes import unwatch_all
from unslow.record.middleware import MARK, TraceMiddleware

SECRET = "a-secret"


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    bench.recorder.recording = True
    bench.recorder.armed = ArmedRequests(SECRET, MARK)
    yield bench
    unwatch_all()


@pytest.fixture
def armed(bench: Bench) -> ArmedRequests:
    armed = bench.recorder.armed
    assert armed is not None
    return armed


class Seen:
    """What an app saw of its own request."""

    def __init__(self) -> None:
        self.arms: list[OpenArm | None] = []
        self.careful: list[bool] = []
        self.recorded: list[bool] = []
        self.headers: list[dict[str, str]] = []

    def note(self) -> None:
        arm = ARM.get()
        self.arms.append(arm)
        self.careful.append(arm is not None and arm.careful)
        self.recorded.append(LANE.get() is not None)


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def app(seen: Seen) -> FastAPI:
    app = FastAPI()

    @app.get("/items")
    async def items(request: Request) -> str:
        seen.headers.append(dict(request.headers))
        seen.note()
        await asyncio.create_task(noted())
        await run_in_threadpool(seen.note)
        return "items"

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError

    async def noted() -> None:
        seen.note()

    return app


def ask(bench: Bench, app: Any, value: str | None, target: str = "/items") -> None:
    headers = [] if value is None else [(b"unslow", value.encode())]
    told: list[Any] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return told.pop() if told else await asyncio.Event().wait()

    async def send(_message: Any) -> None:
        pass

    scope = scope_of("GET", target, "localhost", headers)
    asyncio.run(TraceMiddleware(app, bench.recorder)(scope, receive, send))


def traces_count(bench: Bench) -> int:
    return len(bench.recorder.closed) + len(bench.recorder.finished)


def test_a_timed_request_runs_under_its_arm_everywhere_and_is_not_recorded(
    bench: Bench, armed: ArmedRequests, app: FastAPI, seen: Seen
) -> None:
    arm = armed.arms["fast"] = OpenArm("fast")

    ask(bench, app, f"{SECRET}.7.fast.timed")

    assert [arm] * 3 == seen.arms
    assert [False] * 3 == seen.recorded == seen.careful
    ((number, ns),) = armed.take_samples()
    assert number == 7
    assert ns > 0
    assert traces_count(bench) == 0
    assert armed.take_samples() == []


def test_a_recorded_request_runs_carefully_under_its_arm_and_has_a_trace(
    bench: Bench, armed: ArmedRequests, app: FastAPI, seen: Seen
) -> None:
    arm = armed.arms["fast"] = OpenArm("fast")

    ask(bench, app, f"{SECRET}.7.fast.recorded")

    assert seen.arms[0] is arm
    assert seen.careful[0]
    assert seen.recorded[0]
    assert not arm.careful
    assert traces_count(bench) == 1
    assert armed.take_samples() == []


@pytest.mark.parametrize("kind", ["timed", "recorded"])
def test_without_a_name_it_is_the_app_as_it_is(
    bench: Bench, armed: ArmedRequests, app: FastAPI, seen: Seen, kind: str
) -> None:
    armed.arms["fast"] = OpenArm("fast")

    ask(bench, app, f"{SECRET}.7..{kind}")

    assert [None] * 3 == seen.arms


def test_the_app_never_sees_the_header(
    bench: Bench, armed: ArmedRequests, app: FastAPI, seen: Seen
) -> None:
    ask(bench, app, f"{SECRET}.7..timed")
    ask(bench, app, f"{SECRET}.8..recorded")

    assert ["unslow" in headers for headers in seen.headers] == [False, False]


def test_one_that_is_alone_begins_with_a_collected_heap(
    bench: Bench, armed: ArmedRequests, app: FastAPI, seen: Seen
) -> None:
    class Garbage:
        pass

    one = Garbage()
    one.itself = one  # type: ignore[attr-defined]  # a cycle
    left = weakref.ref(one)
    del one

    ask(bench, app, f"{SECRET}.7..alone")

    assert left() is None
    assert [7] == [number for number, _ in armed.take_samples()]
    assert traces_count(bench) == 0


@pytest.mark.parametrize("value", [None, "", "x", "other.7.fast.timed", f"{SECRET}.7.fast", "\xff"])
def test_what_is_not_of_this_run_is_an_ordinary_request(
    bench: Bench, armed: ArmedRequests, app: FastAPI, seen: Seen, value: str | None
) -> None:
    armed.arms["fast"] = OpenArm("fast")

    ask(bench, app, value)

    assert seen.arms[0] is None
    assert traces_count(bench) == 1
    assert ("unslow" in seen.headers[0]) == (value is not None)


def test_an_app_within_the_app_opens_no_trace_of_a_timed_request(
    bench: Bench, armed: ArmedRequests, app: FastAPI
) -> None:
    inner = TraceMiddleware(app, bench.recorder)
    outer = Starlette(routes=[Mount("/inner", inner)])

    ask(bench, outer, f"{SECRET}.7..timed", "/inner/items")

    assert traces_count(bench) == 0
    assert [number for number, _ in armed.take_samples()] == [7]


def test_what_the_app_raises_passes_and_the_arm_is_left(
    bench: Bench, armed: ArmedRequests, app: FastAPI
) -> None:
    arm = armed.arms["fast"] = OpenArm("fast")
    for kind in ("timed", "recorded"):
        with pytest.raises(RuntimeError):
            ask(bench, app, f"{SECRET}.7.fast.{kind}", "/broken")

    assert ARM.get() is None
    assert not arm.careful


def test_a_process_that_no_check_started_takes_the_header_for_any_other(
    bench: Bench, app: FastAPI, seen: Seen
) -> None:
    bench.recorder.armed = None

    ask(bench, app, f"{SECRET}.7..timed")

    assert traces_count(bench) == 1
    assert "unslow" in seen.headers[0]

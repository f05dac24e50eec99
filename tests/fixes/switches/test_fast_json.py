"""A type for what a route returns, switched on for the requests of an arm alone."""

import asyncio
import dataclasses
import gc
import json
from datetime import datetime
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.middleware.gzip import GZipMiddleware

from tests.record.probes.conftest import Bench
from unslow.current import ARM, OpenArm
from unslow.errors import WireError
from unslow.fixes.switches import Tools, Undo, switch_of
from unslow.model.codec import trace_of
from unslow.record.finish import finished
from unslow.record.lanes import unwatch_all

ROWS = [{"id": n, "at": datetime(2024, 1, n), "text": "ä"} for n in range(1, 4)]  # noqa: DTZ001  # without a zone, as apps have them
TOOLS = Tools(caller_place=lambda: None)


@pytest.fixture
def arm() -> OpenArm:
    return OpenArm("fast-json")


@pytest.fixture(autouse=True)
def no_app_of_before(older_objects_set_aside: None) -> None:
    """Apps are found wherever they are in memory."""
    gc.collect()


def switch_on(
    arm: OpenArm,
    route: str = "GET /rows",
    kind: str = "list[dict[str, Any]]",
    is_annotated: bool = False,
) -> Undo:
    method, _, template = route.partition(" ")
    parameters = {"method": method, "route": template, "type": kind, "is_annotated": is_annotated}
    return switch_of("fast-json")(arm, parameters, TOOLS)


def ask(
    app: Any, target: str = "/rows", arm: OpenArm | None = None, method: str = "GET", **more: Any
) -> httpx.Response:
    return asyncio.run(_ask(app, target, arm, method, more))


async def _ask(
    app: Any, target: str, arm: OpenArm | None, method: str, more: dict[str, Any]
) -> httpx.Response:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        token = ARM.set(arm)
        try:
            return await client.request(method, target, **more)
        finally:
            ARM.reset(token)


def plain_app() -> FastAPI:
    app = FastAPI()

    @app.get("/rows", response_model=None)
    async def rows() -> list[dict[str, Any]]:
        return ROWS

    return app


def test_the_answer_is_the_same_and_only_requests_of_the_arm_take_the_quick_way(
    arm: OpenArm,
) -> None:
    app = plain_app()
    undo = switch_on(arm)

    written = ask(app)
    quick = ask(app, arm=arm)
    other = ask(app, arm=OpenArm("another"))

    undo()
    assert quick.json() == written.json() == other.json()
    assert quick.headers["content-type"] == written.headers["content-type"] == "application/json"
    assert arm.fired_count == 1
    assert not arm.broke
    assert not arm.whys


def test_undo_leaves_nothing_behind_whichever_arm_goes_first(arm: OpenArm) -> None:
    app = plain_app()
    route = next(one for one in app.routes if isinstance(one, APIRoute))
    before = dict(vars(route))
    second = OpenArm("second")
    undo_first = switch_on(arm)
    undo_second = switch_on(second, kind="Any")

    undo_first()
    ask(app, arm=arm)
    ask(app, arm=second)
    undo_second()
    ask(app, arm=second)

    assert (arm.fired_count, second.fired_count) == (0, 1)
    assert vars(route) == before


def test_the_endpoints_own_annotation_is_the_type(arm: OpenArm) -> None:
    app = FastAPI()

    @app.get("/rows", response_model=None)
    def rows() -> dict[str, list[int]]:
        return {"some": [1, 2]}

    undo = switch_on(arm, kind="dict[str, list[int]]", is_annotated=True)

    answer = ask(app, arm=arm)

    undo()
    assert answer.json() == {"some": [1, 2]}
    assert arm.fired_count == 1


def test_a_value_that_does_not_fit_is_answered_as_written_and_the_arm_broke(
    arm: OpenArm,
) -> None:
    app = plain_app()
    undo = switch_on(arm, kind="dict[str, Any]")

    answer = ask(app, arm=arm)

    undo()
    assert answer.content == (ask(app)).content
    assert answer.status_code == 200
    assert "does not fit" in arm.broke
    assert arm.fired_count == 0


def test_a_value_that_pydantic_does_not_know_is_answered_as_written(arm: OpenArm) -> None:
    class Thing:
        def __init__(self) -> None:
            self.name = "kept to itself"

    app = FastAPI()

    @app.get("/rows")
    async def rows():  # type: ignore[no-untyped-def]  # an app without types
        return [Thing()]

    undo = switch_on(arm, kind="list[Any]")

    answer = ask(app, arm=arm)

    undo()
    assert answer.json() == [{"name": "kept to itself"}]
    assert "cannot encode" in arm.broke
    assert "kept" not in arm.broke


def test_a_dataclass_without_a_type_is_encoded_alike(arm: OpenArm) -> None:
    @dataclasses.dataclass
    class Point:
        x: int
        y: float

    app = FastAPI()

    @app.get("/rows")
    def rows():  # type: ignore[no-untyped-def]  # an app without types
        return [Point(1, 0.5)]

    undo = switch_on(arm, kind="Any")

    answer = ask(app, arm=arm)

    undo()
    assert answer.json() == [{"x": 1, "y": 0.5}]
    assert arm.fired_count == 1


def test_routers_in_routers_and_mounted_apps_are_found_by_the_whole_template(
    arm: OpenArm,
) -> None:
    inner = APIRouter(prefix="/inner")

    @inner.get("/rows/{row}", response_model=None)
    async def rows(row: int) -> list[dict[str, Any]]:
        return [{"row": row}]

    middle = APIRouter(prefix="/middle")
    middle.include_router(inner)
    below = FastAPI()
    below.include_router(middle, prefix="/v1")
    below.include_router(middle, prefix="/v2")
    app = FastAPI()
    app.mount("/below", GZipMiddleware(below))
    undo = switch_on(arm, "GET /below/v2/middle/inner/rows/{row}")

    first = ask(app, "/below/v1/middle/inner/rows/3", arm=arm)
    fired_by_first = arm.fired_count
    second = ask(app, "/below/v2/middle/inner/rows/4", arm=arm)

    undo()
    assert first.json() == [{"row": 3}]
    assert fired_by_first == 0
    assert second.json() == [{"row": 4}]
    assert arm.fired_count == 1
    with pytest.raises(WireError, match="No route of FastAPI answers GET /v2/middle/inner"):
        switch_on(arm, "GET /v2/middle/inner/rows/{row}")


def test_dependencies_run_once_and_what_they_set_is_kept(arm: OpenArm) -> None:
    runs: list[str] = []

    async def from_router(response: Response) -> None:
        runs.append("router")
        response.headers["x-router"] = "yes"

    def from_endpoint(response: Response) -> int:
        runs.append("endpoint")
        response.status_code = 202
        return 7

    router = APIRouter(dependencies=[Depends(from_router)])

    @router.get("/rows", response_model=None)
    async def rows(
        response: Response, seven: Annotated[int, Depends(from_endpoint)]
    ) -> dict[str, Any]:
        response.headers["x-own"] = "too"
        response.set_cookie("a", "b")
        return {"seven": seven}

    app = FastAPI()
    app.include_router(router)
    undo = switch_on(arm, kind="dict[str, Any]")

    answer = ask(app, arm=arm)

    undo()
    assert sorted(runs) == ["endpoint", "router"]
    assert answer.status_code == 202
    assert (answer.headers["x-router"], answer.headers["x-own"]) == ("yes", "too")
    assert answer.headers["set-cookie"].startswith("a=b")
    assert answer.json() == {"seven": 7}
    assert arm.fired_count == 1


def test_overridden_dependencies_bodies_and_status_codes_stay(arm: OpenArm) -> None:
    def who() -> str:
        raise HTTPException(401)

    app = FastAPI()

    @app.post("/rows", response_model=None, status_code=201)
    async def rows(
        name: Annotated[str, Depends(who)], body: Annotated[dict[str, int], Body()]
    ) -> dict[str, Any]:
        return {"name": name, **body}

    app.dependency_overrides[who] = lambda: "somebody"
    undo = switch_on(arm, "POST /rows", kind="dict[str, Any]")

    answer = ask(app, arm=arm, method="POST", json={"a": 1})
    refused = ask(app, arm=arm, method="POST", json={"a": "no number"})
    asked_otherwise = ask(app, arm=arm)

    undo()
    assert (answer.status_code, answer.json()) == (201, {"name": "somebody", "a": 1})
    assert refused.status_code == 422
    assert asked_otherwise.status_code == 405
    assert arm.fired_count == 1


def test_what_is_left_out_of_a_response_model_stays_left_out(arm: OpenArm) -> None:
    app = FastAPI()

    @app.get("/rows", response_model=None, response_model_exclude={"secret"})
    async def rows() -> dict[str, Any]:
        return {"open": 1, "secret": 2}

    undo = switch_on(arm, kind="dict[str, Any]")

    answer = ask(app, arm=arm)

    undo()
    # Without a type FastAPI heeds none of it; that the answer changes is for the check to see.
    assert (ask(app)).json() == {"open": 1, "secret": 2}
    assert answer.json() == {"open": 1}


def test_a_route_class_of_the_apps_own_keeps_its_handler(arm: OpenArm) -> None:
    class Marked(APIRoute):
        def get_route_handler(self) -> Any:
            handle = super().get_route_handler()

            async def marked(request: Request) -> Response:
                response = await handle(request)
                response.headers["x-marked"] = "yes"
                return response

            return marked

    router = APIRouter(route_class=Marked)

    @router.get("/rows", response_model=None)
    async def rows() -> list[dict[str, Any]]:
        return ROWS

    app = FastAPI()
    app.include_router(router)
    undo = switch_on(arm)

    answer = ask(app, arm=arm)

    undo()
    assert answer.headers["x-marked"] == "yes"
    assert arm.fired_count == 1


def test_a_response_of_the_endpoints_own_and_an_error_are_no_work_of_the_switch(
    arm: OpenArm,
) -> None:
    app = FastAPI()

    @app.get("/rows", response_model=None)
    async def rows(how: str) -> Any:
        if how == "error":
            raise HTTPException(404)
        return Response(json.dumps(how), media_type="application/json")

    undo = switch_on(arm, kind="Any")

    own = ask(app, "/rows?how=own", arm=arm)
    error = ask(app, "/rows?how=error", arm=arm)

    undo()
    assert (own.status_code, error.status_code) == (200, 404)
    assert arm.fired_count == 0
    assert list(arm.whys.values()) == [2]


def test_a_route_with_a_type_is_refused(arm: OpenArm) -> None:
    app = FastAPI()

    @app.get("/rows")
    async def rows() -> list[dict[str, Any]]:
        return ROWS

    with pytest.raises(WireError, match="is already taken"):
        switch_on(arm)
    assert app.routes


@pytest.mark.parametrize("given", ["by the route", "by the app"])
def test_a_response_class_that_the_user_gave_is_not_touched(arm: OpenArm, given: str) -> None:
    class Own(JSONResponse):
        pass

    app = FastAPI(default_response_class=Own) if given == "by the app" else FastAPI()
    options: dict[str, Any] = {} if given == "by the app" else {"response_class": JSONResponse}

    @app.get("/rows", response_model=None, **options)
    async def rows() -> list[dict[str, Any]]:
        return ROWS

    with pytest.raises(WireError, match="a response class of its own"):
        switch_on(arm)
    assert not any("handle" in vars(one) for one in app.routes)


def test_a_stream_is_refused(arm: OpenArm) -> None:
    app = FastAPI()

    @app.get("/rows")
    async def rows() -> Any:
        yield {}

    with pytest.raises(WireError, match="stream"):
        switch_on(arm)
    assert app.routes


@pytest.mark.parametrize(
    ("kind", "is_annotated", "says"),
    [("__import__('os')", False, "A type is one of"), ("Thing", True, "cannot give")],
)
def test_only_known_types_and_those_of_pydantic_are_taken(
    arm: OpenArm, kind: str, is_annotated: bool, says: str
) -> None:
    class Thing:
        pass

    app = FastAPI()

    async def rows():  # type: ignore[no-untyped-def]  # an app without types
        return []

    rows.__annotations__["return"] = Thing
    app.get("/rows", response_model=None)(rows)

    with pytest.raises(WireError, match=says):
        switch_on(arm, kind=kind, is_annotated=is_annotated)
    assert app.routes


def test_a_route_that_nobody_serves_is_refused(arm: OpenArm) -> None:
    with pytest.raises(WireError, match="No route of FastAPI answers DELETE /nowhere"):
        switch_on(arm, "DELETE /nowhere")


def test_what_is_recorded_says_that_the_quick_way_was_taken(arm: OpenArm) -> None:
    bench = Bench()
    bench.install("fastapi", "starlette")
    router = APIRouter(prefix="/shop")

    @router.get("/rows", response_model=None)
    async def rows() -> list[dict[str, Any]]:
        return ROWS

    app = FastAPI()
    app.include_router(router)
    bench.recorder.recording = True
    undo = switch_on(arm, "GET /shop/rows")

    ask(app, "/shop/rows")
    ask(app, "/shop/rows", arm=arm)

    undo()
    traces = [trace_of(finished(one)) for one in bench.recorder.closed]
    bench.probes.stop()
    unwatch_all()
    assert [one.route for one in traces] == ["/shop/rows", "/shop/rows"]
    assert [one.returned is not None and one.returned.is_fast for one in traces] == [False, True]
    assert {one.endpoint.function for one in traces if one.endpoint} == {
        "test_what_is_recorded_says_that_the_quick_way_was_taken.<locals>.rows"
    }

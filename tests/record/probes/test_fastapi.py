"""FastAPI's own routing, dependencies, validation and serialization, asked as a server asks."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Annotated, Any

import fastapi
import fastapi.dependencies.utils
import fastapi.routing
import httpx
import pytest
import uvicorn
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Form, HTTPException, Query
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel, field_serializer, field_validator
from starlette.applications import Starlette
from starlette.middleware.base import RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Host, Mount, Route

from tests.record.probes.asgi import Asked, exchange, function_of, receipt_ms
from tests.record.probes.conftest import Bench
from tests.record.probes.slices import OwnTime, slices_of
from unslow.current import LANE, OpenTrace
from unslow.model.trace import OWN_CODE, SERIALIZATION, THREAD_QUEUE, VALIDATION
from unslow.record.middleware import TraceMiddleware
from unslow.record.place import own_code

PROBES = ("fastapi", "starlette", "threads")


@pytest.fixture
def probed(bench: Bench) -> Bench:
    bench.install(*PROBES)
    return bench


@pytest.fixture
def own() -> OwnTime:
    return OwnTime()


def is_in(own: OwnTime, trace: OpenTrace, *segments: int) -> bool:
    """Whether all of the time that was spent lies in slices of these segments."""
    slices = slices_of(trace, *segments)
    return bool(own.stretches) and all(
        any(one[0] <= start and end <= one[1] for one in slices) for start, end in own.stretches
    )


def routed_app() -> FastAPI:
    def users() -> APIRouter:
        router = APIRouter(prefix="/users")

        @router.get("/{user_id}")
        async def get_user(user_id: int) -> dict[str, int]:
            return {"id": user_id}

        return router

    async def plain(request: Request) -> Response:
        return PlainTextResponse("plain")

    version = APIRouter(prefix="/v1")
    version.include_router(users())
    version.add_route("/plain/{name}", plain)
    app = FastAPI()
    app.include_router(version, prefix="/api")
    inner = FastAPI()
    inner.include_router(users(), prefix="/inner")
    app.mount("/of/{tenant}", inner)
    deep = Mount("/deep", routes=[Route("/x/{n:int}", plain)])
    app.mount("/starlette", Starlette(routes=[Route("/p/{q:path}", plain), deep]))
    app.mount("/raw", PlainTextResponse("raw"))
    app.include_router(users(), prefix="/hosted")
    return app


@pytest.mark.parametrize(
    ("method", "target", "status", "route"),
    [
        ("GET", "/api/v1/users/7", 200, "/api/v1/users/{user_id}"),
        ("GET", "/api/v1/users/seven", 422, "/api/v1/users/{user_id}"),
        ("POST", "/api/v1/users/7", 405, "/api/v1/users/{user_id}"),
        ("GET", "/api/plain/some", 200, "/api/plain/{name}"),
        ("GET", "/of/acme/inner/users/7", 200, "/of/{tenant}/inner/users/{user_id}"),
        ("POST", "/of/acme/inner/users/7", 405, "/of/{tenant}/inner/users/{user_id}"),
        ("GET", "/of/acme/nothing/here", 404, "/of/{tenant}/{path}"),
        ("GET", "/starlette/p/a/b", 200, "/starlette/p/{q}"),
        ("GET", "/starlette/deep/x/3", 200, "/starlette/deep/x/{n}"),
        ("GET", "/raw/some/file", 200, "/raw/{path}"),
        ("GET", "/docs", 200, "/docs"),
        ("GET", "/nothing/here", 404, ""),
    ],
)
def test_a_request_is_named_by_the_whole_template_of_its_route(
    probed: Bench, method: str, target: str, status: int, route: str
) -> None:
    answer, trace = Asked(probed, routed_app())(target, method)

    assert (status, method, route) == (answer.status, trace.method, trace.route)


def test_the_name_begins_with_the_host_that_an_app_was_mounted_for(probed: Bench) -> None:
    app = Starlette(routes=[Host("{name}.example.org", routed_app())])

    _, trace = Asked(probed, app)("/hosted/users/7", host="api.example.org")

    assert "{name}.example.org/hosted/users/{user_id}" == trace.route


def test_one_trace_is_opened_by_whoever_comes_first(probed: Bench) -> None:
    app = FastAPI()
    app.mount("/outer", routed_app())

    bare, bare_trace = Asked(probed, app)("/outer/hosted/users/7")
    wrapped, wrapped_trace = Asked(probed, TraceMiddleware(app, probed.recorder))(
        "/outer/hosted/users/7"
    )

    assert bare == wrapped
    assert "/outer/hosted/users/{user_id}" == bare_trace.route == wrapped_trace.route


def test_what_fastapi_does_before_starlette_is_inside_the_trace(
    probed: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = FastAPI()
    seen: list[bool] = []
    original = app.build_middleware_stack

    def build() -> Any:
        seen.append(LANE.get() is not None)
        return original()

    monkeypatch.setattr(app, "build_middleware_stack", build)
    Asked(probed, app)("/")

    assert [True] == seen


def test_an_async_endpoint_is_own_code_at_its_first_line(probed: Bench, own: OwnTime) -> None:
    app = FastAPI()

    @app.get("/")
    async def read_root() -> dict[str, int]:
        own.spend_ms(5)
        return {}

    trace = Asked(probed, app).trace("/")

    (only,) = slices_of(trace, OWN_CODE)
    assert is_in(own, trace, OWN_CODE)
    assert "read_root" == function_of(only)
    assert 5 <= receipt_ms(trace)["own-code"]


def test_the_framework_is_what_is_left(probed: Bench, own: OwnTime) -> None:
    app = FastAPI()

    class Middleware:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            own.spend_ms(5)
            await self.app(scope, receive, send)

    app.add_middleware(Middleware)

    @app.get("/")
    async def read_root() -> None:
        return None

    trace = Asked(probed, app).trace("/")

    assert own.is_outside(slices_of(trace, OWN_CODE, VALIDATION, SERIALIZATION))
    assert 5 <= receipt_ms(trace)["framework"]


def test_a_dependency_that_calls_another_app_leaves_the_endpoint_what_it_is(probed: Bench) -> None:
    inner, app = FastAPI(), FastAPI()

    @inner.get("/price")
    async def price() -> int:
        return 7

    async def asked() -> int:
        transport = httpx.ASGITransport(inner)
        async with httpx.AsyncClient(transport=transport, base_url="http://inner") as client:
            return int((await client.get("/price")).text)

    @app.get("/orders")
    async def orders(found: Annotated[int, Depends(asked)]) -> int:
        return found

    trace = Asked(probed, app).trace("/orders")

    assert trace.endpoint == (orders.__code__, 0)
    assert (orders.__code__, 0) in [one[4] for one in slices_of(trace, OWN_CODE)]


def test_a_sync_endpoint_is_own_code_in_a_thread(probed: Bench, own: OwnTime) -> None:
    app = FastAPI()

    @app.get("/{number}")
    def read_sync(number: int) -> int:
        own.spend_ms(5)
        return number

    trace = Asked(probed, app).trace("/3")

    (only,) = slices_of(trace, OWN_CODE)
    queued, validation = slices_of(trace, THREAD_QUEUE)
    thread = trace.lanes[1]
    assert is_in(own, trace, OWN_CODE)
    assert [only] == thread.slices
    assert ["read_sync", "read_sync", ""] == [
        function_of(one) for one in (only, queued, validation)
    ]
    assert queued[0] < thread.start_ns < queued[1] + 1_000_000
    assert 5 <= receipt_ms(trace)["own-code"]


def with_dependencies(own: OwnTime) -> FastAPI:
    app = FastAPI()

    async def settings() -> int:
        own.spend_ms(3)
        return 1

    async def session(settings: Annotated[int, Depends(settings)]) -> AsyncIterator[int]:
        own.spend_ms(3)
        try:
            yield settings + 1
        finally:
            own.spend_ms(3)

    def sync_session() -> Iterator[int]:
        own.spend_ms(3)
        yield 7
        own.spend_ms(3)

    class Paging:
        def __init__(self, page: int = 1) -> None:
            own.spend_ms(3)
            self.page = page

    class User:
        async def __call__(self, settings: Annotated[int, Depends(settings)]) -> int:
            own.spend_ms(3)
            return settings

    @app.get("/")
    async def read_root(
        settings: Annotated[int, Depends(settings)],
        session: Annotated[int, Depends(session)],
        sync_session: Annotated[int, Depends(sync_session)],
        paging: Annotated[Paging, Depends()],
        user: Annotated[int, Depends(User())],
    ) -> list[int]:
        own.spend_ms(3)
        return [settings, session, sync_session, paging.page, user]

    return app


def test_dependencies_of_every_kind_are_own_code(probed: Bench, own: OwnTime) -> None:
    answer, trace = Asked(probed, with_dependencies(own))("/?page=4")

    assert [1, 2, 7, 4, 1] == json.loads(answer.body)
    assert 8 == len(own.stretches)
    assert is_in(own, trace, OWN_CODE)
    functions = [function_of(one) for one in slices_of(trace, OWN_CODE)]
    assert ["settings", "session", "sync_session", "__init__", "__call__", "read_root"] == (
        functions[:6]
    )
    assert {"session", "sync_session"} == set(functions[6:])


def test_a_dependency_that_refuses_is_own_code_too(probed: Bench, own: OwnTime) -> None:
    app = FastAPI()

    async def settings() -> int:
        return 1

    async def user(settings: Annotated[int, Depends(settings)]) -> None:
        own.spend_ms(3)
        raise HTTPException(401)

    @app.get("/", dependencies=[Depends(user)])
    async def read_root() -> None:
        return None

    answer, trace = Asked(probed, app)("/")

    assert 401 == answer.status
    assert is_in(own, trace, OWN_CODE)
    assert trace.root.extra is None


def test_an_overriding_dependency_is_timed_in_place_of_the_original(
    probed: Bench, own: OwnTime
) -> None:
    app = FastAPI()

    async def user() -> str:
        return "real"

    async def fake_user() -> str:
        own.spend_ms(3)
        return "fake"

    @app.get("/")
    async def read_root(user: Annotated[str, Depends(user)]) -> str:
        return user

    app.dependency_overrides[user] = fake_user
    answer, trace = Asked(probed, app)("/")

    assert b'"fake"' == answer.body
    assert is_in(own, trace, OWN_CODE)
    assert "fake_user" == function_of(slices_of(trace, OWN_CODE)[0])


def test_parameters_and_bodies_are_validation(probed: Bench, own: OwnTime) -> None:
    app = FastAPI()

    class Item(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def checked(cls, name: str) -> str:
            own.spend_ms(3)
            return name

    @app.post("/")
    async def create(item: Item, number: int) -> str:
        return item.name * number

    answer, trace = Asked(probed, app)("/?number=2", "POST", body=b'{"name": "ab"}')

    assert b'"abab"' == answer.body
    assert is_in(own, trace, VALIDATION)
    # The query, the parsing of the body, and the model.
    assert 3 == len(slices_of(trace, VALIDATION))
    assert 3 <= receipt_ms(trace)["validation"]


def test_models_of_a_query_and_of_a_form_are_validation(probed: Bench, own: OwnTime) -> None:
    app = FastAPI()

    class Filter(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def checked(cls, name: str) -> str:
            own.spend_ms(3)
            return name

    @app.post("/")
    async def create(asked: Annotated[Filter, Query()], form: Annotated[Filter, Form()]) -> str:
        return asked.name + form.name

    answer, trace = Asked(probed, app)(
        "/?name=a", "POST", body=b"name=b", content_type=b"application/x-www-form-urlencoded"
    )

    assert b'"ab"' == answer.body
    assert 2 == len(own.stretches)
    assert is_in(own, trace, VALIDATION)


def test_a_request_that_is_not_valid_has_its_validation_and_no_own_code(probed: Bench) -> None:
    app = FastAPI()

    @app.post("/{number}")
    async def create(number: int, names: list[str]) -> None:
        return None

    answer, trace = Asked(probed, app)("/many", "POST", body=b'{"names": 1}')
    broken, broken_trace = Asked(probed, app)("/1", "POST", body=b"{")

    assert (422, 422) == (answer.status, broken.status)
    assert 3 == len(slices_of(trace, VALIDATION))
    assert 1 == len(slices_of(broken_trace, VALIDATION))
    assert [] == slices_of(trace, OWN_CODE) + slices_of(broken_trace, OWN_CODE)
    assert ("/{number}", "/{number}") == (trace.route, broken_trace.route)


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_response_model_is_serialization(probed: Bench, own: OwnTime, kind: str) -> None:
    app = FastAPI()

    class Item(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def checked(cls, name: str) -> str:
            own.spend_ms(3)
            return name

        @field_serializer("name")
        def written(self, name: str) -> str:
            own.spend_ms(3)
            return name.upper()

    if kind == "async":

        @app.get("/", response_model=Item)
        async def read_async() -> dict[str, str]:
            return {"name": "a"}
    else:

        @app.get("/", response_model=Item)
        def read_sync() -> dict[str, str]:
            return {"name": "a"}

    answer, trace = Asked(probed, app)("/")

    assert b'{"name":"A"}' == answer.body
    assert 2 == len(own.stretches)
    assert 6 <= receipt_ms(trace)["serialization"]
    assert receipt_ms(trace)["own-code"] < 3


def test_a_response_without_a_model_is_serialization(probed: Bench, own: OwnTime) -> None:
    app = FastAPI()

    class Slow(dict[str, str]):
        def items(self) -> Any:
            own.spend_ms(3)
            return super().items()

    @app.get("/", response_model=None)
    async def read_root() -> Any:
        return Slow(a="b")

    trace = Asked(probed, app).trace("/")

    assert is_in(own, trace, SERIALIZATION)


def test_a_background_task_is_own_code_after_the_response(probed: Bench, own: OwnTime) -> None:
    app = FastAPI()

    async def notify(name: str) -> None:
        own.spend_ms(3)

    def notify_sync(name: str) -> None:
        own.spend_ms(3)

    @app.get("/")
    async def read_root(tasks: BackgroundTasks) -> None:
        tasks.add_task(notify, "a")
        tasks.add_task(notify_sync, name="b")

    trace = Asked(probed, app).trace("/")

    background = [one for one in slices_of(trace, OWN_CODE) if one[3] == "background"]
    assert ["notify", "notify_sync"] == [function_of(one) for one in background]
    assert all(trace.response_end_ns <= one[0] for one in background)
    assert is_in(own, trace, OWN_CODE)
    assert 6 <= receipt_ms(trace, after=True)["own-code"]


def test_a_streaming_generator_is_own_code_and_its_sending_is_not(
    probed: Bench, own: OwnTime
) -> None:
    app = FastAPI()

    async def chunks() -> AsyncIterator[str]:
        for name in "abc":
            own.spend_ms(2)
            yield name

    def sync_chunks() -> Iterator[str]:
        for name in "abc":
            own.spend_ms(2)
            yield name

    @app.get("/async")
    async def read_async() -> StreamingResponse:
        return StreamingResponse(chunks())

    @app.get("/sync")
    async def read_sync() -> StreamingResponse:
        return StreamingResponse(sync_chunks())

    asked = Asked(probed, app)
    answer, trace = asked("/async")
    sync_answer, sync_trace = asked("/sync")

    assert b"abc" == answer.body == sync_answer.body
    assert 6 == len(own.stretches)
    assert 6 <= receipt_ms(trace)["own-code"]
    assert 6 <= receipt_ms(sync_trace)["own-code"]
    assert "sync_chunks" in {function_of(one) for one in slices_of(sync_trace, OWN_CODE)}


def test_the_app_answers_as_it_does_without_us(bench: Bench) -> None:
    own = OwnTime()
    apps = [routed_app(), with_dependencies(own)]
    targets = ["/", "/?page=x", "/api/v1/users/7", "/api/v1/users/x", "/none", "/raw/x"]

    async def answers() -> list[Any]:
        return [await exchange(app, target) for app in apps for target in targets]

    before = asyncio.run(answers())
    bench.install(*PROBES)
    bench.recorder.recording = True
    during = asyncio.run(answers())
    bench.probes.stop()
    after = asyncio.run(answers())

    assert before == during == after


def test_a_middleware_function_is_own_code_and_what_it_calls_is_not(
    probed: Bench, own: OwnTime
) -> None:
    app = FastAPI()
    inner = OwnTime()

    @app.middleware("http")
    async def outer_middleware(request: Request, call_next: RequestResponseEndpoint) -> Response:
        own.spend_ms(3)
        response = await call_next(request)
        own.spend_ms(3)
        return response

    class Inner:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            inner.spend_ms(5)
            await self.app(scope, receive, send)

    app.add_middleware(Inner)
    app.user_middleware.reverse()

    @app.get("/")
    async def read_root() -> None:
        own.spend_ms(3)

    trace = Asked(probed, app).trace("/")
    receipt = receipt_ms(trace)

    assert 9 <= receipt["own-code"]
    assert 5 <= receipt["framework"]
    assert receipt["own-code"] + receipt["framework"] <= sum(receipt.values())
    assert ["outer_middleware", "read_root"] == [
        function_of(one) for one in slices_of(trace, OWN_CODE)
    ]


def test_an_installed_package_that_has_endpoints_counts_as_own_code(
    probed: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_code, "_named", ())
    monkeypatch.setattr(own_code, "by_file", {})
    monkeypatch.setattr("unslow.record.handlers._modules", set())
    app = FastAPI()
    file = httpx.codes.get_reason_phrase.__code__.co_filename
    app.get("/", response_model=None)(httpx.codes.get_reason_phrase)
    assert not own_code.is_own_file(file)

    trace = Asked(probed, app).trace("/?value=404")

    assert own_code.is_own_file(file)
    assert "get_reason_phrase" == function_of(slices_of(trace, OWN_CODE)[0])


def test_undo_leaves_nothing_behind(bench: Bench) -> None:
    owners = (fastapi.FastAPI, fastapi.routing, fastapi.dependencies.utils)
    before = [dict(vars(owner)) for owner in owners]

    bench.install(*PROBES)
    assert before != [dict(vars(owner)) for owner in owners]
    bench.probes.stop()

    assert before == [dict(vars(owner)) for owner in owners]


def test_a_name_that_looks_otherwise_keeps_the_probe_off(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run_endpoint_function(function: Callable[..., Any]) -> Any:
        return function()

    monkeypatch.setattr(fastapi.routing, "run_endpoint_function", run_endpoint_function)
    with pytest.raises(AssertionError, match="run_endpoint_function"):
        bench.install("fastapi")

    assert run_endpoint_function is vars(fastapi.routing)["run_endpoint_function"]


def test_requests_through_uvicorn_are_traced_whole(probed: Bench, own: OwnTime) -> None:
    app = with_dependencies(own)
    probed.recorder.recording = True
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        with httpx.Client(trust_env=False) as client:
            port = listening.getsockname()[1]
            answer = client.get(f"http://127.0.0.1:{port}/", timeout=30)
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()

    (trace,) = probed.recorder.closed
    assert [1, 2, 7, 1, 1] == answer.json()
    assert ("/", 200, len(answer.content)) == (trace.route, trace.status, trace.response_bytes)
    assert is_in(own, trace, OWN_CODE)
    assert 18 <= receipt_ms(trace)["own-code"]

"""Starlette's endpoints, middleware, responses and background tasks, asked as a server asks."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import starlette.applications
import starlette.background
import starlette.endpoints
import starlette.middleware.base
import starlette.requests
import starlette.responses
import starlette.routing
import starlette.templating
from starlette.applications import Starlette
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.templating import Jinja2Templates

from tests.record.probes.asgi import Asked, exchange, function_of, receipt_ms
from tests.record.probes.conftest import Bench
from tests.record.probes.slices import OwnTime, slices_of
from unslow.model.trace import FRAMEWORK, OWN_CODE, SERIALIZATION, VALIDATION

MODULES = (
    starlette.applications.Starlette,
    starlette.background.BackgroundTask,
    starlette.endpoints.HTTPEndpoint,
    starlette.middleware.base.BaseHTTPMiddleware,
    starlette.middleware.base._StreamingResponse,
    starlette.requests.Request,
    starlette.responses.Response,
    starlette.responses.StreamingResponse,
    starlette.routing,
    starlette.routing.Host,
    starlette.routing.Mount,
    starlette.routing.Route,
    starlette.templating._TemplateResponse,
)


@pytest.fixture
def probed(bench: Bench) -> Bench:
    bench.install("starlette", "threads")
    return bench


@pytest.fixture
def own() -> OwnTime:
    return OwnTime()


def functions_of(trace: Any, segment: int = OWN_CODE) -> list[str]:
    return [function_of(one) for one in slices_of(trace, segment)]


def test_an_endpoint_is_own_code_until_its_response_is_sent(probed: Bench, own: OwnTime) -> None:
    response_time = OwnTime()

    class Slow(PlainTextResponse):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            async def slow_send(message: Any) -> None:
                await send(message)
                response_time.spend_ms(3)

            await super().__call__(scope, receive, slow_send)

    async def endpoint(request: Request) -> Response:
        own.spend_ms(3)
        return Slow("done")

    trace = Asked(probed, Starlette(routes=[Route("/", endpoint)])).trace("/")

    (only,) = slices_of(trace, OWN_CODE)
    assert "endpoint" == function_of(only)
    assert only[0] <= own.stretches[0][0] < own.stretches[0][1] <= only[1]
    assert response_time.is_outside([only])


def test_routes_that_were_made_before_the_probe_are_recorded_too(
    bench: Bench, own: OwnTime
) -> None:
    async def endpoint(request: Request) -> Response:
        own.spend_ms(3)
        return PlainTextResponse("done")

    app = Starlette(routes=[Mount("/a", routes=[Route("/{b}", endpoint)])])
    bench.install("starlette", "threads")
    trace = Asked(bench, app).trace("/a/b")

    assert ("/a/{b}", ["endpoint"]) == (trace.route, functions_of(trace))


def test_an_endpoint_that_raises_is_own_code_until_then(probed: Bench, own: OwnTime) -> None:
    async def refuse(request: Request) -> Response:
        own.spend_ms(3)
        raise HTTPException(409)

    async def fail(request: Request) -> Response:
        own.spend_ms(3)
        raise LookupError("no")

    asked = Asked(probed, Starlette(routes=[Route("/refuse", refuse), Route("/fail", fail)]))
    answer, trace = asked("/refuse")
    with pytest.raises(LookupError, match="no"):
        asked("/fail")
    (failed,) = probed.recorder.closed

    assert (409, ["refuse"]) == (answer.status, functions_of(trace))
    assert (500, ["fail"], "LookupError") == (failed.status, functions_of(failed), failed.error)
    assert 3 <= receipt_ms(failed)["own-code"]


def test_a_sync_endpoint_is_own_code_in_a_thread(probed: Bench, own: OwnTime) -> None:
    def endpoint(request: Request) -> Response:
        own.spend_ms(3)
        return PlainTextResponse("done")

    trace = Asked(probed, Starlette(routes=[Route("/", endpoint)])).trace("/")

    assert ["task", "thread"] == [lane.kind for lane in trace.lanes]
    assert 3 <= receipt_ms(trace)["own-code"]
    assert ["endpoint"] == functions_of(trace)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_the_methods_of_an_endpoint_class_are_own_code(
    probed: Bench, own: OwnTime, method: str
) -> None:
    class Endpoint(HTTPEndpoint):
        async def get(self, request: Request) -> Response:
            own.spend_ms(3)
            return PlainTextResponse(request.method)

        def post(self, request: Request) -> Response:
            own.spend_ms(3)
            return PlainTextResponse(request.method)

    app = Starlette(routes=[Route("/{name}", Endpoint)])
    trace = Asked(probed, app).trace("/some", method)

    assert "/{name}" == trace.route
    assert ["post" if method == "POST" else "get"] == functions_of(trace)
    assert 3 <= receipt_ms(trace)["own-code"]


def test_a_method_that_an_endpoint_class_has_not_is_no_own_code(probed: Bench) -> None:
    class Endpoint(HTTPEndpoint):
        async def get(self, request: Request) -> Response:
            return PlainTextResponse(request.method)

    answer, trace = Asked(probed, Starlette(routes=[Route("/", Endpoint)]))("/", "DELETE")

    assert (405, "/", []) == (answer.status, trace.route, functions_of(trace))


def middleware_app(own: OwnTime, endpoint_time: OwnTime) -> Starlette:
    async def by_function(request: Request, call_next: RequestResponseEndpoint) -> Response:
        own.spend_ms(2)
        response = await call_next(request)
        own.spend_ms(2)
        return response

    class ByClass(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            own.spend_ms(2)
            response = await call_next(request)
            response.headers["passed"] = "by class"
            return response

    async def endpoint(request: Request) -> Response:
        endpoint_time.spend_ms(4)
        return JSONResponse({"method": request.method})

    return Starlette(
        routes=[Route("/", endpoint)],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=by_function), Middleware(ByClass)],
    )


def test_functions_of_middleware_are_own_code_and_what_they_call_is_the_frameworks(
    probed: Bench, own: OwnTime
) -> None:
    endpoint_time = OwnTime()
    answer, trace = Asked(probed, middleware_app(own, endpoint_time))("/")
    receipt = receipt_ms(trace)

    assert b"by class" == answer.headers[b"passed"]
    assert ["by_function", "dispatch", "endpoint"] == functions_of(trace)
    assert 2 == len(slices_of(trace, FRAMEWORK))
    assert 10 <= receipt["own-code"]
    assert receipt["own-code"] + receipt["framework"] > 0.8 * sum(receipt.values())
    called = [one for one in trace.root.slices if one[2] == FRAMEWORK]
    assert not endpoint_time.is_outside(called)
    assert own.stretches[0][1] <= called[-1][0]


def test_a_middleware_of_a_library_stays_the_frameworks(
    probed: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OfLibrary(BaseHTTPMiddleware):
        pass

    library = compile(
        "async def dispatch(self, request, call_next):\n    return await call_next(request)",
        str(Path(json.__file__)),
        "exec",
    )
    names: dict[str, Any] = {}
    exec(library, names)  # noqa: S102  # a function that seems to lie in the standard library
    monkeypatch.setattr(OfLibrary, "dispatch", names["dispatch"])

    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("done")

    app = Starlette(routes=[Route("/", endpoint)], middleware=[Middleware(OfLibrary)])
    trace = Asked(probed, app).trace("/")

    assert ["endpoint"] == functions_of(trace)


def test_the_function_of_a_middleware_is_the_users_own_outside_of_requests(probed: Bench) -> None:
    async def dispatch(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    middleware = BaseHTTPMiddleware(PlainTextResponse("x"), dispatch)

    assert dispatch is middleware.dispatch_func
    assert dispatch is vars(middleware)["dispatch_func"]
    del middleware.dispatch_func
    with pytest.raises(AttributeError, match="dispatch_func"):
        _ = middleware.dispatch_func


def test_rendering_is_serialization_also_in_a_response_class_of_the_users(
    probed: Bench, own: OwnTime
) -> None:
    class Report(Response):
        media_type = "text/csv"

        def render(self, content: Any) -> bytes:
            own.spend_ms(3)
            return b",".join(content)

    async def endpoint(request: Request) -> Response:
        return Report([b"a", b"b"], status_code=203, headers={"x": "y"})

    answer, trace = Asked(probed, Starlette(routes=[Route("/", endpoint)]))("/")

    assert (203, b"a,b", b"y") == (answer.status, answer.body, answer.headers[b"x"])
    assert 3 <= receipt_ms(trace)["serialization"]
    assert receipt_ms(trace)["own-code"] < 3


def test_a_template_is_serialization(probed: Bench, own: OwnTime, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<p>{{ name() }}</p>")
    templates = Jinja2Templates(tmp_path)

    def name() -> str:
        own.spend_ms(3)
        return "Ada"

    async def endpoint(request: Request) -> Response:
        return templates.TemplateResponse(request, "page.html", {"name": name})

    answer, trace = Asked(probed, Starlette(routes=[Route("/", endpoint)]))("/")

    assert b"<p>Ada</p>" == answer.body
    assert 3 <= receipt_ms(trace)["serialization"]


@pytest.mark.parametrize("spec_version", ["2.4", "2.0"])
def test_a_streamed_body_is_own_code_while_its_generator_runs(
    probed: Bench, own: OwnTime, spec_version: str
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            own.spend_ms(2)
            yield b"chunk"
            await asyncio.sleep(0)

    kept: list[StreamingResponse] = []

    async def endpoint(request: Request) -> Response:
        request.scope["asgi"]["spec_version"] = spec_version
        response = StreamingResponse(chunks())
        kept.append(response)
        return response

    answer, trace = Asked(probed, Starlette(routes=[Route("/", endpoint)]))("/")

    assert b"chunk" * 3 == answer.body
    assert 6 <= receipt_ms(trace)["own-code"]
    assert ["endpoint", *["chunks"] * 4] == functions_of(trace)
    assert inspect.isasyncgen(kept[0].body_iterator)


def test_a_body_that_a_middleware_wraps_is_own_code(probed: Bench, own: OwnTime) -> None:
    async def wrap(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response: Any = await call_next(request)
        body = response.body_iterator

        async def louder() -> AsyncIterator[bytes]:
            async for chunk in body:
                own.spend_ms(2)
                yield chunk.upper()

        response.body_iterator = louder()
        return response  # type: ignore[no-any-return]  # what Starlette gives is a private class

    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("done")

    app = Starlette(
        routes=[Route("/", endpoint)], middleware=[Middleware(BaseHTTPMiddleware, dispatch=wrap)]
    )
    answer, trace = Asked(probed, app)("/")

    assert b"DONE" == answer.body
    assert "louder" in functions_of(trace)
    assert 2 <= receipt_ms(trace)["own-code"]


def test_a_sync_generator_is_own_code_in_threads(probed: Bench, own: OwnTime) -> None:
    def chunks() -> Iterator[str]:
        for name in "abc":
            own.spend_ms(2)
            yield name

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(chunks())

    answer, trace = Asked(probed, Starlette(routes=[Route("/", endpoint)]))("/")

    assert b"abc" == answer.body
    assert ["endpoint", *["chunks"] * 4] == functions_of(trace)
    assert 6 <= receipt_ms(trace)["own-code"]


def test_reading_a_body_as_json_or_as_a_form_is_validation(probed: Bench) -> None:
    async def read_json(request: Request) -> Response:
        return JSONResponse(await request.json())

    async def read_form(request: Request) -> Response:
        async with request.form(max_fields=10) as form:
            return JSONResponse(dict(form))

    routes = [
        Route("/json", read_json, methods=["POST"]),
        Route("/form", read_form, methods=["POST"]),
    ]
    asked = Asked(probed, Starlette(routes=routes))
    answer, trace = asked("/json", "POST", body=b'{"a": "b"}')
    form, form_trace = asked(
        "/form", "POST", body=b"a=b", content_type=b"application/x-www-form-urlencoded"
    )

    assert b'{"a":"b"}' == answer.body == form.body
    assert 1 == len(slices_of(trace, VALIDATION)) == len(slices_of(form_trace, VALIDATION))
    assert [1] * 2 == [len(slices_of(one, SERIALIZATION)) for one in (trace, form_trace)]


def test_background_tasks_are_own_code_behind_the_response(probed: Bench, own: OwnTime) -> None:
    async def first(name: str) -> None:
        own.spend_ms(2)

    def second(*, name: str) -> None:
        own.spend_ms(2)

    async def endpoint(request: Request) -> Response:
        tasks = BackgroundTasks([BackgroundTask(first, "a")])
        tasks.add_task(second, name="b")
        return PlainTextResponse("done", background=tasks)

    trace = Asked(probed, Starlette(routes=[Route("/", endpoint)])).trace("/")

    background = [one for one in slices_of(trace, OWN_CODE) if one[3] == "background"]
    assert ["first", "second"] == [function_of(one) for one in background]
    assert 4 <= receipt_ms(trace, after=True)["own-code"]
    assert receipt_ms(trace)["own-code"] < 4


def test_without_a_request_nothing_is_recorded_and_all_works(probed: Bench) -> None:
    called: list[str] = []

    async def work() -> None:
        await BackgroundTask(called.append, "x")()
        response = JSONResponse({"a": 1}, 201)
        called.append(bytes(response.body).decode())

    asyncio.run(work())

    assert ["x", '{"a":1}'] == called
    assert [] == list(probed.recorder.closed)


def test_the_app_answers_as_it_does_without_us(bench: Bench) -> None:
    app = middleware_app(OwnTime(), OwnTime())

    async def answers() -> list[Any]:
        return [
            await exchange(app, "/"),
            await exchange(app, "/x"),
            await exchange(app, "/", "PUT"),
        ]

    before = asyncio.run(answers())
    bench.install("starlette", "threads")
    bench.recorder.recording = True
    during = asyncio.run(answers())
    bench.probes.stop()

    assert before == during == asyncio.run(answers())


def test_undo_leaves_nothing_behind(bench: Bench) -> None:
    before = [dict(vars(module)) for module in MODULES]

    bench.install("starlette", "threads")
    during = [dict(vars(module)) for module in MODULES]
    bench.probes.stop()

    assert all(one != other for one, other in zip(before, during, strict=True))
    assert before == [dict(vars(module)) for module in MODULES]


def test_a_bug_of_ours_switches_the_probe_off_and_the_request_goes_on(
    probed: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("unslow.record.probes.starlette.place_of_call", broken)

    async def endpoint(request: Request) -> Response:
        return PlainTextResponse("done")

    answer, trace = Asked(probed, Starlette(routes=[Route("/", endpoint)]))("/")

    assert (200, b"done") == (answer.status, answer.body)
    assert ["broke: ZeroDivisionError"] == [
        one.why for one in probed.recorder.coverage.values() if one.state == "off"
    ]
    assert ["probe starlette broke and is off: ZeroDivisionError"] == caplog.messages
    assert [] == slices_of(trace, OWN_CODE)
    probed.recorder.coverage.clear()

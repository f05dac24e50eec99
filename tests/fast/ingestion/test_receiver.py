from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import psycopg
import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Header, HTTPException
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError
from starlette.applications import Starlette
from starlette.routing import Mount, Router

from tests.fast.doors import opened_source, run
from unslow.fast import bare
from unslow.fast.errors import (
    DefinitionError,
    FastError,
    NotOpenError,
    OutcomeUnknownError,
    OverloadedError,
    PoolTimeoutError,
)
from unslow.fast.ingestion.batches import Added
from unslow.fast.ingestion.declaration import Ingest, ingest
from unslow.fast.ingestion.receiver import Receiver, add_route, refusal

JSON = {"content-type": "application/json"}
APPS = ("fastapi", "fastapi-router", "fastapi-dependency", "starlette", "asgi")


class Event(BaseModel):
    event_id: UUID
    amount: int = Field(lt=1_000)
    note: str = ""


class Recorded(Receiver):
    """Takes events without a database."""

    def __init__(self, *, many: bool = False) -> None:
        self.taken: list[Any] = []
        events: Any = ingest(Event, lambda: None, table="events")
        super().__init__(events, many=many, status_code=201, max_body_bytes=10_000)

    async def add(self, event: Any) -> Any:
        self.taken.append(event)
        return [Added(is_new=True) for _ in event] if self.many else Added(is_new=True)


def app_of(kind: str, events: Ingest[Any], **options: Any) -> Any:
    """An app that takes events at /events, in one of the ways that there are."""
    if kind == "asgi":
        return events.endpoint(**options)
    if kind == "starlette":
        starlette = Starlette()
        events.route(starlette, "/events", **options)
        return starlette
    app = FastAPI()
    if kind == "fastapi-dependency":
        options["dependencies"] = [Depends(lambda: None)]
    if kind == "fastapi-router":
        router = APIRouter()
        events.route(router, "/events", **options)
        app.include_router(router)
    else:
        events.route(app, "/events", **options)
    return app


def by_hand(app: Any, events: Ingest[Any]) -> Any:
    """The same with an endpoint of one's own."""

    async def add(event: Event) -> Any:
        return await events.respond(event)

    # Its module has its annotations as texts, which FastAPI reads in its globals.
    app.post("/events")(add)
    return app


def client_of(app: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def posted(app: Any, body: bytes, **options: Any) -> httpx.Response:
    async with client_of(app) as client:
        return await client.post("/events", content=body, **{"headers": JSON, **options})


def event(amount: int = 1, event_id: UUID | None = None) -> bytes:
    return json.dumps({"event_id": str(event_id or uuid4()), "amount": amount}).encode()


@pytest.fixture
def url(empty_url: str) -> str:
    with psycopg.connect(empty_url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS events")
        connection.execute(
            "CREATE TABLE events (event_id uuid UNIQUE, amount int CHECK (amount < 100), note text)"
        )
    return empty_url


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT count(*) FROM events").fetchone()
        return int(found[0]) if found else 0


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[Ingest[Event]]:
    async with (
        opened_source("asyncpg", url) as source,
        ingest(Event, source, table="events", **options) as events,
    ):
        yield events


def test_an_endpoint_of_ones_own_answers_as_the_route_does(url: str) -> None:
    async def check() -> list[Any]:
        async with opened(url) as events:
            answers = [
                [await posted(app, body) for body in (event(), once, once, event(200), b"{}")]
                for app in (app_of("fastapi", events), by_hand(FastAPI(), events))
                for once in [event()]
            ]
            return [[(one.status_code, one.json()) for one in each] for each in answers]

    route, own = run(check())

    assert route == own
    assert [201, 201, 409, 422, 422] == [status for status, _ in own]


@pytest.mark.parametrize("kind", APPS)
def test_what_is_answered(url: str, kind: str) -> None:
    async def check() -> list[tuple[int, Any]]:
        async with opened(url, key="event_id") as events:
            app = app_of(kind, events, max_body_bytes=200)
            once = event()
            bodies = [once, once, event(200), b"{}", event() + b" " * 200]
            answers = [await posted(app, body) for body in bodies]
        return [(one.status_code, one.json() if one.status_code < 300 else 0) for one in answers]

    expected = [(201, {"is_new": True}), (201, {"is_new": False}), (422, 0), (422, 0), (413, 0)]
    assert expected == run(check())
    assert 1 == count(url)


@pytest.mark.parametrize("kind", APPS)
def test_a_list_is_stored_all_or_none(url: str, kind: str) -> None:
    async def check() -> list[tuple[int, Any]]:
        async with opened(url) as events:
            app = app_of(kind, events, many=True, status_code=202)
            one, other = event(1), event(2)
            bodies = [b"[%b,%b]" % (one, other), b"[%b,%b]" % (event(3), one), b"[]", one]
            answers = [await posted(app, body) for body in bodies]
        return [(one.status_code, one.json() if one.status_code < 300 else 0) for one in answers]

    both = [{"is_new": True}, {"is_new": True}]
    assert [(202, both), (409, 0), (202, []), (422, 0)] == run(check())
    assert 2 == count(url)


@pytest.mark.parametrize("kind", APPS)
def test_a_database_that_is_down_is_503(kind: str) -> None:
    async def check() -> httpx.Response:
        async with asyncpg.create_pool("postgresql://127.0.0.1:1/a", min_size=0) as pool:
            return await posted(app_of(kind, ingest(Event, pool, table="events")), event())

    answer = run(check())

    assert (503, "1") == (answer.status_code, answer.headers["retry-after"])


def test_a_body_in_pieces_is_put_together(url: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in event():
            yield bytes([number])

    async def check() -> int:
        async with opened(url) as events, client_of(app_of("fastapi", events)) as client:
            return (await client.post("/events", content=pieces(), headers=JSON)).status_code

    assert 201 == run(check())
    assert 1 == count(url)


def test_a_client_that_leaves_in_the_middle_of_its_body_gets_no_answer() -> None:
    async def check() -> list[Any]:
        messages = [
            {"type": "http.request", "body": b'{"ev', "more_body": True},
            {"type": "http.disconnect"},
        ]
        sent: list[Any] = []

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        await Recorded()({"type": "http", "headers": []}, receive, send)
        return sent

    assert [] == run(check())


@pytest.mark.parametrize("kind", ["fastapi", "fastapi-router", "fastapi-dependency"])
def test_another_method_is_405(kind: str) -> None:
    async def check() -> int:
        async with client_of(app_of(kind, ingest(Event, lambda: None, table="events"))) as client:
            return (await client.get("/events")).status_code

    assert 405 == run(check())


# The same errors as FastAPI

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["event_id", "amount", "note", "other"]), inner, max_size=4
        )
    ),
    max_leaves=5,
)
events_or_nearly = st.fixed_dictionaries(
    {"event_id": st.uuids().map(str) | json_values, "amount": st.integers(-5, 1_005) | json_values},
    optional={"note": json_values},
)
bodies = (
    (events_or_nearly | json_values).map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=10)
    | st.text(max_size=10).map(str.encode)
)


def both_apps(*, many: bool) -> tuple[FastAPI, list[Any]]:
    """An app whose /ours is to answer as its /theirs does."""
    app, receiver = FastAPI(), Recorded(many=many)

    async def theirs(event: Any) -> Any:
        return await receiver.add(event)

    theirs.__annotations__["event"] = Annotated[receiver.body_type, Body()]
    app.post("/theirs", status_code=201)(theirs)
    add_route(app, "/ours", receiver, (), {})
    return app, receiver.taken


@pytest.mark.parametrize("many", [False, True])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=bodies,
    content_type=st.sampled_from(
        [
            "application/json",
            "application/json",
            "application/json; charset=utf-8",
            "Application/JSON",
            "application/problem+json",
            "text/plain",
            "application/x-www-form-urlencoded",
            None,
        ]
    ),
)
@example(body=b"", content_type="application/json")
@example(body=b"\xff", content_type="application/json")
@example(body=b"null", content_type="application/json")
@example(body=b"[1,", content_type="application/json")
@example(body=b'{"event_id": "\\ud800"}', content_type="application/json")
def test_a_body_is_taken_or_refused_as_by_fastapi(
    many: bool, body: bytes, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}

    async def check() -> tuple[list[Any], list[Any]]:
        app, taken = both_apps(many=many)
        async with client_of(app) as client:
            found = []
            for path in ("/theirs", "/ours"):
                answer = await client.post(path, content=body, headers=headers)
                found.append((answer.status_code, answer.content))
        return found, taken

    (theirs, ours), taken = run(check())

    assert theirs == ours
    if theirs[0] == 201:
        assert taken[0] == taken[1]


# Dependencies


def signed_in(token: Annotated[str, Header()] = "") -> None:
    if token != "right":
        raise HTTPException(401)


def guarded_by_route(events: Ingest[Any]) -> FastAPI:
    app = FastAPI()
    events.route(app, "/events", dependencies=[Depends(signed_in)])
    return app


def guarded_by_app(events: Ingest[Any]) -> FastAPI:
    app = FastAPI(dependencies=[Depends(signed_in)])
    events.route(app, "/events")
    return app


def guarded_by_router(events: Ingest[Any]) -> FastAPI:
    app, router = FastAPI(), APIRouter(dependencies=[Depends(signed_in)])
    events.route(router, "/events")
    app.include_router(router)
    return app


def guarded_by_inclusion(events: Ingest[Any]) -> FastAPI:
    app, router = FastAPI(), APIRouter()
    events.route(router, "/events")
    app.include_router(router, dependencies=[Depends(signed_in)])
    return app


def guarded_by_inclusion_of_an_inclusion(events: Ingest[Any]) -> FastAPI:
    app, outer, inner = FastAPI(), APIRouter(), APIRouter()
    events.route(inner, "/events")
    outer.include_router(inner)
    app.include_router(outer, dependencies=[Depends(signed_in)])
    return app


def guarded_by_app_around_a_router(events: Ingest[Any]) -> FastAPI:
    app, router = FastAPI(dependencies=[Depends(signed_in)]), APIRouter()
    events.route(router, "/events")
    app.include_router(router)
    return app


@pytest.mark.parametrize(
    "guarded",
    [
        guarded_by_route,
        guarded_by_app,
        guarded_by_router,
        guarded_by_inclusion,
        guarded_by_inclusion_of_an_inclusion,
        guarded_by_app_around_a_router,
    ],
)
def test_a_dependency_is_never_passed_by(url: str, guarded: Any) -> None:
    async def check() -> list[int]:
        async with opened(url) as events:
            app = guarded(events)
            refused = await posted(app, event())
            taken = await posted(app, event(), headers={**JSON, "token": "right"})
            app.dependency_overrides[signed_in] = lambda: None
            overridden = await posted(app, event())
        return [one.status_code for one in (refused, taken, overridden)]

    assert [401, 201, 201] == run(check())
    assert 2 == count(url)


@pytest.mark.parametrize(
    ("kind", "is_bare"),
    [("fastapi", True), ("fastapi-router", True), ("fastapi-dependency", False)],
)
def test_fastapis_work_per_request_is_left_out_where_it_may_be(
    url: str, kind: str, is_bare: bool
) -> None:
    scopes: list[Any] = []

    async def check() -> list[int]:
        async with opened(url) as events:
            inner = app_of(kind, events)

            async def outer(scope: Any, receive: Any, send: Any) -> None:
                scopes.append(scope)
                await inner(scope, receive, send)

            return [(await posted(outer, event())).status_code for _ in range(2)]

    assert [201, 201] == run(check())
    # Put there by what FastAPI runs around an endpoint.
    assert [is_bare] * 2 == ["fastapi_inner_astack" not in scope for scope in scopes]


@pytest.mark.parametrize(
    ("kind", "is_bare"),
    [("fastapi", True), ("fastapi-router", True), ("fastapi-dependency", False)],
)
def test_it_is_answered_in_front_of_the_app_where_nothing_else_is_asked(
    url: str, kind: str, is_bare: bool
) -> None:
    async def check() -> list[int]:
        async with opened(url) as events:
            app = app_of(kind, events)
            if not is_bare:
                with pytest.raises(DefinitionError, match="no route that could be answered bare"):
                    bare(app)
                return [201, 422]
            bodies = [event(), b"{}"]
            return [(await posted(bare(app), body)).status_code for body in bodies]

    assert [201, 422] == run(check())


@pytest.mark.parametrize("many", [False, True])
def test_it_stands_in_the_openapi_document_as_an_endpoint_by_hand_would(many: bool) -> None:
    app, by_hand = FastAPI(), FastAPI()
    events = ingest(Event, lambda: None, table="events")
    events.route(app, "/events", many=many, tags=["in"])

    async def add_event(event: Any) -> Any:
        raise NotImplementedError

    body: Any = list[Event] if many else Event
    add_event.__annotations__["event"] = Annotated[body, Body()]
    add_event.__annotations__["return"] = list[Added] if many else Added
    by_hand.post("/events", status_code=201, tags=["in"])(add_event)

    ours, theirs = app.openapi(), by_hand.openapi()
    found, expected = (one["paths"]["/events"]["post"] for one in (ours, theirs))

    assert ours["components"] == theirs["components"]
    assert {"409", "413", "503"} == set(found["responses"]) - set(expected["responses"])
    assert expected["responses"]["201"] == found["responses"]["201"]
    for name in ("operationId", "tags", "summary", "requestBody"):
        assert expected[name] == found[name]


# Other apps


def test_a_mount_and_a_router_of_starlette(url: str) -> None:
    async def check() -> list[int]:
        async with opened(url) as events:
            router = Router()
            events.route(router, "/events")
            app = Starlette(routes=[Mount("/in", router)])
            async with client_of(app) as client:
                answers = [
                    await client.post(path, content=body, headers=JSON)
                    for path, body in (("/in/events", event()), ("/in/events", b"{}"))
                ]
            return [one.status_code for one in answers]

    assert [201, 422] == run(check())


@pytest.mark.parametrize(
    ("app", "options"),
    [
        (Starlette(), {"dependencies": [Depends(signed_in)]}),
        (Starlette(), {"tags": ["a"]}),
        (3, {}),
    ],
)
def test_what_an_app_cannot_have_is_refused(app: Any, options: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match="wanted an app or a router"):
        ingest(Event, lambda: None, table="events").route(app, "/events", **options)


# Refusals


class ServerError(Exception):
    def __init__(self, sqlstate: str) -> None:
        super().__init__("secret")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("error", "status_code", "retry_after"),
    [
        (OverloadedError("full", 2.1), 503, "3"),
        (PoolTimeoutError("none"), 503, "1"),
        (NotOpenError("closed"), 503, "1"),
        (OutcomeUnknownError("lost", is_safe_to_repeat=True), 503, "1"),
        (OutcomeUnknownError("lost", is_safe_to_repeat=False), 500, None),
        (ConnectionRefusedError(), 503, "1"),
        (ServerError("57P03"), 503, "1"),
        (ServerError("53300"), 503, "1"),
        (ServerError("57014"), 503, "1"),
        (ServerError("55P03"), 503, "1"),
        (ServerError("40P01"), 503, "1"),
        (ServerError("23505"), 409, None),
        (ServerError("23P01"), 409, None),
        (ServerError("23503"), 422, None),
        (ServerError("22001"), 422, None),
        (ServerError("P0001"), 422, None),
        (ValueError("secret"), 422, None),
    ],
)
def test_each_error_has_its_answer_and_none_says_a_value(
    error: Exception, status_code: int, retry_after: str | None
) -> None:
    answer = refusal(error)

    assert answer is not None
    assert (status_code, retry_after) == (
        answer.status_code,
        (answer.headers or {}).get("Retry-After"),
    )
    assert "secret" not in answer.detail


def test_an_error_that_sqlalchemy_has_wrapped_is_known() -> None:
    answer = refusal(DBAPIError("", None, ServerError("53300")))

    assert answer is not None
    assert 503 == answer.status_code


@pytest.mark.parametrize("error", [ServerError("42P01"), FastError("bug"), KeyError("bug")])
def test_a_fault_of_the_app_is_none_of_the_events(error: Exception) -> None:
    assert refusal(error) is None


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110  # nothing would set an event
        await asyncio.sleep(0)


def test_overload_is_503_and_the_others_are_stored(url: str) -> None:
    async def check() -> list[int]:
        async with opened(url, workers=1, max_waiting=1) as events:
            app = app_of("fastapi", events)
            with psycopg.connect(url) as connection:
                connection.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
                tasks = [asyncio.create_task(posted(app, event()))]
                blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                await until(lambda: connection.execute(blocked).fetchall() != [(0,)])
                tasks += [asyncio.create_task(posted(app, event())) for _ in range(3)]
                # The two that are refused are the only ones that are answered now.
                await until(lambda: sum(task.done() for task in tasks) == 2)
            return sorted([(await task).status_code for task in tasks])

    assert [201, 201, 503, 503] == run(check())
    assert 2 == count(url)


def test_the_example_in_the_docs_runs(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[3] / "docs" / "fast" / "ingest.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]
    table = page.partition("```sql\n")[2].partition("```")[0]
    monkeypatch.setenv("DATABASE_URL", url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE events")
        connection.execute(table.encode())
    # What a package gives out under the name that the page says, the module has.
    names: dict[str, Any] = {"__name__": "example"}
    code = code.replace("unslow.fast import", "unslow.fast.ingestion.declaration import")
    exec(compile(code, "ingest.md", "exec", dont_inherit=True), names)  # noqa: S102  # our own page

    async def check() -> list[tuple[int, Any]]:
        app = names["app"]
        body = json.dumps({"event_id": str(uuid4()), "kind": "a", "at": "2024-01-02T03:04:05Z"})
        async with app.router.lifespan_context(app), client_of(app) as client:
            answers = [await client.post("/webhook", content=body, headers=JSON) for _ in range(2)]
        return [(one.status_code, one.json()) for one in answers]

    assert [(201, {"is_new": True}), (201, {"is_new": False})] == run(check())

"""Exports on a real PostgreSQL, through every door; with uvicorn where the wire matters."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import ForeignKey, Integer, String, Uuid, create_engine, event, literal, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from tests.fast.doors import opened_source, run
from unslow.fast.errors import DefinitionError, PoolTimeoutError, SlowClientError
from unslow.fast.exporting.exported_rows import Format
from unslow.fast.exporting.exports import Export, export

ROWS = "SELECT g AS id, 'name ' || g AS name FROM generate_series(1, 3) AS g"
LARGE = "SELECT g AS id, repeat('x', 10000) AS filling FROM generate_series(1, 3000) AS g"
"""30 MB: more than all buffers between a server and a client hold."""
BREAKS = (
    "SELECT 1 / (3000 - g) AS inverse, repeat('x', 1000) AS filling "
    "FROM generate_series(1, 6000) AS g"
)
BREAKS_AT_ONCE = "SELECT 1 / (g - 1) AS inverse FROM generate_series(1, 100000) AS g"


class Client:
    """A client of an ASGI app that takes what it is sent, or stops, or leaves."""

    def __init__(self, on_body: Callable[[], Awaitable[None]] | None = None) -> None:
        self.start: Message = {}
        self.bodies: list[bytes] = []
        self.is_whole = False
        self.left = asyncio.Event()
        self._on_body = on_body

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            return
        self.bodies.append(message["body"])
        self.is_whole = not message.get("more_body", False)
        if self._on_body is not None:
            await self._on_body()

    @property
    def text(self) -> str:
        return b"".join(self.bodies).decode()

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.start["headers"]}


async def taken(response: Response, method: str = "GET") -> Client:
    """What a client that takes everything gets."""
    client = Client()
    await response({"type": "http", "method": method}, client.receive, client.send)
    return client


async def exported(source: Any, sql: Any, arguments: Sequence[Any], name: Format) -> str:
    client = await taken(export(source, sql, arguments, name))

    assert client.is_whole
    return client.text


def json_lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """The app behind uvicorn."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    task = asyncio.create_task(server.serve([listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listening.close()


@asynccontextmanager
async def watching(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection that looks at what the others of the database do."""
    watcher = await asyncpg.connect(url)
    try:
        yield watcher
    finally:
        await watcher.close()


OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


async def until_one_waits_for(event: str, watcher: asyncpg.Connection) -> None:
    """Asks again and again; the pause is the server's."""
    while not await watcher.fetchval(f"SELECT count(*) {OTHERS} AND wait_event = $1", event):
        await watcher.execute("SELECT pg_sleep(0.01)")


@asynccontextmanager
async def sent(response: Response, client: Client) -> AsyncIterator[asyncio.Task[None]]:
    """The answer on its way; ended at the end of the block, whatever happens in it."""
    scope = {"type": "http", "method": "GET"}
    task = asyncio.create_task(response(scope, client.receive, client.send))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("arguments", [(), (3,)], ids=["without parameters", "with parameters"])
def test_each_format_has_every_row_in_order(
    door: str, empty_url: str, arguments: tuple[int, ...]
) -> None:
    sql = ROWS.replace("1, 3", "1, $1::int") if arguments else ROWS
    expected = [{"id": number, "name": f"name {number}"} for number in (1, 2, 3)]

    async def test() -> None:
        async with opened_source(door, empty_url) as source:
            assert expected == json_lines(await exported(source, sql, arguments, "ndjson"))
            assert expected == json.loads(await exported(source, sql, arguments, "json"))
            rows = csv.DictReader(io.StringIO(await exported(source, sql, arguments, "csv")))
            assert [{**one, "id": str(one["id"])} for one in expected] == list(rows)

    run(test())


@pytest.mark.parametrize("arguments", [(), (0,)], ids=["without parameters", "with parameters"])
def test_no_rows_are_a_whole_answer(door: str, empty_url: str, arguments: tuple[int, ...]) -> None:
    sql = ROWS.replace("1, 3", "1, $1::int") if arguments else ROWS.replace("1, 3", "1, 0")

    async def test() -> None:
        async with opened_source(door, empty_url) as source:
            assert await exported(source, sql, arguments, "ndjson") == ""
            assert await exported(source, sql, arguments, "json") == "[]"
            assert await exported(source, sql, arguments, "csv") == "id,name\n"

    run(test())


TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8)
VALUES = st.lists(
    st.tuples(
        st.none() | TEXTS,
        st.none() | st.integers(-(2**31), 2**31 - 1),
        st.none() | st.booleans(),
        # The raw text of a `json` value, with line ends between its tokens.
        st.sampled_from(["null", '{"a":\n1}', "[1,\r\n 2]", '"\\u2028"', '{"b" :\r{}}']),
    ),
    max_size=8,
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=VALUES)
def test_awkward_values_come_through_in_every_format(
    door: str, empty_url: str, values: list[tuple[Any, ...]]
) -> None:
    sql = (
        'SELECT t AS "te,x""t", n, b, j::json AS j FROM unnest($1::text[], $2::int[], '
        "$3::bool[], $4::text[]) WITH ORDINALITY AS v (t, n, b, j, o) ORDER BY o"
    )
    columns = tuple([row[place] for row in values] for place in range(4))
    expected = [[t, n, b, json.loads(j)] for t, n, b, j in values]

    async def test() -> None:
        async with opened_source(door, empty_url, 1) as source:
            await source_executes(
                source, f"CREATE TEMPORARY VIEW copied AS {literals(sql, columns)}"
            )
            for query, arguments in ((sql, columns), ("SELECT * FROM copied", ())):
                lines = await exported(source, query, arguments, "ndjson")
                assert expected == [
                    list(json.loads(one).values()) for one in lines.split("\n")[:-1]
                ]
                array = json.loads(await exported(source, query, arguments, "json"))
                assert expected == [list(one.values()) for one in array]
                text = await exported(source, query, arguments, "csv")
                rows = csv.reader(io.StringIO(text, newline=""))
                assert next(rows) == ['te,x"t', "n", "b", "j"]
                assert [as_csv(row) for row in values] == list(rows)
            await source_executes(source, "DROP VIEW copied")

    run(test())


def as_csv(row: tuple[Any, ...]) -> list[str]:
    text, number, flag, document = row
    return [
        text or "",
        "" if number is None else str(number),
        {None: "", True: "t", False: "f"}[flag],
        document,
    ]


def literals(sql: str, columns: tuple[list[Any], ...]) -> str:
    """The query with its arguments written into it."""
    for place, column in enumerate(columns, start=1):
        written = ", ".join(
            "NULL" if one is None else "'" + str(one).replace("'", "''") + "'" for one in column
        )
        sql = sql.replace(f"${place}", f"ARRAY[{written}]")
    return sql


async def source_executes(source: Any, sql: str) -> None:
    from unslow.fast.database import database

    async with database(source).connect() as connection:
        await connection.execute(sql)


@pytest.mark.parametrize("name", ["ndjson", "json", "csv"])
def test_null_and_the_empty_text_stay_two_things_in_csv(
    door: str, empty_url: str, name: str
) -> None:
    async def test() -> None:
        async with opened_source(door, empty_url) as source:
            sql = "SELECT NULL AS a, '' AS b, 1 AS c"
            copied = await exported(source, sql, (), "csv")
            fetched = await exported(source, f"{sql} WHERE 1 = $1::int", (1,), "csv")

        assert copied == fetched == 'a,b,c\n,"",1\n'

    run(test())


def test_a_query_may_end_with_a_semicolon_or_a_comment(door: str, empty_url: str) -> None:
    async def test() -> None:
        async with opened_source(door, empty_url) as source:
            for sql in ("SELECT 1 AS a;", "SELECT 1 AS a -- one", "SELECT 1 AS a\n;\n"):
                assert await exported(source, sql, (), "json") == '[{"a":1}]'
                assert await exported(source, sql, (), "csv") == "a\n1\n"

    run(test())


def test_a_column_may_have_the_name_of_anything(door: str, empty_url: str) -> None:
    async def test() -> None:
        async with opened_source(door, empty_url) as source:
            sql = 'SELECT 1 AS q, 2 AS "unslow_query", 3 AS a, 4 AS a WHERE $1::bool'
            assert await exported(source, sql, (True,), "csv") == "q,unslow_query,a,a\n1,2,3,4\n"
            assert await exported(source, sql, (True,), "ndjson") == (
                '{"q":1,"unslow_query":2,"a":3,"a":4}\n'
            )

    run(test())


def test_csv_comes_without_a_header_where_none_is_wanted(door: str, empty_url: str) -> None:
    async def test() -> None:
        async with opened_source(door, empty_url) as source:
            copied = await taken(export(source, ROWS, format="csv", header=False))
            sql = ROWS.replace("1, 3", "1, $1::int")
            fetched = await taken(export(source, sql, [3], "csv", header=False))

        assert copied.text.splitlines() == ["1,name 1", "2,name 2", "3,name 3"]
        assert list(csv.reader(io.StringIO(fetched.text))) == list(
            csv.reader(io.StringIO(copied.text))
        )

    run(test())


def test_rows_are_sent_many_at_once(door: str, empty_url: str) -> None:
    sql = "SELECT g AS id FROM generate_series(1, 100000) AS g"

    async def test() -> Client:
        async with opened_source(door, empty_url) as source:
            return await taken(export(source, sql))

    client = run(test())

    assert len(json_lines(client.text)) == 100_000
    assert len(client.bodies) <= len(client.text) // (64 * 1024) + 1


def test_an_export_reads_only(door: str, empty_url: str) -> None:
    async def test() -> None:
        async with opened_source(door, empty_url) as source:
            await source_executes(source, "CREATE SEQUENCE IF NOT EXISTS counted")
            with pytest.raises(Exception, match="read-only transaction"):
                await taken(export(source, "SELECT nextval('counted')"))

    run(test())


def test_a_statement_limit_of_the_session_does_not_end_an_export(door: str, empty_url: str) -> None:
    sql = "SELECT pg_sleep(0.02) AS nothing"

    async def test() -> None:
        async with opened_source(door, empty_url, 1) as source:
            await source_executes(source, "SET statement_timeout = '1ms'")
            kept = export(source, sql, statement_timeout_s=None)
            if door.endswith("asyncpg"):
                # It sets its connections back between two users of them.
                await source_executes(source, "ALTER ROLE CURRENT_USER RESET statement_timeout")
            else:
                with pytest.raises(Exception, match="statement timeout"):
                    await taken(kept)
            assert (await taken(export(source, sql))).text
            with pytest.raises(Exception, match="statement timeout"):
                await taken(export(source, sql, statement_timeout_s=0.005))

    run(test())


def test_a_client_that_stops_reading_stops_the_server(door: str, empty_url: str) -> None:
    stopped = asyncio.Event()
    went_on = asyncio.Event()

    async def stop() -> None:
        stopped.set()
        await went_on.wait()

    async def test() -> None:
        client = Client(stop)
        async with (
            watching(empty_url) as watcher,
            opened_source(door, empty_url, 1) as source,
            sent(export(source, LARGE, format="csv"), client) as task,
        ):
            await stopped.wait()
            await until_one_waits_for("ClientWrite", watcher)
            assert len(client.bodies) == 1
            assert len(client.bodies[0]) < 1_000_000

            went_on.set()
            await task

        assert client.is_whole
        assert sum(map(len, client.bodies)) > 30_000_000

    run(test())


def test_a_cursor_fetches_no_more_than_the_client_takes(door: str, empty_url: str) -> None:
    stopped = asyncio.Event()

    async def stop() -> None:
        stopped.set()
        await asyncio.Event().wait()

    async def test() -> None:
        client = Client(stop)
        async with (
            opened_source(door, empty_url, 1) as source,
            sent(export(source, f"{LARGE} WHERE g > $1::int", [0]), client),
        ):
            await stopped.wait()

            assert len(client.bodies) == 1
            assert len(client.bodies[0]) < 1_000_000

    run(test())


@pytest.mark.parametrize("name", ["ndjson", "json", "csv"])
@pytest.mark.parametrize("arguments", [(), (0,)], ids=["without parameters", "with parameters"])
def test_when_the_client_leaves_the_connection_is_free_for_the_next(
    door: str, empty_url: str, name: Format, arguments: tuple[int, ...]
) -> None:
    sql = f"{LARGE} WHERE g > $1::int" if arguments else LARGE

    async def leave() -> None:
        client.left.set()

    client = Client(leave)

    async def test() -> None:
        async with watching(empty_url) as watcher, opened_source(door, empty_url, 1) as source:
            response = export(source, sql, arguments, name)
            await response({"type": "http", "method": "GET"}, client.receive, client.send)

            assert not client.is_whole
            assert await exported(source, "SELECT 1 AS a", (), "json") == '[{"a":1}]'
            # Where the socket was closed, the server sees it at its next write.
            while await watcher.fetchval(f"SELECT count(*) {OTHERS} AND xact_start IS NOT NULL"):
                await watcher.execute("SELECT pg_sleep(0.01)")

    run(test())


def test_a_client_that_leaves_before_the_first_row_ends_the_query(
    door: str, empty_url: str
) -> None:
    async def test() -> None:
        client = Client()
        async with (
            watching(empty_url) as watcher,
            opened_source(door, empty_url, 1) as source,
            sent(export(source, "SELECT pg_sleep(600) AS endless"), client) as task,
        ):
            await until_one_waits_for("PgSleep", watcher)
            client.left.set()
            await task

            assert client.start == {}
            assert await exported(source, "SELECT 1 AS a", (), "json") == '[{"a":1}]'

    run(test())


def test_a_server_that_says_so_by_an_error_has_lost_the_client_too(empty_url: str) -> None:
    async def gone() -> None:
        raise OSError("nobody listens")

    async def test() -> None:
        client = Client(gone)
        async with opened_source("asyncpg", empty_url, 1) as source:
            response = export(source, LARGE)
            await response({"type": "http", "method": "GET"}, client.receive, client.send)

            assert len(client.bodies) == 1
            assert await exported(source, "SELECT 1 AS a", (), "json") == '[{"a":1}]'

    run(test())


def test_a_cancelled_request_gives_its_connection_back(door: str, empty_url: str) -> None:
    stopped = asyncio.Event()

    async def stop() -> None:
        stopped.set()
        await asyncio.Event().wait()

    async def test() -> None:
        client = Client(stop)
        async with opened_source(door, empty_url, 1) as source:
            async with sent(export(source, LARGE), client) as task:
                await stopped.wait()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

            assert await exported(source, "SELECT 1 AS a", (), "json") == '[{"a":1}]'

    run(test())


def test_a_client_that_takes_nothing_is_given_up(door: str, empty_url: str) -> None:
    async def stop() -> None:
        await asyncio.Event().wait()

    async def test() -> None:
        client = Client(stop)
        async with opened_source(door, empty_url, 1) as source:
            response = export(source, LARGE, stall_timeout_s=0.01)
            with pytest.raises(SlowClientError, match=r"nothing for 0\.01 s"):
                await response({"type": "http", "method": "GET"}, client.receive, client.send)

            assert await exported(source, "SELECT 1 AS a", (), "json") == '[{"a":1}]'

    run(test())


@pytest.mark.parametrize("arguments", [(), (0,)], ids=["without parameters", "with parameters"])
@pytest.mark.parametrize("name", ["ndjson", "json", "csv"])
def test_an_error_before_the_first_row_is_raised_before_the_answer(
    door: str, empty_url: str, name: Format, arguments: tuple[int, ...]
) -> None:
    sql = f"{BREAKS_AT_ONCE} WHERE g > $1::int" if arguments else BREAKS_AT_ONCE

    async def test() -> None:
        async with opened_source(door, empty_url) as source:
            client = Client()
            response = export(source, sql, arguments, name)
            with pytest.raises(Exception, match="division by zero"):
                await response({"type": "http", "method": "GET"}, client.receive, client.send)

            assert client.start == {}

    run(test())


@pytest.mark.parametrize("arguments", [(), (0,)], ids=["without parameters", "with parameters"])
@pytest.mark.parametrize("name", ["ndjson", "json", "csv"])
def test_an_error_in_the_middle_reaches_the_client(
    door: str, empty_url: str, name: Format, arguments: tuple[int, ...]
) -> None:
    sql = f"{BREAKS} WHERE g > $1::int" if arguments else BREAKS

    async def test() -> None:
        async with opened_source(door, empty_url, 1) as source:

            async def endpoint(_request: Request) -> Response:
                return export(source, sql, arguments, name)

            app = Starlette(routes=[Route("/", endpoint)])
            async with served(app) as url, httpx.AsyncClient() as client:
                with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                    await client.get(url)

            assert await exported(source, "SELECT 1 AS a", (), "json") == '[{"a":1}]'

    run(test())


def test_a_server_that_ends_the_connection_ends_the_answer(door: str, empty_url: str) -> None:
    async def test() -> None:
        async with watching(empty_url) as watcher, opened_source(door, empty_url, 1) as source:

            async def end_it() -> None:
                await watcher.execute(f"SELECT pg_terminate_backend(pid) {OTHERS}")

            client = Client(end_it)
            response = export(source, LARGE)
            with pytest.raises(Exception):  # noqa: B017, PT011  # each driver has its own
                await response({"type": "http", "method": "GET"}, client.receive, client.send)

            assert not client.is_whole
            assert await exported(source, "SELECT 1 AS a", (), "json") == '[{"a":1}]'

    run(test())


def test_behind_uvicorn_a_client_that_leaves_frees_the_connection(
    door: str, empty_url: str
) -> None:
    async def test() -> None:
        async with opened_source(door, empty_url, 1) as source:

            async def endpoint(request: Request) -> Response:
                sql = LARGE if request.url.path == "/large" else ROWS
                return export(source, sql, timeout_s=20)

            app = Starlette(routes=[Route("/large", endpoint), Route("/", endpoint)])
            async with served(app) as url, httpx.AsyncClient(timeout=20) as client:
                async with client.stream("GET", f"{url}/large") as answer:
                    async for _ in answer.aiter_raw():
                        break
                assert len(json_lines((await client.get(url)).text)) == 3

    run(test())


def test_behind_a_middleware_of_the_app_it_is_the_same(
    empty_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def passing(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    async def endpoint(request: Request) -> Response:
        sql = {"/large": LARGE, "/breaks": BREAKS}.get(request.url.path, ROWS)
        return export(request.app.state.source, sql, timeout_s=20)

    async def test() -> None:
        app = Starlette(
            routes=[Route(path, endpoint) for path in ("/large", "/breaks", "/")],
            middleware=[Middleware(BaseHTTPMiddleware, dispatch=passing)],
        )
        async with (
            opened_source("asyncpg", empty_url, 1) as app.state.source,
            served(app) as url,
            httpx.AsyncClient(timeout=20) as client,
        ):
            async with client.stream("GET", f"{url}/large") as answer:
                async for _ in answer.aiter_raw():
                    break
            assert caplog.records == []
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                await client.get(f"{url}/breaks")
            assert "division by zero" in caplog.text
            assert len(json_lines((await client.get(url)).text)) == 3

    run(test())


def test_an_error_before_the_first_row_has_the_status_of_its_handler(empty_url: str) -> None:
    async def busy(_request: Request, error: Exception) -> Response:
        return PlainTextResponse(type(error).__name__, 503)

    async def test() -> httpx.Response:
        async with opened_source("asyncpg", empty_url, 1) as source:
            app = FastAPI(exception_handlers={PoolTimeoutError: busy})

            @app.get("/")
            async def users() -> Response:
                return export(source, ROWS, timeout_s=0.01)

            transport = httpx.ASGITransport(app)
            async with (
                source.acquire(),
                httpx.AsyncClient(transport=transport, base_url="http://app") as client,
            ):
                return await client.get("/")

    answer = run(test())

    assert (answer.status_code, answer.text) == (503, "PoolTimeoutError")


def test_an_endpoint_of_fastapi_may_return_one(empty_url: str) -> None:
    async def test() -> httpx.Response:
        async with opened_source("asyncpg", empty_url) as source:
            app = FastAPI()

            @app.get("/", response_class=Export)
            async def users() -> Response:
                return export(source, ROWS, filename="users.ndjson", headers={"x-one": "1"})

            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
                return await client.get("/")

    answer = run(test())

    assert len(json_lines(answer.text)) == 3
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="users.ndjson"'
    assert answer.headers["x-one"] == "1"
    assert "content-length" not in answer.headers


def test_a_head_request_reads_nothing(empty_url: str) -> None:
    async def test() -> Client:
        async with opened_source("asyncpg", empty_url) as source:
            return await taken(export(source, "SELECT no such thing", format="csv"), "HEAD")

    client = run(test())

    assert (client.start["status"], client.text) == (200, "")
    assert client.headers["content-type"] == "text/csv; charset=utf-8"


def test_a_background_task_runs_after_the_answer(empty_url: str) -> None:
    ran: list[bool] = []

    async def test() -> None:
        async with opened_source("asyncpg", empty_url) as source:
            await taken(export(source, ROWS, background=BackgroundTask(ran.append, True)))

    run(test())

    assert ran == [True]


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("users.csv", 'filename="users.csv"'),
        ("two words.csv", 'filename="two words.csv"'),
        ("naïve €.csv", "filename=\"na_ve _.csv\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.csv"),
        ('a"b\\c.csv', 'filename="a_b_c.csv"'),
        ("../../etc/passwd", 'filename=".._.._etc_passwd"'),
        ("a\r\nset-cookie: b=c", 'filename="a__set-cookie: b=c"'),
        ("100%.csv", "filename=\"100_.csv\"; filename*=UTF-8''100%25.csv"),
        ("gpj\u202e.csv", 'filename="gpj_.csv"'),
        ("half \ud800.csv", 'filename="half _.csv"'),
    ],
)
def test_a_filename_is_quoted_safely(filename: str, expected: str) -> None:
    response = export(lambda: None, ROWS, filename=filename)

    assert f"attachment; {expected}" == response.headers["content-disposition"]


@given(filename=st.text(min_size=1, max_size=20))
def test_no_filename_breaks_out_of_the_header(filename: str) -> None:
    try:
        value = export(lambda: None, ROWS, filename=filename).headers["content-disposition"]
    except DefinitionError:
        assert not filename.strip()
        return

    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') == 2
    assert "/" not in value
    assert "\\" not in value


def test_an_unknown_format_is_refused_where_it_is_given() -> None:
    with pytest.raises(DefinitionError, match="got format='xml'; wanted one of ndjson, json, csv"):
        export(lambda: None, ROWS, format="xml")  # type: ignore[arg-type]  # the mistake itself


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(String)
    key: Mapped[Any] = mapped_column(Uuid, nullable=True)
    books: Mapped[list[Book]] = relationship(lazy="joined")


class Book(Base):
    __tablename__ = "book"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))


@pytest.fixture(scope="module")
def library_url(empty_url: str) -> str:
    engine = create_engine(empty_url.replace("postgresql://", "postgresql+psycopg://", 1))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for number in (1, 2, 3):
            books = [Book(id=10 * number + place) for place in (1, 2)]
            session.add(Author(id=number, name=f"author {number}", books=books))
        session.commit()
    engine.dispose()
    return empty_url


def test_a_select_of_sqlalchemy_is_exported_with_its_values(door: str, library_url: str) -> None:
    statement = (
        select(Author.id, Author.name, literal("x").label("x"))
        .where(Author.id.in_([1, 3]), Author.name != "author 3")
        .order_by(Author.id)
    )

    async def test() -> None:
        async with opened_source(door, library_url) as source:
            text = await exported(source, statement, (), "json")
            assert json.loads(text) == [{"id": 1, "name": "author 1", "x": "x"}]
            assert await exported(source, statement, (), "csv") == ('id,name,x\n1,"author 1",x\n')

    run(test())


def test_relationships_of_a_mapped_class_add_no_rows(door: str, library_url: str) -> None:
    async def test() -> None:
        async with opened_source(door, library_url) as source:
            lines = json_lines(
                await exported(source, select(Author).order_by(Author.id), (), "ndjson")
            )
            assert [list(one) for one in lines] == [["id", "name", "key"]] * 3

    run(test())


def test_a_select_that_a_hook_of_the_app_filters_is_refused(library_url: str) -> None:
    class OfTenants(Session):
        pass

    def only_own(_state: Any) -> None: ...

    async def test() -> None:
        async with opened_source("engine-asyncpg", library_url) as source:
            event.listen(OfTenants, "do_orm_execute", only_own)
            try:
                with pytest.raises(DefinitionError, match="has a listener for do_orm_execute"):
                    export(source, select(Author))
                assert await exported(source, select(Author.__table__), (), "ndjson")
            finally:
                event.remove(OfTenants, "do_orm_execute", only_own)

    run(test())


def test_a_statement_of_sqlalchemy_has_no_arguments_beside_it() -> None:
    with pytest.raises(DefinitionError, match="has its own; leave them out"):
        export(lambda: None, select(Author), [1])

import asyncio
import gzip
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from hashlib import blake2b
from typing import Any

import httpx
import pytest

from tests.prove.workload.serving import serving
from unslow.model.workload import Exchange, Request
from unslow.prove.workload.sending import (
    Limits,
    as_json,
    counts,
    first_line,
    open_client,
    send,
    send_all,
    send_sync,
)

LONG = b"x" * 50_000
ANSWERS: dict[str, tuple[int, list[tuple[bytes, bytes]], bytes]] = {
    "/json": (200, [(b"content-type", b"application/json")], b'[{"id": 1}]'),
    "/packed": (
        200,
        [(b"content-type", b"text/plain"), (b"content-encoding", b"gzip")],
        gzip.compress(LONG),
    ),
    "/damaged": (200, [(b"content-encoding", b"gzip")], b"no gzip at all"),
    "/cached": (200, [(b"etag", b"x"), (b"cache-control", b"private")], b""),
    "/same": (304, [(b"etag", b"x")], b""),
    "/long": (200, [], LONG),
    "/missing": (404, [(b"content-type", b"application/json")], b'{\n  "detail": "none"\n}'),
    "/down": (503, [(b"content-type", b"text/html")], b"\x1b[31mBusy\nmore"),
    "/slower": (429, [], b""),
    "/moved": (307, [(b"location", b"/json")], b""),
    "/cookie": (200, [(b"set-cookie", b"a=1")], b""),
}


class App:
    """Answers from the table, and notes what came."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.in_flight = self.most_in_flight = 0

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        self.scopes.append(scope)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.bodies.append((await receive())["body"])
        # So that others can come in between.
        await asyncio.sleep(0)
        status, headers, body = ANSWERS.get(scope["path"], (200, [], b"ok"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if scope["path"] == "/half":
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise ConnectionResetError
        if scope["path"] == "/endless":
            await send({"type": "http.response.body", "body": b"so far", "more_body": True})
            # The next message is that the client has left.
            await receive()
        self.in_flight -= 1
        await send({"type": "http.response.body", "body": body})

    def headers(self) -> dict[str, str]:
        """Of the last request."""
        headers = self.scopes[-1]["headers"]
        return {name.decode(): value.decode("latin-1") for name, value in headers}


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[App, str]]:
    app = App()
    with serving(app) as url:
        yield app, url


@pytest.fixture
def app(running: tuple[App, str]) -> App:
    running[0].forget()
    return running[0]


@pytest.fixture
def url(running: tuple[App, str], app: App) -> str:
    return running[1]


async def sent(url: str, request: Request, **options: Any) -> Exchange:
    async with open_client(url) as client:
        return await send(client, request, **options)


@pytest.mark.anyio
async def test_an_exchange_says_what_came_back(url: str) -> None:
    request = Request("GET", "/json")

    exchange = await sent(url, request)

    assert exchange.took_ms > 0
    assert exchange == Exchange(
        request,
        200,
        exchange.took_ms,
        body_bytes=11,
        wire_bytes=11,
        digest=blake2b(b'[{"id": 1}]', digest_size=16).hexdigest(),
        content_type="application/json",
    )


@pytest.mark.anyio
async def test_a_packed_body_is_measured_on_the_wire_and_compared_unpacked(url: str) -> None:
    packed, plain = (
        await sent(url, Request("GET", "/packed")),
        await sent(url, Request("GET", "/long")),
    )

    assert ("gzip", len(ANSWERS["/packed"][2])) == (packed.content_encoding, packed.wire_bytes)
    assert (len(LONG), len(LONG)) == (packed.body_bytes, plain.wire_bytes)
    assert packed.digest == plain.digest


@pytest.mark.anyio
async def test_what_lets_an_answer_be_kept_is_named_without_its_value(url: str) -> None:
    exchange = await sent(url, Request("GET", "/cached"))

    assert ("cache-control", "etag") == exchange.caching


@pytest.mark.anyio
@pytest.mark.parametrize(
    "target",
    ["/a/../b?x=%7B1%7D&y={2}", "//twice", "/a%2Fb", "/x?", "/x?q='\"|", "/a;b=1,2", "/%E4"],
)
async def test_a_target_arrives_as_it_was_given(url: str, app: App, target: str) -> None:
    exchange = await sent(url, Request("GET", target))

    assert 200 == exchange.status
    raw = app.scopes[-1]["raw_path"] + (b"?" if "?" in target else b"")
    assert target.encode() == raw + app.scopes[-1]["query_string"]


@pytest.mark.anyio
async def test_a_path_in_the_base_url_stands_before_the_target(url: str, app: App) -> None:
    await sent(f"{url}/api/v1/", Request("GET", "/users?x=1"))

    assert b"/api/v1/users" == app.scopes[-1]["raw_path"]


@pytest.mark.anyio
async def test_method_headers_and_body_arrive(url: str, app: App) -> None:
    request = Request("QUERY", "/", (("X-A", "1"), ("X-B", "ä"), ("X-B", "\udcff")), b"\x00\xff")

    await sent(url, request, extra=(("x-a", "2"), ("Host", "shop.example")))

    arrived = [(name, value) for name, value in app.scopes[-1]["headers"] if name[:2] == b"x-"]
    assert [(b"x-b", "ä".encode()), (b"x-b", b"\xff"), (b"x-a", b"2")] == arrived
    assert "shop.example" == app.headers()["host"]
    assert ("QUERY", b"\x00\xff") == (app.scopes[-1]["method"], app.bodies[-1])


@pytest.mark.anyio
async def test_nothing_of_a_body_is_kept_unless_asked(url: str) -> None:
    plain = await sent(url, Request("GET", "/json"))
    asked = await sent(url, Request("GET", "/json"), keep=as_json)
    failed = await sent(url, Request("GET", "/missing"), keep=as_json)
    no_json = await sent(url, Request("GET", "/long"), keep=as_json)

    assert [None, [{"id": 1}], None, None] == [x.kept for x in (plain, asked, failed, no_json)]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "status", "line"),
    [
        ("/missing", 404, '{ "detail": "none" }'),
        ("/down", 503, "[31mBusy"),
        ("/moved", 307, ""),
        ("/json", 200, ""),
    ],
)
async def test_an_answer_that_failed_shows_its_first_line(
    url: str, path: str, status: int, line: str
) -> None:
    exchange = await sent(url, Request("GET", path))

    assert (status, line, "") == (exchange.status, exchange.first_line, exchange.error)


def test_a_first_line_is_short() -> None:
    assert "x" * 200 == first_line("text/plain", LONG)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "limits", "status", "error"),
    [
        ("/endless", Limits(answer_within_s=0.2), 200, "TimeoutError"),
        ("/long", Limits(most_bytes=1000), 200, "TooLargeError"),
        ("/damaged", Limits(), 200, "DecodingError"),
        ("/half", Limits(), 200, "RemoteProtocolError"),
        ("/" + "x" * 70_000, Limits(), 0, "InvalidURL"),
    ],
)
async def test_an_answer_that_is_not_whole_is_an_error_and_does_not_count(
    url: str, path: str, limits: Limits, status: int, error: str
) -> None:
    exchange = await sent(url, Request("GET", path), limits=limits)

    assert (status, error, "") == (exchange.status, exchange.error, exchange.digest)
    assert not counts(exchange)


@pytest.mark.anyio
async def test_a_header_that_http_cannot_carry_is_an_error_of_its_exchange(url: str) -> None:
    exchange = await sent(url, Request("GET", "/", (("X-A", "1\r\nX-B: 2"),)))

    assert (0, "LocalProtocolError") == (exchange.status, exchange.error)


@pytest.mark.anyio
async def test_an_app_that_is_not_there_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    exchange = await sent(f"http://127.0.0.1:{port}", Request("GET", "/"))

    assert (0, "ConnectError") == (exchange.status, exchange.error)


@pytest.mark.anyio
async def test_no_answer_changes_a_later_request(url: str, app: App) -> None:
    async with open_client(url) as client:
        await send(client, Request("GET", "/cookie"))
        await send(client, Request("GET", "/json"))

    assert "cookie" not in app.headers()


@pytest.mark.parametrize(
    ("path", "error"), [("/json", ""), ("/endless", "ReadTimeout"), ("/long", "TooLargeError")]
)
def test_a_caller_without_an_event_loop_gets_the_same(url: str, path: str, error: str) -> None:
    with httpx.Client(base_url=url, timeout=0.2, trust_env=False) as client:
        exchange = send_sync(client, Request("GET", path), keep=as_json, limits=Limits(20, 1000))

    assert (200, error) == (exchange.status, exchange.error)
    assert ([{"id": 1}] if path == "/json" else None) == exchange.kept


def test_a_caller_without_an_event_loop_does_not_wait_for_ever(url: str) -> None:
    with httpx.Client(base_url=url, timeout=20, trust_env=False) as client:
        exchange = send_sync(client, Request("GET", "/long"), limits=Limits(answer_within_s=0))

    assert "TimeoutError" == exchange.error


@pytest.mark.parametrize(
    ("status", "error", "also", "is_counted"),
    [
        (200, "", (), True),
        (299, "", (), True),
        (304, "", (), False),
        (304, "", (304,), True),
        (404, "", (304, 404), True),
        (500, "", (304,), False),
        (200, "ReadTimeout", (), False),
        (0, "ConnectError", (0,), False),
    ],
)
def test_what_counts_is_2xx_or_asked_for(
    status: int, error: str, also: tuple[int, ...], is_counted: bool
) -> None:
    exchange = Exchange(Request("GET", "/"), status, 1.0, error=error)

    assert is_counted == counts(exchange, also)


@pytest.mark.anyio
@pytest.mark.parametrize("users", [1, 5])
async def test_several_users_send_everything_once(url: str, app: App, users: int) -> None:
    requests = [Request("GET", f"/{number}") for number in range(30)]
    seen: list[Exchange] = []

    async with open_client(url) as client:
        done = await send_all(
            client,
            requests,
            users,
            within_s=20,
            extra=lambda index, _request: (("unslow", str(index)),),
            on_exchange=seen.append,
        )

    assert requests == [exchange.request for exchange in done.exchanges]
    assert (30, ((200, 30),), (), 0, "") == (
        done.counted_count,
        done.statuses,
        done.errors,
        done.not_sent_count,
        done.stopped_by,
    )
    assert sorted(seen, key=id) == sorted(done.exchanges, key=id)
    marked = {scope["path"]: dict(scope["headers"])[b"unslow"] for scope in app.scopes}
    assert {f"/{number}": str(number).encode() for number in range(30)} == marked
    assert app.most_in_flight <= users
    assert done.duration_ms > 0


@pytest.mark.anyio
@pytest.mark.parametrize(("path", "why"), [("/down", "503"), ("/slower", "429")])
async def test_an_app_that_refuses_is_not_asked_further(
    url: str, app: App, path: str, why: str
) -> None:
    requests = [Request("GET", "/json"), Request("GET", path), *[Request("GET", "/json")] * 50]

    async with open_client(url) as client:
        done = await send_all(client, requests, within_s=20)

    assert (why, 50, 1, 2) == (
        done.stopped_by,
        done.not_sent_count,
        done.counted_count,
        len(app.scopes),
    )


@pytest.mark.anyio
async def test_when_the_time_is_up_the_rest_is_counted_as_not_sent(url: str) -> None:
    async with open_client(url) as client:
        none = await send_all(client, [Request("GET", "/json")] * 3, within_s=0)
        nothing = await send_all(client, [], 2, within_s=0)

    assert ("deadline", 3, ()) == (none.stopped_by, none.not_sent_count, none.exchanges)
    assert ("", 0) == (nothing.stopped_by, nothing.not_sent_count)


@pytest.mark.anyio
async def test_what_counts_and_what_fails_is_counted(url: str) -> None:
    paths = ["/json", "/same", "/missing", "/damaged", "/json"]

    async with open_client(url) as client:
        done = await send_all(
            client, [Request("GET", path) for path in paths], 2, within_s=20, also_counted=(304,)
        )

    assert 3 == done.counted_count
    assert ((200, 2), (304, 1), (404, 1)) == done.statuses
    assert (("DecodingError", 1),) == done.errors


def test_json_is_kept_where_it_is_json() -> None:
    headers = {"content-type": "application/problem+json"}

    assert {"a": 1} == as_json(headers, json.dumps({"a": 1}).encode())
    assert as_json(headers, b"{") is None
    assert as_json(headers, b"[" * 100_000) is None
    assert as_json({}, b"{}") is None

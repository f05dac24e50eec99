"""uvicorn with head and body in one write, on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
import uvloop

from tests.fast.doors import run
from unslow.fast.uvicorn_http import HttpProtocol

WRITTEN: list[int] = []
"""The size of each write of the server's."""


class Counted:
    """A transport whose writes are noted."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        WRITTEN.append(len(data))
        self._transport.write(data)


class CountedProtocol(HttpProtocol):
    def connection_made(self, transport: Any) -> None:
        super().connection_made(Counted(transport))


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with as many bytes as the path says; `/late` in two pieces, `/bad` not at all."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "welcome"})
        await send({"type": "websocket.close"})
        return
    path = scope["path"].strip("/")
    if path == "bad":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError(path)
    if path == "late":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        # Until the client has it and says so.
        await GO_ON.wait()
        await send({"type": "http.response.body", "body": b"second"})
        return
    if path == "echo":
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
    else:
        body = b"x" * int(path)
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


GO_ON = asyncio.Event()


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@asynccontextmanager
async def served(protocol: Any = CountedProtocol) -> AsyncIterator[int]:
    """The port of a server."""
    config = uvicorn.Config(
        app, port=0, http=protocol, ws="wsproto", lifespan="off", log_level="critical"
    )
    server = Server(config)
    task = asyncio.create_task(server.serve())
    await server.is_up.wait()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def exchanged(request: bytes, *, until: Callable[[bytes], bool] | None = None) -> bytes:
    """What comes back until the server closes, or until it is enough."""
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        found = b""
        while piece := await reader.read(65_536):
            found += piece
            if until is not None and until(found):
                break
        writer.close()
        return found


@pytest.fixture(autouse=True)
def nothing_written() -> None:
    WRITTEN.clear()


@pytest.fixture(params=["asyncio", "uvloop"])
def on_loop(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Runs on each kind of event loop."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def on_loop(coroutine: Any) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(asyncio.wait_for(coroutine, 30))

    return on_loop


def test_head_and_body_are_one_write(on_loop: Any) -> None:
    async def case() -> list[int]:
        async with served() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as one:
            return [len((await one.get(f"/{size}")).content) for size in (0, 1, 1_000)]

    assert [0, 1, 1_000] == on_loop(case())
    assert 3 == len(WRITTEN)


def test_a_large_body_is_not_copied_and_arrives_whole(on_loop: Any) -> None:
    async def case() -> int:
        async with served() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as one:
            return len((await one.get("/5000000")).content)

    assert 5_000_000 == on_loop(case())
    assert 5_000_000 == WRITTEN[1]


def test_requests_that_come_together_are_answered_in_their_order() -> None:
    request = b"".join(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % size for size in (3, 1, 2))
    last = b"GET /4 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"

    answers = run(exchanged(request + last)).split(b"HTTP/1.1 200 OK")[1:]

    assert [3, 1, 2, 4] == [len(one.partition(b"\r\n\r\n")[2]) for one in answers]


def test_a_stream_is_not_held_back_until_its_end() -> None:
    async def case() -> bytes:
        GO_ON.clear()
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /late HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            await reader.readuntil(b"first\r\n")
            GO_ON.set()
            rest = await reader.read()
            writer.close()
            return rest

    assert b"6\r\nsecond\r\n0\r\n\r\n" == run(case())


def test_a_body_that_is_asked_for_is_asked_for_at_once() -> None:
    async def case() -> bytes:
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\nconnection: close\r\n"
            writer.write(head + b"expect: 100-continue\r\n\r\n")
            await reader.readuntil(b"100 Continue\r\n\r\n")
            writer.write(b"hello")
            answer = await reader.read()
            writer.close()
            return answer

    assert run(case()).endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /bad HTTP/1.1\r\nhost: x\r\n\r\n", b"200"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"HEAD /9 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", b"200"),
    ],
    ids=["the app fails in the middle", "no request", "head only"],
)
def test_what_is_written_before_the_end_is_sent_and_the_connection_closed(
    request_: bytes, status: bytes
) -> None:
    head, _, body = run(exchanged(request_)).partition(b"\r\n\r\n")

    assert status == head.split()[1]
    assert body in (b"", b"Invalid HTTP request received.")


def test_a_websocket_has_the_connection_to_itself() -> None:
    async def case() -> bytes:
        async with served() as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            key = b"sec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nsec-websocket-version: 13\r\n"
            writer.write(head + key + b"\r\n")
            found = await reader.readuntil(b"welcome")
            writer.close()
            return found

    assert run(case()).startswith(b"HTTP/1.1 101")


class GreetingProtocol(HttpProtocol):
    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.transport.write(b"a")
        self.transport.writelines([b"b", b"c"])
        self.transport.close()


def test_pieces_stay_in_their_order_however_they_are_written() -> None:
    async def case() -> bytes:
        async with served(GreetingProtocol) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            found = await reader.read()
            writer.close()
            return found

    assert b"abc" == run(case())


def test_the_command_line_takes_it_by_name() -> None:
    config = uvicorn.Config(app, http="unslow.fast.uvicorn_http:HttpProtocol")
    config.load()

    assert config.http_protocol_class is HttpProtocol

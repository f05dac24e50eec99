"""A small real HTTP server in a thread, which says when it got each request and answered it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from unslow.current import clock

PART = b"x" * 1000
_DIGEST = 'Digest realm="stub", nonce="0123456789", qop="auth", algorithm=MD5'


@dataclass
class Exchange:
    """One request and its answer; times are of the process's clock."""

    received_ns: int
    head_ns: int = 0
    """Just before the head of the answer was written."""
    end_ns: int = 0
    """Just before the last part of the answer was written."""


@dataclass
class Stub:
    """The address of the server and what it has seen.

    `/after/MS` answers after that time, `/stream/PARTS/MS` sends its head at once and a chunk of
    1000 bytes after each MS, `/sized/PARTS/MS` the same with a Content-Length, `/redirect/PORT`
    leads to `/after/0` at that port, `/private` wants a digest login, `/status/CODE` answers so,
    `/cut` closes the connection without an answer, `/half` in the middle of the body, `/never`
    does not answer.
    """

    host: str
    port: int
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def url(self, path: str, login: str = "") -> str:
        return f"http://{login}{self.address}{path}"


@contextmanager
def running_stub() -> Iterator[Stub]:
    """Runs the server for the length of the block."""
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, Stub]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(started)))
    thread.start()
    loop, stop, stub = started.result(timeout=10)
    try:
        yield stub
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=10)


async def _serve(
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, Stub]],
) -> None:
    tasks: set[asyncio.Task[None]] = set()
    stop = asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while await _exchange(stub, reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # The client left, or the server stops.
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    stub = Stub("127.0.0.1", server.sockets[0].getsockname()[1])
    started.set_result((asyncio.get_running_loop(), stop, stub))
    await stop.wait()
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _exchange(stub: Stub, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Answers one request; whether the connection stays open."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
    fields = {name.lower(): value for name, value in fields.items()}
    await reader.readexactly(int(fields.get("content-length", "0")))
    seen = Exchange(clock())
    stub.exchanges.append(seen)
    _, kind, *numbers = head.split(" ")[1].partition("?")[0].split("/")
    if kind == "never":
        await reader.read()
        return False
    if kind in {"stream", "sized"}:
        await _answer_in_parts(writer, seen, kind, int(numbers[0]), float(numbers[1]))
        return True
    if kind == "half":
        seen.head_ns = clock()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + PART)
        return False
    if kind == "cut":
        return False
    status, extra = "200 OK", ""
    if kind == "after":
        await asyncio.sleep(float(numbers[0]) / 1000)
    elif kind == "redirect":
        status, extra = "302 Found", f"Location: http://127.0.0.1:{numbers[0]}/after/0\r\n"
    elif kind == "private" and "authorization" not in fields:
        status, extra = "401 Unauthorized", f"WWW-Authenticate: {_DIGEST}\r\n"
    elif kind == "status":
        status = f"{numbers[0]} As asked"
    seen.head_ns = seen.end_ns = clock()
    writer.write(f"HTTP/1.1 {status}\r\n{extra}Content-Length: 4\r\n\r\ndone".encode())
    return True


async def _answer_in_parts(
    writer: asyncio.StreamWriter, seen: Exchange, kind: str, parts: int, delay_ms: float
) -> None:
    chunked = kind == "stream"
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {parts * len(PART)}"
    seen.head_ns = clock()
    writer.write(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode())
    for number in range(parts):
        await asyncio.sleep(delay_ms / 1000)
        seen.end_ns = clock()
        if not chunked:
            writer.write(PART)
        elif number == parts - 1:
            writer.write(b"3e8\r\n" + PART + b"\r\n0\r\n\r\n")
        else:
            writer.write(b"3e8\r\n" + PART + b"\r\n")

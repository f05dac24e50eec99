"""The other side of the calibration app, in a process of its own: each part takes a known time.

An HTTP service that answers `GET /after/MS` after that time, a Redis that answers GET after 20 ms,
and a door to a PostgreSQL that lets each new connection wait 30 ms.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CACHE_MS = 20.0
HANDSHAKE_MS = 30.0

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Stubs:
    """The ports on 127.0.0.1."""

    http_port: int
    redis_port: int
    postgres_port: int


@contextmanager
def running_stubs(postgres_host: str, postgres_port: int) -> Iterator[Stubs]:
    """Starts the process and ends it; it also ends when its parent does."""
    command = [sys.executable, "-m", __name__, postgres_host, str(postgres_port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Stubs(**json.loads(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait(timeout=10)


async def answer_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers requests without a body, one after the other."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(float(head.split(b" ")[1].rpartition(b"/")[2]) / 1000)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")


async def answer_redis(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers commands: GET with nothing found, after its time, all others with OK."""
    while True:
        count = int((await reader.readuntil(b"\r\n"))[1:])
        words = []
        for _ in range(count):
            length = int((await reader.readuntil(b"\r\n"))[1:])
            words.append((await reader.readexactly(length + 2))[:-2].upper())
        if words[0] == b"GET":
            await asyncio.sleep(CACHE_MS / 1000)
        # A client asks for protocol 3 first; this error makes it go on with protocol 2.
        reply = {b"GET": b"$-1\r\n", b"HELLO": b"-ERR unknown command\r\n"}
        writer.write(reply.get(words[0], b"+OK\r\n"))


def slow_door(host: str, port: int) -> Serve:
    """Hands a connection on to a server, after a while."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(HANDSHAKE_MS / 1000)
        there, back = await asyncio.open_connection(host, port)
        try:
            await asyncio.gather(copy(reader, back), copy(there, writer))
        finally:
            back.close()

    return serve


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies bytes until there are no more."""
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


def politely(serve: Serve) -> Serve:
    """Takes a client that leaves for granted."""

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    return served


async def main(host: str, port: int) -> None:
    """Serves until standard input closes."""
    ports = []
    for serve in (answer_http, answer_redis, slow_door(host, port)):
        server = await asyncio.start_server(politely(serve), "127.0.0.1", 0, backlog=100)
        ports.append(server.sockets[0].getsockname()[1])
    sys.stdout.write(
        json.dumps(dict(zip(("http_port", "redis_port", "postgres_port"), ports, strict=True)))
        + "\n"
    )
    sys.stdout.flush()
    threading.Thread(target=end_with_parent, daemon=True).start()
    await asyncio.Event().wait()


def end_with_parent() -> None:
    """Ends the process when its standard input closes."""
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))

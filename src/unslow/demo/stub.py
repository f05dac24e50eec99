"""The remote service of the demo: a small HTTP server on this machine that takes its time.

`start_stub` runs it in a process of its own; it ends when its standard input closes, and so also
when its parent dies.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

from ..errors import DemoError

DELAY_MS = 40.0
LONGEST_DELAY_MS = 10_000.0
END_WITHIN_S = 5.0


@contextmanager
def start_stub() -> Iterator[str]:
    """Starts the service and gives its address, `http://127.0.0.1:PORT`; ends it afterwards.

    `GET /any/path` answers after 40 ms, `GET /any/path?delay_ms=5` after 5.

    Raises:
        DemoError: The process did not start.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C reaches all that a terminal runs; this process ends when its parent has finished.
        start_new_session=True,
    )
    with process:
        try:
            # The end of the process ends the wait: its standard output closes with it.
            address = process.stdout.readline().strip() if process.stdout else ""
            if not address:
                raise DemoError(
                    f"The demo's remote service ended with code {process.wait(END_WITHIN_S)} "
                    "before it was ready; what it wrote above says why."
                )
            yield address
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    if process.stdin:
        process.stdin.close()
    try:
        process.wait(END_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()


async def _serve() -> None:
    server = await asyncio.start_server(_answer_connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(f"http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    await server.serve_forever()


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    # At once: nothing is held that could be lost, and nobody waits for an answer any more.
    os._exit(0)


async def _answer_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await _answer_request(reader, writer):
            pass
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass  # The caller left, or does not speak HTTP: there is nobody to tell.
    finally:
        writer.close()


async def _answer_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Answers one request; whether the connection stays open."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    try:
        _method, target, version = head[0].split(" ")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:])
        }
        await reader.readexactly(int(headers.get("content-length", "0")))
        delay_ms = _delay_ms(target)
    except ValueError:
        writer.write(_response("400 Bad Request", {"error": "not a request"}, keep=False))
        return False
    keep = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    await asyncio.sleep(delay_ms / 1000)
    path = urlsplit(target).path
    # The same path always gets the same value, so that two answers can be compared.
    value = zlib.crc32(path.encode()) % 1000
    writer.write(_response("200 OK", {"path": path, "value": value}, keep=keep))
    await writer.drain()
    return keep


def _delay_ms(target: str) -> float:
    asked = parse_qs(urlsplit(target).query).get("delay_ms", [str(DELAY_MS)])
    return min(max(float(asked[0]), 0.0), LONGEST_DELAY_MS)


def _response(status: str, content: dict[str, object], *, keep: bool) -> bytes:
    body = json.dumps(content).encode()
    head = (
        f"HTTP/1.1 {status}\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
        f"connection: {'keep-alive' if keep else 'close'}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    asyncio.run(_serve())

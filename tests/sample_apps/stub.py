"""The remote services of the sample apps: an HTTP server and a mail server on this machine.

`running_services` runs both in a process of their own, which ends when its standard input closes.

| request | is answered with |
|---|---|
| `POST /token` | a bearer token |
| `GET /private/...` | 401 without a bearer token |
| `GET /jobs/{id}` | "pending" three times, then "done", then from the beginning |
| `GET /flaky/{id}` | 503 and 200 in turn |
| `POST /batch/...` with a list | a value for each of its elements |
| everything else | a value that depends on the path |
"""

import asyncio
import json
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

USUAL_DELAY_MS = 5.0
DELAYS_MS = {
    "carriers": 8.0,
    "customs": 12.0,
    "events": 10.0,
    "fraud": 250.0,
    "jobs": 3.0,
    "partners": 40.0,
    "token": 4.0,
    "translations": 15.0,
    "weather": 9.0,
    "webhooks": 12.0,
}
MAIL_DELAY_MS = 8.0
POLLS_COUNT = 3
END_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Services:
    """Where the two servers listen."""

    stub_url: str
    """The address of the HTTP server."""
    smtp_host: str
    """The host of the mail server."""
    smtp_port: int
    """The port of the mail server."""

    def environment(self, database_url: str, redis_url: str) -> dict[str, str]:
        """The variables that a sample app is started with."""
        return {
            "SAMPLE_DATABASE_URL": database_url,
            "SAMPLE_REDIS_URL": redis_url,
            "SAMPLE_STUB_URL": self.stub_url,
            "SAMPLE_SMTP_HOST": self.smtp_host,
            "SAMPLE_SMTP_PORT": str(self.smtp_port),
            # The services called are on this machine: never through a proxy of the environment.
            "NO_PROXY": "127.0.0.1",
        }


@contextmanager
def running_services() -> Iterator[Services]:
    """Starts both servers and ends them afterwards."""
    process = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C reaches all that a terminal runs; this process ends when its parent has finished.
        start_new_session=True,
    )
    with process:
        assert process.stdout
        assert process.stdin
        try:
            http_port, smtp_port = map(int, process.stdout.readline().split())
            yield Services(f"http://127.0.0.1:{http_port}", "127.0.0.1", smtp_port)
        finally:
            process.stdin.close()
            process.wait(END_WITHIN_S)


class Answers:
    """What the HTTP server answers, and what it has to remember for it."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()

    def answer(self, method: str, path: str, authorization: str, body: bytes) -> tuple[int, Any]:
        """The status and the content of one answer."""
        first, *_ = path.strip("/").split("/")
        self._asked[path] += 1
        if first == "token":
            return 200, {"access_token": "sample-token", "expires_in": 3600}
        if first == "private" and authorization != "Bearer sample-token":
            return 401, {"error": "no token"}
        if first == "jobs":
            done = self._asked[path] % (POLLS_COUNT + 1) == 0
            return 200, {"id": path, "status": "done" if done else "pending"}
        if first == "flaky" and self._asked[path] % 2:
            return 503, {"error": "come again"}
        if first == "batch" and method == "POST":
            return 200, [{"id": each, "value": value_of(str(each))} for each in json.loads(body)]
        return 200, {"path": path, "value": value_of(path)}


def value_of(text: str) -> int:
    """A number below 1000 that is always the same for the same text."""
    return zlib.crc32(text.encode()) % 1000


def _response(status: int, content: Any) -> bytes:
    body = json.dumps(content).encode()
    head = (
        f"HTTP/1.1 {status} {'OK' if status == 200 else 'Refused'}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _serve_http(
    answers: Answers, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _version = head[0].split(" ")
            pairs = (line.partition(":") for line in head[1:])
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            path = urlsplit(target).path
            delay_ms = DELAYS_MS.get(path.strip("/").split("/")[0], USUAL_DELAY_MS)
            await asyncio.sleep(delay_ms / 1000)
            authorization = headers.get("authorization", "")
            writer.write(_response(*answers.answer(method, path, authorization, body)))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # The caller has left.
    finally:
        writer.close()


async def _serve_mail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        writer.write(b"220 sample\r\n")
        while line := await reader.readline():
            verb = line[:4].upper().strip()
            if verb == b"DATA":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                await asyncio.sleep(MAIL_DELAY_MS / 1000)
            writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 fine\r\n")
            await writer.drain()
            if verb == b"QUIT":
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # The caller has left.
    finally:
        writer.close()


async def _serve() -> None:
    answers = Answers()

    async def serve_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _serve_http(answers, reader, writer)

    # All users of a moment may come at once.
    http = await asyncio.start_server(serve_http, "127.0.0.1", 0, backlog=512)
    mail = await asyncio.start_server(_serve_mail, "127.0.0.1", 0, backlog=512)
    ports = (server.sockets[0].getsockname()[1] for server in (http, mail))
    sys.stdout.write(" ".join(map(str, ports)) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())

"""Kills what stores events while they come, and counts: `python -m bench.ingest_faults`.

Clients send events to an app in a process of its own, over loopback. In each round, at a random
moment, it is hit: the app is killed (SIGKILL), all its connections are ended by the server
(`pg_terminate_backend`), or the server is stopped at once and started again. Clients send an event
with a key again until it is acknowledged, some of them twice at the same time; an event without a
key is sent once. Every acknowledged event must then be in the table, and none twice.

    python -m bench.ingest_faults [--rounds N] [--only FAULT ...] [--json]

Ends with 1 where an event is missing or doubled.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import psycopg

from bench.ingest_app import DATABASE_VARIABLE
from bench.stoppable_server import StoppableServer, stoppable_server

ROUNDS: Final = 20
CLIENTS: Final = 32
STARTS_WITHIN_S: Final = 20.0
TABLES: Final = ("keyed", "plain")
AGAIN_AFTER_S: Final = 0.01
SENT_TWICE: Final = 0.1
"""Of the events with a key, how many are sent twice at once."""

_TABLES: Final = """
DROP TABLE IF EXISTS keyed, plain;
CREATE TABLE keyed (event_id text UNIQUE, kind text, amount int);
CREATE TABLE plain (event_id text, kind text, amount int);
"""
_TERMINATE: Final = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname = current_database()
"""


class Row(NamedTuple):
    """What was counted under one fault, in one table."""

    fault: str
    table: str
    rounds: int
    acknowledged: int
    unanswered: int
    """How many requests were refused, or got no answer."""
    found: int
    missing: int
    """Acknowledged, and not in the table."""
    doubled: int


class Line:
    """A connection of one client, opened anew when it breaks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: bytes) -> bytes:
        """The whole answer; empty if there is none."""
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        try:
            if self._ends is None:
                self._ends = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._ends
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length: ")[2].split()[0])
            return answer + await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return b""

    def close(self) -> None:
        """Lets go of it."""
        if self._ends is not None:
            self._ends[1].close()
            self._ends = None


class Sender:
    """Sends events, and knows which of them were acknowledged."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.acknowledged: dict[str, set[str]] = {table: set() for table in TABLES}
        self.unanswered = dict.fromkeys(TABLES, 0)
        self._is_done = False

    async def send_for(self, seconds: float, hit: Callable[[], Awaitable[None]]) -> None:
        """Sends until after the hit, and until what was sent then has ended."""
        self._is_done = False
        clients = [asyncio.create_task(self._client(number)) for number in range(CLIENTS)]
        await asyncio.sleep(seconds)
        await hit()
        self._is_done = True
        await asyncio.gather(*clients)

    async def _client(self, number: int) -> None:
        table = TABLES[number % 2]
        line, other_line = Line(self._port), Line(self._port)
        while not self._is_done:
            event_id = str(uuid.uuid4())
            if table == "plain":
                await self._send(line, table, event_id)
            elif random.random() < SENT_TWICE:
                await asyncio.gather(*(self._insist(one, event_id) for one in (line, other_line)))
            else:
                await self._insist(line, event_id)
        line.close()
        other_line.close()

    async def _insist(self, line: Line, event_id: str) -> None:
        while not await self._send(line, "keyed", event_id) and not self._is_done:
            pass

    async def _send(self, line: Line, table: str, event_id: str) -> bool:
        """Whether it was acknowledged."""
        body = json.dumps({"event_id": event_id, "kind": "paid", "amount": 3}).encode()
        answer = await line.post(f"/{table}", body)
        if answer.startswith(b"HTTP/1.1 201") and b'"is_new"' in answer:
            self.acknowledged[table].add(event_id)
            return True
        self.unanswered[table] += 1
        await asyncio.sleep(AGAIN_AFTER_S)
        return False


class App:
    """The app in a process of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Starts it and returns once it takes connections."""
        options = ["--port", str(self.port), "--log-level", "critical", "--no-access-log"]
        self._process = subprocess.Popen(  # noqa: ASYNC220  # it takes a millisecond
            [sys.executable, "-m", "uvicorn", "bench.ingest_app:app", *options],
            cwd=Path(__file__).parent.parent,
            env={**os.environ, DATABASE_VARIABLE: self._url},
            stdout=subprocess.DEVNULL,
        )
        async with asyncio.timeout(STARTS_WITHIN_S):
            while not await self._answers():
                assert self._process.poll() is None, "the app ended before it served"
                await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    def kill(self) -> None:
        """Ends it between two instructions."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()


async def app_killed(url: str, rounds: int) -> Sender:
    """The app is killed in each round, and started for the next."""
    app = App(url)
    sender = Sender(app.port)

    async def hit() -> None:
        app.kill()

    try:
        for _ in range(rounds):
            await app.start()
            await sender.send_for(random.uniform(0.05, 0.4), hit)
    finally:
        app.kill()
    return sender


async def connections_terminated(url: str, rounds: int) -> Sender:
    """All connections of the app are ended, while it runs on."""

    async def hit() -> None:
        await asyncio.to_thread(_execute, url, _TERMINATE)
        await asyncio.sleep(0.1)

    return await _while_it_runs(url, rounds, hit)


async def server_stopped(server: StoppableServer, rounds: int) -> Sender:
    """The server is stopped at once, and started again, while the app runs on."""

    async def hit() -> None:
        await server.stop_at_once()
        await server.start_again()
        await asyncio.sleep(0.2)

    return await _while_it_runs(server.url, rounds, hit)


async def _while_it_runs(url: str, rounds: int, hit: Callable[[], Awaitable[None]]) -> Sender:
    app = App(url)
    sender = Sender(app.port)
    try:
        await app.start()
        for _ in range(rounds):
            await sender.send_for(random.uniform(0.05, 0.3), hit)
    finally:
        app.kill()
    return sender


def _execute(url: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def counted(fault: str, url: str, rounds: int, sender: Sender) -> Iterator[Row]:
    """What is in the tables, beside what was acknowledged."""
    for table in TABLES:
        stored = _execute(url, f"SELECT event_id, count(*) FROM {table} GROUP BY event_id")
        found = {str(event_id) for event_id, _ in stored}
        acknowledged = sender.acknowledged[table]
        yield Row(
            fault,
            table,
            rounds,
            len(acknowledged),
            sender.unanswered[table],
            len(found),
            len(acknowledged - found),
            sum(count != 1 for _, count in stored),
        )


@contextmanager
def _emptied(url: str) -> Iterator[str]:
    _execute(url, _TABLES)
    yield url


def rows(faults: Sequence[str], rounds: int) -> Iterator[Row]:
    """Each fault on a server of its own, which ends with it."""
    for fault in faults:
        with stoppable_server() as server, _emptied(server.url) as url:
            if fault == "server-stopped":
                sender = asyncio.run(server_stopped(server, rounds))
            else:
                sender = asyncio.run(_FAULTS[fault](url, rounds))
            yield from counted(fault, url, rounds, sender)


_FAULTS: Final = {
    "app-killed": app_killed,
    "connections-terminated": connections_terminated,
}
FAULTS: Final = (*_FAULTS, "server-stopped")


def main() -> int:
    """Prints a line for each fault and table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=FAULTS)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = []
    for row in rows(given.only, given.rounds):
        found.append(row)
        if not given.json:
            print(", ".join(f"{name} {value}" for name, value in row._asdict().items()), flush=True)
    if given.json:
        print(json.dumps([row._asdict() for row in found], indent=2))
    return 1 if any(row.missing or row.doubled for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())

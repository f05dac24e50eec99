"""The same over real sockets: uvicorn in a thread, clients that are slow, impatient or many."""

from __future__ import annotations

import asyncio
import http.client
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter_ns
from urllib.parse import urlsplit

import pytest
import uvicorn

from tests.calibration.app import make_app
from tests.calibration.driver import (
    OUTSIDE_OF_A_THREAD,
    Driver,
    Recording,
    Seen,
    wrong_lines,
    wrong_lines_in_a_crowd,
)
from tests.calibration.stage import LOOPS, PATIENCE_S, PAUSE_S, REQUESTS, Judge
from tests.calibration.stubs import running_stubs
from tests.calibration.world import USERS, opened_world
from unslow.model.codec import dumps, loads, trace_of
from unslow.record.finish import finished
from unslow.record.middleware import TraceMiddleware

DEADLINE_S = 10.0
SLOW_S = 0.05

Send = Callable[["Server"], int]
"""Sends a request, and gives its time as the client saw it, in ns."""


class Server:
    """The calibration app behind uvicorn."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.port = 0
        self.driver: Driver
        self.pause = threading.Event()

    async def serve(self, url: str, started: Future[uvicorn.Server]) -> None:
        parts = urlsplit(url)
        with running_stubs(parts.hostname or "127.0.0.1", parts.port or 5432) as stubs:
            async with opened_world(url, stubs) as world:
                self.driver = Driver(self.recording, make_app(world))
                app = TraceMiddleware(self.driver.truths, self.recording.recorder)
                config = uvicorn.Config(app, log_config=None, lifespan="off", loop="none")
                listening = socket.create_server(("127.0.0.1", 0))
                self.port = listening.getsockname()[1]
                server = uvicorn.Server(config)
                started.set_result(server)
                await server.serve(sockets=[listening])

    def closed(self, count: int) -> list[Seen]:
        """The requests that have been handled, once there are that many."""
        closed = self.recording.recorder.closed
        deadline = time.monotonic() + DEADLINE_S
        while len(closed) < count:
            assert time.monotonic() < deadline, f"{len(closed)} of {count} requests were closed"
            self.pause.wait(0.001)
        packed = [finished(closed.popleft()) for _ in range(count)]
        traces = [trace_of(loads(dumps(one))) for one in packed]
        return [self.driver.seen_trace(one, one.end_ns - one.start_ns) for one in traces]

    def measured(self, judge: Judge, send: Send, users_count: int = 1) -> list[Seen]:
        """Requests until their medians are right."""
        wrong = []
        rounds = REQUESTS if users_count == 1 else 1
        with ThreadPoolExecutor(users_count) as users:
            # The first ones fill pools and start threads.
            list(users.map(send, [self] * users_count))
            self.closed(users_count)
            end = time.monotonic() + PATIENCE_S
            while time.monotonic() < end:
                seen = []
                for _ in range(rounds):
                    list(users.map(send, [self] * users_count))
                    seen += self.closed(users_count)
                wrong.append(judge(seen))
                if not wrong[-1]:
                    return seen
                self.pause.wait(PAUSE_S)
        raise AssertionError("\n".join("; ".join(found) for found in wrong))


@pytest.fixture(scope="module", params=LOOPS)
def server(
    request: pytest.FixtureRequest, recording: Recording, filled_database_url: str
) -> Iterator[Server]:
    server = Server(recording)
    started: Future[uvicorn.Server] = Future()

    def serve() -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(server.serve(filled_database_url, started))

    thread = threading.Thread(target=serve)
    thread.start()
    running = started.result(DEADLINE_S)
    yield server
    running.should_exit = True
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def requesting(path: str, body: bytes | None = None) -> Send:
    """A request as clients send it."""

    def send(server: Server) -> int:
        headers = {} if body is None else {"content-type": "application/json"}
        client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_S)
        start = perf_counter_ns()
        client.request("GET" if body is None else "POST", path, body, headers)
        answer = client.getresponse()
        answer.read()
        client.close()
        assert answer.status == 200
        return perf_counter_ns() - start

    return send


@pytest.mark.parametrize("deed", ["own-code", "asyncpg-sql", "httpx-remote", "session-hydration"])
def test_on_the_loop(server: Server, deed: str) -> None:
    server.measured(wrong_lines, requesting(f"/alone/{deed}"))


@pytest.mark.parametrize("deed", ["psycopg-sql", "own-code"])
def test_in_a_thread(server: Server, deed: str) -> None:
    def judge(seen: list[Seen]) -> list[str]:
        return wrong_lines(seen, OUTSIDE_OF_A_THREAD)

    server.measured(judge, requesting(f"/def/{deed}"))  # type: ignore[arg-type]  # the deed is a literal


@pytest.mark.parametrize("deed", ["asyncpg-sql", "blocking"])
def test_at_ten_users(server: Server, deed: str) -> None:
    server.measured(wrong_lines_in_a_crowd, requesting(f"/alone/{deed}"), USERS)


def test_validation_and_serialization(server: Server) -> None:
    server.measured(wrong_lines, requesting("/validation", b'{"name": "x"}'))
    server.measured(wrong_lines, requesting("/serialization"))


def test_a_client_that_sends_its_body_slowly(server: Server) -> None:
    def send(server: Server) -> int:
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.sendall(b"POST /receive HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
            server.pause.wait(SLOW_S)
            client.sendall(b"def")
            assert b"200 OK" in client.recv(1_000)
        return 0

    seen = server.measured(wrong_lines, send)

    assert median_ms(seen, "receive") >= SLOW_S * 1_000 * 0.9


def test_a_client_that_reads_slowly(server: Server) -> None:
    def send(server: Server) -> int:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            client.connect(("127.0.0.1", server.port))
            client.sendall(b"GET /parts/160 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            server.pause.wait(SLOW_S)
            while client.recv(1_000_000):
                pass
        return 0

    # The loop itself copies what is sent: it is busy with that now and then.
    seen = server.measured(wrong_lines_in_a_crowd, send)

    assert median_ms(seen, "send") >= SLOW_S * 1_000 * 0.9
    assert {one.trace.response_bytes for one in seen} == {16_000_000}


def test_a_client_that_leaves(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /parts/1000 HTTP/1.1\r\nHost: x\r\n\r\n")
        client.recv(1_000)

    (seen,) = server.closed(1)

    assert seen.trace.disconnected
    assert (seen.trace.status, seen.trace.route) == (200, "/parts/{count}")


def median_ms(seen: list[Seen], segment: str) -> float:
    return statistics.median(one.line_ms(segment) for one in seen)

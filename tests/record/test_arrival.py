"""When bytes arrived, asked of the kernel after the loop was busy."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvloop

from tests.record.probes.conftest import Bench
from unslow.current import LANE, OpenTrace, clock
from unslow.record.arrival import note_arrival
from unslow.record.lanes import unwatch_all

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of arrivals")


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A trace without probes."""
    yield Bench()
    unwatch_all()


class Answering:
    """A server in a thread: to each byte that comes it answers when it is told to."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self.address = listening.getsockname()
        self.asked = threading.Event()
        self.answer_now = threading.Event()
        self.answered = threading.Event()
        self.before_ns = self.after_ns = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connected, _ = self._listening.accept()
        with connected:
            connected.recv(1)
            self.asked.set()
            self.answer_now.wait(5)
            self.before_ns = clock()
            connected.sendall(b"!")
            self.after_ns = clock()
            self.answered.set()
            connected.recv(1)

    def close(self) -> None:
        self.answer_now.set()
        self._listening.close()
        self._thread.join(5)


@contextmanager
def answering(family: socket.AddressFamily, address: Any) -> Iterator[Answering]:
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.settimeout(5)
        listening.bind(address)
        listening.listen(1)
        server = Answering(listening)
        try:
            yield server
        finally:
            server.close()


Waiting = tuple[OpenTrace, int, int]
"""The trace, when the wait began, and what was noted at its end."""


def waited(
    bench: Bench, server: Answering, source_of: Callable[[Any], Any], blocked_ms: int, loop: Any
) -> Waiting:
    """A request that asks, while another holds the loop from before the answer until after it."""
    noted: list[int] = []

    async def asks() -> None:
        family = socket.AF_UNIX if isinstance(server.address, str) else socket.AF_INET
        raw = socket.socket(family, socket.SOCK_STREAM)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, server.address)
        reader, writer = await asyncio.open_connection(sock=raw)
        lane = LANE.get()
        assert lane is not None
        writer.write(b"?")
        start = clock()
        await reader.read(1)
        note_arrival(lane, source_of(writer.get_extra_info("socket")), start)
        noted.extend((start, lane.arrival_ns))
        writer.close()
        await writer.wait_closed()

    async def holds_the_loop() -> None:
        assert await asyncio.to_thread(server.asked.wait, 5)
        server.answer_now.set()
        assert server.answered.wait(5)
        until = server.after_ns + blocked_ms * 1_000_000
        while clock() < until:
            pass

    async def main() -> OpenTrace:
        holding = asyncio.create_task(holds_the_loop())
        trace = await bench.run_async(asks)
        await holding
        return trace

    with asyncio.Runner(loop_factory=loop) as runner:
        trace = runner.run(main())
    return trace, *noted  # type: ignore[return-value]  # two were noted


def itself(source: Any) -> Any:
    return source


def descriptor(source: Any) -> int:
    return int(source.fileno())


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("source_of", [itself, descriptor])
def test_an_answer_read_late_is_known_to_have_come_early(
    bench: Bench, source_of: Callable[[Any], Any], loop: Any
) -> None:
    errors_ms = []
    for _ in range(3):
        with answering(socket.AF_INET, ("127.0.0.1", 0)) as server:
            trace, _, arrived = waited(bench, server, source_of, 60, loop)
        (step,) = [one for one in trace.root.steps if one[3]]
        # The step that the answer woke carries it, and begins when the loop was free again.
        assert arrived == step[3]
        assert step[0] >= server.after_ns + 60_000_000
        errors_ms.append((arrived - server.before_ns) / 1e6)

    # The middle one: on a machine with neighbours any single look may be interrupted.
    assert -0.5 <= sorted(errors_ms)[1] <= 8.5


def test_the_connection_is_open_after_its_descriptor_was_asked(bench: Bench) -> None:
    before = threading.Event()

    def asks_twice(source: Any) -> int:
        lane = LANE.get()
        assert lane is not None
        note_arrival(lane, source.fileno(), lane.step_start_ns - 10_000_000)
        note_arrival(lane, source.fileno(), lane.step_start_ns - 10_000_000)
        assert source.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        before.set()
        return int(source.fileno())

    with answering(socket.AF_INET, ("127.0.0.1", 0)) as server:
        waited(bench, server, asks_twice, 20, asyncio.new_event_loop)

    assert before.is_set()


def test_a_short_wait_is_not_looked_at(bench: Bench) -> None:
    looked: list[Any] = []

    class Watched:
        family = socket.AF_INET

        def getsockopt(self, *asked: Any) -> bytes:
            looked.append(asked)
            return bytes(56)

    async def request() -> None:
        lane = LANE.get()
        assert lane is not None
        start = clock()
        await asyncio.sleep(0)
        note_arrival(lane, Watched(), start)
        assert 0 == lane.arrival_ns

    bench.run(request)

    assert [] == looked


def test_an_arrival_before_the_wait_is_left_out(bench: Bench) -> None:
    class Old:
        family = socket.AF_INET

        def getsockopt(self, *_: Any) -> bytes:
            return bytes(52) + (10_000).to_bytes(4, sys.byteorder)

    async def request() -> None:
        lane = LANE.get()
        assert lane is not None
        start = clock()
        await asyncio.sleep(0.01)
        note_arrival(lane, Old(), start)
        assert 0 == lane.arrival_ns

    bench.run(request)


def test_a_wait_that_held_the_loop_has_no_arrival(bench: Bench) -> None:
    def request() -> None:
        lane = LANE.get()
        assert lane is not None
        left, right = socket.socketpair(socket.AF_UNIX)
        with left, right:
            note_arrival(lane, left, clock() - 10_000_000)
        assert 0 == lane.arrival_ns

    bench.run(request)


def test_a_unix_socket_has_no_arrival(bench: Bench, tmp_path: Any) -> None:
    with answering(socket.AF_UNIX, str(tmp_path / "socket")) as server:
        trace, _, arrived = waited(bench, server, itself, 20, asyncio.new_event_loop)

    assert 0 == arrived
    assert all(step[3] == 0 for step in trace.root.steps)


class Closed:
    """A socket of uvloop whose transport has been closed."""

    family = socket.AF_INET

    def getsockopt(self, *_: Any) -> bytes:
        raise ValueError("negative file descriptor")


@pytest.mark.parametrize("source", [None, -1, object(), Closed()])
def test_what_is_no_socket_is_left_alone(bench: Bench, source: Any) -> None:
    async def request() -> None:
        lane = LANE.get()
        assert lane is not None
        start = clock()
        await asyncio.sleep(0.01)
        note_arrival(lane, source, start)
        assert 0 == lane.arrival_ns

    bench.run(request)

"""The slow network: between real sockets, and before a real PostgreSQL."""

from __future__ import annotations

import os
import select
import socket
import socketserver
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.injection.running import free_port, until
from unslow.prove.network import SlowNetwork

PATIENCE_S = 20
MOST_TAKEN = 64 * 1024 * 1024


def taken_until_full(client: socket.socket) -> int:
    """How many bytes are taken until there is no room for half a second."""
    count = 0
    while select.select([], [client], [], 0.5)[1]:
        count += client.send(b"x" * 65536)
        assert count < MOST_TAKEN
    return count


class Echo(socketserver.BaseRequestHandler):
    """Gives back what comes until the other side has ended, and then ends its own."""

    request: socket.socket

    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    with serving(Echo) as port:
        yield port


def connected(network: SlowNetwork) -> socket.socket:
    return socket.create_connection(("127.0.0.1", network.port), timeout=PATIENCE_S)


def received(from_: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        data = from_.recv(65536)
        assert data, "it ended too early"
        found += data
    return found


@given(
    chunks=st.lists(
        st.tuples(st.binary(min_size=1, max_size=2000), st.sampled_from([0.0, 0.5, 3.0])),
        max_size=12,
    )
)
def test_bytes_keep_their_order_however_the_delay_is_changed(
    chunks: list[tuple[bytes, float]], echo: int
) -> None:
    with SlowNetwork("127.0.0.1", echo) as network, connected(network) as client:
        for data, delay_ms in chunks:
            network.delay_ms = delay_ms
            client.sendall(data)

        sent = b"".join(data for data, _ in chunks)
        assert sent == received(client, len(sent))


def test_the_end_of_one_direction_is_passed_on_and_the_other_goes_on(echo: int) -> None:
    with SlowNetwork("127.0.0.1", echo, delay_ms=2) as network, connected(network) as client:
        client.sendall(b"all of it")
        client.shutdown(socket.SHUT_WR)

        assert b"all of it" == received(client, 9)
        assert b"" == client.recv(1)
        until(lambda: network.open_count == 0)


def test_a_client_that_leaves_ends_the_other_end_too(echo: int) -> None:
    with SlowNetwork("127.0.0.1", echo) as network:
        with connected(network) as client:
            client.sendall(b"x")
            received(client, 1)
            assert 1 == network.open_count

        until(lambda: network.open_count == 0)

        assert 1 == network.connections_count


@pytest.mark.parametrize("delay_ms", [0.0, 30_000.0])
def test_whoever_sends_waits_when_the_other_side_reads_nothing(delay_ms: float) -> None:
    reads = threading.Event()
    got: list[int] = []

    class Sleeper(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"!")
            reads.wait(PATIENCE_S)
            got.append(len(self.request.recv(1)))

    with (
        serving(Sleeper) as port,
        SlowNetwork("127.0.0.1", port) as network,
        connected(network) as client,
    ):
        received(client, 1)
        network.delay_ms = delay_ms
        client.setblocking(False)
        sent = taken_until_full(client)
        network.close()
        reads.set()

    assert 0 < sent < MOST_TAKEN


def test_where_nothing_listens_the_client_is_told() -> None:
    with SlowNetwork("127.0.0.1", free_port()) as network, connected(network) as client:
        assert b"" == client.recv(1)
        until(lambda: network.open_count == 0)


def test_closing_ends_every_connection_and_the_thread_and_leaves_no_file_open(echo: int) -> None:
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    network = SlowNetwork("127.0.0.1", echo, delay_ms=1)
    with connected(network) as client, connected(network) as waiting:
        client.sendall(b"x")
        received(client, 1)
        network.delay_ms = 60_000
        waiting.sendall(b"x")
        with connected(network):
            network.close()
            network.close()

        assert b"" == client.recv(1)

    assert 0 == network.open_count
    assert 3 == network.connections_count
    assert "unslow-network" not in {one.name for one in threading.enumerate()}
    until(lambda: threading.active_count() <= threads)
    until(lambda: len(os.listdir("/proc/self/fd")) <= files)


def test_a_round_trip_to_a_database_takes_longer_by_the_delay(database_url: str) -> None:
    there = urlsplit(database_url)

    def median_ms(connection: psycopg.Connection[tuple[object, ...]]) -> float:
        took = []
        for _ in range(30):
            begun = time.perf_counter()
            connection.execute("SELECT 1")
            took.append((time.perf_counter() - begun) * 1e3)
        return statistics.median(took)

    with SlowNetwork(there.hostname or "", there.port or 5432) as network:
        url = there._replace(netloc=f"{there.username}@127.0.0.1:{network.port}").geturl()
        with psycopg.connect(url, password=there.password, autocommit=True) as connection:
            without = median_ms(connection)
            network.delay_ms = 5
            delayed = median_ms(connection)

    assert 4 <= delayed - without


def test_no_bytes_wait_for_an_acknowledgement(echo: int) -> None:
    with SlowNetwork("127.0.0.1", echo) as network, connected(network) as client:
        client.sendall(b"x")
        assert received(client, 1) == b"x"

        opened = [end._transport for end in tuple(network._ends)]
        options = [
            one.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            for one in opened
            if one is not None
        ]

    assert [True, True] == list(map(bool, options))

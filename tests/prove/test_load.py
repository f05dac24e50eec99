"""The open loop, against a real server on this machine."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.injection.running import free_port
from tests.model.test_load import QUIET
from tests.prove.workload.serving import serving
from unslow.model.load import Load
from unslow.model.workload import Request
from unslow.prove.connections import Connections
from unslow.prove.fine_loop import fine_loop
from unslow.prove.knee import Search, departure, find_knee
from unslow.prove.load import load_client, open_loop

HOLD_S = 0.3
ROOT = Request("GET", "/")


class App:
    """Answers at once, but what is said to be held or dropped."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.paths: list[str] = []
        self.headers: list[dict[bytes, bytes]] = []
        self.in_flight = self.most_in_flight = 0
        self.released = threading.Event()

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        is_first = not self.paths
        self.paths.append(path)
        self.headers.append(dict(scope["headers"]))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await receive()
        if path == "/first-held" and is_first:
            # The server stands still: that is what is to be measured.
            await asyncio.sleep(HOLD_S)
        if path == "/never":
            # The next message is that the client has left.
            await receive()
        self.in_flight -= 1
        if path == "/dropped":
            raise ConnectionResetError
        status = {"/down": 503, "/missing": 404}.get(path, 200)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[App, str]]:
    app = App()
    with serving(app) as url:
        yield app, url


@pytest.fixture
def app(served: tuple[App, str]) -> App:
    served[0].forget()
    return served[0]


@pytest.fixture
def url(served: tuple[App, str]) -> str:
    return served[1]


def run(url: str, requests: Sequence[Request], rate: float, seconds: float, **options: Any) -> Load:
    async def on_loop() -> Load:
        async with load_client(url) as client:
            load = await open_loop(client, requests, rate, seconds, **options)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert set() == left
        return load

    with asyncio.Runner(loop_factory=fine_loop) as runner:
        return runner.run(on_loop())


def test_each_that_is_due_is_sent_and_answered(app: App, url: str) -> None:
    load = run(url, [ROOT], 200, 0.2)

    assert ["/"] * 40 == app.paths
    assert (40, 40, 40, 40) == (
        load.due_count,
        load.answered_count,
        len(load.latencies_ms),
        len(load.lags_ms),
    )
    assert (((200, 40),), (), 80) == (load.statuses, load.errors, load.wire_bytes)
    assert (0, 0, False) == (load.unsent_count, load.cut_off_count, load.is_stopped)
    assert list(load.latencies_ms) == sorted(load.latencies_ms)
    # As many as were due in the time that they were due in.
    assert load.duration_ms >= 200


def test_what_was_due_while_the_server_stood_still_has_waited(app: App, url: str) -> None:
    rate, count = 100.0, 20

    load = run(url, [Request("GET", "/first-held")], rate, count / rate, connections=1)

    # Each waited from when it was due to the end of the hold, of which the first saw the beginning.
    waited_ms = sorted(HOLD_S * 1e3 - index / rate * 1e3 for index in range(count))
    assert all(
        latency >= waited for latency, waited in zip(load.latencies_ms, waited_ms, strict=True)
    )
    assert 1 == app.most_in_flight


def test_no_more_are_under_way_than_there_are_connections(app: App, url: str) -> None:
    load = run(url, [Request("GET", "/first-held"), ROOT], 500, 0.1, connections=3)

    assert 50 == load.answered_count
    assert app.most_in_flight <= 3


def test_the_rate_does_not_wait_for_answers(app: App, url: str) -> None:
    load = run(url, [Request("GET", "/never")], 200, 0.1, answer_within_s=1)

    assert 20 == app.most_in_flight
    assert (("TimeoutError", 20),) == load.errors
    # What was given up was a wait, and counts as one.
    assert 20 == len(load.latencies_ms)
    assert min(load.latencies_ms) >= 1000
    assert 0 == load.answered_count


def test_what_gets_no_connection_in_time_is_given_up_and_counts(app: App, url: str) -> None:
    load = run(
        url, [Request("GET", "/never")], 100, 0.1, connections=1, answer_within_s=1, grace_s=0
    )

    assert ["/never"] == app.paths
    assert (10, 9, 10) == (load.due_count, load.unsent_count, len(load.latencies_ms))
    assert 1.0 == load.failed_share


def test_a_refusal_is_no_latency() -> None:
    load = run(f"http://127.0.0.1:{free_port()}", [ROOT], 100, 0.05)

    assert (("ConnectError", 5),) == load.errors
    assert () == load.latencies_ms


def test_answers_that_are_no_success_and_broken_ones_are_told_apart(app: App, url: str) -> None:
    paths = ("/", "/missing", "/down", "/dropped")

    load = run(url, [Request("GET", path) for path in paths], 100, 0.08)

    assert ((200, 2), (404, 2), (500, 2), (503, 2)) == load.statuses
    assert 0.5 == load.failed_share


def test_requests_are_sent_in_turn(app: App, url: str) -> None:
    run(url, [Request("GET", "/a"), Request("GET", "/b")], 100, 0.06, connections=1)

    assert ["/a", "/b"] * 3 == app.paths


def test_requests_that_are_more_frequent_are_sent_more_often_and_the_same_each_time(
    app: App, url: str
) -> None:
    requests = [Request("GET", "/a", times_count=9), Request("GET", "/b")]

    run(url, requests, 1000, 0.1, connections=1)
    first = list(app.paths)
    app.forget()
    run(url, requests, 1000, 0.1, connections=1)

    assert first == app.paths
    assert Counter(first)["/a"] > 3 * Counter(first)["/b"] > 0


def test_given_headers_replace_those_of_a_request(app: App, url: str) -> None:
    request = Request("GET", "/", headers=(("X-User", "1"), ("X-Kept", "2")))

    run(url, [request], 100, 0.01, headers=(("x-user", "3"),))

    assert (b"3", b"2") == (app.headers[0][b"x-user"], app.headers[0][b"x-kept"])


def test_what_was_measured_until_it_is_stopped_is_the_result(app: App, url: str) -> None:
    async def on_loop() -> Load:
        stop = asyncio.Event()

        def told(part: float) -> None:
            if part > 0 and len(app.paths) >= 3:
                stop.set()

        async with load_client(url) as client:
            requests = [ROOT, Request("GET", "/never")]
            load = await open_loop(client, requests, 100, 60, stop=stop, on_progress=told)
        assert {asyncio.current_task()} == asyncio.all_tasks()
        return load

    load = asyncio.run(on_loop())

    assert load.is_stopped
    assert load.due_count == load.answered_count + load.cut_off_count < 6000
    assert load.cut_off_count >= 1
    assert 0.0 == load.failed_share


def test_progress_is_told_as_a_part_of_the_time(app: App, url: str) -> None:
    parts: list[float] = []

    run(url, [ROOT], 100, 0.5, on_progress=parts.append)

    assert parts
    assert all(0 < one < 1 for one in parts)
    assert parts == sorted(parts)


def test_a_connection_given_back_is_the_next_one_taken(app: App, url: str) -> None:
    connections = Connections()

    async def on_loop() -> None:
        async with load_client(url) as client:
            client._transport = connections
            for _ in range(3):
                await client.get("/")
            await asyncio.gather(*(client.get("/") for _ in range(4)))
            await open_loop(client, [Request("GET", "/dropped")], 100, 0.05)

    asyncio.run(on_loop())

    assert 4 == connections.count


def test_a_connection_that_failed_is_free_again() -> None:
    connections = Connections()

    async def on_loop() -> Load:
        async with load_client(f"http://127.0.0.1:{free_port()}") as client:
            client._transport = connections
            return await open_loop(client, [ROOT], 100, 0.05, connections=1)

    load = asyncio.run(on_loop())

    assert (5, 1) == (dict(load.errors)["ConnectError"], connections.count)


def slow(load: Load, p99_ms: float) -> Load:
    return replace(load, latencies_ms=(3.0,) * 98 + (p99_ms,) * 2)


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (QUIET, ""),
        (slow(QUIET, 8.9), ""),
        (slow(QUIET, 9.1), "p99 rose from 3.0 ms to 9.1 ms"),
        (replace(QUIET, answered_count=89), "8.9 of 10 requests/s were answered"),
        (replace(QUIET, statuses=((200, 98), (503, 2))), "2 % failed"),
        (replace(QUIET, statuses=((200, 99), (503, 1))), ""),
    ],
)
def test_a_stretch_has_left_the_first_one_behind(load: Load, said: str) -> None:
    assert said == departure(load, QUIET)


def at(rate: float, load: Load = QUIET) -> Load:
    return replace(load, rate_per_s=rate, duration_ms=load.answered_count / rate * 1e3)


def test_the_rate_is_raised_until_it_is_not_held_twice_in_a_row() -> None:
    search = Search(10.0)
    tried = []

    for load in (QUIET, slow(QUIET, 50), QUIET, slow(QUIET, 50), slow(QUIET, 60)):
        tried.append(search.rate)
        search.take(at(search.rate, load))

    knee = search.knee()
    assert [10, 15, 15, 22.5, 22.5] == tried
    assert not search.goes_on
    assert (15.0, 22.5) == (knee.held_per_s, knee.left_per_s)
    assert "p99 rose from 3.0 ms to 60.0 ms" == knee.why
    assert 5 == len(knee.stretches)


def test_below_the_limit_of_the_sender_no_knee_is_claimed() -> None:
    search = Search(10.0)
    search.take(at(10.0))

    search.take(at(15.0, replace(slow(QUIET, 50), processor_share=0.97)))

    knee = search.knee()
    assert (10.0, None) == (knee.held_per_s, knee.left_per_s)
    assert "the sender itself was at its limit at 15 requests/s" == knee.why


def test_an_app_that_holds_every_rate_is_not_asked_for_ever() -> None:
    search = Search(1.0)

    while search.goes_on:
        search.take(at(search.rate))

    assert 30 == len(search.knee().stretches)
    assert search.knee().left_per_s is None


def knee_of(url: str, path: str, **options: Any) -> Any:
    async def on_loop() -> Any:
        async with load_client(url) as client:
            return await find_knee(client, [Request("GET", path)], 100, 0.1, **options)

    with asyncio.Runner(loop_factory=fine_loop) as runner:
        return runner.run(on_loop())


def test_an_app_that_holds_not_even_the_first_rate_has_its_knee_below(app: App, url: str) -> None:
    rates: list[float] = []

    knee = knee_of(url, "/down", on_stretch=rates.append)

    assert (None, 100, "100 % failed") == (knee.held_per_s, knee.left_per_s, knee.why)
    # Once to warm up, and twice to be sure.
    assert [100, 100, 100] == rates
    assert 30 == len(app.paths)


def test_a_search_that_is_stopped_tells_what_it_has_found(app: App, url: str) -> None:
    stop = asyncio.Event()

    knee = knee_of(url, "/", stop=stop, on_stretch=lambda _: stop.set())

    assert ((), None, "it was stopped") == (knee.stretches, knee.left_per_s, knee.why)

"""httpx and httpx2 against a real server."""

import asyncio
import importlib
import inspect
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.record.probes.conftest import Bench
from tests.record.probes.slices import (
    OwnTime,
    covers,
    everything_in,
    lanes_with,
    milliseconds,
    slices_of,
    wall_ms,
)
from tests.record.probes.stub import PART, Stub
from unslow.model.trace import POOL_WAIT, REMOTE
from unslow.record.place import resolve

SECRET = "s3cr3t"


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    return importlib.import_module(request.param)


@pytest.fixture
def probed(bench: Bench) -> Bench:
    bench.install("httpx")
    return bench


@pytest.fixture
def client(library: Any, probed: Bench) -> Iterator[Any]:
    with library.Client(trust_env=False) as client:
        yield client


def test_a_call_is_remote_from_before_the_server_got_it_until_after_it_answered(
    probed: Bench, client: Any, stub: Stub
) -> None:
    trace = probed.run(lambda: client.get(stub.url("/after/40")).raise_for_status())

    first = slices_of(trace, REMOTE)[0]
    assert covers([first], stub.exchanges[-1])
    assert stub.address == first[3][0]
    assert 40 <= milliseconds([first]) <= wall_ms(trace)


def test_an_async_call_is_remote_from_before_the_server_got_it_until_after_it_answered(
    probed: Bench, library: Any, stub: Stub
) -> None:
    async def work() -> None:
        async with library.AsyncClient(trust_env=False) as client:
            assert (await client.get(stub.url("/after/40"))).text == "done"

    trace = probed.run(work)

    first = slices_of(trace, REMOTE)[0]
    place = resolve(first[4][0])
    assert covers([first], stub.exchanges[-1])
    assert place is not None
    assert (__file__, True) == (place[0], place[2].endswith("work"))


def test_calls_side_by_side_are_remote_each_in_a_lane_of_its_own(
    probed: Bench, library: Any, stub: Stub
) -> None:
    async def work() -> None:
        async with library.AsyncClient(trust_env=False) as client:
            await asyncio.gather(*(client.get(stub.url("/after/40")) for _ in range(5)))

    trace = probed.run(work)

    lanes = lanes_with(trace, REMOTE)
    assert 5 == len(lanes)
    assert trace.root not in lanes
    assert 200 <= milliseconds(slices_of(trace, REMOTE))
    assert wall_ms(trace) < milliseconds(slices_of(trace, REMOTE))


@pytest.mark.parametrize("kind", ["stream", "sized"])
def test_a_body_that_comes_slowly_is_remote_until_its_last_part(
    probed: Bench, client: Any, stub: Stub, kind: str
) -> None:
    trace = probed.run(lambda: client.get(stub.url(f"/{kind}/3/20")).raise_for_status())

    slices = slices_of(trace, REMOTE)
    assert covers(slices, stub.exchanges[-1])
    assert 60 <= milliseconds(slices) <= wall_ms(trace)
    assert 1 == len({one[3][:3] for one in slices})


@pytest.mark.parametrize("kind", ["stream", "sized"])
def test_what_the_caller_does_between_two_parts_of_a_stream_is_not_remote(
    probed: Bench, client: Any, stub: Stub, kind: str
) -> None:
    own = OwnTime()

    def work() -> None:
        with client.stream("GET", stub.url(f"/{kind}/3/20")) as response:
            for _part in response.iter_bytes():
                own.spend_ms(5)

    trace = probed.run(work)

    slices = slices_of(trace, REMOTE)
    assert covers(slices, stub.exchanges[-1])
    assert 3 == len(own.stretches)
    assert own.is_outside(slices)


def test_the_parts_of_an_async_stream_are_remote_and_the_time_between_them_is_not(
    probed: Bench, library: Any, stub: Stub
) -> None:
    own = OwnTime()
    parts: list[bytes] = []

    async def work() -> None:
        async with (
            library.AsyncClient(trust_env=False) as client,
            client.stream("GET", stub.url("/stream/3/20")) as response,
        ):
            async for part in response.aiter_raw():
                parts.append(part)
                own.spend_ms(5)

    trace = probed.run(work)

    slices = slices_of(trace, REMOTE)
    assert PART * 3 == b"".join(parts)
    assert covers(slices, stub.exchanges[-1])
    assert own.is_outside(slices)


@pytest.mark.usefixtures("every_read")
def test_a_large_body_is_remote_until_its_last_part(probed: Bench, client: Any, stub: Stub) -> None:
    trace = probed.run(lambda: client.get(stub.url("/sized/50/2")).raise_for_status())

    assert covers(slices_of(trace, REMOTE), stub.exchanges[-1])


def test_a_stream_that_is_left_early_is_closed_as_without_us(
    probed: Bench, library: Any, stub: Stub
) -> None:
    async def work() -> None:
        async with library.AsyncClient(trust_env=False) as client:
            async with client.stream("GET", stub.url("/stream/5/10")) as response:
                async for _part in response.aiter_raw():
                    break
            assert response.is_closed
            assert "done" == (await client.get(stub.url("/after/0"))).text

    assert slices_of(probed.run(work), REMOTE)


def test_each_redirect_is_a_slice_under_its_own_host(
    probed: Bench, client: Any, stub: Stub
) -> None:
    url = f"http://localhost:{stub.port}/redirect/{stub.port}"

    trace = probed.run(lambda: client.get(url, follow_redirects=True).raise_for_status())

    hosts = [one[3][0] for one in slices_of(trace, REMOTE)]
    assert [f"localhost:{stub.port}", stub.address] == list(dict.fromkeys(hosts))


def test_each_round_of_an_authentication_is_a_slice(
    probed: Bench, library: Any, client: Any, stub: Stub
) -> None:
    before = len(stub.exchanges)
    login = library.DigestAuth("me", SECRET)

    trace = probed.run(lambda: client.get(stub.url("/private"), auth=login).raise_for_status())

    rounds = stub.exchanges[before:]
    slices = slices_of(trace, REMOTE)
    assert 2 == len(rounds)
    for seen in rounds:
        assert [one for one in slices if one[0] <= seen.received_ns < seen.end_ns <= one[1]]
    assert SECRET not in everything_in(trace)


def test_errors_are_the_librarys_own_and_their_time_is_remote(
    probed: Bench, library: Any, client: Any, stub: Stub
) -> None:
    def work() -> None:
        with pytest.raises(library.RemoteProtocolError):
            client.get(stub.url("/cut"))
        with pytest.raises(library.RemoteProtocolError):
            client.get(stub.url("/half"))
        with pytest.raises(library.ReadTimeout):
            client.get(stub.url("/never"), timeout=0.03)
        with pytest.raises(library.ConnectError):
            client.get("http://127.0.0.1:1/")

    trace = probed.run(work)

    slices = slices_of(trace, REMOTE)
    assert {stub.address, "127.0.0.1:1"} == {one[3][0] for one in slices}
    assert 30 <= max(milliseconds([one]) for one in slices)


def test_a_cancelled_call_is_remote_until_it_was_cancelled(
    probed: Bench, library: Any, stub: Stub
) -> None:
    async def work() -> None:
        async with library.AsyncClient(trust_env=False) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.03):
                    await client.get(stub.url("/never"))

    (only,) = slices_of(probed.run(work), REMOTE)

    assert milliseconds([only]) > 15


def test_a_call_that_stays_in_the_process_is_not_remote(probed: Bench, library: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    def mock(request: Any) -> Any:
        return library.Response(200, text="done")

    async def work() -> None:
        for transport in (library.ASGITransport(app), library.MockTransport(mock)):
            async with library.AsyncClient(transport=transport) as client:
                assert "done" == (await client.get("http://inside/")).text

    assert [] == slices_of(probed.run(work), REMOTE)


def test_a_slice_says_whether_a_timeout_bounds_the_wait_and_which_pool_of_connections_it_used(
    probed: Bench, library: Any, client: Any, stub: Stub
) -> None:
    url = stub.url("/after/0")

    def work() -> None:
        client.get(url)
        client.get(url, timeout=None)
        client.get(url, timeout=library.Timeout(5, read=None))
        with library.Client(trust_env=False, timeout=None) as other:
            other.get(url)

    # A read of a body that had to be waited for has a fourth field.
    peers = list(dict.fromkeys(one[3][:3] for one in slices_of(probed.run(work), REMOTE)))

    (_, first, bounded), (_, second, unbounded), (_, third, connecting) = *peers[:2], peers[2]
    assert [True, False, False] == [bounded, unbounded, connecting]
    assert first == second
    assert third != first


@pytest.mark.parametrize("concurrency", ["async", "threads"])
def test_waiting_for_a_connection_is_a_wait_for_the_pool(
    probed: Bench, library: Any, stub: Stub, concurrency: str
) -> None:
    limits = library.Limits(max_connections=1)

    async def with_tasks() -> None:
        async with library.AsyncClient(trust_env=False, limits=limits) as client:
            await asyncio.gather(*(client.get(stub.url("/after/100")) for _ in range(2)))

    async def with_threads() -> None:
        with library.Client(trust_env=False, limits=limits) as client:
            call = [asyncio.to_thread(client.get, stub.url("/after/100")) for _ in range(2)]
            await asyncio.gather(*call)

    trace = probed.run(with_tasks if concurrency == "async" else with_threads)

    (wait,) = slices_of(trace, POOL_WAIT)
    outer = [one for one in slices_of(trace, REMOTE) if one[0] <= wait[0] and wait[1] <= one[1]]
    assert f"{library.__name__} {stub.address} pool" == wait[3]
    assert milliseconds([wait]) > 10
    assert outer


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel is asked when the bytes came in")
def test_an_answer_that_waits_for_a_busy_loop_is_known_to_have_been_there(
    probed: Bench, library: Any, stub: Stub
) -> None:
    own = OwnTime()

    async def work() -> None:
        async with library.AsyncClient(trust_env=False) as client:
            await client.get(stub.url("/after/0"))
            call = asyncio.create_task(client.get(stub.url("/after/30")))
            await asyncio.sleep(0.01)
            own.spend_ms(200)
            await call

    trace = probed.run(work)

    (lane,) = [lane for lane in lanes_with(trace, REMOTE) if lane is not trace.root]
    ((start, end),) = own.stretches
    assert [step for step in lane.steps if start < step[3] < end]


def test_nothing_of_the_url_the_headers_or_the_body_is_kept(
    probed: Bench, client: Any, stub: Stub
) -> None:
    url = stub.url(f"/after/0/{SECRET}?key={SECRET}#{SECRET}", login=f"{SECRET}:{SECRET}@")
    headers = {"x-key": SECRET, "cookie": f"id={SECRET}"}

    trace = probed.run(lambda: client.post(url, headers=headers, content=SECRET).raise_for_status())

    assert slices_of(trace, REMOTE)
    assert SECRET not in everything_in(trace)


def test_a_call_outside_a_request_is_left_alone(
    probed: Bench, library: Any, client: Any, stub: Stub
) -> None:
    response = client.get(stub.url("/after/0"))

    assert "done" == response.text
    assert library.__name__ == type(response.stream._stream).__module__.partition(".")[0]


def test_a_statement_that_is_sent_over_http_is_recorded_by_its_own_probe_only(
    probed: Bench, client: Any, stub: Stub
) -> None:
    def work() -> None:
        from unslow.current import LANE

        lane = LANE.get()
        assert lane is not None
        lane.inside_sql += 1
        client.get(stub.url("/after/0"))

    assert [] == slices_of(probed.run(work), REMOTE)


def test_the_patched_functions_look_like_the_originals_and_all_of_them_are_given_back(
    bench: Bench, library: Any
) -> None:
    core = importlib.import_module({"httpx": "httpcore", "httpx2": "httpcore2"}[library.__name__])
    owners: list[Any] = [
        library.HTTPTransport,
        library.AsyncHTTPTransport,
        importlib.import_module(f"{core.__name__}._sync.connection_pool").PoolRequest,
        importlib.import_module(f"{core.__name__}._async.connection_pool").AsyncPoolRequest,
    ]
    before = [dict(vars(owner)) for owner in owners]

    bench.install("httpx")
    changed = {
        name: (had[name], vars(owner)[name])
        for owner, had in zip(owners, before, strict=True)
        for name in had
        if vars(owner)[name] is not had[name]
    }
    bench.probes.stop()

    assert {"handle_request", "handle_async_request", "wait_for_connection"} == set(changed)
    for original, replaced in changed.values():
        assert original.__qualname__ == replaced.__qualname__
        assert inspect.signature(original) == inspect.signature(replaced)
        assert inspect.iscoroutinefunction(original) == inspect.iscoroutinefunction(replaced)
    assert before == [dict(vars(owner)) for owner in owners]


def test_a_bug_of_ours_switches_the_probe_off_and_the_app_gets_its_answer(
    breaking_bench: Bench, library: Any, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(pool: Any) -> int:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("unslow.record.probes.httpx.pool_number", bug)
    breaking_bench.install("httpx")
    original = library.HTTPTransport.handle_request.__wrapped__

    with library.Client(trust_env=False) as client:
        breaking_bench.run(lambda: client.get(stub.url("/after/0")).raise_for_status())

    assert "broke: RuntimeError" == breaking_bench.recorder.coverage["httpx"].why
    assert library.HTTPTransport.handle_request is original


def test_the_alias_of_httpx2_is_not_recorded_twice(
    bench: Bench, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpx2: ModuleType = importlib.import_module("httpx2")
    monkeypatch.setitem(sys.modules, "httpx", httpx2)
    bench.install("httpx")

    with httpx2.Client(trust_env=False) as client:
        trace = bench.run(lambda: client.get(stub.url("/after/0")).raise_for_status())

    assert 1 == len([one for one in slices_of(trace, REMOTE) if covers([one], stub.exchanges[-1])])

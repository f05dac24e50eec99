"""aiohttp's client against a real server."""

import asyncio
import inspect
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp.connector import BaseConnector
from aiohttp.streams import StreamReader

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
from unslow.current import LANE
from unslow.model.trace import POOL_WAIT, REMOTE
from unslow.record.place import resolve

SECRET = "s3cr3t"


@pytest.fixture
def probed(bench: Bench) -> Bench:
    bench.install("aiohttp")
    return bench


def test_a_call_is_remote_from_before_the_server_got_it_until_after_it_answered(
    probed: Bench, stub: Stub
) -> None:
    async def work() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.get(stub.url("/after/40")) as response,
        ):
            assert "done" == await response.text()

    trace = probed.run(work)

    (only,) = slices_of(trace, REMOTE)
    place = resolve(only[4][0])
    assert covers([only], stub.exchanges[-1])
    assert stub.address == only[3][0]
    assert 40 <= milliseconds([only]) <= wall_ms(trace)
    assert place is not None
    assert (__file__, True) == (place[0], place[2].endswith("work"))


def test_calls_side_by_side_are_remote_each_in_a_lane_of_its_own(probed: Bench, stub: Stub) -> None:
    async def work() -> None:
        async def call() -> None:
            async with session.get(stub.url("/after/40")) as response:
                await response.read()

        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(call() for _ in range(5)))

    trace = probed.run(work)

    lanes = lanes_with(trace, REMOTE)
    assert 5 == len(lanes)
    assert trace.root not in lanes
    assert wall_ms(trace) < milliseconds(slices_of(trace, REMOTE))


async def with_read(content: StreamReader) -> AsyncIterator[bytes]:
    yield await content.read()


async def with_iter_any(content: StreamReader) -> AsyncIterator[bytes]:
    async for part in content.iter_any():
        yield part


async def with_iter_chunked(content: StreamReader) -> AsyncIterator[bytes]:
    async for part in content.iter_chunked(len(PART)):
        yield part


async def with_readexactly(content: StreamReader) -> AsyncIterator[bytes]:
    for _ in range(3):
        yield await content.readexactly(len(PART))


@pytest.mark.parametrize("kind", ["stream", "sized"])
@pytest.mark.parametrize(
    "parts_of", [with_read, with_iter_any, with_iter_chunked, with_readexactly]
)
def test_the_parts_of_a_body_are_remote_and_what_the_caller_does_between_them_is_not(
    probed: Bench,
    stub: Stub,
    kind: str,
    parts_of: Callable[[StreamReader], AsyncIterator[bytes]],
) -> None:
    own = OwnTime()
    parts: list[bytes] = []

    async def work() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.get(stub.url(f"/{kind}/3/20")) as response,
        ):
            async for part in parts_of(response.content):
                parts.append(part)
                own.spend_ms(5)

    trace = probed.run(work)

    slices = slices_of(trace, REMOTE)
    assert PART * 3 == b"".join(parts)
    assert covers(slices, stub.exchanges[-1])
    assert own.is_outside(slices)
    assert 1 == len({one[3][:3] for one in slices})


@pytest.mark.usefixtures("every_read")
def test_a_large_body_is_remote_until_its_last_part(probed: Bench, stub: Stub) -> None:
    async def work() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.get(stub.url("/sized/200/0")) as response,
        ):
            await response.read()

    trace = probed.run(work)

    assert covers(slices_of(trace, REMOTE), stub.exchanges[-1])


def test_a_call_and_its_redirects_are_one_slice_under_the_host_that_was_asked(
    probed: Bench, stub: Stub
) -> None:
    async def work() -> None:
        async with (
            aiohttp.ClientSession(f"http://localhost:{stub.port}") as session,
            session.get(f"/redirect/{stub.port}") as response,
        ):
            assert 1 == len(response.history)

    (only,) = slices_of(probed.run(work), REMOTE)

    assert f"localhost:{stub.port}" == only[3][0]
    assert covers([only], stub.exchanges[-2])
    assert covers([only], stub.exchanges[-1])


def test_errors_are_the_librarys_own_and_their_time_is_remote(probed: Bench, stub: Stub) -> None:
    async def work() -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await session.get(stub.url("/cut"))
            with pytest.raises(aiohttp.ClientPayloadError):
                await (await session.get(stub.url("/half"))).read()
            with pytest.raises(TimeoutError):
                await session.get(stub.url("/never"), timeout=aiohttp.ClientTimeout(0.03))
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get("http://127.0.0.1:1/")
            with pytest.raises(aiohttp.InvalidURL):
                await session.get("http://")
            with pytest.raises(TypeError):
                await session.get(17)  # type: ignore[arg-type]  # what a user may do
        with pytest.raises(RuntimeError, match="Session is closed"):
            await session.get(stub.url("/after/0"))

    trace = probed.run(work)

    slices = slices_of(trace, REMOTE)
    assert {stub.address, "127.0.0.1:1"} <= {one[3][0] for one in slices if one[3]}
    assert 30 <= max(milliseconds([one]) for one in slices)


def test_a_cancelled_call_is_remote_until_it_was_cancelled(probed: Bench, stub: Stub) -> None:
    async def work() -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.03):
                    await session.get(stub.url("/never"))

    (only,) = slices_of(probed.run(work), REMOTE)

    assert milliseconds([only]) > 15


@pytest.mark.parametrize(
    ("timeout", "bounded"),
    [
        (aiohttp.ClientTimeout(total=5), True),
        (aiohttp.ClientTimeout(total=None), False),
        (aiohttp.ClientTimeout(total=None, sock_read=5), True),
        (aiohttp.ClientTimeout(total=None, connect=5), False),
    ],
)
def test_a_slice_says_whether_a_timeout_bounds_the_wait(
    probed: Bench, stub: Stub, timeout: aiohttp.ClientTimeout, bounded: bool
) -> None:
    async def work() -> None:
        async with aiohttp.ClientSession() as session:
            await session.get(stub.url("/after/0"), timeout=timeout)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await session.get(stub.url("/after/0"))

    slices = slices_of(probed.run(work), REMOTE)

    assert {bounded} == {one[3][2] for one in slices}


def test_a_session_for_every_call_shows_as_many_pools_and_a_shared_one_as_one(
    probed: Bench, stub: Stub
) -> None:
    async def shared() -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(3):
                await session.get(stub.url("/after/0"))

    async def single() -> None:
        for _ in range(3):
            async with aiohttp.ClientSession() as session:
                await session.get(stub.url("/after/0"))

    counts = [
        len({one[3][1] for one in slices_of(probed.run(work), REMOTE)}) for work in (shared, single)
    ]

    assert [1, 3] == counts


@pytest.mark.parametrize(("limit", "per_host"), [(1, 0), (0, 1)])
def test_waiting_for_a_connection_is_a_wait_for_the_pool(
    probed: Bench, stub: Stub, limit: int, per_host: int
) -> None:
    async def work() -> None:
        async def call() -> None:
            async with session.get(stub.url("/after/100")) as response:
                await response.read()

        connector = aiohttp.TCPConnector(limit=limit, limit_per_host=per_host)
        async with aiohttp.ClientSession(connector=connector) as session:
            await asyncio.gather(call(), call())

    trace = probed.run(work)

    (wait,) = slices_of(trace, POOL_WAIT)
    outer = [one for one in slices_of(trace, REMOTE) if one[0] <= wait[0] and wait[1] <= one[1]]
    assert ("aiohttp pool 1" if limit else f"aiohttp {stub.address} pool 1") == wait[3]
    assert milliseconds([wait]) > 10
    assert outer


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel is asked when the bytes came in")
def test_an_answer_that_waits_for_a_busy_loop_is_known_to_have_been_there(
    probed: Bench, stub: Stub
) -> None:
    own = OwnTime()

    async def work() -> None:
        async with aiohttp.ClientSession() as session:
            await session.get(stub.url("/after/0"))
            call = asyncio.create_task(session.get(stub.url("/after/30")))
            await asyncio.sleep(0.01)
            own.spend_ms(200)
            await call

    trace = probed.run(work)

    (lane,) = [lane for lane in lanes_with(trace, REMOTE) if lane is not trace.root]
    ((start, end),) = own.stretches
    assert [step for step in lane.steps if start < step[3] < end]


def test_nothing_of_the_url_the_headers_or_the_body_is_kept(probed: Bench, stub: Stub) -> None:
    url = stub.url(f"/after/0/{SECRET}?key={SECRET}#{SECRET}", login=f"{SECRET}:{SECRET}@")
    headers = {"x-key": SECRET, "cookie": f"id={SECRET}"}

    async def work() -> None:
        async with aiohttp.ClientSession() as session:
            response = await session.post(url, headers=headers, data=SECRET)
            assert "done" == await response.text()

    trace = probed.run(work)

    assert slices_of(trace, REMOTE)
    assert SECRET not in everything_in(trace)


def test_outside_a_request_and_inside_a_statement_nothing_is_recorded(
    probed: Bench, stub: Stub
) -> None:
    async def call() -> None:
        async with aiohttp.ClientSession() as session:
            await (await session.get(stub.url("/stream/2/1"))).read()

    async def work() -> None:
        lane = LANE.get()
        assert lane is not None
        lane.inside_sql += 1
        await call()

    asyncio.run(call())

    assert [] == slices_of(probed.run(work), REMOTE)


def test_the_patched_functions_look_like_the_originals_and_all_of_them_are_given_back(
    bench: Bench,
) -> None:
    owners: list[Any] = [
        aiohttp.ClientSession,
        aiohttp.ClientResponse,
        StreamReader,
        BaseConnector,
    ]
    before = [dict(vars(owner)) for owner in owners]

    bench.install("aiohttp")
    changed = {
        name: (had[name], vars(owner)[name])
        for owner, had in zip(owners, before, strict=True)
        for name in had
        if vars(owner)[name] is not had[name]
    }
    bench.probes.stop()

    assert {"_request", "start", "_wait", "_wait_for_available_connection"} == set(changed)
    for original, replaced in changed.values():
        assert original.__qualname__ == replaced.__qualname__
        assert inspect.signature(original) == inspect.signature(replaced)
        assert inspect.iscoroutinefunction(replaced)
    assert before == [dict(vars(owner)) for owner in owners]


def test_a_bug_of_ours_switches_the_probe_off_and_the_app_gets_its_answer(
    breaking_bench: Bench, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(pool: Any) -> int:
        raise RuntimeError("a bug of ours")

    async def work() -> None:
        async with aiohttp.ClientSession() as session:
            assert "done" == await (await session.get(stub.url("/after/0"))).text()

    monkeypatch.setattr("unslow.record.probes.aiohttp.pool_number", bug)
    breaking_bench.install("aiohttp")

    breaking_bench.run(work)

    assert "broke: RuntimeError" == breaking_bench.recorder.coverage["aiohttp"].why
    assert not hasattr(aiohttp.ClientSession._request, "__wrapped__")

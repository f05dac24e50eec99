"""urllib3, and requests on top of it, against a real server."""

import asyncio
import inspect
import socket
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import pytest
import requests
import urllib3

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
from unslow.record.lanes import run_in_lane
from unslow.record.place import resolve

SECRET = "s3cr3t"


@pytest.fixture
def probed(bench: Bench) -> Bench:
    bench.install("urllib3")
    return bench


@pytest.fixture
def session(probed: Bench) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def pools() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager() as pools:
        yield pools


def test_a_call_is_remote_from_before_the_server_got_it_until_after_it_answered(
    probed: Bench, session: requests.Session, stub: Stub
) -> None:
    trace = probed.run(lambda: session.get(stub.url("/after/40"), timeout=5).raise_for_status())

    first = slices_of(trace, REMOTE)[0]
    place = resolve(first[4][0])
    assert covers([first], stub.exchanges[-1])
    assert stub.address == first[3][0]
    assert 40 <= milliseconds([first]) <= wall_ms(trace)
    assert place is not None
    assert (__file__, True) == (place[0], "from_before" in place[2])


def test_urllib3_used_by_itself_is_recorded_the_same_way(
    probed: Bench, pools: urllib3.PoolManager, stub: Stub
) -> None:
    def work() -> None:
        assert b"done" == pools.request("GET", stub.url("/after/40")).data

    trace = probed.run(work)

    assert covers(slices_of(trace, REMOTE)[:1], stub.exchanges[-1])


def test_a_call_in_a_worker_thread_is_remote_in_a_lane_of_its_own(
    probed: Bench, stub: Stub
) -> None:
    async def work() -> None:
        lane = LANE.get()
        assert lane is not None
        call = requests.get, (stub.url("/after/40"),), {"timeout": 5}
        await asyncio.gather(*(asyncio.to_thread(run_in_lane, lane, None, *call) for _ in range(3)))

    trace = probed.run(work)

    assert 3 == len(lanes_with(trace, REMOTE))
    assert wall_ms(trace) < milliseconds(slices_of(trace, REMOTE))


@pytest.mark.parametrize("kind", ["stream", "sized"])
@pytest.mark.parametrize("preload", [True, False])
def test_a_body_that_comes_slowly_is_remote_until_its_last_part(
    probed: Bench, pools: urllib3.PoolManager, stub: Stub, kind: str, preload: bool
) -> None:
    def work() -> None:
        url = stub.url(f"/{kind}/3/20")
        assert PART * 3 == pools.request("GET", url, preload_content=preload).data

    trace = probed.run(work)

    slices = slices_of(trace, REMOTE)
    assert covers(slices, stub.exchanges[-1])
    assert 1 == len({one[3][:3] for one in slices})


def with_iter_content(session: requests.Session, url: str) -> Iterator[bytes]:
    with session.get(url, stream=True, timeout=5) as response:
        yield from response.iter_content(len(PART))


def with_read(session: requests.Session, url: str) -> Iterator[bytes]:
    with session.get(url, stream=True, timeout=5) as response:
        while part := response.raw.read(len(PART)):
            yield part


def with_read1(session: requests.Session, url: str) -> Iterator[bytes]:
    with session.get(url, stream=True, timeout=5) as response:
        while part := response.raw.read1(len(PART)):
            yield part


@pytest.mark.parametrize("kind", ["stream", "sized"])
@pytest.mark.parametrize("parts_of", [with_iter_content, with_read, with_read1])
def test_the_parts_of_a_stream_are_remote_and_what_the_caller_does_between_them_is_not(
    probed: Bench,
    session: requests.Session,
    stub: Stub,
    kind: str,
    parts_of: Callable[[requests.Session, str], Iterator[bytes]],
) -> None:
    own = OwnTime()
    parts: list[bytes] = []

    def work() -> None:
        for part in parts_of(session, stub.url(f"/{kind}/3/20")):
            parts.append(part)
            own.spend_ms(5)

    trace = probed.run(work)

    slices = slices_of(trace, REMOTE)
    assert PART * 3 == b"".join(parts)
    assert covers(slices, stub.exchanges[-1])
    assert own.is_outside(slices)


@pytest.mark.usefixtures("every_read")
def test_a_large_body_is_remote_until_its_last_part(
    probed: Bench, session: requests.Session, stub: Stub
) -> None:
    trace = probed.run(lambda: session.get(stub.url("/sized/200/0"), timeout=5).content)

    assert covers(slices_of(trace, REMOTE), stub.exchanges[-1])


def test_each_redirect_is_a_slice_under_its_own_host(
    probed: Bench, session: requests.Session, pools: urllib3.PoolManager, stub: Stub
) -> None:
    url = f"http://localhost:{stub.port}/redirect/{stub.port}"

    def work() -> None:
        session.get(url, timeout=5).raise_for_status()
        assert 200 == pools.request("GET", url).status

    slices = slices_of(probed.run(work), REMOTE)

    assert [f"localhost:{stub.port}", stub.address] == list(
        dict.fromkeys(one[3][0] for one in slices)
    )
    assert 4 == len({one[3][1] for one in slices})


def test_errors_are_the_librarys_own_and_their_time_is_remote(
    probed: Bench, session: requests.Session, pools: urllib3.PoolManager, stub: Stub
) -> None:
    def work() -> None:
        with pytest.raises(requests.ConnectionError):
            session.get(stub.url("/cut"), timeout=5)
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            session.get(stub.url("/half"), timeout=5)
        with pytest.raises(requests.ReadTimeout):
            session.get(stub.url("/never"), timeout=0.03)
        with pytest.raises(requests.ConnectionError):
            session.get("http://127.0.0.1:1/", timeout=5)
        with pytest.raises(urllib3.exceptions.MaxRetryError):
            pools.request("GET", stub.url("/cut"), retries=2)

    trace = probed.run(work)

    slices = slices_of(trace, REMOTE)
    assert {stub.address, "127.0.0.1:1"} == {one[3][0] for one in slices}
    assert 30 <= max(milliseconds([one]) for one in slices)


def test_a_mocked_adapter_is_not_remote(probed: Bench, session: requests.Session) -> None:
    class Inside(requests.adapters.BaseAdapter):
        def send(self, *_args: Any, **_kwargs: Any) -> requests.Response:
            response = requests.Response()
            response.status_code = 200
            return response

        def close(self) -> None:
            pass

    session.mount("inside://", Inside())

    trace = probed.run(lambda: session.get("inside://app/", timeout=5).raise_for_status())

    assert [] == slices_of(trace, REMOTE)


@pytest.mark.parametrize(
    ("timeout", "bounded"),
    [
        (None, False),
        (5, True),
        (urllib3.Timeout(total=5), True),
        (urllib3.Timeout(connect=5), False),
        (urllib3.Timeout(connect=5, read=None), False),
        (urllib3.Timeout(read=5), True),
    ],
)
def test_a_slice_says_whether_a_timeout_bounds_the_wait(
    probed: Bench, stub: Stub, timeout: Any, bounded: bool
) -> None:
    def work() -> None:
        with urllib3.PoolManager() as pools:
            pools.request("GET", stub.url("/after/0"), timeout=timeout)
        with urllib3.PoolManager(timeout=timeout) as pools:
            pools.request("GET", stub.url("/after/0"))
        with urllib3.HTTPConnectionPool(stub.host, stub.port) as pool:
            pool.urlopen("GET", "/after/0", None, {}, False, True, True, timeout)

    slices = slices_of(probed.run(work), REMOTE)

    assert {bounded} == {one[3][2] for one in slices}


def test_a_default_timeout_of_the_process_bounds_the_wait(probed: Bench, stub: Stub) -> None:
    def work() -> None:
        with urllib3.PoolManager() as pools:
            pools.request("GET", stub.url("/after/0"))

    before = probed.run(work)
    socket.setdefaulttimeout(5)
    try:
        after = probed.run(work)
    finally:
        socket.setdefaulttimeout(None)

    assert [False, True] == [slices_of(trace, REMOTE)[0][3][2] for trace in (before, after)]


def test_a_session_for_every_call_shows_as_many_pools_and_a_shared_one_as_one(
    probed: Bench, session: requests.Session, stub: Stub
) -> None:
    url = stub.url("/after/0")

    shared = probed.run(lambda: [session.get(url, timeout=5) for _ in range(3)])
    single = probed.run(lambda: [requests.get(url, timeout=5) for _ in range(3)])

    assert 1 == len({one[3][1] for one in slices_of(shared, REMOTE)})
    assert 3 == len({one[3][1] for one in slices_of(single, REMOTE)})


def test_waiting_for_a_connection_is_a_wait_for_the_pool(probed: Bench, stub: Stub) -> None:
    async def work() -> None:
        with urllib3.HTTPConnectionPool(stub.host, stub.port, maxsize=1, block=True) as pool:
            calls = [asyncio.to_thread(pool.request, "GET", "/after/100") for _ in range(2)]
            await asyncio.gather(*calls)

    trace = probed.run(work)

    (wait,) = slices_of(trace, POOL_WAIT)
    outer = [one for one in slices_of(trace, REMOTE) if one[0] <= wait[0] and wait[1] <= one[1]]
    assert f"urllib3 {stub.address} pool 1" == wait[3]
    assert milliseconds([wait]) > 10
    assert outer


def test_nothing_of_the_url_the_headers_or_the_body_is_kept(
    probed: Bench, session: requests.Session, stub: Stub
) -> None:
    url = stub.url(f"/after/0/{SECRET}?key={SECRET}#{SECRET}", login=f"{SECRET}:{SECRET}@")
    headers = {"x-key": SECRET, "cookie": f"id={SECRET}"}

    trace = probed.run(lambda: session.post(url, headers=headers, data=SECRET, timeout=5).text)

    assert slices_of(trace, REMOTE)
    assert SECRET not in everything_in(trace)


def test_outside_a_request_and_inside_a_statement_nothing_is_recorded(
    probed: Bench, session: requests.Session, stub: Stub
) -> None:
    def work() -> None:
        lane = LANE.get()
        assert lane is not None
        lane.inside_sql += 1
        session.get(stub.url("/after/0"), timeout=5)

    session.get(stub.url("/after/0"), timeout=5)

    assert [] == slices_of(probed.run(work), REMOTE)


def test_the_patched_functions_look_like_the_originals_and_all_of_them_are_given_back(
    bench: Bench,
) -> None:
    owners: list[Any] = [urllib3.HTTPConnectionPool, urllib3.HTTPResponse]
    before = [dict(vars(owner)) for owner in owners]

    bench.install("urllib3")
    changed = {
        name: (had[name], vars(owner)[name])
        for owner, had in zip(owners, before, strict=True)
        for name in had
        if vars(owner)[name] is not had[name]
    }
    bench.probes.stop()

    assert {"urlopen", "read", "read1", "read_chunked", "_get_conn"} == set(changed)
    for original, replaced in changed.values():
        assert original.__qualname__ == replaced.__qualname__
        assert inspect.signature(original) == inspect.signature(replaced)
    assert before == [dict(vars(owner)) for owner in owners]


def test_a_bug_of_ours_switches_the_probe_off_and_the_app_gets_its_answer(
    breaking_bench: Bench, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(pool: Any) -> int:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("unslow.record.probes.urllib3.pool_number", bug)
    breaking_bench.install("urllib3")

    breaking_bench.run(lambda: requests.get(stub.url("/after/0"), timeout=5).raise_for_status())

    assert "broke: RuntimeError" == breaking_bench.recorder.coverage["urllib3"].why
    assert not hasattr(urllib3.HTTPConnectionPool.urlopen, "__wrapped__")


def test_requests_is_covered_through_urllib3(probed: Bench) -> None:
    covered = probed.recorder.coverage[f"requests {requests.__version__}"]

    assert ("on", "through urllib3") == (covered.state, covered.why)
    assert "on" == probed.recorder.coverage[f"urllib3 {version('urllib3')}"].state

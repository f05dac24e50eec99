"""redis-py against a real Redis."""

import asyncio
import importlib
import inspect
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel

from tests.record.probes.conftest import Bench
from tests.record.probes.redis_server import running_redis
from tests.record.probes.slices import (
    OwnTime,
    everything_in,
    lanes_with,
    milliseconds,
    slices_of,
    wall_ms,
)
from unslow.current import OpenTrace
from unslow.model.trace import CACHE, POOL_WAIT
from unslow.record.place import resolve

SECRET = "s3cr3t"
WAIT_S = 0.05
"""What `BLPOP` of an empty list waits: a command of known length."""

AsyncWork = Callable[[Any], Coroutine[Any, Any, Any]]


@pytest.fixture
def probed(bench: Bench) -> Bench:
    bench.install("redis")
    return bench


@pytest.fixture
def client(probed: Bench, redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        yield client


@pytest.fixture
def address(redis_url: str) -> str:
    return redis_url.removeprefix("redis://")


def run_async(bench: Bench, url: str, work: AsyncWork, **options: Any) -> OpenTrace:
    async def connected() -> None:
        async with redis.asyncio.Redis.from_url(url, **options) as client:
            await client.flushall()
            await work(client)

    return bench.run(connected)


def test_a_command_is_cache_as_long_as_it_takes(probed: Bench, client: Any, address: str) -> None:
    trace = probed.run(lambda: client.blpop(["empty"], timeout=WAIT_S))

    (only,) = slices_of(trace, CACHE)
    place = resolve(only[4])
    assert f"redis {address}" == only[3]
    assert WAIT_S * 1000 <= milliseconds([only]) <= wall_ms(trace)
    assert place is not None
    assert __file__ == place[0]


def test_an_async_command_is_cache_as_long_as_it_takes(
    probed: Bench, redis_url: str, address: str
) -> None:
    async def work(client: Any) -> None:
        await client.blpop(["empty"], timeout=WAIT_S)

    trace = run_async(probed, redis_url, work)

    slices = slices_of(trace, CACHE)
    place = resolve(slices[-1][4])
    assert {f"redis {address}"} == {one[3] for one in slices}
    assert WAIT_S * 1000 <= milliseconds(slices[-1:]) <= wall_ms(trace)
    assert place is not None
    assert (__file__, True) == (place[0], place[2].endswith("work"))


def test_commands_side_by_side_are_cache_each_in_a_lane_of_its_own(
    probed: Bench, redis_url: str
) -> None:
    async def work(client: Any) -> None:
        await asyncio.gather(*(client.blpop([f"empty{n}"], timeout=WAIT_S) for n in range(4)))

    trace = run_async(probed, redis_url, work)

    lanes = [lane for lane in lanes_with(trace, CACHE) if lane is not trace.root]
    assert 4 == len(lanes)
    assert wall_ms(trace) < milliseconds(slices_of(trace, CACHE))


def test_a_pipeline_is_one_slice_and_what_is_put_into_it_none(probed: Bench, client: Any) -> None:
    own = OwnTime()

    def work() -> None:
        with client.pipeline(transaction=False) as pipeline:
            for number in range(10):
                pipeline.set(f"key{number}", number)
            own.spend_ms(1)
            assert [True] * 10 == pipeline.execute()

    slices = slices_of(probed.run(work), CACHE)

    assert 1 == len(slices)
    assert own.is_outside(slices)


def test_an_async_pipeline_is_one_slice_and_what_is_put_into_it_none(
    probed: Bench, redis_url: str
) -> None:
    own = OwnTime()

    async def work(client: Any) -> None:
        async with client.pipeline() as pipeline:
            for number in range(10):
                pipeline.set(f"key{number}", number)
            own.spend_ms(1)
            assert [True] * 10 == await pipeline.execute()

    slices = slices_of(run_async(probed, redis_url, work), CACHE)

    assert 2 == len(slices)
    assert own.is_outside(slices)


def test_what_a_watching_transaction_sends_at_once_is_cache_too(
    probed: Bench, client: Any, redis_url: str
) -> None:
    def work() -> None:
        with client.pipeline() as pipeline:
            pipeline.watch("key")
            pipeline.get("key")
            pipeline.multi()
            pipeline.set("key", 1)
            pipeline.execute()

    async def async_work(async_client: Any) -> None:
        async with async_client.pipeline() as pipeline:
            await pipeline.watch("key")
            await pipeline.get("key")
            pipeline.multi()
            pipeline.set("key", 1)
            await pipeline.execute()

    assert 3 == len(slices_of(probed.run(work), CACHE))
    assert 1 + 3 == len(slices_of(run_async(probed, redis_url, async_work), CACHE))


def test_waiting_for_messages_is_not_cache(probed: Bench, client: Any, redis_url: str) -> None:
    def work() -> None:
        with client.pubsub() as subscription:
            subscription.subscribe("news")
            while subscription.get_message(timeout=0.02):
                pass

    async def async_work(async_client: Any) -> None:
        async with async_client.pubsub() as subscription:
            await subscription.subscribe("news")
            while await subscription.get_message(timeout=0.02):
                pass

    assert [] == slices_of(probed.run(work), CACHE)
    assert 1 == len(slices_of(run_async(probed, redis_url, async_work), CACHE))


def test_waiting_for_a_connection_is_a_wait_for_the_pool(
    probed: Bench, redis_url: str, address: str
) -> None:
    async def work() -> None:
        pool = redis.BlockingConnectionPool.from_url(redis_url, max_connections=1)
        with redis.Redis.from_pool(pool) as client:
            blpop = [asyncio.to_thread(client.blpop, ["empty"], timeout=WAIT_S) for _ in range(2)]
            await asyncio.gather(*blpop)

    async def async_work() -> None:
        pool = redis.asyncio.BlockingConnectionPool.from_url(redis_url, max_connections=1)
        async with redis.asyncio.Redis.from_pool(pool) as client:
            await asyncio.gather(*(client.blpop(["empty"], timeout=WAIT_S) for _ in range(2)))

    for trace in (probed.run(work), probed.run(async_work)):
        (wait,) = slices_of(trace, POOL_WAIT)
        outer = [one for one in slices_of(trace, CACHE) if one[0] <= wait[0] and wait[1] <= one[1]]
        assert f"redis {address} pool 1" == wait[3]
        assert milliseconds([wait]) > WAIT_S * 1000 / 2
        assert outer


def test_errors_are_the_librarys_own_and_their_time_is_cache(
    probed: Bench, client: Any, redis_url: str
) -> None:
    nowhere: Any = {"host": "127.0.0.1", "port": 1, "retry": None}

    def work() -> None:
        client.set("text", "abc")
        with pytest.raises(redis.ResponseError, match="not an integer"):
            client.incr("text")
        with redis.Redis(**nowhere) as other, pytest.raises(redis.ConnectionError):
            other.get("key")

    async def async_work(async_client: Any) -> None:
        await async_client.set("text", "abc")
        with pytest.raises(redis.ResponseError, match="not an integer"):
            await async_client.incr("text")
        async with redis.asyncio.Redis(**nowhere) as other:
            with pytest.raises(redis.ConnectionError):
                await other.get("key")

    assert 3 == len(slices_of(probed.run(work), CACHE))
    assert 1 + 3 == len(slices_of(run_async(probed, redis_url, async_work), CACHE))


def test_a_cancelled_command_is_cache_until_it_was_cancelled(probed: Bench, redis_url: str) -> None:
    async def work(client: Any) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.03):
                await client.blpop(["empty"], timeout=10)

    trace = run_async(probed, redis_url, work)

    assert 15 < milliseconds(slices_of(trace, CACHE)[-1:]) < 5000


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel is asked when the bytes came in")
def test_an_answer_that_waits_for_a_busy_loop_is_known_to_have_been_there(
    probed: Bench, redis_url: str
) -> None:
    own = OwnTime()

    async def work(client: Any) -> None:
        command = asyncio.create_task(client.blpop(["empty"], timeout=0.03))
        await asyncio.sleep(0.01)
        own.spend_ms(200)
        await command

    trace = run_async(probed, redis_url, work)

    (lane,) = [lane for lane in lanes_with(trace, CACHE) if lane is not trace.root]
    ((start, end),) = own.stretches
    assert [step for step in lane.steps if start < step[3] < end]


def test_nothing_of_a_login_a_command_or_a_value_is_kept(
    probed: Bench, client: Any, redis_url: str
) -> None:
    login = redis_url.replace("redis://", f"redis://{SECRET}:{SECRET}@") + "/7"

    def work() -> None:
        client.set(SECRET, SECRET)
        client.execute_command("GET", SECRET)
        with redis.Redis.from_url(login) as other, pytest.raises(redis.RedisError):
            other.get(SECRET)

    async def async_work(async_client: Any) -> None:
        await async_client.set(SECRET, SECRET)

    for trace in (probed.run(work), run_async(probed, redis_url, async_work)):
        assert slices_of(trace, CACHE)
        assert SECRET not in everything_in(trace)


def test_a_unix_socket_is_named_without_its_path_and_a_sentinel_by_its_service(
    probed: Bench, tmp_path: Path
) -> None:
    at_once: Any = {"retry": None}
    sentinel_class: Any = redis.sentinel.Sentinel
    sentinel = sentinel_class([("127.0.0.1", 1)], sentinel_kwargs=at_once)

    def work() -> None:
        nowhere = redis.Redis(unix_socket_path=str(tmp_path / SECRET), **at_once)
        with nowhere, pytest.raises(redis.ConnectionError):
            nowhere.get("key")
        with pytest.raises(redis.ConnectionError):
            sentinel.master_for("orders", **at_once).get("key")

    trace = probed.run(work)

    names = [one[3] for one in slices_of(trace, CACHE)]
    assert ["redis unix socket", "redis sentinel orders"] == names[:2]
    assert SECRET not in everything_in(trace)


@pytest.fixture(scope="module")
def cluster_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running_redis(tmp_path_factory.mktemp("cluster"), "--cluster-enabled", "yes") as url:
        node: Any = redis.Redis.from_url(url, socket_timeout=10)
        with node:
            node.execute_command("CLUSTER", "ADDSLOTS", *range(16384))
            while b"cluster_state:ok" not in node.execute_command("CLUSTER", "INFO"):
                # There is no replica to wait for: the server answers after 20 ms.
                node.wait(1, 20)
        yield int(url.rpartition(":")[2])


def test_commands_and_pipelines_of_a_cluster_are_cache(probed: Bench, cluster_port: int) -> None:
    where: Any = {"host": "127.0.0.1", "port": cluster_port}

    def work() -> None:
        with redis.RedisCluster(**where) as cluster:
            cluster.set("key", 1)
            with cluster.pipeline() as pipeline:
                pipeline.get("key")
                assert [b"1"] == pipeline.execute()

    async def async_work() -> None:
        async with redis.asyncio.RedisCluster(**where) as cluster:
            await cluster.set("key", 1)
            async with cluster.pipeline() as pipeline:
                pipeline.get("key")
                assert [b"1"] == await pipeline.execute()

    for trace in (probed.run(work), probed.run(async_work)):
        names = [one[3] for one in slices_of(trace, CACHE)]
        assert ["redis cluster"] * 2 == names[-2:]


def test_outside_a_request_nothing_is_recorded(probed: Bench, client: Any, redis_url: str) -> None:
    def idle() -> None:
        pass

    async def work() -> Any:
        async with redis.asyncio.Redis.from_url(redis_url) as async_client:
            return await async_client.get("key")

    client.set("key", "1")

    assert (b"1", b"1") == (client.get("key"), asyncio.run(work()))
    assert [] == slices_of(probed.run(idle), CACHE)


def test_the_patched_functions_look_like_the_originals_and_all_of_them_are_given_back(
    bench: Bench,
) -> None:
    owners: list[Any] = [
        getattr(importlib.import_module(f"{half}.{inner}"), name)
        for half in ("redis", "redis.asyncio")
        for inner, name in (
            ("client", "Redis"),
            ("client", "Pipeline"),
            ("cluster", "RedisCluster"),
            ("cluster", "ClusterPipeline"),
            ("connection", "BlockingConnectionPool"),
            ("connection", "AbstractConnection"),
        )
    ]
    before = [dict(vars(owner)) for owner in owners]

    bench.install("redis")
    changed = [
        (had[name], vars(owner)[name])
        for owner, had in zip(owners, before, strict=True)
        for name in had
        if vars(owner)[name] is not had[name]
    ]
    bench.probes.stop()

    assert 13 == len(changed)
    for original, replaced in changed:
        assert original.__qualname__ == replaced.__qualname__
        assert inspect.signature(original) == inspect.signature(replaced)
        # redis-py 6 and 7 hide some of their coroutine functions behind a decorator.
        assert inspect.iscoroutinefunction(original) <= inspect.iscoroutinefunction(replaced)
    assert before == [dict(vars(owner)) for owner in owners]


def test_a_bug_of_ours_switches_the_probe_off_and_the_app_gets_its_answer(
    breaking_bench: Bench, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(host: str, port: int) -> str:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("unslow.record.probes.redis.address", bug)
    breaking_bench.install("redis")

    with redis.Redis.from_url(redis_url) as client:
        breaking_bench.run(lambda: client.set("key", 1))

    assert "broke: RuntimeError" == breaking_bench.recorder.coverage["redis"].why
    assert not hasattr(redis.Redis.execute_command, "__wrapped__")

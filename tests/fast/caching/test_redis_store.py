from __future__ import annotations

import asyncio
import logging
import random
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from tests.fast.caching.redis_process import RedisProcess, running_redis
from tests.fast.doors import run
from unslow.fast.caching.cached_function import Cached
from unslow.fast.caching.declaration import cached, invalidate_tag
from unslow.fast.caching.flights import Statistics
from unslow.fast.caching.redis_store import RedisStore
from unslow.fast.caching.stores import Ticket
from unslow.fast.errors import DefinitionError

PATIENT: dict[str, Any] = {"timeout_s": 5.0, "wait_s": 20.0}
"""For servers that answer: a busy machine makes no failure."""


class User(BaseModel):
    id: int
    name: str


class Source:
    """What is read; it counts, and can be held up."""

    def __init__(self) -> None:
        self.count = 0
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()
        self.opened.set()

    async def read(self, number: int) -> User:
        self.count += 1
        self.entered.set()
        count = self.count
        await self.opened.wait()
        return User(id=number, name=f"read {count}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """One that nobody disturbs."""
    with running_redis(tmp_path_factory.mktemp("redis")) as process:
        yield process


@pytest.fixture
def url(server: RedisProcess) -> str:
    """An empty server."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        client.config_resetstat()
    return server.url


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[RedisProcess]:
    """A server of the test's own, to be stopped and killed."""
    with running_redis(tmp_path) as process:
        yield process


def cached_source(source: Source, store: RedisStore, **settings: Any) -> Cached[[int], User]:
    @cached(60, store=store, **{"name": "user", "early": 0, **settings})
    async def user(number: int) -> User:
        return await source.read(number)

    return user


@asynccontextmanager
async def two_processes(
    url: str, **settings: Any
) -> AsyncIterator[tuple[Source, Cached[[int], User], Cached[[int], User]]]:
    """The same function as two processes have it: their only link is Redis."""
    source = Source()
    async with RedisStore(url, **PATIENT) as one, RedisStore(url, **PATIENT) as other:
        first, second = (cached_source(source, store, **settings) for store in (one, other))
        try:
            yield source, first, second
        finally:
            source.opened.set()
            await first.drain()
            await second.drain()


def plain_client(url: str) -> Any:
    # With a timeout of its own it may lose the cancellation that ends a test (Python 3.11).
    return redis.asyncio.Redis.from_url(url, socket_timeout=None)


async def kept(user: Cached[[int], User], number: int = 1) -> str:
    """The name of an answer, once it is in the store if it belongs there."""
    answer = await user(number)
    await user.drain()
    return answer.name


def test_what_one_process_computed_another_one_finds(url: str) -> None:
    async def scenario() -> tuple[list[str], Statistics]:
        async with two_processes(url) as (_, first, second):
            return [await kept(first), await kept(second)], second.statistics

    assert (["read 1"] * 2, Statistics(hits=1)) == run(scenario())


def test_many_who_ask_at_once_read_once(url: str) -> None:
    async def scenario() -> Statistics:
        async with two_processes(url) as (_, first, second):
            await kept(first)
            await asyncio.gather(*(second(1) for _ in range(10)))
            return second.statistics

    assert Statistics(hits=1, waits=9) == run(scenario())


def test_what_is_stored_is_json_under_a_key_with_name_and_version(url: str) -> None:
    async def scenario() -> None:
        async with two_processes(url, version=7, tags=["all"]) as (_, first, _second):
            await kept(first)

    run(scenario())

    with redis.Redis.from_url(url) as client:
        assert {b"unslow:value:user:7:(1,)", b"unslow:tag:all"} == set(client.keys())
        header, value = client.get("unslow:value:user:7:(1,)").split(b"\n")
        assert b'{"id":1,"name":"read 1"}' == value
        assert b"unslow-1" == header.split()[0]
        assert 0 < client.ttl("unslow:value:user:7:(1,)") <= 60


def test_another_version_finds_nothing_of_the_one_before(url: str) -> None:
    async def scenario() -> list[str]:
        async with RedisStore(url, **PATIENT) as store:
            source = Source()
            return [
                await kept(cached_source(source, store, version=version))
                for version in ("a", "b", "a")
            ]

    assert ["read 1", "read 2", "read 1"] == run(scenario())


def test_a_long_key_is_hashed(url: str) -> None:
    async def scenario() -> int:
        async with RedisStore(url, **PATIENT) as store:

            @cached(60, store=store, name="length", tags=lambda text: [text])
            async def length(text: str) -> int:
                return len(text)

            for text in ("a" * 5_000, "a" * 5_001, "a" * 5_000):
                await length(text)
                await length.drain()
            return length.statistics.hits

    assert 1 == run(scenario())
    with redis.Redis.from_url(url) as client:
        keys = client.keys()
        assert 4 == len(keys)
        assert all(len(key) < 200 for key in keys)


def test_bytes_are_kept_as_they_are(url: str) -> None:
    async def scenario() -> list[bytes]:
        async with RedisStore(url, **PATIENT) as store:

            @cached(60, store=store, name="blob")
            async def blob(size: int) -> bytes:
                return bytes(range(256)) * size

            first = await blob(2)
            await blob.drain()
            return [first, await blob(2)]

    assert [bytes(range(256)) * 2] * 2 == run(scenario())


def test_what_would_change_in_json_is_answered_and_not_kept(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> tuple[list[Any], Statistics]:
        async with RedisStore(url, **PATIENT) as store:

            @cached(60, store=store, name="pair")
            async def pair(number: int) -> dict[str, Any]:
                return {"secret": (number, number)}

            answers = []
            for _ in range(2):
                answers.append(await pair(1))
                await pair.drain()
            return answers, pair.statistics

    answers, statistics = run(scenario())

    assert [{"secret": (1, 1)}] * 2 == answers
    assert Statistics(misses=2, store_failures=2) == statistics
    assert "cannot be kept" in caplog.text
    assert "secret" not in caplog.text


def test_what_was_kept_for_another_type_is_computed_again(url: str) -> None:
    async def scenario() -> Any:
        async with RedisStore(url, **PATIENT) as store:

            @cached(60, store=store, name="user")
            async def before(number: int) -> dict[str, int]:
                return {"other": number}

            await before(1)
            await before.drain()
            return await kept(cached_source(Source(), store))

    assert "read 1" == run(scenario())


@pytest.mark.parametrize(
    "foreign", [b"\x80\x05}\x94.", b"", b"unslow-1", b"unslow-1 x y\n{}", b"unslow-1 1 1\n{"]
)
def test_what_is_none_of_ours_is_a_miss(url: str, foreign: bytes) -> None:
    with redis.Redis.from_url(url) as client:
        client.set("unslow:value:user:1:(1,)", foreign)

    async def scenario() -> str:
        async with two_processes(url) as (_, first, _second):
            return await kept(first)

    assert "read 1" == run(scenario())


def test_an_old_answer_is_given_while_one_process_computes_a_new_one(url: str) -> None:
    async def scenario() -> tuple[list[str], int, list[Statistics]]:
        now = [1_000.0]
        source = Source()
        async with (
            RedisStore(url, clock=lambda: now[0], **PATIENT) as one,
            RedisStore(url, clock=lambda: now[0], **PATIENT) as other,
        ):
            first, second = (cached_source(source, store, stale=30) for store in (one, other))
            names = [await kept(first)]
            now[0] += 70
            source.opened.clear()
            source.entered.clear()
            names.append((await first(1)).name)
            await source.entered.wait()
            names.append(await kept(second))
            source.opened.set()
            await first.drain()
            names.append(await kept(second))
            return names, source.count, [first.statistics, second.statistics]

    names, count, (first, second) = run(scenario())

    assert ["read 1", "read 1", "read 1", "read 2"] == names
    assert 2 == count
    assert Statistics(misses=1, stale=1, refreshes=1) == first
    assert Statistics(stale=1, hits=1) == second


class HeldStore(RedisStore):
    """One that announces a computation when it is let."""

    opened: asyncio.Event

    async def begin(self, key: str, tags: tuple[str, ...], life_s: float) -> Ticket:
        await self.opened.wait()
        return await super().begin(key, tags, life_s)


def test_who_would_refresh_what_another_process_has_just_refreshed_does_not(url: str) -> None:
    async def scenario() -> tuple[str, int]:
        now = [1_000.0]
        source = Source()
        async with (
            RedisStore(url, clock=lambda: now[0], **PATIENT) as one,
            HeldStore(url, clock=lambda: now[0], **PATIENT) as other,
        ):
            assert isinstance(other, HeldStore)
            other.opened = asyncio.Event()
            first = cached_source(source, one, stale=30)
            second = cached_source(source, other, stale=30)
            await kept(first)
            now[0] += 70
            await second(1)
            await kept(first)
            other.opened.set()
            await second.drain()
            return await kept(second), source.count

    assert ("read 2", 2) == run(scenario())


def test_an_invalidation_reaches_other_processes(url: str) -> None:
    async def scenario() -> list[str]:
        async with two_processes(url) as (_, first, second):
            names = [await kept(first), await kept(second)]
            assert await first.invalidate(1)
            return [*names, await kept(second), await kept(first)]

    assert ["read 1", "read 1", "read 2", "read 2"] == run(scenario())


def test_a_tag_reaches_other_processes(url: str) -> None:
    async def scenario() -> list[str]:
        async with two_processes(url, tags=lambda number: ["all", f"user:{number}"]) as (
            _,
            first,
            second,
        ):
            names = [await kept(first), await kept(first, 2)]
            assert await invalidate_tag("user:1", first._store)
            return [*names, await kept(second), await kept(second, 2)]

    assert ["read 1", "read 2", "read 3", "read 2"] == run(scenario())


@pytest.mark.parametrize("by", ["key", "tag"])
def test_an_answer_invalidated_elsewhere_while_it_is_computed_is_not_kept(
    url: str, by: str
) -> None:
    async def scenario() -> list[str]:
        async with two_processes(url, tags=["all"]) as (source, first, second):
            source.opened.clear()
            before = asyncio.create_task(first(1))
            await source.entered.wait()
            if by == "key":
                await second.invalidate(1)
            else:
                await invalidate_tag("all", second._store)
            source.opened.set()
            name = (await before).name
            await first.drain()
            return [name, await kept(second), await kept(first)]

    assert ["read 1", "read 2", "read 2"] == run(scenario())


def test_nobody_gets_an_answer_from_before_an_invalidation_that_is_over(url: str) -> None:
    async def scenario() -> list[tuple[int, int]]:
        drawn = random.Random(1)
        written, invalidated = [0, 0], [0, 0]
        async with RedisStore(url, **PATIENT) as store:

            @cached(60, store=store, name="value", tags=lambda number: [f"tag:{number}"])
            async def value(number: int) -> int:
                found = written[number]
                await asyncio.sleep(0)
                return found

            async def write() -> None:
                for _ in range(100):
                    number = drawn.randrange(2)
                    written[number] += 1
                    version = written[number]
                    if drawn.random() < 0.5:
                        await value.invalidate(number)
                    else:
                        await invalidate_tag(f"tag:{number}", store)
                    invalidated[number] = max(invalidated[number], version)

            async def read() -> list[tuple[int, int]]:
                too_old = []
                for _ in range(100):
                    number = drawn.randrange(2)
                    least = invalidated[number]
                    if (found := await value(number)) < least:
                        too_old.append((found, least))
                return too_old

            writing = asyncio.create_task(write())
            found = await asyncio.gather(*(read() for _ in range(6)))
            await writing
            await value.drain()
            return [pair for pairs in found for pair in pairs]

    assert [] == run(scenario())


def test_marks_that_redis_evicts_bring_no_old_answer_back(url: str) -> None:
    async def scenario() -> list[str]:
        async with two_processes(url, tags=["all"]) as (_, first, _second):
            names = [await kept(first)]
            await invalidate_tag("all", first._store)
            async with plain_client(url) as client:
                await client.delete("unslow:tag:all")
            names.append(await kept(first))
            async with plain_client(url) as client:
                await client.delete("unslow:tag:all")
            return [*names, await kept(first)]

    assert ["read 1", "read 2", "read 3"] == run(scenario())


def test_who_finds_another_process_computing_waits_for_its_answer(url: str) -> None:
    async def scenario() -> tuple[list[str], int, Statistics]:
        async with two_processes(url) as (source, first, second):
            source.opened.clear()
            one = asyncio.create_task(first(1))
            await source.entered.wait()
            other = asyncio.create_task(second(1))
            async with plain_client(url) as client:
                await looked_at_the_lock(client, times=4)
            source.opened.set()
            answers = await asyncio.gather(one, other)
            return [answer.name for answer in answers], source.count, second.statistics

    names, count, statistics = run(scenario())

    assert ["read 1", "read 1"] == names
    assert 1 == count
    assert Statistics(waits=1) == statistics


async def looked_at_the_lock(client: Any, times: int) -> None:
    """Returns when so many computations were announced, from the first one on."""
    while True:
        found = (await client.info("commandstats")).get("cmdstat_eval", {})
        if found.get("calls", 0) >= times:
            return


def test_who_waited_long_enough_computes_itself(url: str) -> None:
    async def scenario() -> list[str]:
        source = Source()
        async with (
            RedisStore(url, **PATIENT) as one,
            RedisStore(url, timeout_s=5.0, wait_s=0.0) as other,
        ):
            first, second = cached_source(source, one), cached_source(source, other)
            source.opened.clear()
            held = asyncio.create_task(first(1))
            await source.entered.wait()
            source.entered.clear()
            late = asyncio.create_task(second(1))
            await source.entered.wait()
            source.opened.set()
            names = [(await held).name, (await late).name]
            await first.drain()
            await second.drain()
            return names

    assert ["read 1", "read 2"] == run(scenario())


def test_the_lock_is_given_back_after_an_error_and_a_cancellation(url: str) -> None:
    async def scenario() -> list[Any]:
        async with RedisStore(url, **PATIENT) as store:
            source = Source()

            @cached(60, store=store, name="failing")
            async def failing(number: int) -> int:
                raise LookupError

            with pytest.raises(LookupError):
                await failing(1)
            user = cached_source(source, store)
            source.opened.clear()
            task = asyncio.create_task(user(1))
            await source.entered.wait()
            task.cancel()
            await asyncio.wait([task])
            await user.drain()
            await failing.drain()
            async with plain_client(url) as client:
                found: list[Any] = await client.keys("unslow:lock:*")
                return found

    assert [] == run(scenario())


PROCESS = """
import asyncio, sys
import redis.asyncio
from unslow.fast.caching.declaration import cached
from unslow.fast.caching.redis_store import RedisStore
from unslow.fast.caching.stores import Ticket

url = sys.argv[1]
store = RedisStore(url, timeout_s=5, wait_s=20)

@cached(60, store=store, name="counted")
async def counted(number: int) -> int:
    async with redis.asyncio.Redis.from_url(url, socket_timeout=None) as client:
        count = await client.incr("count")
        await client.lpush("computing", 1)
        await client.brpop("go")
    return count

async def main():
    await store.read("connects", ())
    print("calling", flush=True)
    print(await counted(1), flush=True)
    await counted.drain()
    await store.close()

asyncio.run(main())
"""


@asynccontextmanager
async def python_process(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROCESS, url, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def test_who_is_cancelled_while_it_takes_the_lock_leaves_none(url: str) -> None:
    async def case() -> None:
        async with RedisStore(url) as store:
            # With a connection open, it is a matter of a few turns of the loop.
            await store.begin("first", (), 60.0)
            for turns in range(40):
                task = asyncio.create_task(store.begin(f"key {turns}", (), 60.0))
                for _ in range(turns % 20):
                    await asyncio.sleep(0)
                if task.done():
                    await store.abandon(task.result())
                task.cancel()
                await asyncio.wait([task])

    run(case())

    with redis.Redis.from_url(url) as client:
        assert [b"unslow:lock:first"] == client.keys("unslow:lock:*")


def test_of_several_real_processes_one_computes(url: str) -> None:
    async def scenario() -> list[bytes]:
        async with (
            python_process(url) as one,
            python_process(url) as two,
            python_process(url) as three,
            plain_client(url) as client,
        ):
            processes = (one, two, three)
            for process in processes:
                assert process.stdout is not None
                await process.stdout.readline()
            await client.brpop("computing")
            # One announces its computation once; those that wait look again and again.
            await looked_at_the_lock(client, times=4)
            await client.lpush("go", 1)
            return [(await process.communicate())[0] for process in processes]

    assert [b"1\n"] * 3 == run(scenario())


def test_a_process_that_was_killed_while_it_computed_holds_nobody_up_for_long(url: str) -> None:
    async def scenario() -> int:
        async with (
            python_process(url) as process,
            plain_client(url) as client,
            RedisStore(url, timeout_s=5.0, wait_s=0.05) as store,
        ):
            await client.brpop("computing")
            process.kill()
            await process.wait()

            @cached(60, store=store, name="counted")
            async def counted(number: int) -> int:
                return 7

            answers = [await counted(1)]
            await counted.drain()
            assert Statistics(misses=1) == counted.statistics
            answers.append(await counted(1))
            assert Statistics(misses=1, hits=1) == counted.statistics
            return sum(answers)

    assert 14 == run(scenario())


def test_a_server_that_hangs_is_asked_a_few_times_and_then_left_alone(
    failing: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> tuple[list[str], Statistics]:
        async with RedisStore(failing.url, failures=3, pause_s=3_600) as store:
            user = cached_source(Source(), store)
            failing.hang()
            names = [await kept(user) for _ in range(20)]
            failing.resume()
            return names, user.statistics

    names, statistics = run(scenario())

    assert [f"read {number}" for number in range(1, 21)] == names
    assert Statistics(misses=20, store_failures=3) == statistics
    assert ["Redis fails (TimeoutError): it is left alone for a while"] == [
        record.getMessage() for record in caplog.records if record.levelno == logging.WARNING
    ]


def test_a_server_that_hung_is_used_again(failing: RedisProcess) -> None:
    async def scenario() -> Statistics:
        async with RedisStore(failing.url, timeout_s=0.2, pause_s=0) as store:
            user = cached_source(Source(), store)
            await kept(user)
            failing.hang()
            assert "read 2" == await kept(user)
            failing.resume()
            while not user.statistics.hits:
                await kept(user)
            return user.statistics

    assert 1 <= run(scenario()).store_failures


def test_a_server_that_died_is_used_again_when_it_is_back(failing: RedisProcess) -> None:
    async def scenario() -> list[str]:
        async with RedisStore(failing.url, timeout_s=0.2, failures=1, pause_s=0) as store:
            user = cached_source(Source(), store)
            names = [await kept(user)]
            failing.kill()
            names += [await kept(user), await kept(user)]
            failing.start()
            while not user.statistics.hits:
                await kept(user)
            return names

    assert ["read 1", "read 2", "read 3"] == run(scenario())


def test_everyone_gets_the_right_answer_while_the_server_hangs_dies_and_comes_back(
    failing: RedisProcess,
) -> None:
    async def scenario() -> list[tuple[int, int]]:
        async with RedisStore(failing.url, failures=2, pause_s=0.05) as store:
            user = cached_source(Source(), store)
            answered: list[tuple[int, int]] = []
            progress = asyncio.Semaphore(0)
            is_over = False

            async def client(number: int) -> None:
                while not is_over:
                    number = (number + 1) % 10
                    answered.append((number, (await user(number)).id))
                    progress.release()
                    await asyncio.sleep(0)

            clients = [asyncio.create_task(client(number)) for number in range(16)]
            for change in (failing.hang, failing.resume, failing.kill, failing.start, None):
                for _ in range(300):
                    await progress.acquire()
                if change is not None:
                    await asyncio.to_thread(change)
            is_over = True
            await asyncio.gather(*clients)
            await user.drain()
            return answered

    answered = run(scenario())

    assert 5 * 300 <= len(answered)
    assert [] == [pair for pair in answered if pair[0] != pair[1]]


@pytest.mark.parametrize("by", ["key", "tag"])
def test_an_invalidation_that_found_no_server_is_delivered_before_it_is_read_again(
    failing: RedisProcess, by: str
) -> None:
    async def scenario() -> tuple[bool, str]:
        async with RedisStore(failing.url, timeout_s=0.2, failures=1, pause_s=0) as store:
            source = Source()
            user = cached_source(source, store, tags=["all"])
            assert "read 1" == await kept(user)
            failing.hang()
            if by == "key":
                is_certain = await user.invalidate(1)
            else:
                is_certain = await invalidate_tag("all", store)
            failing.resume()
            hits_before = user.statistics.hits
            while user.statistics.hits == hits_before:
                name = await kept(user)
            return is_certain, name

    is_certain, name = run(scenario())

    assert not is_certain
    assert "read 1" != name


def test_a_server_that_refuses_the_password_breaks_nothing(failing: RedisProcess) -> None:
    async def scenario() -> tuple[str, Statistics]:
        with redis.Redis.from_url(failing.url) as client:
            client.config_set("requirepass", "a secret")
        async with RedisStore(failing.url) as store:
            user = cached_source(Source(), store)
            return await kept(user), user.statistics

    assert ("read 1", Statistics(misses=1, store_failures=1)) == run(scenario())


def test_a_client_of_ones_own_is_used_and_left_open(url: str) -> None:
    async def scenario() -> tuple[str, bool]:
        async with plain_client(url) as client:
            async with RedisStore(lambda: client, **PATIENT) as later:
                await kept(cached_source(Source(), later))
            async with RedisStore(client, **PATIENT) as store:
                name = await kept(cached_source(Source(), store))
            return name, await client.ping()

    assert ("read 1", True) == run(scenario())


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (redis.Redis, "got redis.client.Redis as Redis; wanted"),
        (lambda: None, "got builtins.NoneType as Redis; wanted"),
        (lambda: redis.asyncio.Redis(decode_responses=True), "has decode_responses=True"),
    ],
)
def test_what_is_no_client_for_bytes_is_refused(made: Callable[[], Any], says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        RedisStore(made())


def test_a_function_without_a_name_of_its_own_is_refused(url: str) -> None:
    with pytest.raises(DefinitionError, match=r"is made inside another function.*name="):

        @cached(60, store=RedisStore(url))
        async def local(number: int) -> int:
            return number


def test_an_answer_that_can_never_be_kept_is_refused_at_the_first_call(url: str) -> None:
    async def scenario() -> None:
        async with RedisStore(url, **PATIENT) as store:

            @cached(60, store=store, name="opaque", type=Source)
            async def opaque(number: int) -> Any:
                return Source()

            await opaque(1)

    with pytest.raises(DefinitionError, match="pydantic does not know"):
        run(scenario())


def test_it_works_in_an_app_on_one_loop_after_another(url: str) -> None:
    store = RedisStore(url, **PATIENT)
    source = Source()
    user = cached_source(source, store)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with store:
            yield
            await user.drain()

    app = FastAPI(lifespan=lifespan)

    @app.get("/users/{number}")
    async def show(number: int) -> User:
        return await user(number)

    answers = []
    for _ in range(2):
        with TestClient(app) as client:
            answers.append(client.get("/users/5").json())

    assert [{"id": 5, "name": "read 1"}] * 2 == answers
    assert 1 == source.count

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from tests.fast.doors import run
from unslow.fast.caching.cached_function import Cached
from unslow.fast.caching.declaration import cached, invalidate_tag
from unslow.fast.caching.flights import Statistics
from unslow.fast.caching.lifetime import Lifetime
from unslow.fast.caching.stores import MemoryStore
from unslow.fast.errors import DefinitionError


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Source:
    """What is read: a number that grows with each computation, or an error."""

    def __init__(self) -> None:
        self.count = 0
        self.error: Exception | None = None
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()
        self.opened.set()

    async def read(self) -> int:
        self.count += 1
        self.entered.set()
        await self.opened.wait()
        if self.error is not None:
            raise self.error
        return self.count


def cached_source(
    source: Source, clock: Clock, ttl: float = 60, **settings: Any
) -> Cached[[int], int]:
    @cached(ttl, store=MemoryStore(clock=clock), **{"early": 0, **settings})
    async def value(number: int) -> int:
        return await source.read()

    return value


def test_an_answer_is_computed_once_and_given_until_its_end() -> None:
    async def scenario() -> list[int]:
        clock = Clock()
        value = cached_source(Source(), clock, ttl=60)
        answers = [await value(1), await value(1)]
        clock.now += 59.9
        answers.append(await value(1))
        clock.now += 0.1
        answers.append(await value(1))
        return answers

    assert [1, 1, 1, 2] == run(scenario())


def test_many_who_miss_at_once_get_one_computation() -> None:
    async def scenario() -> tuple[list[int], Statistics]:
        source = Source()
        source.opened.clear()
        value = cached_source(source, Clock())
        tasks = [asyncio.create_task(value(1)) for _ in range(10)]
        await source.entered.wait()
        source.opened.set()
        return await asyncio.gather(*tasks), value.statistics

    assert ([1] * 10, Statistics(misses=1, waits=9)) == run(scenario())


def test_an_error_is_not_kept() -> None:
    async def scenario() -> tuple[int, Statistics]:
        source = Source()
        value = cached_source(source, Clock())
        source.error = LookupError()
        with pytest.raises(LookupError):
            await value(1)
        source.error = None
        return await value(1), value.statistics

    assert (2, Statistics(misses=2, errors=1)) == run(scenario())


def test_an_answer_of_none_is_kept() -> None:
    async def scenario() -> Statistics:
        @cached(60)
        async def nothing() -> None:
            return None

        await nothing()
        await nothing()
        return nothing.statistics

    assert Statistics(misses=1, hits=1) == run(scenario())


def test_the_least_recently_used_answers_are_dropped() -> None:
    async def scenario() -> list[int]:
        source = Source()

        @cached(60, max_entries=2)
        async def value(number: int) -> int:
            return await source.read()

        # 1 is used again, so 2 goes when 3 comes.
        return [await value(number) for number in (1, 2, 1, 3, 1, 2)]

    assert [1, 2, 1, 3, 1, 4] == run(scenario())


def test_functions_without_a_store_share_nothing() -> None:
    async def scenario() -> list[str]:
        def made(answer: str) -> Cached[[int], str]:
            @cached(60)
            async def value(number: int) -> str:
                return answer

            return value

        return [await made("one")(1), await made("other")(1)]

    assert ["one", "other"] == run(scenario())


def test_functions_that_share_a_store_share_no_answers() -> None:
    async def scenario() -> list[str]:
        store = MemoryStore()

        def made(answer: str) -> Cached[[int], str]:
            @cached(60, store=store)
            async def value(number: int) -> str:
                return answer

            return value

        return [await made("one")(1), await made("other")(1)]

    assert ["one", "other"] == run(scenario())


def test_an_old_answer_is_given_while_one_new_one_is_computed() -> None:
    async def scenario() -> tuple[list[int], Statistics]:
        clock, source = Clock(), Source()
        value = cached_source(source, clock, ttl=60, stale=30)
        await value(1)
        clock.now += 89
        source.opened.clear()
        answers = [await value(1) for _ in range(3)]
        source.opened.set()
        await value.drain()
        answers.append(await value(1))
        return answers, value.statistics

    answers, statistics = run(scenario())

    assert [1, 1, 1, 2] == answers
    assert Statistics(misses=1, stale=3, refreshes=1, hits=1) == statistics


def test_an_old_answer_is_kept_until_its_end_when_no_new_one_can_be_computed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> tuple[list[int], int]:
        clock, source = Clock(), Source()
        value = cached_source(source, clock, ttl=60, stale=30)
        answers = [await value(1)]
        source.error = LookupError("a secret")
        clock.now += 60
        answers.append(await value(1))
        await value.drain()
        clock.now += 29
        answers.append(await value(1))
        await value.drain()
        clock.now += 1
        with pytest.raises(LookupError):
            await value(1)
        return answers, value.statistics.errors

    assert ([1, 1, 1], 3) == run(scenario())
    assert "a refresh of" in caplog.text
    assert "a secret" not in caplog.text


def test_who_comes_after_the_end_waits_for_the_refresh_that_is_on_its_way() -> None:
    async def scenario() -> tuple[int, int]:
        clock, source = Clock(), Source()
        value = cached_source(source, clock, ttl=60, stale=30)
        await value(1)
        clock.now += 60
        source.opened.clear()
        await value(1)
        clock.now += 30
        late = asyncio.create_task(value(1))
        await asyncio.sleep(0)
        source.opened.set()
        return await late, source.count

    assert (2, 2) == run(scenario())


def test_a_refresh_goes_on_when_who_asked_for_it_is_gone() -> None:
    async def scenario() -> list[int]:
        clock, source = Clock(), Source()
        value = cached_source(source, clock, ttl=60, stale=30)
        await value(1)
        clock.now += 60
        source.opened.clear()
        await value(1)
        clock.now += 30
        late = asyncio.create_task(value(1))
        await asyncio.sleep(0)
        late.cancel()
        await asyncio.wait([late])
        source.opened.set()
        await value.drain()
        return [await value(1), source.count]

    assert [2, 2] == run(scenario())


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The number that chance draws."""
    drawn = [0.0]
    monkeypatch.setattr(random, "random", lambda: drawn[0])
    return drawn


def test_a_fresh_answer_is_computed_anew_before_its_end(draw: list[float]) -> None:
    async def scenario() -> tuple[list[int], Statistics]:
        clock, source = Clock(), Source()

        @cached(60, store=MemoryStore(clock=clock))
        async def value(number: int) -> int:
            clock.now += 2
            return await source.read()

        answers = [await value(1)]
        clock.now += 58
        # 2 s before its end, for what takes 2 s, the draw must exceed 1 - 1/e.
        draw[0] = 1 - 1 / math.e - 0.01
        answers.append(await value(1))
        draw[0] = 1 - 1 / math.e + 0.01
        answers.append(await value(1))
        await value.drain()
        draw[0] = 0
        answers.append(await value(1))
        return answers, value.statistics

    answers, statistics = run(scenario())

    assert [1, 1, 1, 2] == answers
    assert Statistics(misses=1, hits=3, refreshes=1) == statistics


@pytest.mark.parametrize(("early", "least_draw"), [(1, 1 - math.exp(-3)), (2, 1 - math.exp(-1.5))])
def test_how_early_follows_the_source(early: float, least_draw: float, draw: list[float]) -> None:
    life = Lifetime(ttl_s=60, stale_s=0, early=early)
    found = []
    for draw[0] in (least_draw - 1e-9, least_draw + 1e-9):
        found.append(life.is_early(age_s=30, took_s=10))

    assert [False, True] == found


def test_nothing_is_early_with_early_0(draw: list[float]) -> None:
    draw[0] = 1 - 1e-16

    assert not Lifetime(ttl_s=60, stale_s=0, early=0).is_early(age_s=59.9, took_s=100)


def test_nothing_is_refreshed_early_with_a_key_of_ones_own(draw: list[float]) -> None:
    async def scenario() -> int:
        @cached(60, key=lambda number: number)
        async def value(number: int, session: object) -> int:
            return number

        await value(1, object())
        draw[0] = 1 - 1e-16
        await value(1, object())
        return value.statistics.refreshes

    assert 0 == run(scenario())


def test_an_invalidated_answer_is_computed_again() -> None:
    async def scenario() -> list[int]:
        value = cached_source(Source(), Clock())
        answers = [await value(1), await value(2)]
        assert await value.invalidate(1)
        return [*answers, await value(1), await value(2)]

    assert [1, 2, 3, 2] == run(scenario())


def test_an_answer_is_invalidated_however_its_call_is_written() -> None:
    async def scenario() -> list[int]:
        source = Source()

        @cached(60)
        async def value(number: int, size: int = 10) -> int:
            return await source.read()

        before = await value(1)
        await value.invalidate(size=10, number=1)
        return [before, await value(1)]

    assert [1, 2] == run(scenario())


def test_an_answer_invalidated_while_it_is_computed_is_not_kept() -> None:
    async def scenario() -> list[int]:
        source = Source()
        source.opened.clear()
        value = cached_source(source, Clock())
        before = asyncio.create_task(value(1))
        await source.entered.wait()
        await value.invalidate(1)
        source.opened.set()
        return [await before, await value(1), await value(1)]

    # The source counts when it is asked: the first was asked before the invalidation.
    assert [1, 2, 2] == run(scenario())


def test_who_comes_after_an_invalidation_does_not_join_what_began_before() -> None:
    async def scenario() -> list[int]:
        source = Source()
        source.opened.clear()
        value = cached_source(source, Clock())
        before = asyncio.create_task(value(1))
        await source.entered.wait()
        await value.invalidate(1)
        after = asyncio.create_task(value(1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        source.opened.set()
        await asyncio.gather(before, after)
        return [source.count, await value(1)]

    assert [2, 2] == run(scenario())


def test_a_tag_invalidates_the_answers_of_all_functions() -> None:
    async def scenario() -> list[int]:
        source = Source()

        @cached(60, tags=lambda number: [f"user:{number}"])
        async def user(number: int) -> int:
            return await source.read()

        @cached(60, tags=lambda author: [f"user:{author}", "posts"])
        async def posts(author: int) -> int:
            return await source.read()

        async def ask() -> list[int]:
            return [await user(1), await user(2), await posts(1)]

        before = await ask()
        assert await invalidate_tag("user:1")
        return [*before, *await ask()]

    assert [1, 2, 3, 4, 2, 5] == run(scenario())


def test_a_tag_reaches_the_answer_that_is_being_computed() -> None:
    async def scenario() -> list[int]:
        source = Source()
        source.opened.clear()
        store = MemoryStore()

        @cached(60, tags=["all"], store=store)
        async def value(number: int) -> int:
            return await source.read()

        before = asyncio.create_task(value(1))
        await source.entered.wait()
        await invalidate_tag("all", store)
        source.opened.set()
        return [await before, await value(1)]

    assert [1, 2] == run(scenario())


@pytest.mark.parametrize("seed", range(5))
def test_nobody_gets_an_answer_from_before_an_invalidation_that_is_over(seed: int) -> None:
    async def scenario() -> list[tuple[int, int]]:
        drawn = random.Random(seed)
        clock = Clock()
        store = MemoryStore(clock=clock)
        written, invalidated = [0, 0, 0], [0, 0, 0]

        async def turns() -> None:
            for _ in range(drawn.randrange(4)):
                await asyncio.sleep(0)

        @cached(1, stale=5, store=store, tags=lambda number: [f"tag:{number}"])
        async def value(number: int) -> int:
            await turns()
            found = written[number]
            await turns()
            return found

        async def write() -> None:
            for _ in range(200):
                number = drawn.randrange(3)
                written[number] += 1
                version = written[number]
                if drawn.random() < 0.5:
                    await value.invalidate(number)
                else:
                    await invalidate_tag(f"tag:{number}", store)
                invalidated[number] = max(invalidated[number], version)
                clock.now += drawn.random()
                await turns()

        async def read() -> list[tuple[int, int]]:
            too_old = []
            for _ in range(200):
                number = drawn.randrange(3)
                least = invalidated[number]
                if (found := await value(number)) < least:
                    too_old.append((found, least))
                await turns()
            return too_old

        writing = asyncio.gather(write(), write())
        found = await asyncio.gather(*(read() for _ in range(8)))
        await writing
        await value.drain()
        assert value.statistics.hits
        assert value.statistics.stale
        return [pair for pairs in found for pair in pairs]

    assert [] == run(scenario())


def test_nothing_is_left_of_the_tags_of_answers_that_were_dropped() -> None:
    async def scenario() -> MemoryStore:
        store = MemoryStore(max_entries=2)

        @cached(60, tags=lambda number: [f"tag:{number}"], store=store)
        async def value(number: int) -> int:
            return number

        for number in range(10):
            await value(number)
        await value.invalidate(9)
        return store

    store = run(scenario())

    assert 1 == len(store)
    assert ["tag:8"] == list(store._keys_by_tag)


def test_the_hit_rate_is_the_share_of_calls_that_computed_nothing() -> None:
    async def scenario() -> list[float | None]:
        value = cached_source(Source(), Clock())
        rates = [value.statistics.hit_rate]
        for _ in range(4):
            await value(1)
        return [*rates, value.statistics.hit_rate]

    assert [None, 0.75] == run(scenario())


def test_who_asks_can_be_part_of_the_key() -> None:
    async def scenario() -> list[str]:
        @cached(60, key=lambda user, number: (user["id"], number))
        async def secret(user: dict[str, Any], number: int) -> str:
            return f"{user['id']}'s {number}"

        return [await secret({"id": one}, 1) for one in ("ann", "bob", "ann")]

    assert ["ann's 1", "bob's 1", "ann's 1"] == run(scenario())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"ttl": 0}, "got ttl=0"),
        ({"ttl": 1, "stale": -1}, "stale=-1"),
        ({"ttl": 1, "early": -1}, "early=-1"),
        ({"ttl": 1, "max_entries": 0}, "got max_entries=0; wanted 1 or more"),
        ({"ttl": 1, "max_entries": 5, "store": MemoryStore()}, "wanted one of them"),
        ({"ttl": 1, "store": "redis://localhost"}, "got str as store"),
        ({"ttl": print}, r"write @cached\(ttl=60\)"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        cached(**settings)


def test_a_blocking_function_is_refused() -> None:
    def blocking(number: int) -> int:
        return number

    with pytest.raises(DefinitionError, match=r"cached got .*blocking, which is no async function"):
        cached(60)(blocking)  # type: ignore[arg-type]  # that is the mistake


def app_with_cache() -> tuple[FastAPI, Cached[..., Any]]:
    @cached(60)
    async def settings(tenant: int) -> dict[str, int]:
        return {"tenant": tenant}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await settings.drain()

    app = FastAPI(lifespan=lifespan)
    of_settings = Depends(settings)

    @app.get("/direct/{tenant}")
    @cached(60)
    async def direct(tenant: int, q: str = "none") -> dict[str, Any]:
        return {"tenant": tenant, "q": q}

    @app.get("/depends/{tenant}")
    async def depends(found: dict[str, int] = of_settings) -> dict[str, int]:
        return found

    return app, settings


def test_it_works_as_endpoint_and_as_dependency_on_one_loop_after_another() -> None:
    app, settings = app_with_cache()
    answers = []
    for _ in range(2):
        with TestClient(app) as client:
            answers += [client.get("/direct/5?q=a").json(), client.get("/depends/5").json()]

    assert [{"tenant": 5, "q": "a"}, {"tenant": 5}] * 2 == answers
    assert Statistics(misses=1, hits=1) == settings.statistics


def test_a_cached_endpoint_keeps_its_parameters_in_openapi() -> None:
    app, _ = app_with_cache()
    parameters = app.openapi()["paths"]["/direct/{tenant}"]["get"]["parameters"]

    assert ["tenant", "q"] == [parameter["name"] for parameter in parameters]

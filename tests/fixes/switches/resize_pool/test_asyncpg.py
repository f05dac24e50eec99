"""asyncpg's pools, with more connections while they run, and as many as before afterwards."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from asyncpg.pool import Pool

from tests.fixes.switches.resize_pool.serving import (
    PATIENCE_S,
    Loop,
    connections_of,
    switch_on,
    until,
)
from unslow.current import OpenArm
from unslow.errors import WireError
from unslow.fixes.switches.resize_pool import loops

AT_ONCE_S = 0.01


@pytest.fixture
def pool(loop: Loop, url: str) -> Iterator[Any]:
    pool = loop.run(opened(url, min_size=1, max_size=2))
    yield pool
    loop.run(pool.close())


async def made(url: str) -> Any:
    return asyncpg.create_pool(url, min_size=1, max_size=2)


async def opened(url: str, **options: Any) -> Any:
    return await asyncpg.create_pool(url, **options)


@pytest.fixture
def name(url: str) -> str:
    parts = urlsplit(url)
    return f"asyncpg {parts.hostname}:{parts.port}{parts.path} pool 1-2"


async def take(pool: Any, count: int, timeout: float = PATIENCE_S) -> list[Any]:  # noqa: ASYNC109  # asyncpg's own
    return [await pool.acquire(timeout=timeout) for _ in range(count)]


async def give_back(pool: Any, taken: list[Any]) -> None:
    for one in taken:
        await pool.release(one)


def test_a_pool_hands_out_more_and_takes_the_idle_ones_away_on_undo(
    loop: Loop, pool: Any, url: str, name: str, arm: OpenArm
) -> None:
    acquire = Pool._acquire

    undo = switch_on(arm, pool=name, size=4)
    taken = loop.run(take(pool, 4))
    with pytest.raises(TimeoutError):
        loop.run(take(pool, 1, AT_ONCE_S))
    loop.run(give_back(pool, taken))
    undo()

    assert arm.fired_count == 2
    assert (pool.get_max_size(), len(pool._holders), pool._queue.qsize()) == (2, 2, 2)
    assert pool._queue.maxsize == 2
    assert Pool._acquire is acquire
    until(lambda: connections_of(url) == 2)


def test_what_is_out_on_undo_goes_when_it_comes_back(
    loop: Loop, pool: Any, url: str, name: str, arm: OpenArm
) -> None:
    undo = switch_on(arm, pool=name, size=4)
    taken = loop.run(take(pool, 4))

    undo()
    during = pool.get_max_size(), len(pool._holders)
    loop.run(give_back(pool, taken))

    until(lambda: len(pool._holders) == 2)
    until(lambda: connections_of(url) == 2)
    assert during == (2, 4)
    assert (pool._queue.qsize(), pool._queue.maxsize) == (2, 2)
    taken = loop.run(take(pool, 2))
    with pytest.raises(TimeoutError):
        loop.run(take(pool, 1, AT_ONCE_S))
    loop.run(give_back(pool, taken))


def test_who_waits_goes_on_as_soon_as_there_is_room(
    loop: Loop, pool: Any, name: str, arm: OpenArm
) -> None:
    taken = loop.run(take(pool, 2))
    waiting = loop.start(take(pool, 1))
    until(lambda: bool(pool._queue._getters))

    undo = switch_on(arm, pool=name, size=3)

    taken += waiting.result(PATIENCE_S)
    loop.run(give_back(pool, taken))
    undo()
    until(lambda: len(pool._holders) == 2)


def test_connections_that_are_open_are_taken_before_new_ones(
    loop: Loop, pool: Any, url: str, name: str, arm: OpenArm
) -> None:
    undo = switch_on(arm, pool=name, size=4)

    loop.run(give_back(pool, loop.run(take(pool, 1))))

    assert pool.get_size() == 1
    assert arm.fired_count == 0
    undo()


def test_the_arm_can_be_switched_on_again(loop: Loop, pool: Any, name: str, arm: OpenArm) -> None:
    for _ in range(3):
        undo = switch_on(arm, pool=name, size=4)
        loop.run(give_back(pool, loop.run(take(pool, 3))))
        undo()

    assert arm.fired_count == 3
    assert len(pool._holders) == 2


def test_a_pool_can_be_resized_in_its_own_loops_thread(
    loop: Loop, pool: Any, url: str, name: str, arm: OpenArm
) -> None:
    async def back_and_forth() -> int:
        undo = switch_on(arm, pool=name, size=4)
        await give_back(pool, await take(pool, 4))
        undo()
        await asyncio.sleep(0)
        return len(pool._holders)

    assert loop.run(back_and_forth()) == 2
    until(lambda: connections_of(url) == 2)


def test_a_loop_that_is_held_shrinks_its_pool_later(
    loop: Loop, pool: Any, url: str, name: str, arm: OpenArm, monkeypatch: pytest.MonkeyPatch
) -> None:
    undo = switch_on(arm, pool=name, size=4)
    taken = loop.run(take(pool, 4))
    monkeypatch.setattr(loops, "_PATIENCE_S", 0.01)
    end = threading.Event()
    loop.loop.call_soon_threadsafe(end.wait)

    undo()
    during = pool.get_max_size()
    end.set()
    loop.run(give_back(pool, taken))

    until(lambda: len(pool._holders) == 2)
    until(lambda: connections_of(url) == 2)
    assert during == 4
    assert (pool.get_max_size(), pool._queue.qsize()) == (2, 2)


def test_other_pools_are_left_alone(loop: Loop, pool: Any, url: str, arm: OpenArm) -> None:
    name = f"asyncpg elsewhere:5432{urlsplit(url).path} pool 1-2"

    with pytest.raises(WireError, match="No pool"):
        switch_on(arm, pool=name, size=4)
    assert pool.get_max_size() == 2


def test_a_pool_that_was_named_before_it_had_a_connection_is_found(
    loop: Loop, pool: Any, url: str, arm: OpenArm
) -> None:
    unopened = loop.run(made(url))

    undo = switch_on(arm, pool="asyncpg pool 1-2", size=4)

    during = pool.get_max_size()
    undo()
    assert (during, pool.get_max_size(), unopened.get_max_size()) == (4, 2, 2)


def test_a_pool_does_not_shrink(pool: Any, name: str, arm: OpenArm) -> None:
    with pytest.raises(WireError, match="can only grow"):
        switch_on(arm, pool=name, size=1)
    assert pool.get_max_size() == 2


def test_a_pool_that_keeps_its_holders_elsewhere_is_not_touched(
    loop: Loop, pool: Any, name: str, arm: OpenArm
) -> None:
    queue = pool._queue
    pool._queue = asyncio.Queue(2)

    with pytest.raises(WireError, match="not known here"):
        switch_on(arm, pool=name, size=4)

    pool._queue = queue
    assert len(pool._holders) == 2

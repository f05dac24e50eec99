"""psycopg_pool's pools, resized while they run, and back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool, NullConnectionPool, PoolTimeout

from tests.fixes.switches.resize_pool.serving import (
    PATIENCE_S,
    Loop,
    connections_of,
    switch_on,
    until,
)
from unslow.current import OpenArm
from unslow.errors import WireError

AT_ONCE_S = 0.01


@pytest.fixture
def pool(url: str) -> Iterator[ConnectionPool]:
    with ConnectionPool(url, min_size=1, max_size=2, open=False) as pool:
        pool.wait(PATIENCE_S)
        yield pool


@pytest.fixture
def name(url: str) -> str:
    parts = urlsplit(url)
    return f"psycopg {parts.hostname}:{parts.port}{parts.path} pool 1-2"


def take(pool: ConnectionPool, count: int) -> list[Any]:
    return [pool.getconn(PATIENCE_S) for _ in range(count)]


def give_back(pool: ConnectionPool, taken: list[Any]) -> None:
    for one in taken:
        pool.putconn(one)


def idle_count(pool: Any) -> int:
    return int(pool.get_stats()["pool_available"])


def size_of(pool: Any) -> int:
    return int(pool.get_stats()["pool_size"])


def test_a_pool_hands_out_more_and_closes_the_idle_ones_on_undo(
    pool: ConnectionPool, url: str, name: str, arm: OpenArm
) -> None:
    before = vars(pool).keys() | set()

    undo = switch_on(arm, pool=name, size=4)
    taken = take(pool, 4)
    with pytest.raises(PoolTimeout):
        pool.getconn(AT_ONCE_S)
    give_back(pool, taken)
    until(lambda: idle_count(pool) == 4)
    undo()

    assert arm.fired_count == 2
    assert (pool.min_size, pool.max_size) == (1, 2)
    assert (size_of(pool), idle_count(pool)) == (2, 2)
    assert vars(pool).keys() == before
    until(lambda: connections_of(url) == 2)


def test_what_is_out_on_undo_is_closed_when_it_comes_back(
    pool: ConnectionPool, url: str, name: str, arm: OpenArm
) -> None:
    before = vars(pool).keys() | set()
    undo = switch_on(arm, pool=name, size=4)
    taken = take(pool, 4)

    undo()
    give_back(pool, taken)

    until(lambda: (size_of(pool), idle_count(pool)) == (2, 2))
    until(lambda: connections_of(url) == 2)
    taken = take(pool, 2)
    with pytest.raises(PoolTimeout):
        pool.getconn(AT_ONCE_S)
    give_back(pool, taken)
    until(lambda: idle_count(pool) == 2)
    assert vars(pool).keys() == before


def test_who_waits_goes_on_as_soon_as_there_is_room(
    pool: ConnectionPool, name: str, arm: OpenArm
) -> None:
    taken = take(pool, 2)
    thread = threading.Thread(target=lambda: taken.extend(take(pool, 1)))
    thread.start()
    until(lambda: pool.get_stats()["requests_waiting"] == 1)

    undo = switch_on(arm, pool=name, size=3)

    thread.join(PATIENCE_S)
    went_on = len(taken)
    give_back(pool, taken)
    undo()
    assert went_on == 3
    until(lambda: size_of(pool) == 2)


async def opened(url: str) -> Any:
    pool = AsyncConnectionPool(url, min_size=1, max_size=2, open=False)
    await pool.open(wait=True)
    return pool


async def take_async(pool: Any, count: int, patience_s: float = PATIENCE_S) -> list[Any]:
    return [await pool.getconn(patience_s) for _ in range(count)]


async def give_back_async(pool: Any, taken: list[Any]) -> None:
    for one in taken:
        await pool.putconn(one)


def test_an_asynchronous_pool_is_resized_in_its_loop(
    loop: Loop, url: str, name: str, arm: OpenArm
) -> None:
    pool = loop.run(opened(url))
    undo = switch_on(arm, pool=name, size=5)
    taken = loop.run(take_async(pool, 4))
    loop.run(give_back_async(pool, taken[:1]))
    until(lambda: idle_count(pool) >= 1)
    undo()
    loop.run(give_back_async(pool, taken[1:]))

    until(lambda: (size_of(pool), idle_count(pool)) == (2, 2))
    until(lambda: connections_of(url) == 2)
    assert arm.fired_count == 2
    taken = loop.run(take_async(pool, 2))
    with pytest.raises(PoolTimeout):
        loop.run(take_async(pool, 1, AT_ONCE_S))
    loop.run(give_back_async(pool, taken))
    loop.run(pool.close())


def test_other_pools_are_left_alone(pool: ConnectionPool, url: str, arm: OpenArm) -> None:
    null = NullConnectionPool(url, max_size=2, open=False)
    parts = urlsplit(url)

    for name in ("psycopg elsewhere:5432/x pool 1-2", f"psycopg {parts.hostname} pool 0-2"):
        with pytest.raises(WireError, match="No pool"):
            switch_on(arm, pool=name, size=4)

    assert (pool.max_size, null.max_size) == (2, 2)


def test_fewer_than_the_pool_keeps_are_refused(url: str, arm: OpenArm) -> None:
    parts = urlsplit(url)
    with ConnectionPool(url, min_size=3, max_size=4, open=False) as pool:
        with pytest.raises(WireError, match="too few"):
            switch_on(
                arm, pool=f"psycopg {parts.hostname}:{parts.port}{parts.path} pool 3-4", size=2
            )
        assert pool.max_size == 4


def test_a_pool_with_other_private_names_is_not_touched(
    pool: ConnectionPool, name: str, arm: OpenArm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(ConnectionPool, "_maybe_grow_pool")

    with pytest.raises(WireError, match="not known here"):
        switch_on(arm, pool=name, size=4)

    assert pool.max_size == 2

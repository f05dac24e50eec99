"""SQLAlchemy's pools, resized while they run, and back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool, QueuePool

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
from unslow.fixes.switches.resize_pool import sqlalchemy as switch

AT_ONCE_S = 0.01


def name_of(url: str, driver: str, sizes: str) -> str:
    parts = urlsplit(url)
    where = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
    return f"postgresql+{driver} {where}{parts.path} pool {sizes}"


def to(url: str, driver: str) -> str:
    return urlsplit(url)._replace(scheme=f"postgresql+{driver}").geturl()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = create_engine(to(url, "psycopg"), pool_size=1, max_overflow=1, pool_timeout=AT_ONCE_S)
    yield engine
    engine.dispose()


def numbers(pool: Any) -> tuple[int, int, int, int]:
    return pool.size(), pool.checkedin(), pool.checkedout(), pool._max_overflow


def take(stack: ExitStack, engine: Engine, count: int) -> list[Connection]:
    taken = [stack.enter_context(engine.connect()) for _ in range(count)]
    for one in taken:
        one.execute(text("SELECT 1"))
    return taken


def test_a_resized_pool_hands_out_as_many_as_it_may_and_counts_those_beyond(
    engine: Engine, url: str, arm: OpenArm
) -> None:
    undo = switch_on(arm, pool=name_of(url, "psycopg", "1+1"), size=3, overflow=1)

    with ExitStack() as stack:
        take(stack, engine, 4)
        with pytest.raises(PoolTimeoutError):
            engine.connect()
        fired = arm.fired_count
    kept = numbers(engine.pool)

    undo()
    assert fired == 3
    assert kept == (3, 3, 0, 1)


def test_what_is_idle_beyond_the_old_size_is_closed_on_undo(
    engine: Engine, url: str, arm: OpenArm
) -> None:
    pool = engine.pool
    before = dict(vars(pool))
    undo = switch_on(arm, pool=name_of(url, "psycopg", "1+1"), size=4, overflow=0)
    with ExitStack() as stack:
        take(stack, engine, 4)

    undo()

    assert numbers(pool) == (1, 1, 0, 1)
    assert vars(pool).keys() == before.keys()
    until(lambda: connections_of(url) == 1)


def test_what_is_out_on_undo_is_closed_when_it_comes_back_and_nothing_leaks(
    engine: Engine, url: str, arm: OpenArm
) -> None:
    undo = switch_on(arm, pool=name_of(url, "psycopg", "1+1"), size=4, overflow=0)
    with ExitStack() as stack:
        take(stack, engine, 4)

        undo()

        assert numbers(engine.pool) == (1, 0, 4, 1)
        with pytest.raises(PoolTimeoutError):
            engine.connect()
    assert numbers(engine.pool) == (1, 1, 0, 1)
    until(lambda: connections_of(url) == 1)
    with ExitStack() as stack:
        take(stack, engine, 2)
        with pytest.raises(PoolTimeoutError):
            engine.connect()
    assert numbers(engine.pool) == (1, 1, 0, 1)
    assert engine.pool.overflow() == 0  # type: ignore[attr-defined]  # a QueuePool's


def test_a_checkout_that_waits_goes_on_as_soon_as_there_is_room(url: str, arm: OpenArm) -> None:
    engine = create_engine(to(url, "psycopg"), pool_size=1, max_overflow=0, pool_timeout=PATIENCE_S)
    done = threading.Event()

    def wait() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        done.set()

    with ExitStack() as stack:
        take(stack, engine, 1)
        thread = threading.Thread(target=wait)
        thread.start()
        until(lambda: switch._waiting_count(engine.pool) == 1)

        undo = switch_on(arm, pool=name_of(url, "psycopg", "1+0"), size=2, overflow=0)

        went_on = done.wait(PATIENCE_S)
    thread.join()
    undo()
    assert went_on
    assert numbers(engine.pool) == (1, 1, 0, 0)
    engine.dispose()


def test_a_pool_that_churns_keeps_its_connections_and_counts_that(url: str, arm: OpenArm) -> None:
    engine = create_engine(to(url, "psycopg"), pool_size=1, max_overflow=2)
    undo = switch_on(arm, pool=name_of(url, "psycopg", "1+2"), size=3, overflow=0)

    with ExitStack() as stack:
        take(stack, engine, 3)

    assert numbers(engine.pool) == (3, 3, 0, 0)
    assert arm.fired_count == 2
    undo()
    assert numbers(engine.pool) == (1, 1, 0, 2)
    engine.dispose()


def test_an_overflow_without_a_limit_comes_back(url: str, arm: OpenArm) -> None:
    engine = create_engine(to(url, "psycopg"), pool_size=1, max_overflow=-1)
    with ExitStack() as stack:
        take(stack, engine, 3)
        undo = switch_on(arm, pool=name_of(url, "psycopg", "1+unlimited"), size=2, overflow=0)
        during = numbers(engine.pool)
        undo()
        take(stack, engine, 1)

    assert during == (2, 0, 3, 0)
    assert numbers(engine.pool) == (1, 1, 0, -1)
    engine.dispose()


def test_a_pool_made_while_the_old_one_was_disposed_of_is_set_back_too(
    engine: Engine, url: str, arm: OpenArm
) -> None:
    undo = switch_on(arm, pool=name_of(url, "psycopg", "1+1"), size=4, overflow=0)
    engine.dispose()
    between = numbers(engine.pool)

    undo()

    assert between == (4, 0, 0, 0)
    assert numbers(engine.pool) == (1, 0, 0, 1)


def test_only_pools_of_that_address_and_size_are_resized(
    engine: Engine, url: str, arm: OpenArm
) -> None:
    larger = create_engine(to(url, "psycopg"), pool_size=2, max_overflow=1)
    options = engine.execution_options(isolation_level="AUTOCOMMIT")

    undo = switch_on(arm, pool=name_of(url, "psycopg", "1+1"), size=5, overflow=0)

    assert numbers(options.pool) == numbers(engine.pool) == (5, 0, 0, 0)
    assert numbers(larger.pool) == (2, 0, 0, 1)
    undo()
    assert numbers(engine.pool) == (1, 0, 0, 1)


async def take_all(engine: AsyncEngine, count: int) -> list[AsyncConnection]:
    taken = []
    for _ in range(count):
        connection = await engine.connect()
        await connection.execute(text("SELECT 1"))
        taken.append(connection)
    return taken


async def give_back(taken: list[AsyncConnection]) -> None:
    for one in taken:
        await one.close()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_an_asynchronous_pool_grows_and_shrinks_in_its_own_loop(
    loop: Loop, url: str, arm: OpenArm, driver: str
) -> None:
    engine = create_async_engine(
        to(url, driver), pool_size=1, max_overflow=0, pool_timeout=AT_ONCE_S
    )
    name = name_of(url, driver, "1+0")

    undo = switch_on(arm, pool=name, size=4, overflow=0)
    taken = loop.run(take_all(engine, 4))
    at_most = numbers(engine.pool)
    loop.run(give_back(taken[:2]))
    undo()
    out = numbers(engine.pool)
    with pytest.raises(PoolTimeoutError):
        loop.run(take_all(engine, 1))
    loop.run(give_back(taken[2:]))

    assert at_most == (4, 0, 4, 0)
    # More are out than the old size allows, so none of those that were back is kept.
    assert out == (1, 0, 2, 0)
    assert numbers(engine.pool) == (1, 1, 0, 0)
    assert arm.fired_count == 3
    until(lambda: connections_of(url) == 1)
    loop.run(engine.dispose())


def test_an_asynchronous_checkout_that_waits_goes_on(loop: Loop, url: str, arm: OpenArm) -> None:
    engine = create_async_engine(
        to(url, "asyncpg"), pool_size=1, max_overflow=0, pool_timeout=PATIENCE_S
    )
    (first,) = loop.run(take_all(engine, 1))
    waiting = loop.start(take_all(engine, 1))
    until(lambda: switch._waiting_count(engine.pool) == 1)

    undo = switch_on(arm, pool=name_of(url, "asyncpg", "1+0"), size=2, overflow=0)

    (second,) = waiting.result(PATIENCE_S)
    undo()
    loop.run(give_back([first, second]))
    assert numbers(engine.pool) == (1, 1, 0, 0)
    loop.run(engine.dispose())


def test_a_loop_that_is_held_shrinks_its_pool_later(
    loop: Loop, url: str, arm: OpenArm, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_async_engine(to(url, "asyncpg"), pool_size=1, max_overflow=0)
    undo = switch_on(arm, pool=name_of(url, "asyncpg", "1+0"), size=3, overflow=0)
    loop.run(give_back(loop.run(take_all(engine, 3))))
    monkeypatch.setattr(loops, "_PATIENCE_S", 0.01)
    end = threading.Event()
    loop.loop.call_soon_threadsafe(end.wait)

    undo()
    during = numbers(engine.pool)
    end.set()

    until(lambda: connections_of(url) == 1)
    assert during == (3, 3, 0, 0)
    assert numbers(engine.pool) == (1, 1, 0, 0)
    loop.run(engine.dispose())


def test_an_undo_after_the_loop_has_ended_sets_the_numbers_back(url: str, arm: OpenArm) -> None:
    engine = create_async_engine(to(url, "asyncpg"), pool_size=1, max_overflow=0)

    undo = switch_on(arm, pool=name_of(url, "asyncpg", "1+0"), size=4, overflow=0)
    undo()

    assert numbers(engine.pool) == (1, 0, 0, 0)


def test_a_waiting_checkout_waits_on_where_the_server_has_no_room(
    url: str, arm: OpenArm, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine(to(url, "psycopg"), pool_size=1, max_overflow=0, pool_timeout=PATIENCE_S)
    served = threading.Event()

    def wait() -> None:
        with engine.connect():
            served.set()

    def full() -> Any:
        raise ConnectionError

    with ExitStack() as stack:
        take(stack, engine, 1)
        thread = threading.Thread(target=wait)
        thread.start()
        until(lambda: switch._waiting_count(engine.pool) == 1)
        with monkeypatch.context() as patched:
            patched.setattr(engine.pool, "_create_connection", full)
            undo = switch_on(arm, pool=name_of(url, "psycopg", "1+0"), size=2, overflow=0)
        out = engine.pool.checkedout()  # type: ignore[attr-defined]  # a QueuePool's
    thread.join()

    undo()
    assert out == 1
    assert served.is_set()
    assert numbers(engine.pool) == (1, 1, 0, 0)
    engine.dispose()


def test_a_file_is_known_by_its_name_alone(tmp_path: Path, arm: OpenArm) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db", poolclass=QueuePool, pool_size=2)

    undo = switch_on(arm, pool="sqlite+pysqlite shop.db pool 2+10", size=20, overflow=0)

    assert numbers(engine.pool) == (20, 0, 0, 0)
    undo()
    assert numbers(engine.pool) == (2, 0, 0, 10)


@pytest.mark.parametrize(
    ("pool", "says"),
    [
        ("postgresql+asyncpg 127.0.0.1:5432/shop NullPool", "A NullPool has no size"),
        ("sqlite+pysqlite StaticPool", "A StaticPool has no size"),
        ("psycopg pool-1", "names no pool with a size"),
        ("postgresql+psycopg 127.0.0.1:1/nowhere pool 5+10", "No pool .* runs"),
        ("mysql 127.0.0.1:1/nowhere pool 5-10", "no way to resize a pool of mysql"),
    ],
)
def test_what_has_no_size_is_refused(arm: OpenArm, pool: str, says: str) -> None:
    with pytest.raises(WireError, match=says):
        switch_on(arm, pool=pool, size=10, overflow=0)


def test_a_size_of_nothing_and_a_pool_without_a_limit_are_refused(url: str, arm: OpenArm) -> None:
    engine = create_engine(to(url, "psycopg"), pool_size=0)
    null = create_engine(to(url, "psycopg"), poolclass=NullPool)

    with pytest.raises(WireError, match="at least 1"):
        switch_on(arm, pool=name_of(url, "psycopg", "1+1"), size=0, overflow=0)
    with pytest.raises(WireError, match="no limit"):
        switch_on(arm, pool=name_of(url, "psycopg", "0+unlimited"), size=5, overflow=0)
    assert (engine.pool.status(), null.pool.status()) == (QueuePool.status(engine.pool), "NullPool")  # type: ignore[arg-type]  # asked as a QueuePool is


def test_a_pool_that_keeps_its_numbers_elsewhere_is_not_touched(
    engine: Engine, url: str, arm: OpenArm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QueuePool, "checkedout", lambda _: -1)

    with pytest.raises(WireError, match="not known here"):
        switch_on(arm, pool=name_of(url, "psycopg", "1+1"), size=5, overflow=0)

    assert engine.pool.size() == 1  # type: ignore[attr-defined]  # a QueuePool's

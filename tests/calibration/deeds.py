"""What an endpoint can spend its time on: each deed takes a known or self-measured time.

`AWAITED` is for the event loop, `CALLED` for a thread, or for an `async def` that holds its loop.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from time import perf_counter_ns
from typing import Any

import anyio
import anyio.to_thread
import asyncpg
import psycopg
from sqlalchemy import event, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from tests.calibration.truth import note, spent
from tests.calibration.world import Item, Plain, World, spin

OWN_MS = 20.0
SLEEP_S = 0.02
REMOTE_MS = 40
HELD_S = 0.03
GARBAGE = 100_000
COMPILED = 3
CONDITIONS = 150
SLOW_SQL = "SELECT pg_sleep(0.02)"
SLOW_ROWS = "SELECT pg_sleep(0.005), i FROM generate_series(1, 4) i"
"""Each two rows take 10 ms."""
LATER_ROWS = "SELECT CASE WHEN i > 50 THEN pg_sleep(0.01) END FROM generate_series(1, 52) i"
"""SQLAlchemy reads 50 rows of asyncpg at once; each of the two behind them takes 10 ms."""

NOT_CACHED: dict[str, Any] = {"compiled_cache": None}

AwaitedDeed = Callable[[World], Awaitable[Any]]
CalledDeed = Callable[[World], Any]


# Computing and blocking: the same in both worlds.


def own_code(_: World) -> None:
    spin(OWN_MS)


def blocking(_: World) -> None:
    with spent("blocking"):
        time.sleep(SLEEP_S)


def collection(_: World) -> None:
    gc.disable()
    try:
        pile = [[number] for number in range(GARBAGE)]
        # How long it takes is noted by the app's own listener.
        gc.collect(0)
        del pile
    finally:
        gc.enable()


def awaited(deed: CalledDeed) -> AwaitedDeed:
    """A deed that holds the loop."""

    async def held(world: World) -> None:
        deed(world)

    return held


# On the event loop.


async def asyncpg_sql(world: World) -> None:
    connection = await world.asyncpg_pool.acquire()
    with spent("sql"):
        await connection.execute(SLOW_SQL)
    with spent("connect"):
        # It resets the connection, which is a statement of its own.
        await world.asyncpg_pool.release(connection)


async def asyncpg_rows(world: World) -> None:
    connection = await world.asyncpg_pool.acquire()
    transaction = connection.transaction()
    with spent("sql"):
        await transaction.start()
        cursor = await connection.cursor(SLOW_ROWS)
    with spent("rows"):
        await cursor.fetch(4)
    with spent("sql"):
        await transaction.rollback()
    with spent("connect"):
        await world.asyncpg_pool.release(connection)


async def asyncpg_connect(world: World) -> None:
    with spent("connect"):
        connection = await asyncpg.connect(world.slow_url)
    with spent("connect"):
        await connection.close()


async def asyncpg_pool_wait(world: World) -> None:
    taken = asyncio.Event()

    async def hold() -> None:
        async with world.narrow_asyncpg_pool.acquire():
            taken.set()
            await asyncio.sleep(HELD_S)

    async with outside(hold):
        with spent("unexplained"):
            await taken.wait()
        with spent("pool-wait"):
            connection = await world.narrow_asyncpg_pool.acquire()
        with spent("connect"):
            await world.narrow_asyncpg_pool.release(connection)


class outside:  # noqa: N801  # reads like the function that it stands for
    """Runs something beside the request, as another one would: in a context of its own."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._work(), context=Context())

    async def __aexit__(self, *_: object) -> None:
        with spent("unexplained"):
            await self._task


@asynccontextmanager
async def closing(connected: Any) -> AsyncIterator[Any]:
    """Closes at the end, for which SQLAlchemy makes a task: a turn of the loop."""
    try:
        yield connected
    finally:
        with spent("loop-busy"):
            await connected.close()


async def engine_sql(world: World) -> None:
    async with closing(await world.async_engine.connect()) as connection:
        with spent("orm"):
            await connection.execute(text(SLOW_SQL))
        with spent("orm"):
            await connection.rollback()


async def engine_rows(world: World) -> None:
    async with closing(await world.async_engine.connect()) as connection:
        with spent("orm"):
            # It comes with the first rows, which are there at once.
            result = await connection.stream(text(LATER_ROWS))
        with spent("rows"):
            await result.fetchall()
        with spent("orm"):
            await connection.rollback()


async def engine_connect(world: World) -> None:
    # Noted by the engine's listener.
    connection = await world.slow_async_engine.connect()
    with spent("connect"):
        await connection.close()


async def engine_pool_wait(world: World) -> None:
    taken = asyncio.Event()

    async def hold() -> None:
        async with world.narrow_async_engine.connect():
            taken.set()
            await asyncio.sleep(HELD_S)

    async with outside(hold):
        with spent("unexplained"):
            await taken.wait()
        with spent("pool-wait"):
            connection = await world.narrow_async_engine.connect()
        with spent("connect"):
            await connection.close()


async def session_hydration(world: World) -> None:
    async with closing(AsyncSession(world.async_engine)) as session:
        await session.run_sync(load_items)
        with spent("orm"):
            await session.rollback()


def load_items(session: Session) -> None:
    with spent("orm"):
        found = session.scalars(select(Item))
    with spent("hydration"):
        found.all()


def many_objects(world: World) -> int:
    session = Session(world.engine)
    found = load_plain(session)
    with spent("orm"):
        # Most of it lets go of each object; there is also a short ROLLBACK.
        session.close()
    return len(found)


def load_plain(session: Session) -> Sequence[Plain]:
    loaded: list[int] = []
    event.listen(session, "loaded_as_persistent", lambda *_: loaded.append(perf_counter_ns()))
    with spent("orm"):
        found = session.scalars(select(Plain)).all()
        note("hydration", loaded[0], loaded[-1])
    return found


async def session_orm(world: World) -> None:
    async with closing(AsyncSession(world.async_engine)) as session:
        await session.connection(execution_options=NOT_CACHED)
        await session.run_sync(execute_composed)
        with spent("orm"):
            await session.rollback()


def execute_composed(session: Session) -> None:
    for number in range(COMPILED):
        statement = composed(number)
        with spent("orm"):
            session.execute(statement, execution_options={"synchronize_session": False})


def composed(number: int) -> Any:
    """A statement that has to be compiled each time, and finds nothing."""
    conditions = [Plain.id == -number - index for index in range(1, CONDITIONS)]
    return update(Plain).where(or_(*conditions)).values(name="x")


async def redis_cache(world: World) -> None:
    with spent("cache"):
        await world.async_redis.get("key")


async def httpx_remote(world: World) -> None:
    # Noted by the transport: the client's own work before and behind it is the app's.
    await world.async_httpx_client.get(f"{world.remote_url}/{REMOTE_MS}")


async def aiohttp_remote(world: World) -> None:
    with spent("remote"):
        async with world.aiohttp_session.get(f"{world.remote_url}/{REMOTE_MS}") as response:
            await response.read()


async def anyio_thread_queue(world: World) -> None:
    limiter = anyio.CapacityLimiter(1)
    taken = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold() -> None:
        loop.call_soon_threadsafe(taken.set)
        world.stop.wait(HELD_S)

    async with outside(lambda: anyio.to_thread.run_sync(hold, limiter=limiter)):
        with spent("unexplained"):
            await taken.wait()
        asked = perf_counter_ns()
        begun = await anyio.to_thread.run_sync(perf_counter_ns, limiter=limiter)
        note("thread-queue", asked, begun)
        # The way back to the loop: with others there, it is a wait for their turns.
        note("loop-busy", begun)


async def asyncio_sleep(_: World) -> None:
    with spent("unexplained"):
        await asyncio.sleep(SLEEP_S)


# Called, in a thread or on the loop.


def psycopg_sql(world: World) -> None:
    with world.psycopg_pool.connection() as connection, spent("sql"):
        connection.execute(SLOW_SQL)
        connection.rollback()


def psycopg_rows(world: World) -> None:
    with world.psycopg_pool.connection() as connection, connection.cursor("slow") as cursor:
        with spent("sql"):
            cursor.execute(SLOW_ROWS)
        for _ in range(2):
            with spent("rows"):
                cursor.fetchmany(2)
        with spent("sql"):
            cursor.close()
            connection.rollback()


def psycopg_connect(world: World) -> None:
    with spent("connect"):
        connection = psycopg.connect(world.slow_url)
    connection.close()


def psycopg_pool_wait(world: World) -> None:
    with held_by_a_thread(world, world.narrow_psycopg_pool.connection):
        with spent("pool-wait"):
            connection = world.narrow_psycopg_pool.getconn()
        world.narrow_psycopg_pool.putconn(connection)


class held_by_a_thread:  # noqa: N801  # reads like the function that it stands for
    """A thread beside the request takes something and holds it for a while."""

    def __init__(self, world: World, take: Callable[[], Any]) -> None:
        self._world = world
        self._take = take
        self._taken = threading.Event()
        self._thread = threading.Thread(target=self._hold)

    def _hold(self) -> None:
        with self._take():
            self._taken.set()
            self._world.stop.wait(HELD_S)

    def __enter__(self) -> None:
        Context().run(self._thread.start)
        self._taken.wait()

    def __exit__(self, *_: object) -> None:
        self._thread.join()


def plain_engine_sql(world: World) -> None:
    with world.engine.connect() as connection:
        with spent("orm"):
            connection.execute(text(SLOW_SQL))
        with spent("orm"):
            connection.rollback()


def plain_engine_connect(world: World) -> None:
    connection = world.slow_engine.connect()
    with spent("connect"):
        connection.close()


def plain_engine_pool_wait(world: World) -> None:
    with held_by_a_thread(world, world.narrow_engine.connect):
        with spent("pool-wait"):
            connection = world.narrow_engine.connect()
        connection.close()


def plain_session_hydration(world: World) -> None:
    with Session(world.engine) as session:
        load_items(session)
        with spent("orm"):
            session.rollback()


def plain_session_orm(world: World) -> None:
    with Session(world.engine) as session:
        session.connection(execution_options=NOT_CACHED)
        execute_composed(session)
        with spent("orm"):
            session.rollback()


def plain_redis_cache(world: World) -> None:
    with spent("cache"):
        world.redis.get("key")


def requests_remote(world: World) -> None:
    world.requests_session.get(f"{world.remote_url}/{REMOTE_MS}")


def plain_httpx_remote(world: World) -> None:
    world.httpx_client.get(f"{world.remote_url}/{REMOTE_MS}")


AWAITED: dict[str, AwaitedDeed] = {
    "own-code": awaited(own_code),
    "asyncpg-sql": asyncpg_sql,
    "redis-cache": redis_cache,
    "gc": awaited(collection),
    "engine-rows": engine_rows,
    "blocking": awaited(blocking),
    "asyncpg-connect": asyncpg_connect,
    "httpx-remote": httpx_remote,
    "session-hydration": session_hydration,
    "asyncpg-pool-wait": asyncpg_pool_wait,
    "session-orm": session_orm,
    "anyio-thread-queue": anyio_thread_queue,
    "engine-sql": engine_sql,
    "aiohttp-remote": aiohttp_remote,
    "engine-connect": engine_connect,
    "engine-pool-wait": engine_pool_wait,
    "asyncpg-rows": asyncpg_rows,
    "unexplained": asyncio_sleep,
}
CALLED: dict[str, CalledDeed] = {
    "own-code": own_code,
    "blocking": blocking,
    "gc": collection,
    "psycopg-sql": psycopg_sql,
    "psycopg-rows": psycopg_rows,
    "psycopg-connect": psycopg_connect,
    "psycopg-pool-wait": psycopg_pool_wait,
    "engine-sql": plain_engine_sql,
    "engine-connect": plain_engine_connect,
    "engine-pool-wait": plain_engine_pool_wait,
    "session-hydration": plain_session_hydration,
    "session-orm": plain_session_orm,
    "redis-cache": plain_redis_cache,
    "requests-remote": requests_remote,
    "httpx-remote": plain_httpx_remote,
}

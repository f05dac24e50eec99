"""What `bench/read_faults.py` does to look-ups, and which errors they may then have."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import psycopg

from bench.read_subjects import Answers, Tenants, Views
from bench.stoppable_server import StoppableServer
from tests.fast.caching.redis_process import RedisProcess
from unslow.fast import Pool
from unslow.fast.database import is_lost
from unslow.fast.errors import PoolTimeoutError

APPLICATION: Final = "read_faults"
"""How the app's connections are known."""
TERMINATED_EVERY_S: Final = 0.1
PATIENCE_S: Final = 5.0
"""How long the pool lets wait for a connection; where it is filled, less."""
IMPATIENCE_S: Final = 0.2

_TERMINATE: Final = f"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = '{APPLICATION}' AND datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """What there is to disturb."""

    url: str
    pool: Pool
    server: StoppableServer | None
    redis: RedisProcess | None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to look-ups, and which errors they may then have."""

    hit: Callable[[Stage, float], Awaitable[None]]
    """Takes about as many seconds as it is given."""
    is_clear: Callable[[BaseException], bool] = lambda _error: False
    cancels: bool = False
    refuses: bool = False
    acquire_timeout_s: float = PATIENCE_S
    subjects: Sequence[str] = (Views.name, Tenants.name, Answers.name)


async def _terminate_connections(stage: Stage, seconds: float) -> None:
    async with await psycopg.AsyncConnection.connect(stage.url, autocommit=True) as connection:
        for _ in range(round(seconds / TERMINATED_EVERY_S)):
            await connection.execute(_TERMINATE.encode())
            await asyncio.sleep(TERMINATED_EVERY_S)


async def _restart_server(stage: Stage, seconds: float) -> None:
    assert stage.server is not None, "this server is not ours to stop"
    await asyncio.sleep(seconds / 3)
    await stage.server.stop_at_once()
    await stage.server.start_again()
    await asyncio.sleep(seconds * 2 / 3)


async def undisturbed(_stage: Stage, seconds: float) -> None:
    """Only waits."""
    await asyncio.sleep(seconds)


async def _fill_pool(stage: Stage, seconds: float) -> None:
    await asyncio.sleep(seconds / 4)
    async with AsyncExitStack() as stack:
        for _ in range(stage.pool.max_size):
            await stack.enter_async_context(stage.pool.source.acquire())
        await asyncio.sleep(seconds / 2)
    await asyncio.sleep(seconds / 4)


async def _stop_redis(stage: Stage, seconds: float) -> None:
    assert stage.redis is not None
    await asyncio.sleep(seconds / 4)
    stage.redis.hang()
    await asyncio.sleep(seconds / 4)
    await asyncio.to_thread(stage.redis.kill)
    await asyncio.sleep(seconds / 4)
    await asyncio.to_thread(stage.redis.start)
    await asyncio.sleep(seconds / 4)


def _is_pool_timeout(error: BaseException) -> bool:
    return isinstance(error, PoolTimeoutError)


def _is_of_lost_server(error: BaseException) -> bool:
    return is_lost(error) or _is_pool_timeout(error)


FAULTS: Final = {
    "connections-terminated": Fault(_terminate_connections, _is_of_lost_server),
    "server-restarted": Fault(_restart_server, _is_of_lost_server),
    "clients-cancelled": Fault(undisturbed, cancels=True),
    "pool-filled": Fault(_fill_pool, _is_pool_timeout, acquire_timeout_s=IMPATIENCE_S),
    "redis-stopped": Fault(_stop_redis, subjects=(Answers.name,)),
    "one-bad-key": Fault(undisturbed, refuses=True),
}

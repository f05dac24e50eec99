"""The three doors to a real PostgreSQL that a block may be given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg
from psycopg_pool import AsyncConnectionPool
from sqlalchemy.ext.asyncio import create_async_engine

Result = TypeVar("Result")

DOORS = ("asyncpg", "psycopg", "engine-asyncpg", "engine-psycopg")


@asynccontextmanager
async def opened_source(door: str, url: str, size: int = 5) -> AsyncIterator[Any]:
    """A pool or an engine of at most so many connections."""
    if door == "asyncpg":
        async with asyncpg.create_pool(url, min_size=0, max_size=size) as pool:
            yield pool
    elif door == "psycopg":
        async with AsyncConnectionPool(url, min_size=0, max_size=size, open=False) as pool:
            yield pool
    else:
        driver = door.removeprefix("engine-")
        engine = create_async_engine(
            url.replace("postgresql://", f"postgresql+{driver}://", 1),
            pool_size=size,
            max_overflow=0,
        )
        try:
            yield engine
        finally:
            await engine.dispose()


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Runs a test's own coroutine, and fails it when it hangs."""

    async def bounded() -> Result:
        async with asyncio.timeout(30):
            return await coroutine

    return asyncio.run(bounded())

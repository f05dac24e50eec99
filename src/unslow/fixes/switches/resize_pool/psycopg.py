"""The pools of psycopg_pool, which can change their size; what is too much they keep for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any, Final

from ....current import OpenArm
from ....errors import WireError
from ....patching import Patches
from .. import Undo
from .loops import finish_in, running_loops
from .named import Named, living

_PRIVATE: Final = (
    "_lock",
    "_pool",
    "_nconns",
    "_max_size",
    "_waiting",
    "_maybe_grow_pool",
    "_add_to_pool",
)
"""Names of a pool that are not public, the same from psycopg_pool 3.1 to 3.3."""


def resize(arm: OpenArm, named: Named, size: int) -> Undo:
    """Lets every pool of a name have so many connections; the fewest stay what they are.

    Raises:
        WireError: none runs, or this version of psycopg_pool has other private names.
    """
    pools = list(_pools(named))
    if not pools:
        raise named.none_runs()
    if size < named.first:
        raise WireError(f"The pool keeps {named.first} connections, so {size} are too few.")
    _test_names(pools)
    patches = Patches()

    def undo() -> None:
        patches.undo()
        for pool in pools:
            _resize(pool, named.first, named.second)

    try:
        for pool in pools:
            patches.replace(pool, "getconn", _counting(arm, pool, named.second))
            _resize(pool, named.first, size)
    except WireError:
        undo()
        raise
    return undo


def _pools(named: Named) -> Iterator[Any]:
    from psycopg_pool import (
        AsyncConnectionPool,
        AsyncNullConnectionPool,
        ConnectionPool,
        NullConnectionPool,
    )

    for one in living(ConnectionPool, AsyncConnectionPool):
        # Those keep nothing: they have a bound, and no size.
        if isinstance(one, (NullConnectionPool, AsyncNullConnectionPool)) or one.closed:
            continue
        is_size = (one.min_size, one.max_size) == (named.first, named.second)
        if is_size and named.leads_to(_where(one)):
            yield one


def _where(pool: Any) -> str:
    """Where a pool leads; empty while it has no idle connection."""
    connection = next((one for one in tuple(pool._pool) if not one.closed), None)
    if connection is None:
        return ""
    info = connection.info
    server = info.host if info.host.startswith("/") else f"{info.host}:{info.port}"
    return f"{server}/{info.dbname}"


def _test_names(pools: list[Any]) -> None:
    import psycopg_pool

    for pool in pools:
        if not all(hasattr(pool, name) for name in _PRIVATE):
            raise WireError(
                f"The pools of psycopg_pool {psycopg_pool.__version__} keep their connections in a"
                " way that is not known here."
            )


def _is_async(pool: Any) -> bool:
    return asyncio.iscoroutinefunction(type(pool).resize)


def _counting(
    arm: OpenArm, pool: Any, before: int
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def count() -> None:
        if pool._nconns - len(pool._pool) > before:
            arm.fired()

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def getconn(*args: Any, **options: Any) -> Any:
            connection = original(*args, **options)
            count()
            return connection

        @wraps(original)
        async def getconn_async(*args: Any, **options: Any) -> Any:
            connection = await original(*args, **options)
            count()
            return connection

        return getconn_async if _is_async(pool) else getconn

    return make


def _resize(pool: Any, least: int, most: int) -> None:
    """Sets the sizes; lets the pool grow for those who wait, and closes what it has too many of.

    `resize` of the pool itself leaves it what it has, and closes one in `max_idle` seconds.
    """
    if _is_async(pool):
        finish_in(_loop_of(pool), partial(_resize_async, pool, least, most))
        return
    pool.resize(least, most)
    with pool._lock:
        spare = _taken_out(pool)
        if pool._waiting:
            pool._maybe_grow_pool()
    for connection in spare:
        connection.close()
    _close_later(pool)


async def _resize_async(pool: Any, least: int, most: int) -> None:
    await pool.resize(least, most)
    async with pool._lock:
        spare = _taken_out(pool)
        if pool._waiting:
            pool._maybe_grow_pool()
    for connection in spare:
        await connection.close()
    _close_later(pool)


def _loop_of(pool: Any) -> asyncio.AbstractEventLoop | None:
    """Where the tasks of an asynchronous pool run."""
    workers = (one for one in getattr(pool, "_workers", ()) if isinstance(one, asyncio.Task))
    task = next(workers, None)
    return next(iter(running_loops()), None) if task is None else task.get_loop()


def _taken_out(pool: Any) -> list[Any]:
    """Takes out the idle connections beyond the size; by whoever holds the pool's lock."""
    spare: list[Any] = []
    while pool._nconns > pool._max_size and pool._pool:
        spare.append(pool._pool.popleft())
        pool._nconns -= 1
    return spare


def _close_later(pool: Any) -> None:
    """Has what is in use beyond the size closed as it comes back, and then lets the pool be."""
    if pool._nconns <= pool._max_size:
        return
    patches = Patches()
    made = _closing_async if _is_async(pool) else _closing
    patches.replace(pool, "_add_to_pool", partial(made, pool, patches))


def _closing(pool: Any, patches: Patches, original: Callable[[Any], None]) -> Any:
    @wraps(original)
    def add_to_pool(connection: Any) -> None:
        with pool._lock:
            is_spare = pool._nconns > pool._max_size
            pool._nconns -= is_spare
        if is_spare:
            # Else it would go back to its pool instead, where that is what `close` does.
            connection._pool = None
            connection.close()
        else:
            patches.undo()
            original(connection)

    return add_to_pool


def _closing_async(pool: Any, patches: Patches, original: Callable[[Any], Any]) -> Any:
    @wraps(original)
    async def add_to_pool(connection: Any) -> None:
        async with pool._lock:
            is_spare = pool._nconns > pool._max_size
            pool._nconns -= is_spare
        if is_spare:
            connection._pool = None
            await connection.close()
        else:
            patches.undo()
            await original(connection)

    return add_to_pool

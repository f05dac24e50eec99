"""asyncpg's pools: a fixed number of holders, each with a connection or none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, Final

from ....current import OpenArm
from ....errors import WireError
from ....patching import Patches
from .. import Undo
from .loops import call_in, finish_in, start_in, undo_in
from .named import Named, living

_PRIVATE: Final = ("_holders", "_queue", "_maxsize", "_max_queries", "_setup", "_loop")
"""Names of a pool that are not public, the same from asyncpg 0.29 to 0.32.

Beside them `_max_inactive_connection_lifetime`, `Pool._acquire`, a holder's `_con`, and of
`asyncio.Queue` `_queue` and `_maxsize`.
"""

_MISSING: Final = object()
_SHORT_S: Final = 0.01


def resize(arm: OpenArm, named: Named, size: int) -> Undo:
    """Lets every pool of a name have more connections.

    Raises:
        WireError: none runs, the size is below the present one, or this version of asyncpg keeps
            its connections in another way.
    """
    pools = _pools(named)
    if size < named.second:
        raise WireError(
            f"asyncpg's pool of {named.second} can only grow while it runs, not shrink to {size}."
        )
    added: list[tuple[Any, list[Any]]] = []
    patches = Patches()

    def undo() -> None:
        patches.undo()
        for pool, holders in added:
            undo_in(pool._loop, partial(_shrink, pool, holders, named.second))

    kinds = {type(one) for one in pools}
    for kind in kinds:
        patches.replace(kind, "_acquire", _counting(arm, pools, named.second))
    try:
        for pool in pools:
            # One by one: what has grown must be known when the next one fails.
            holders = call_in(pool._loop, partial(_grow, pool, size))
            added.append((pool, holders))
    except WireError:
        undo()
        raise
    return undo


def _pools(named: Named) -> list[Any]:
    from asyncpg.pool import Pool

    sizes = named.first, named.second
    pools = [
        one
        for one in living(Pool)
        if (one.get_min_size(), one.get_max_size()) == sizes
        and not one.is_closing()
        # One that was made and is not opened has none.
        and getattr(one, "_queue", _MISSING) is not None
    ]
    _test_names(pools)
    pools = [one for one in pools if named.leads_to(_where(one))]
    if not pools:
        raise named.none_runs()
    return pools


def _where(pool: Any) -> str:
    """Where a pool leads; empty while it has no connection."""
    connection = next((one._con for one in pool._holders if one._con is not None), None)
    if connection is None:
        return ""
    address = connection._addr
    server = address if isinstance(address, str) else f"{address[0]}:{address[1]}"
    return f"{server}/{connection._params.database}"


def _test_names(pools: list[Any]) -> None:
    import asyncpg

    for pool in pools:
        missing = [name for name in _PRIVATE if not hasattr(pool, name)]
        queue: Any = getattr(pool, "_queue", None)
        if (
            missing
            or not isinstance(queue, asyncio.LifoQueue)
            or not isinstance(getattr(queue, "_queue", None), list)
            or queue.maxsize != len(pool._holders)
        ):
            raise WireError(
                f"The pools of asyncpg {asyncpg.__version__} keep their connections in a way that"
                " is not known here."
            )


def _grow(pool: Any, size: int) -> list[Any]:
    """Adds holders; by the loop's own thread."""
    from asyncpg.pool import PoolConnectionHolder

    queue = pool._queue
    holders = [
        PoolConnectionHolder(
            pool,
            max_queries=pool._max_queries,
            max_inactive_time=pool._max_inactive_connection_lifetime,
            setup=pool._setup,
        )
        for _ in range(size - len(pool._holders))
    ]
    pool._holders.extend(holders)
    pool._maxsize = size
    queue._maxsize = max(1, len(pool._holders))
    if queue.empty():
        for holder in holders:
            # Wakes those who wait.
            queue.put_nowait(holder)
    else:
        # The last one is taken first: what is connected already goes before.
        queue._queue[:0] = holders
    return holders


def _shrink(pool: Any, holders: list[Any], size: int) -> None:
    loop = pool._loop
    spare = call_in(loop, partial(_taken_out, pool, holders, size))
    finish_in(loop, partial(_close, spare))
    left = [one for one in holders if one in pool._holders]
    if left and loop.is_running():
        call_in(loop, partial(start_in, loop, partial(_retire, pool, left)))


def _taken_out(pool: Any, holders: list[Any], size: int) -> list[Any]:
    """Takes those holders away that nobody uses; by the loop's own thread."""
    waiting = pool._queue._queue
    spare = [one for one in holders if one in waiting]
    for one in spare:
        waiting.remove(one)
        pool._holders.remove(one)
    pool._maxsize = size
    # Room for all that are still to come back.
    pool._queue._maxsize = max(1, len(pool._holders))
    return spare


async def _close(holders: list[Any]) -> None:
    for one in holders:
        await one.close()


async def _retire(pool: Any, holders: list[Any]) -> None:
    """Takes each holder away as soon as it comes back."""
    for holder in holders:
        while holder in pool._holders and not pool.is_closing():
            await _close(_taken_out(pool, [holder], pool._maxsize))
            await holder.wait_until_released()
            # It may be on its way to somebody, with no connection yet.
            await asyncio.sleep(_SHORT_S)


def _counting(
    arm: OpenArm, pools: list[Any], before: int
) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]:
    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(original)
        async def acquire(self: Any, *args: Any, **options: Any) -> Any:
            connection = await original(self, *args, **options)
            if any(one is self for one in pools):
                in_use = len(self._holders) - self._queue.qsize()
                if in_use > before:
                    arm.fired()
            return connection

        return acquire

    return make

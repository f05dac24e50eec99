"""asyncpg's pools: waiting for a connection, and who held it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final
from weakref import WeakKeyDictionary

from ....current import LANE, Lane, clock
from ....model.trace import CONNECT, GIVEN_BACK, POOL_WAIT
from ...place import caller_place
from ...probe import Installation, require
from .driver import name_of

_NO_WAIT_NS: Final = 100_000
"""Below this, and without giving up the loop, a connection was there: no wait, only work."""

_PRIVATE: Final = (
    ("Pool", "_acquire", ("self", "timeout")),
    ("PoolConnectionHolder", "_release", ("self",)),
)
"""What is replaced and not public: the same from asyncpg 0.28 to 0.32."""

_NAMES_KEPT: Final = 1_000


def install(installation: Installation) -> None:
    """Replaces how connections leave a pool and come back."""
    from asyncpg import pool

    for owner, name, parameters in _PRIVATE:
        require(getattr(pool, owner), name, *parameters)
    pools = _Pools(installation)
    installation.patches.replace(pool.Pool, "_acquire", pools.acquiring)
    installation.patches.replace(pool.PoolConnectionHolder, "_release", pools.releasing)
    installation.patches.replace(pool.Pool, "release", pools.giving_back)


class _Pools:
    """The replacements, and the connections that are out."""

    def __init__(self, installation: Installation) -> None:
        self._broke = installation.broke
        self._holds: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()
        """By connection, while it is out of its pool."""
        self._names: dict[tuple[Any, ...], str] = {}
        """A pool takes no weak references: by where it leads, and its sizes."""

    def acquiring(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(original)
        async def call(pool: Any, *rest: Any, **options: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return await original(pool, *rest, **options)
            proxy = None
            start = clock()
            try:
                proxy = await original(pool, *rest, **options)
            finally:
                self._acquired(lane, start, pool, proxy)
            return proxy

        return call

    def _acquired(self, lane: Lane, start_ns: int, pool: Any, proxy: Any) -> None:
        end_ns = clock()
        try:
            place = caller_place()
            connection = _any_connection(pool) if proxy is None else proxy._con
            name = self._name(pool, connection)
            if lane.step_start_ns > start_ns or end_ns - start_ns >= _NO_WAIT_NS:
                lane.add(POOL_WAIT, start_ns, end_ns, name, place)
            if proxy is not None and lane.trace.left > 0:
                hold = [name, end_ns, 0, place]
                lane.trace.holds.append(hold)
                self._holds[connection] = hold
        except Exception as error:
            self._broke(error)

    def releasing(self, original: Callable[..., None]) -> Callable[..., None]:
        @wraps(original)
        def call(holder: Any) -> None:
            # All ways back lead here: released, closed, terminated.
            connection = holder._con
            original(holder)
            try:
                if connection is not None:
                    hold = self._holds.pop(connection, None)
                    if hold is not None:
                        hold[2] = clock()
            except Exception as error:
                self._broke(error)

        return call

    def giving_back(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """For what it takes to hand a connection back beside the task that asyncpg makes for it.

        The wait for that task is left out: what it waits for, its own lane says.
        """

        @wraps(original)
        async def call(pool: Any, connection: Any, **options: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return await original(pool, connection, **options)
            start = clock()
            try:
                return await original(pool, connection, **options)
            finally:
                self._given_back(lane, start)

        return call

    def _given_back(self, lane: Lane, start_ns: int) -> None:
        end_ns = clock()
        try:
            place = caller_place()
            resumed_ns = lane.step_start_ns
            if resumed_ns > start_ns:
                suspended_ns = _end_of_step(lane, start_ns)
                lane.add(CONNECT, start_ns, suspended_ns, GIVEN_BACK, place)
                start_ns = resumed_ns
            lane.add(CONNECT, start_ns, end_ns, GIVEN_BACK, place)
        except Exception as error:
            self._broke(error)

    def _name(self, pool: Any, connection: Any) -> str:
        """A pool's name, without credentials; made once."""
        sizes = (pool._minsize, pool._maxsize)
        where = None if connection is None else (connection._addr, connection._params.database)
        key = (where, *sizes)
        name = self._names.get(key)
        if name is None:
            if len(self._names) >= _NAMES_KEPT:
                self._names.clear()
            name = self._names[key] = f"{name_of(connection)} pool {sizes[0]}-{sizes[1]}"
        return name


def _end_of_step(lane: Lane, at_ns: int) -> int:
    """When the step that ran at a time had ended; that time itself where it was not kept."""
    found = at_ns
    for _, end_ns, _, _ in reversed(lane.steps):
        if end_ns <= at_ns:
            break
        found = end_ns
    return found


def _any_connection(pool: Any) -> Any:
    for holder in pool._holders:
        if holder._con is not None:
            return holder._con
    return None

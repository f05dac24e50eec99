"""The pools of psycopg_pool: waiting for a connection, its check and reset, who held it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final
from weakref import WeakKeyDictionary

from ....current import LANE, Lane, clock
from ....model.trace import CONNECT, GIVEN_BACK, POOL_WAIT
from ...place import caller_place
from ...probe import Installation, require
from .driver import DRIVER, name_of

_NO_WAIT_NS: Final = 100_000
"""Below this, and without giving up the loop, a connection was there: no wait, only work."""

Call = Callable[..., Any]


def install(installation: Installation) -> None:
    """Replaces how connections are taken, checked, given back and reset."""
    import psycopg_pool

    kinds = (psycopg_pool.ConnectionPool, psycopg_pool.AsyncConnectionPool)
    for kind in kinds:
        require(kind, "_reset_connection", "self", "conn")
    replace = installation.patches.replace
    pools = _Pools(installation)
    replace(psycopg_pool.ConnectionPool, "getconn", pools.taking)
    replace(psycopg_pool.ConnectionPool, "putconn", pools.giving_back)
    replace(psycopg_pool.ConnectionPool, "_reset_connection", pools.housekeeping)
    replace(psycopg_pool.AsyncConnectionPool, "getconn", pools.taking_async)
    replace(psycopg_pool.AsyncConnectionPool, "putconn", pools.giving_back_async)
    replace(psycopg_pool.AsyncConnectionPool, "_reset_connection", pools.housekeeping_async)
    if hasattr(psycopg_pool.ConnectionPool, "_check_connection"):  # since psycopg_pool 3.2
        replace(psycopg_pool.ConnectionPool, "_check_connection", pools.housekeeping)
        replace(psycopg_pool.AsyncConnectionPool, "_check_connection", pools.housekeeping_async)


class _Pools:
    """The replacements in psycopg_pool."""

    def __init__(self, installation: Installation) -> None:
        self._broke = installation.broke
        self._names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        """By pool."""
        self._holds: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()
        """By connection, while it is out of its pool."""

    def taking(self, original: Call) -> Call:
        @wraps(original)
        def call(pool: Any, *args: Any, **options: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return original(pool, *args, **options)
            connection = None
            start = clock()
            try:
                connection = original(pool, *args, **options)
            finally:
                self._taken(lane, start, pool, connection)
            return connection

        return call

    def taking_async(self, original: Call) -> Call:
        @wraps(original)
        async def call(pool: Any, *args: Any, **options: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return await original(pool, *args, **options)
            connection = None
            start = clock()
            try:
                connection = await original(pool, *args, **options)
            finally:
                self._taken(lane, start, pool, connection)
            return connection

        return call

    def _taken(self, lane: Lane, start_ns: int, pool: Any, connection: Any) -> None:
        end_ns = clock()
        try:
            place = caller_place()
            name = self._names.get(pool) or self._name(pool, connection)
            if _waited(lane, start_ns, end_ns):
                lane.add(POOL_WAIT, start_ns, end_ns, name, place)
            if connection is not None and lane.trace.left > 0:
                hold = [name, end_ns, 0, place]
                lane.trace.holds.append(hold)
                self._holds[connection] = hold
        except Exception as error:
            self._broke(error)

    def _name(self, pool: Any, connection: Any) -> str:
        """A pool's name, without credentials; made once, when a connection tells where to."""
        if connection is None:
            return f"{DRIVER} {pool.name}"
        name = f"{name_of(connection)} pool {pool.min_size}-{pool.max_size}"
        self._names[pool] = name
        return name

    def giving_back(self, original: Call) -> Call:
        @wraps(original)
        def call(pool: Any, conn: Any) -> None:
            try:
                original(pool, conn)
            finally:
                self._given_back(conn)

        return call

    def giving_back_async(self, original: Call) -> Call:
        @wraps(original)
        async def call(pool: Any, conn: Any) -> None:
            try:
                await original(pool, conn)
            finally:
                self._given_back(conn)

        return call

    def _given_back(self, connection: Any) -> None:
        try:
            hold = self._holds.pop(connection, None)
            if hold is not None:
                hold[2] = clock()
        except Exception as error:
            self._broke(error)

    def housekeeping(self, original: Call) -> Call:
        """For the check of a connection that is taken and the reset of one that comes back."""

        @wraps(original)
        def call(pool: Any, conn: Any) -> None:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                original(pool, conn)
                return
            lane.inside_sql += 1
            start = clock()
            try:
                original(pool, conn)
            finally:
                lane.inside_sql -= 1
                self._kept(lane, start)

        return call

    def housekeeping_async(self, original: Call) -> Call:
        @wraps(original)
        async def call(pool: Any, conn: Any) -> None:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                await original(pool, conn)
                return
            lane.inside_sql += 1
            start = clock()
            try:
                await original(pool, conn)
            finally:
                lane.inside_sql -= 1
                self._kept(lane, start)

        return call

    def _kept(self, lane: Lane, start_ns: int) -> None:
        end_ns = clock()
        try:
            if _waited(lane, start_ns, end_ns):
                lane.add(CONNECT, start_ns, end_ns, GIVEN_BACK, caller_place())
        except Exception as error:
            self._broke(error)


def _waited(lane: Lane, start_ns: int, end_ns: int) -> bool:
    return lane.step_start_ns > start_ns or end_ns - start_ns >= _NO_WAIT_NS

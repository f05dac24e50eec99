"""Connections: waiting for one, opening, giving back, and for how long each was held."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import wraps
from typing import Any, Final
from weakref import WeakKeyDictionary

from ....current import LANE, clock
from ....model.trace import CLOSED, CONNECT, GIVEN_BACK, POOL_WAIT
from ...place import caller_place
from ...probe import Installation
from . import private
from .statements import Make

_NO_WAIT_NS: Final = 100_000
"""Below this, and without giving up the loop, a connection was there: no wait, only work."""
_HOLD: Final = "unslow_hold"
"""The attribute of a connection that was taken under which its hold stands."""

_POOL: Final = "_ConnectionRecord__pool"
"""Where a record keeps its pool; private, the same from 2.0 to 2.1, and of use for a name only."""

_names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""By pool."""
_numbers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""By pool: a new engine, a new number."""
_next_number = itertools.count(1)


def install(installation: Installation) -> None:
    """Replaces the opening of connections and their way back into the pool."""
    missing = private.unknown(private.CONNECT, private.CHECKIN)
    if missing:
        installation.cover("sqlalchemy connections", "off", missing)
        return
    installation.patches.replace(*private.locate(private.CONNECT), _connect)
    installation.patches.replace(*private.locate(private.CHECKIN), _give_back)


def take(installation: Installation, seen: Callable[[Any], None]) -> Make:
    """For `Engine.raw_connection`, through which every connection of an engine is taken.

    Args:
        installation: Of the probe.
        seen: Called with an engine when its pool is used for the first time.
    """
    # Without its end a hold would be a lie.
    holds = not private.unknown(private.CHECKIN)

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def raw_connection(self: Any) -> Any:
            lane = LANE.get()
            if lane is None:
                return original(self)
            try:
                name = _names.get(self.pool)
                if name is None:
                    seen(self)
                    name = _names[self.pool] = name_of(self)
                place = lane.place or caller_place()
            except Exception as error:
                installation.broke(error)
                return original(self)
            start = clock()
            try:
                connection = original(self)
            finally:
                end = clock()
                if lane.step_start_ns > start or end - start >= _NO_WAIT_NS:
                    lane.add(POOL_WAIT, start, end, name, place)
            held = getattr(connection, "__dict__", None)
            # A pool of one connection per thread gives the same several times.
            if holds and held is not None and _HOLD not in held and lane.trace.left > 0:
                held[_HOLD] = hold = [name, end, 0, place]
                lane.trace.holds.append(hold)
            return connection

        return raw_connection

    return make


def _connect(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def connect(self: Any) -> Any:
        lane = LANE.get()
        if lane is None:
            return original(self)
        opened_for = _opened_for(self)
        # What a dialect asks a new connection is part of opening it, not a statement of the app.
        lane.inside_sql += 1
        start = clock()
        try:
            return original(self)
        finally:
            lane.add(CONNECT, start, clock(), opened_for, lane.place or caller_place())
            lane.inside_sql -= 1

    return connect


def _opened_for(record: Any) -> tuple[str, int, bool]:
    """The name of the pool that a connection is opened for, its number, and whether again.

    To be asked before it is opened: from then on its record has a start.
    """
    is_again = bool(getattr(record, "starttime", 0))
    pool = getattr(record, _POOL, None)
    if pool is None:
        return "connection", 0, is_again
    number = _numbers.get(pool)
    if number is None:
        number = _numbers[pool] = next(_next_number)
    return _names.get(pool, "connection"), number, is_again


def _give_back(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def checkin(self: Any, transaction_was_reset: bool = False) -> Any:
        hold = self.__dict__.pop(_HOLD, None)
        lane = LANE.get()
        if lane is None or transaction_was_reset:
            try:
                return original(self, transaction_was_reset)
            finally:
                if hold is not None:
                    hold[2] = clock()
        record = getattr(self, "_connection_record", self)
        lane.inside_sql += 1
        start = clock()
        try:
            return original(self, transaction_was_reset)
        finally:
            end = clock()
            lane.inside_sql -= 1
            # Overflow is closed when it comes back.
            is_closed = getattr(record, "dbapi_connection", record) is None
            lane.add(CONNECT, start, end, CLOSED if is_closed else GIVEN_BACK)
            if hold is not None:
                hold[2] = end

    return checkin


def name_of(engine: Any) -> str:
    """The name of an engine's pool, without credentials."""
    from sqlalchemy.pool import QueuePool

    pool, url = engine.pool, engine.url
    host = url.host or ""
    if host and url.port is not None:
        host = f"{host}:{url.port}"
    # Of a SQLite file its name only: a path may say who the user is.
    database = (url.database or "").replace("\\", "/").rpartition("/")[2]
    where = "/".join(filter(None, (host, database)))
    size = type(pool).__name__
    if isinstance(pool, QueuePool):
        extra = getattr(pool, "_max_overflow", 0)
        size = f"pool {pool.size()}+{'unlimited' if extra < 0 else extra}"
    return " ".join(filter(None, (engine.dialect.dialect_description, where, size)))

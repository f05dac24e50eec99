"""What a pool says of itself, without asking the database.

What a library does not tell about its pool is `None`, and never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..database import Source, database
from .pools import Pool


@dataclass(frozen=True, slots=True)
class PoolState:
    """What a pool says of itself; `None` is what its library does not tell."""

    max_size: int | None = None
    size: int | None = None
    """How many connections are open."""
    in_use: int | None = None
    """With psycopg those that are being opened count as in use."""
    idle: int | None = None
    waiting: int | None = None
    """How many wait for a connection."""


def pool_state(source: Source) -> PoolState:
    """The state of a pool or an engine, without asking the database.

    Raises:
        NotOpenError: It is not open.
        UnsupportedSourceError: It is none that is known.
    """
    raw = database(source).source
    if isinstance(source, Pool) and source.driver == "asyncpg":
        return replace(_asyncpg_state(raw), waiting=source.waits.waiting_count)
    if hasattr(raw, "get_idle_size"):
        return _asyncpg_state(raw)
    return _psycopg_state(raw) if hasattr(raw, "get_stats") else _engine_state(raw)


def _asyncpg_state(raw: Any) -> PoolState:
    size, idle = raw.get_size(), raw.get_idle_size()
    return PoolState(max_size=raw.get_max_size(), size=size, in_use=size - idle, idle=idle)


def _psycopg_state(raw: Any) -> PoolState:
    stats = raw.get_stats()
    size, idle = stats["pool_size"], stats["pool_available"]
    return PoolState(stats["pool_max"], size, size - idle, idle, stats.get("requests_waiting", 0))


def _engine_state(raw: Any) -> PoolState:
    pool = raw.pool
    if not hasattr(pool, "checkedin"):
        return PoolState()
    in_use, idle = pool.checkedout(), pool.checkedin()
    overflow = getattr(pool, "_max_overflow", -1)
    max_size = pool.size() + overflow if overflow >= 0 else None
    return PoolState(max_size, in_use + idle, in_use, idle)

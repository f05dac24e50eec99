"""Settings of an engine of SQLAlchemy, checked against what the server allows all workers."""

from __future__ import annotations

from typing import Any, Final

from ..database import database
from ..errors import DefinitionError, PoolSizeError
from .limits import (
    LIMITS_SQL,
    RESERVE,
    Limits,
    check_sum,
    largest_size,
    limits_of,
    worker_count,
)
from .pools import (
    ACQUIRE_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    MAX_LIFETIME_S,
    MAX_SIZE,
    STATEMENT_TIMEOUT_S,
    Driver,
)

_CONNECT_TIMEOUT: Final = {"asyncpg": "timeout", "psycopg": "connect_timeout"}


def engine_settings(
    *,
    driver: Driver = "asyncpg",
    max_size: int | None = None,
    workers: int | None = None,
    reserve: int = RESERVE,
    max_connections: int | None = None,
    acquire_timeout_s: float = ACQUIRE_TIMEOUT_S,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    statement_timeout_s: float | None = STATEMENT_TIMEOUT_S,
    max_lifetime_s: float = MAX_LIFETIME_S,
    pre_ping: bool = True,
) -> dict[str, Any]:
    """Arguments of `create_async_engine`, of which each is known at the start.

    `max_overflow` is 0: connections that come and go above the size cost the most when the server
    has the least to spare, and no sum of them can be checked. The server is not asked here:
    whether the sum of all workers fits it, `check_engine` tells once the app runs.

    Args:
        driver: That of the engine's address.
        max_size: The most connections of each process; 10 if not given, or what is left for each.
        workers: As for `pool`.
        reserve: As for `pool`.
        max_connections: How many connections there are for all workers, if that is known.
        acquire_timeout_s: How long to wait for a free connection.
        connect_timeout_s: How long the server may take for a new one.
        statement_timeout_s: How long a statement may take; `None` for no limit.
        max_lifetime_s: How old a connection gets before it is replaced.
        pre_ping: Whether a connection is tried before each use: a round trip for each, and no
            error for the first users after the server was started again.

    Raises:
        DefinitionError: The driver is not known, or the size is not above zero.
        PoolSizeError: The workers together ask for more than `max_connections`.
    """
    if driver not in _CONNECT_TIMEOUT:
        raise DefinitionError(f"got driver={driver!r}; wanted one of {', '.join(_CONNECT_TIMEOUT)}")
    arguments: dict[str, Any] = {_CONNECT_TIMEOUT[driver]: round(connect_timeout_s)}
    if statement_timeout_s is not None and driver == "asyncpg":
        arguments["command_timeout"] = statement_timeout_s
    elif statement_timeout_s is not None:
        arguments["options"] = f"-c statement_timeout={round(statement_timeout_s * 1_000)}"
    return {
        "pool_size": _size(max_size, workers, reserve, max_connections),
        "max_overflow": 0,
        "pool_timeout": acquire_timeout_s,
        "pool_recycle": round(max_lifetime_s),
        "pool_pre_ping": pre_ping,
        "connect_args": arguments,
    }


def _size(given: int | None, workers: int | None, reserve: int, max_connections: int | None) -> int:
    if given is not None and given < 1:
        raise DefinitionError(f"got max_size={given}; wanted 1 or more")
    if max_connections is None:
        return MAX_SIZE if given is None else given
    limits = Limits(max_connections, 0, "", -1, "", -1)
    count = worker_count(workers)
    size = largest_size(count, limits, reserve, MAX_SIZE) if given is None else given
    check_sum(count, size, limits, reserve, "max_size")
    return size


async def check_engine(
    engine: Any,
    *,
    workers: int | None = None,
    reserve: int = RESERVE,
    max_connections: int | None = None,
) -> None:
    """Refuses an engine whose pools ask for more connections than the server allows.

    To be awaited in the lifespan of the app: it takes a connection of the engine.

    Args:
        engine: An `AsyncEngine`.
        workers: As for `pool`.
        reserve: As for `pool`.
        max_connections: As for `pool`.

    Raises:
        PoolSizeError: They do not fit, or the engine's pool has no limit.
        UnsupportedSourceError: It is no async engine of asyncpg or psycopg.
    """
    size = _most_connections(engine)
    async with database(engine).connect() as connection:
        [row] = await connection.fetch(LIMITS_SQL)
    limits = limits_of(row, max_connections)
    check_sum(worker_count(workers), size, limits, reserve, "pool_size + max_overflow")


def _most_connections(engine: Any) -> int:
    database(engine)
    kept = getattr(engine.pool, "size", None)
    # There is no other way to it than the name that SQLAlchemy keeps it under.
    overflow = getattr(engine.pool, "_max_overflow", 0)
    if kept is None or overflow < 0 or kept() == 0:
        raise PoolSizeError(
            f"got an engine whose {type(engine.pool).__name__} has no limit; wanted one with "
            "pool_size and max_overflow, such as those of engine_settings()"
        )
    return int(kept()) + int(overflow)

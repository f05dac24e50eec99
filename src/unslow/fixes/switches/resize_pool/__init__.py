"""Changes the size of running pools in place, and back.

A pool of SQLAlchemy, psycopg_pool or asyncpg, or the worker threads of anyio. One process runs all
settings in turn, so that none pays for a start or for a machine that slows down meanwhile; the
price is a few private names, which are looked at before they are touched.
"""

from __future__ import annotations

from ....current import OpenArm
from ....errors import WireError
from .. import Parameters, Tools, Undo
from .named import named


def switch_on(arm: OpenArm, parameters: Parameters, tools: Tools) -> Undo:
    """Resizes every pool of a name, or the threads of every event loop.

    Args:
        arm: Counts what is handed out beyond the old size.
        parameters: `pool`, as a trace names it, with `size` and, for SQLAlchemy, `overflow`; or
            `threads`.
        tools: Not used.

    Raises:
        WireError: there is no such pool, or it cannot change its size while it runs.
    """
    del tools
    if "threads" in parameters:
        from . import threads

        return threads.resize(arm, int(parameters["threads"]))
    pool = named(str(parameters["pool"]))
    size = int(parameters["size"])
    if size < 1:
        raise WireError(f"The size of a pool is at least 1, not {size}.")
    if pool.has_overflow:
        from . import sqlalchemy

        return sqlalchemy.resize(arm, pool, size, int(parameters.get("overflow", 0)))
    if pool.driver == "asyncpg":
        from . import asyncpg

        return asyncpg.resize(arm, pool, size)
    if pool.driver == "psycopg":
        from . import psycopg

        return psycopg.resize(arm, pool, size)
    raise WireError(f"There is no way to resize a pool of {pool.driver}.")

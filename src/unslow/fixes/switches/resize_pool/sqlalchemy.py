"""The pools of SQLAlchemy's engines: `QueuePool`, and `AsyncAdaptedQueuePool`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator
from functools import partial, wraps
from pathlib import PureWindowsPath
from typing import Any, Final, NamedTuple

from ....current import OpenArm
from ....errors import WireError
from ....patching import Patches
from .. import Undo
from .loops import call_in, finish_in, running_loops, undo_in
from .named import Named, living

_PRIVATE: Final = (
    "QueuePool._pool, ._overflow, ._max_overflow, ._overflow_lock, ._is_asyncio: 2.0 to 2.1",
    "QueuePool._do_get, ._do_return_conn, ._inc_overflow, ._dec_overflow: 2.0 to 2.1",
    "Pool._create_connection: 2.0 to 2.1",
    "AsyncAdaptedQueue._queue, an asyncio.Queue: 2.0 to 2.1",
    "asyncio.Queue._maxsize, ._getters, ._loop; Condition._waiters: Python 3.11 to 3.14",
)
"""The private names used here, with the versions they were seen in."""


class _Size(NamedTuple):
    """How many connections a pool keeps, and how many more it may open."""

    size: int
    overflow: int
    """-1 without a limit."""


def resize(arm: OpenArm, named: Named, size: int, overflow: int) -> Undo:
    """Gives every pool of a name another size.

    Raises:
        WireError: none runs, or this version of SQLAlchemy keeps its numbers in another way.
    """
    before, after = _Size(named.first, named.second), _Size(size, overflow)
    engines = list(_engines(named))
    if not engines:
        raise named.none_runs()
    if before.size == 0:
        raise WireError(f"The pool {named.name!r} has no limit that could be changed.")
    _test_names()
    # Engines with options share the pool of the one that they were made from.
    pools = list({id(one.pool): one.pool for one in engines}.values())
    patches = Patches()

    def undo() -> None:
        patches.undo()
        # An engine that was disposed of has a new pool, of the size that it found.
        replaced = [one.pool for one in engines if _size_of(one.pool) == after]
        for pool in {id(one): one for one in (*pools, *replaced)}.values():
            undo_in(_loop_of(pool), partial(_resize, pool, before))

    beyond = before.size
    if after.size <= before.size:
        beyond += max(0, before.overflow)
    try:
        for pool in pools:
            patches.replace(pool, "_do_get", _counting(arm, pool, beyond))
            _resize(pool, after)
    except WireError:
        undo()
        raise
    return undo


def _engines(named: Named) -> Iterator[Any]:
    """The engines whose pool has a name."""
    from sqlalchemy.engine import Engine

    size = _Size(named.first, named.second)
    for engine in living(Engine):
        is_there = engine.dialect.dialect_description == named.driver
        if is_there and _where(engine.url) == named.where and _size_of(engine.pool) == size:
            yield engine


def _where(url: Any) -> str:
    server = url.host or ""
    if server and url.port is not None:
        server += f":{url.port}"
    # Of a file its name only; a name of PostgreSQL has no slash.
    database = PureWindowsPath(url.database or "").name
    return "/".join(one for one in (server, database) if one)


def _size_of(pool: Any) -> _Size | None:
    """None of a pool without a size."""
    from sqlalchemy.pool import QueuePool

    if not isinstance(pool, QueuePool):
        return None
    overflow = getattr(pool, "_max_overflow", 0)
    return _Size(pool.size(), -1 if overflow < 0 else overflow)


def _test_names() -> None:
    """Resizes a pool that nobody uses, and looks whether it says so.

    Raises:
        WireError: it does not.
    """
    import sqlalchemy
    from sqlalchemy.pool import QueuePool

    pool: Any = QueuePool(_no_connection, pool_size=1, max_overflow=0)
    try:
        _set_size(pool, _Size(3, 2))
        told = pool.size(), pool.overflow(), pool.checkedout(), pool.recreate().size()
    except (AttributeError, TypeError):
        told = None
    if told != (3, -3, 0, 3):
        raise WireError(
            f"The pools of SQLAlchemy {sqlalchemy.__version__} keep their size in a way that is"
            " not known here."
        )


def _no_connection() -> Any:
    raise ConnectionError


def _counting(
    arm: OpenArm, pool: Any, beyond: int
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def make(original: Callable[[], Any]) -> Callable[[], Any]:
        @wraps(original)
        def do_get() -> Any:
            record = original()
            if pool.checkedout() > beyond:
                arm.fired()
            return record

        return do_get

    return make


def _resize(pool: Any, after: _Size) -> None:
    """Changes a pool's size; what it has too many of, and nobody uses, is closed.

    What is in use beyond the new size is closed when it comes back, as overflow is, and until then
    nothing new is opened.
    """
    loop = _loop_of(pool)
    spare = call_in(loop, lambda: _set_size(pool, after))
    if not pool._is_asyncio:
        _settle(pool, spare)
        return

    def settle() -> Coroutine[Any, Any, object]:
        from sqlalchemy.util.concurrency import greenlet_spawn

        return greenlet_spawn(_settle, pool, spare)

    if spare or _waiting_count(pool):
        finish_in(loop, settle)


def _loop_of(pool: Any) -> asyncio.AbstractEventLoop | None:
    if not pool._is_asyncio:
        return None
    loop: asyncio.AbstractEventLoop | None = getattr(_queue_of(pool), "_loop", None)
    return loop or next(iter(running_loops()), None)


def _queue_of(pool: Any) -> asyncio.Queue[Any] | None:
    """The queue of asyncio behind that of an asynchronous pool; made when it is first used."""
    queue: asyncio.Queue[Any] | None = vars(pool._pool).get("_queue")
    return queue


def _set_size(pool: Any, after: _Size) -> list[Any]:
    """Sets a pool's numbers, and takes out the idle connections that it may not keep."""
    queue = pool._pool
    most = float("inf") if after.overflow < 0 else after.size + after.overflow
    spare: list[Any] = []
    with getattr(queue, "mutex", contextlib.nullcontext()), pool._overflow_lock:
        open_count = queue.maxsize + pool._overflow
        while queue.qsize() > after.size or (queue.qsize() and open_count > most):
            spare.append(queue.get(False))
            open_count -= 1
        pool._overflow = open_count - after.size
        queue.maxsize = after.size
        behind: Any = _queue_of(pool)
        if behind is not None:
            behind._maxsize = after.size
        pool._max_overflow = after.overflow
    return spare


def _settle(pool: Any, spare: list[Any]) -> None:
    """Closes what was taken out, and opens a connection for each who waits, while there is room.

    Who waits looks for nothing but a connection that comes back.
    """
    for record in spare:
        record.close()
    for _ in range(_waiting_count(pool)):
        if not pool._inc_overflow():
            return
        try:
            record = pool._create_connection()
        except Exception:
            # The server has no room for more, or is gone: they wait as before.
            pool._dec_overflow()
            return
        pool._do_return_conn(record)


def _waiting_count(pool: Any) -> int:
    if pool._is_asyncio:
        return len(getattr(_queue_of(pool), "_getters", ()))
    return len(getattr(pool._pool.not_empty, "_waiters", ()))

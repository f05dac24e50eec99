"""How SQLAlchemy's engines open their connections: changed while the app runs, and back again.

By its public events: `do_connect` opens a new connection with other arguments, `checkout` has a
pooled one of before replaced when it is next taken, so that the app's own loop or thread closes it.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .probes.sqlalchemy import private
from .probes.sqlalchemy.engine import engines

if TYPE_CHECKING:
    from sqlalchemy import Engine

LIBPQ: Final = frozenset({"psycopg", "psycopg2"})
ASYNCPG: Final = "asyncpg"
ITSELF: Final = "the app opens its connections itself"

_DEFAULT_CREATOR: Final = "sqlalchemy.engine.create"
"""The module of the function that opens connections where the app has given none."""
_MARK: Final = "unslow_change"
"""The key in a connection's `info` under which stands by which changes it was opened."""
_POOLS: Final = (
    ("asyncpg.pool", "Pool", "asyncpg"),
    ("psycopg_pool", "ConnectionPool", "psycopg_pool"),
    ("psycopg_pool", "AsyncConnectionPool", "psycopg_pool"),
)
"""Pools that know nothing of SQLAlchemy: module, class, and what it belongs to."""

Arguments = dict[str, Any]
Undo = Callable[[], None]


class Change(NamedTuple):
    """Other arguments for what an engine opens from now on."""

    made: Callable[[str, Sequence[Any], Arguments], Arguments | None]
    """By the driver's name and what stands so far; None where that stays as it is."""
    left_out: Callable[[str], None] | None = None
    """Of a change that a connection can do without: called where one was opened so, and why."""
    opened: Callable[[str, Any], None] | None = None
    """Called with the driver's name, and its connection that was opened with the change."""


class Given(NamedTuple):
    """What an engine opens connections with, or why that cannot be changed."""

    cargs: Sequence[Any] = ()
    cparams: Mapping[str, Any] = {}
    why: str = ""


def living_engines() -> list[Engine]:
    """The engines that were seen and are still there: of those that share a pool, one."""
    found = [engine for reference in engines.keyrefs() if (engine := reference()) is not None]
    return list({id(engine.pool): engine for engine in reversed(found)}.values())[::-1]


def given(engine: Engine) -> Given:
    """What an engine opens connections with, as the app has it."""
    changed = _changed.get(engine.dialect)
    if changed is not None:
        return changed.given
    if engine.dialect.driver not in (*LIBPQ, ASYNCPG):
        return Given(why="its driver is none of asyncpg, psycopg and psycopg2")
    if private.unknown(private.CREATOR):
        return Given(why=private.unknown(private.CREATOR))
    if type(engine.pool).__name__ == "StaticPool":
        return Given(why="its one connection is used by many at once")
    found = _arguments(engine)
    if found is None:
        return Given(why=f"{ITSELF} (creator=)")
    return Given(*found, fixed(*found))


def fixed(cargs: Sequence[Any], cparams: Mapping[str, Any]) -> str:
    """Why arguments cannot be changed one by one; empty where they can."""
    if "async_creator_fn" in cparams:
        return f"{ITSELF} (async_creator=)"
    names = ("dsn", "conninfo", "service")
    if any(cargs) or any(map(cparams.get, names)) or os.environ.get("PGSERVICE"):
        return "its address stands in a DSN or a service file"
    return ""


def change(engine: Engine, made: Change) -> Undo:
    """Has an engine open its connections otherwise, beside other changes that it may have.

    Connections in use go on as they are, and are replaced when they are next taken from their pool.

    Returns:
        What takes it back: it empties the pool, so that no new work gets a connection of before;
        those in use are closed when they are given back. A second time it does nothing.
    """
    with _changing:
        changed = _changed.get(engine.dialect)
        if changed is None:
            # With a listener of ours the engine would not tell any more what the app has given.
            changed = _changed[engine.dialect] = _Changed(engine, given(engine))
        changed.add(made)

    def undo() -> None:
        with _changing:
            is_there = changed.remove(made)
            if is_there and not changed.has_any:
                _changed.pop(engine.dialect, None)
        if is_there:
            changed.empty()

    return undo


class _Changed:
    """An engine with its changes, listened to for as long as there are any."""

    def __init__(self, engine: Engine, given: Given) -> None:
        self.given = given
        self._engine = engine
        self._now: tuple[object, tuple[Change, ...]] = (object(), ())
        """What holds, and the mark of connections that were opened so."""
        self._listeners = ExitStack()

    @property
    def has_any(self) -> bool:
        return bool(self._now[1])

    def add(self, made: Change) -> None:
        is_first = not self.has_any
        self._now = (object(), (*self._now[1], made))
        if is_first:
            with ExitStack() as on_failure:
                on_failure.callback(self.remove, made)
                self._listen("do_connect", self._connect)
                self._listen("connect", self._opened)
                self._listen("checkout", self._taken)
                on_failure.pop_all()

    def remove(self, made: Change) -> bool:
        """Whether it was there."""
        left = tuple(one for one in self._now[1] if one is not made)
        is_there = len(left) < len(self._now[1])
        self._now = (object(), left)
        if not left:
            self._listeners.close()
        return is_there

    def empty(self) -> None:
        """Gives the engine a new pool; what is in use is closed when it comes back to the old."""
        from sqlalchemy import event

        def given_back(connection: Any, record: Any) -> None:
            if connection is not None:
                record.invalidate()

        engine, pool = self._engine, self._engine.pool
        if engine.dialect.driver == ASYNCPG:
            engine.dispose(close=False)
            _terminate(pool)
        elif engine.dialect.is_async:
            _dispose_at_once(engine)
        else:
            engine.dispose()
        event.listen(pool, "checkin", given_back)

    def _connect(self, dialect: Any, record: Any, cargs: Sequence[Any], cparams: Arguments) -> Any:
        mark, changes = self._now
        if record is not None:
            record.info[_MARK] = mark
        must = [one for one in changes if one.left_out is None]
        may = [one for one in changes if one.left_out is not None]
        least, _ = _applied(must, dialect.driver, cargs, cparams)
        most, done = _applied(may, dialect.driver, cargs, least)
        if not done:
            # Not opened here where nothing changes: others may listen too.
            return None if least is cparams else dialect.connect(*cargs, **least)
        try:
            connection = dialect.connect(*cargs, **most)
        except Exception as error:
            # Without its text: that may hold values.
            refused = type(error).__name__
        else:
            for one in done:
                if one.opened is not None:
                    one.opened(dialect.driver, dialect.get_driver_connection(connection))
            return connection
        # Not within `except`: the app's own error would carry the other one along.
        connection = dialect.connect(*cargs, **least)
        for one in done:
            if one.left_out is not None:
                one.left_out(f"a connection with it was refused ({refused}), one without it not")
        return connection

    def _opened(self, _connection: Any, record: Any) -> None:
        mark, changes = self._now
        # Not by us, and we were asked for it: another listener of the app opens them.
        if _MARK not in record.info and record.record_info.get(_MARK) is mark:
            record.info[_MARK] = mark
            for one in changes:
                if one.left_out is not None:
                    one.left_out(f"{ITSELF} (do_connect)")

    def _taken(self, _connection: Any, record: Any, _proxy: Any) -> None:
        from sqlalchemy.exc import DisconnectionError

        mark, _ = self._now
        if record.info.get(_MARK) is not mark:
            # One that was not opened by us is replaced too, once: it may have been on its way.
            record.record_info[_MARK] = mark
            raise DisconnectionError("opened before unslow changed how it connects")

    def _listen(self, name: str, heard: Callable[..., Any]) -> None:
        from sqlalchemy import event
        from sqlalchemy.exc import InvalidRequestError

        event.listen(self._engine, name, heard)

        def remove() -> None:
            # The app may have put another pool in the place of the one that we listen to.
            with suppress(InvalidRequestError):
                event.remove(self._engine, name, heard)

        self._listeners.callback(remove)


_changed: Final[dict[Any, _Changed]] = {}
"""By the dialect, which an engine shares with those made of it with other options."""
_changing: Final = threading.Lock()


def _applied(
    changes: Iterable[Change], driver: str, cargs: Sequence[Any], cparams: Arguments
) -> tuple[Arguments, list[Change]]:
    """The arguments with changes, and those changes that changed any."""
    done = []
    for one in changes:
        # Not changed in place: SQLAlchemy 2.0 keeps the change for all later connections.
        made = one.made(driver, cargs, cparams)
        if made is not None:
            cparams = made
            done.append(one)
    return cparams, done


def _terminate(pool: Any) -> None:
    """Ends asyncpg's connections that wait in a pool, each by the event loop that it belongs to.

    `QueuePool._pool` and asyncpg's `Connection._loop` are private; the same in SQLAlchemy 2.0 to
    2.1, and asyncpg 0.29 to 0.32.
    """
    from sqlalchemy.util.queue import Empty

    waiting = getattr(pool, "_pool", None)
    # The app's loop may be quicker and take the last one.
    with suppress(Empty, IndexError):
        while waiting is not None:
            connection = waiting.get(False).driver_connection
            loop = getattr(connection, "_loop", None)
            if loop is not None:
                # A loop that is closed has closed them.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(connection.terminate)


def _dispose_at_once(engine: Engine) -> None:
    """Closes an async engine's connections where its driver closes them without waiting."""
    from sqlalchemy.ext.asyncio import AsyncEngine

    disposing = AsyncEngine(engine).dispose()
    try:
        disposing.send(None)
    except StopIteration:
        return
    disposing.close()


def _arguments(engine: Engine) -> tuple[Sequence[Any], Mapping[str, Any]] | None:
    """What an engine opens connections with; None where the app opens them itself.

    The arguments of `create_engine(connect_args=...)` show in the event only. So a connection is
    asked for and given at once, without one being opened.
    """
    from sqlalchemy import event

    creator = getattr(engine.pool, private.CREATOR.path.rpartition(".")[2])
    if creator.__module__ != _DEFAULT_CREATOR:
        return None
    if list(engine.dialect.dispatch.do_connect):
        # Those of the app would hear of it too, before ours.
        return engine.dialect.create_connect_args(engine.url)
    found: list[tuple[Sequence[Any], Arguments]] = []
    asking = threading.get_ident()

    def look(_dialect: Any, record: Any, cargs: Sequence[Any], cparams: Arguments) -> object:
        # Whoever connects meanwhile has a record, and is not ours.
        if record is not None or threading.get_ident() != asking:
            return None
        found.append((list(cargs), dict(cparams)))
        return found

    event.listen(engine, "do_connect", look)
    try:
        creator()
    finally:
        event.remove(engine, "do_connect", look)
    return found[0]


def other_pools() -> Iterator[tuple[str, str]]:
    """The pools that are open and know nothing of SQLAlchemy: library and class of each kind."""
    for module, name, library in _POOLS:
        kind = getattr(sys.modules.get(module), name, None)
        # Not `isinstance`: it asks each object for its class, which some compute.
        if kind is not None and any(
            issubclass(type(one), kind) and not _is_closed(one) for one in gc.get_objects()
        ):
            yield library, name


def _is_closed(pool: Any) -> bool:
    """Whether a pool of asyncpg, or one of psycopg, is closed."""
    return bool(
        pool.is_closing() if hasattr(pool, "is_closing") else getattr(pool, "closed", False)
    )

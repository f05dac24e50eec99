"""The app's connections to its databases by another way: through a proxy on this machine.

Only what SQLAlchemy's engines open can be led there, by its public events: `do_connect` opens a new
connection with other arguments, `checkout` has a pooled one of before replaced when it is next
taken, so that the app's own loop or thread closes it.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from .probes.sqlalchemy import private
from .probes.sqlalchemy.engine import engines

if TYPE_CHECKING:
    from sqlalchemy import Engine

_HERE: Final = "127.0.0.1"
_LIBPQ: Final = frozenset({"psycopg", "psycopg2"})
_ASYNCPG: Final = "asyncpg"
_DEFAULT_CREATOR: Final = "sqlalchemy.engine.create"
"""The module of the function that opens connections where the app has given none."""
_MARK: Final = "unslow_route"
"""The key in a connection's `info` under which stands since when it is open."""
_POOLS: Final = (
    ("asyncpg.pool", "Pool", "asyncpg"),
    ("psycopg_pool", "ConnectionPool", "psycopg_pool"),
    ("psycopg_pool", "AsyncConnectionPool", "psycopg_pool"),
)
"""Pools that know nothing of SQLAlchemy: module, class, and what it belongs to."""

Arguments = dict[str, Any]
_Ours = WeakKeyDictionary[Any, Any]
"""The event loop, or None, by the record of each connection opened since."""


class Rerouted(NamedTuple):
    """What goes another way from now on, and what does not."""

    undo: Callable[[], None]
    """Takes it back; a second time it does nothing."""
    rerouted: tuple[str, ...]
    """The engines that do, each with its address."""
    not_rerouted: tuple[tuple[str, str], ...]
    """What does not, and why."""


def database_addresses() -> tuple[str, ...]:
    """The addresses, `host:port`, that `reroute` can put another one in place of."""
    found = (_way(engine) for engine in _engines())
    return tuple(sorted({one.address for one in found if not one.why}))


def reroute(routes: Mapping[str, int]) -> Rerouted:
    """Has SQLAlchemy's engines connect to ports of 127.0.0.1 in place of their own addresses.

    Connections in use go on as they are, and are replaced when they are next taken from their pool.
    `undo` empties the pools, so that no new work goes the other way; what is in use then should be
    given back before the proxy ends.

    Not seen: connections opened without any pool, and engines made later.

    Args:
        routes: The port for each address, `host:port` as `database_addresses` gives it.
    """
    ways = {id(engine.pool): (engine, _way(engine)) for engine in _engines()}
    led, left = [], []
    for engine, way in ways.values():
        why = way.why or ("" if way.address in routes else "no way was given for its address")
        name = f"sqlalchemy engine {engine.dialect.dialect_description} {way.address}".rstrip()
        left.append((name, why)) if why else led.append((engine, name))
    undone = ExitStack()
    with ExitStack() as on_failure:
        on_failure.callback(undone.close)
        mark = object()
        for engine, _ in led:
            _lead(engine, dict(routes), mark, undone)
        on_failure.pop_all()
    left.extend(_other_pools())
    return Rerouted(undone.close, tuple(name for _, name in led), tuple(left))


def _engines() -> list[Engine]:
    return [engine for reference in engines.keyrefs() if (engine := reference()) is not None]


def _lead(engine: Engine, routes: Mapping[str, int], mark: object, undone: ExitStack) -> None:
    """Listens to an engine; what is undone is undone in reverse, so that its pool goes last."""
    from sqlalchemy.exc import DisconnectionError

    def connect(dialect: Any, _record: Any, cargs: Sequence[Any], cparams: Arguments) -> Any:
        way = _way_of(dialect.driver, cargs, cparams)
        port = None if way.why else routes.get(way.address)
        if port is None:
            return None
        where = "hostaddr" if dialect.driver in _LIBPQ else "host"
        # Not changed in place: SQLAlchemy 2.0 keeps the change for all later connections.
        return dialect.connect(*cargs, **{**cparams, where: _HERE, "port": port})

    ours: _Ours = WeakKeyDictionary()

    def opened(_connection: Any, record: Any) -> None:
        record.info[_MARK] = mark
        ours[record] = _running_loop() if engine.dialect.is_async else None

    def taken(_connection: Any, record: Any, _proxy: Any) -> None:
        if record.info.get(_MARK) is not mark:
            raise DisconnectionError("opened before unslow led it another way")

    undone.callback(_empty, engine, ours)
    _listen(engine, "do_connect", connect, undone)
    _listen(engine, "connect", opened, undone)
    _listen(engine, "checkout", taken, undone)


def _listen(engine: Engine, name: str, heard: Callable[..., Any], undone: ExitStack) -> None:
    from sqlalchemy import event
    from sqlalchemy.exc import InvalidRequestError

    event.listen(engine, name, heard)

    def remove() -> None:
        # The app may have put another pool in the place of the one that we listen to.
        with suppress(InvalidRequestError):
            event.remove(engine, name, heard)

    undone.callback(remove)


def _running_loop() -> Any:
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _empty(engine: Engine, ours: _Ours) -> None:
    """Gives an engine a new pool; what is in use is closed when it is given back to the old one."""
    from sqlalchemy import event

    def given_back(connection: Any, record: Any) -> None:
        if connection is not None:
            record.invalidate()

    pool = engine.pool
    if engine.dialect.driver == _ASYNCPG:
        engine.dispose(close=False)
        _terminate(ours)
    elif engine.dialect.is_async:
        _dispose_at_once(engine)
    else:
        engine.dispose()
    event.listen(pool, "checkin", given_back)


def _terminate(ours: _Ours) -> None:
    """Ends the idle ones of asyncpg's connections, which belong to the event loop of the app."""
    for record, loop in list(ours.items()):
        if loop is not None and record.dbapi_connection is not None and not record.in_use:
            # A loop that is closed has closed them.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(record.driver_connection.terminate)


def _dispose_at_once(engine: Engine) -> None:
    """Closes an async engine's connections where its driver closes them without waiting."""
    from sqlalchemy.ext.asyncio import AsyncEngine

    disposing = AsyncEngine(engine).dispose()
    try:
        disposing.send(None)
    except StopIteration:
        return
    disposing.close()


class _Way(NamedTuple):
    """Where an engine's connections go, or why that cannot be changed."""

    address: str = ""
    """`host:port`."""
    why: str = ""


def _way(engine: Engine) -> _Way:
    if engine.dialect.driver not in (*_LIBPQ, _ASYNCPG):
        return _Way(why="its driver is none of asyncpg, psycopg and psycopg2")
    if private.unknown(private.CREATOR):
        return _Way(why=private.unknown(private.CREATOR))
    if type(engine.pool).__name__ == "StaticPool":
        return _Way(why="its one connection is used by many at once")
    given = _arguments(engine)
    if given is None:
        return _Way(why="the app opens its connections itself (creator=)")
    return _way_of(engine.dialect.driver, *given)


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
    asking = get_ident()

    def look(_dialect: Any, record: Any, cargs: Sequence[Any], cparams: Arguments) -> object:
        # Whoever connects meanwhile has a record, and is not ours.
        if record is not None or get_ident() != asking:
            return None
        found.append((list(cargs), dict(cparams)))
        return found

    event.listen(engine, "do_connect", look)
    try:
        creator()
    finally:
        event.remove(engine, "do_connect", look)
    return found[0]


def _way_of(driver: str, cargs: Sequence[Any], cparams: Mapping[str, Any]) -> _Way:
    """Where connections with these arguments go, as the driver will read them."""
    if "async_creator_fn" in cparams:
        return _Way(why="the app opens its connections itself (async_creator=)")
    names = ("dsn", "conninfo", "service")
    if any(cargs) or any(map(cparams.get, names)) or os.environ.get("PGSERVICE"):
        return _Way(why="its address stands in a DSN or a service file")
    host, port = _host(driver, cparams), cparams.get("port") or os.environ.get("PGPORT") or 5432
    if not isinstance(host, str) or "," in host or isinstance(port, list) or "," in str(port):
        return _Way(why="it names several hosts")
    if not host or host.startswith(("/", "@")):
        return _Way(why="it connects by a Unix socket")
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if driver == _ASYNCPG and _checks_the_name(cparams.get("ssl")):
        return _Way(address, "its TLS checks the name of the host (verify-full)")
    if _asks_a_password_file(cparams):
        return _Way(address, "its password may stand in a file that knows it by its address")
    return _Way(address)


def _host(driver: str, cparams: Mapping[str, Any]) -> object:
    if driver == _ASYNCPG:
        host = cparams.get("host") or os.environ.get("PGHOST", "")
        return host[0] if isinstance(host, list | tuple) and len(host) == 1 else host
    numeric = cparams.get("hostaddr") or os.environ.get("PGHOSTADDR")
    return numeric or cparams.get("host") or os.environ.get("PGHOST", "")


def _checks_the_name(tls: Any) -> bool:
    """Whether asyncpg compares the host's name with that in its certificate."""
    if tls is None:
        tls = os.environ.get("PGSSLMODE", "")
    if tls is True or getattr(tls, "check_hostname", False):
        return True
    return str(getattr(tls, "name", tls)).replace("_", "-") == "verify-full"


def _asks_a_password_file(cparams: Mapping[str, Any]) -> bool:
    if cparams.get("password") is not None or os.environ.get("PGPASSWORD"):
        return False
    file = cparams.get("passfile") or os.environ.get("PGPASSFILE") or "~/.pgpass"
    return os.path.isfile(os.path.expanduser(file))


def _other_pools() -> Iterator[tuple[str, str]]:
    for module, name, library in _POOLS:
        kind = getattr(sys.modules.get(module), name, None)
        # Not `isinstance`: it asks each object for its class, which some compute.
        if kind is not None and any(
            issubclass(type(one), kind) and not _is_closed(one) for one in gc.get_objects()
        ):
            yield f"{library} {name}", "its connections are not opened through SQLAlchemy"


def _is_closed(pool: Any) -> bool:
    """Whether a pool of asyncpg, or one of psycopg, is closed."""
    return bool(
        pool.is_closing() if hasattr(pool, "is_closing") else getattr(pool, "closed", False)
    )

"""Primary keys of the tables that the app's models stand for: a check fills `{order_id}` with them.

Read only when a check asks, and kept nowhere: they go over the wire, and into requests.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..current import clock
from .probes.sqlalchemy import private
from .probes.sqlalchemy.engine import engines
from .recorder import log

if TYPE_CHECKING:
    # In the app only where it has them already.
    from sqlalchemy import ColumnElement, Connection, Engine
    from sqlalchemy.orm import Mapper

MOST_TABLES: Final = 100
MOST_KEYS: Final = 5
"""Of each table."""

_LONGEST_MS: Final = 3_000
_LONGEST_STATEMENT_MS: Final = 500
"""A table that someone has locked leaves time for the others."""
_NAME: Final = "unslow"
_DEFAULT_CREATOR: Final = "sqlalchemy.engine.create"
"""The module of the function that opens connections where the app has given none."""

Key = int | str
Found = dict[str, list[Key]]
"""By the name of the table, with its schema where it has one."""


def database_hosts() -> tuple[str, ...]:
    """The hosts of the databases that the app's engines lead to."""
    return tuple(sorted({host for engine in _engines() for host in _hosts_of(engine)}))


def keys(hosts: Collection[str]) -> Found:
    """Some keys of each mapped table that has one column as its key.

    Args:
        hosts: Where a database may be asked; one without a host, such as a file, always may.
    """
    found: Found = {}
    until_ns = clock() + _LONGEST_MS * 1_000_000
    # A thread of its own: nothing ends the wait for a server that takes a connection and is silent.
    reader = threading.Thread(
        target=_read_all, args=(found, frozenset(hosts), until_ns), name="unslow-keys", daemon=True
    )
    reader.start()
    reader.join(_LONGEST_MS / 1e3)
    return dict(found)


def _engines() -> list[Engine]:
    return [engine for reference in engines.keyrefs() if (engine := reference()) is not None]


def _hosts_of(engine: Engine) -> frozenset[str]:
    """The hosts in an engine's address, which may stand in its query too, each with its port.

    Where PostgreSQL's drivers are given none, they take it from the environment.
    """
    named = engine.url.query.get("host", ())
    listed = named if isinstance(named, str) else ",".join(named)
    hosts = _listed(engine.url.host or "") | _listed(listed)
    if not hosts and engine.dialect.name == "postgresql":
        hosts = _listed(os.environ.get("PGHOSTADDR", "") or os.environ.get("PGHOST", ""))
    return hosts


def _listed(hosts: str) -> frozenset[str]:
    several = hosts.split(",")
    without_port = (one.partition(":")[0] if one.count(":") == 1 else one for one in several)
    return frozenset(filter(None, without_port))


def _read_all(found: Found, hosts: frozenset[str], until_ns: int) -> None:
    try:
        columns = _key_columns()
        for engine in _engines():
            if columns.keys() <= found.keys() or clock() >= until_ns:
                return
            if _hosts_of(engine) <= hosts and _opens_anywhere(engine):
                # Of a database that cannot be read there are no keys.
                with suppress(Exception):
                    _read_engine(engine, columns, found, until_ns)
    except Exception as error:
        # Without its text: that may hold values.
        log.error("unslow could not read keys of the app's tables: %s", type(error).__name__)


def _opens_anywhere(engine: Engine) -> bool:
    """Whether its connections can be opened outside of the app's event loop.

    Where the app opens them itself, they may come from a pool that belongs to that loop.
    """
    creator = getattr(engine.pool, private.CREATOR.path.rpartition(".")[2])
    return not engine.dialect.is_async or creator.__module__ == _DEFAULT_CREATOR


def _key_columns() -> Mapping[str, ColumnElement[Any]]:
    """The key of each mapped table that has one column as its key."""
    names = (private.ALL_REGISTRIES, private.CREATOR)
    if "sqlalchemy.orm" not in sys.modules or private.unknown(*names):
        return {}
    owner, name = private.locate(private.ALL_REGISTRIES)
    mappers = [mapper for registry in getattr(owner, name)() for mapper in registry.mappers]
    columns = {name: column for mapper in mappers for name, column in _key_of(mapper)}
    return dict(sorted(columns.items())[:MOST_TABLES])


def _key_of(mapper: Mapper[Any]) -> list[tuple[str, ColumnElement[Any]]]:
    """The name and the key of a mapper's own table; nothing where its key is not one column."""
    from sqlalchemy import Table

    table = mapper.local_table
    if not isinstance(table, Table):
        return []
    # A model may name a key where the table has none; one that inherits has its parent's as well.
    columns = [one for one in mapper.primary_key if one.table is table] or list(table.primary_key)
    return [(table.fullname, columns[0])] if len(columns) == 1 else []


def _read_engine(
    engine: Engine, columns: Mapping[str, ColumnElement[Any]], found: Found, until_ns: int
) -> None:
    ours = _twin(engine)
    read = partial(_read, columns=columns, found=found, until_ns=until_ns)
    if engine.dialect.is_async:
        _read_async(ours, read, max(0.0, (until_ns - clock()) / 1e9))
        return
    try:
        with ours.connect() as connection:
            read(connection)
    finally:
        ours.dispose()


def _twin(engine: Engine) -> Engine:
    """An engine that opens connections as another one does, and shares none with it.

    All of the app's may be in use, or belong to its event loop or to the process it is forked from.
    """
    from sqlalchemy import Engine

    # An app may have its statements and rows logged.
    logging.getLogger(f"sqlalchemy.engine.Engine.{_NAME}").setLevel(logging.CRITICAL + 1)
    return Engine(
        engine.pool.recreate(),
        engine.dialect,
        engine.url,
        logging_name=_NAME,
        execution_options=engine.get_execution_options(),
    )


def _read_async(engine: Engine, read: Any, within_s: float) -> None:
    """Reads on an event loop of our own, of the kind that every driver knows."""
    import asyncio

    from sqlalchemy.ext.asyncio import AsyncEngine

    async def on_our_loop() -> None:
        ours = AsyncEngine(engine)
        try:
            async with asyncio.timeout(within_s), ours.connect() as connection:
                await connection.run_sync(read)
        finally:
            await ours.dispose()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(on_our_loop())


def _read(
    connection: Connection, columns: Mapping[str, ColumnElement[Any]], found: Found, until_ns: int
) -> None:
    """Reads keys in a transaction that cannot write, and in a new one after what fails."""
    from sqlalchemy import select

    if connection.dialect.name == "postgresql":
        connection.execution_options(isolation_level="READ COMMITTED", postgresql_readonly=True)
    for name, column in columns.items():
        if clock() >= until_ns or connection.invalidated:
            break
        if name in found:
            continue
        try:
            _begin(connection)
            rows = connection.scalars(select(column).order_by(column).limit(MOST_KEYS)).all()
        except Exception:
            # The database has no such table, or does not let this user read it, or not in time.
            connection.rollback()
        else:
            found[name] = [one for row in rows if (one := _written(row)) is not None]
    connection.rollback()


def _begin(connection: Connection) -> None:
    if connection.in_transaction():
        return
    connection.begin()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {_LONGEST_STATEMENT_MS}")


def _written(value: object) -> Key | None:
    """A key as a path holds it; None for what is none of the usual kinds."""
    from uuid import UUID

    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, bool) or value == "":
        return None
    return value if isinstance(value, int | str) else None

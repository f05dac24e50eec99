"""One door to the user's own pool: asyncpg, psycopg 3, or an async engine of SQLAlchemy.

No block opens connections of its own: each takes them from the pool that it was given, and gives
them back as they were. All SQL of the blocks has parameters as `$1`, with every driver.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

from .errors import PoolTimeoutError, UnsupportedSourceError

Row: TypeAlias = Sequence[Any]
"""The values of a row, by position."""

Source: TypeAlias = Any
"""An `asyncpg.Pool`, a `psycopg_pool.AsyncConnectionPool`, an `AsyncEngine`, a `Database`, or a
function without arguments that returns one of them once the app runs."""

Write: TypeAlias = Callable[[bytes], Awaitable[None]]

_LOST: Final = ("08", "57P01", "57P02", "57P03")
"""How the codes begin of errors after which a connection is of no use (PostgreSQL, appendix A)."""


class Connection(Protocol):
    """A connection taken from a pool; each statement commits unless a `transaction` is open."""

    raw: Any
    """The driver's own connection."""

    async def fetch(self, sql: str, arguments: Sequence[Any] = ()) -> Sequence[Row]:
        """All rows of a statement."""

    async def execute(self, sql: str, arguments: Sequence[Any] = ()) -> None:
        """Runs a statement for its effect."""

    def transaction(self, *, read_only: bool = False) -> AbstractAsyncContextManager[Any]:
        """A transaction: committed at the end of the block, rolled back on an error."""

    async def columns(self, query: str, arguments: Sequence[Any] = ()) -> list[str]:
        """The names of the columns that a query has; it is not run."""

    def stream(
        self, sql: str, arguments: Sequence[Any] = (), *, rows: int | Callable[[], int] = 1_000
    ) -> AsyncIterator[Sequence[Row]]:
        """Reads through a server-side cursor; needs an open transaction.

        Args:
            sql: A query.
            arguments: Its parameters.
            rows: How many rows to read at once, or what says so before each time.
        """

    async def copy_out(
        self, query: str, write: Write, *, header: bool = False, as_it_is: bool = False
    ) -> None:
        """Reads a query through COPY as CSV, waiting for each write before it reads on.

        Args:
            query: It takes no parameters.
            write: Is given what came, in pieces of no particular size.
            header: Whether the first line has the names of the columns.
            as_it_is: The query has one column, and each value is a line, with nothing quoted. The
                values have no control characters; one with line ends comes between two
                `COPY_QUOTE`.
        """


class Database(Protocol):
    """The user's pool, whatever it is."""

    @property
    def source(self) -> Any:
        """The pool or engine itself."""

    @property
    def driver(self) -> str:
        """`asyncpg` or `psycopg`."""

    def connect(self, timeout_s: float | None = None) -> AbstractAsyncContextManager[Connection]:
        """Takes a connection from the pool, and gives it back at the end of the block.

        Args:
            timeout_s: How long to wait for one, in seconds; the pool's own limit if not given.

        Raises:
            PoolTimeoutError: None was free in time.
        """


def database(source: Source) -> Database:
    """The door to a pool, an engine, or what a function returns at the first use.

    Raises:
        UnsupportedSourceError: It is none of those.
    """
    if isinstance(source, _Known) or _is_database(source):
        known: Database = source
        return known
    for module, name, make in (
        ("asyncpg.pool", "Pool", AsyncpgDatabase),
        ("psycopg_pool", "AsyncConnectionPool", PsycopgDatabase),
        ("sqlalchemy.ext.asyncio", "AsyncEngine", EngineDatabase),
    ):
        # Who has such an object has loaded its library.
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(source, kind):
            return make(source)
    opened = getattr(source, "database", None)
    if callable(opened):
        return LaterDatabase(opened)
    if callable(source) and not isinstance(source, type):
        return LaterDatabase(source)
    raise UnsupportedSourceError(_unsupported(source))


def _is_database(source: Any) -> bool:
    """Whether it does what a `Database` does; nothing of it is asked, for it may not be open."""
    return hasattr(type(source), "source") and hasattr(type(source), "connect")


def _unsupported(source: Any) -> str:
    kind = type(source)
    wanted = (
        "wanted an asyncpg.Pool, a psycopg_pool.AsyncConnectionPool, an AsyncEngine of SQLAlchemy, "
        "or a function that returns one"
    )
    said = f"got a {kind.__module__}.{kind.__qualname__} as database; {wanted}"
    if kind.__module__.startswith(("sqlalchemy.engine", "psycopg_pool")):
        return f"{said}. This one is not awaited and would hold the event loop: use its async twin"
    if kind.__module__.startswith("sqlalchemy.ext.asyncio") or "Connection" in kind.__name__:
        return f"{said}. A block serves many requests at once: give it the pool or the engine"
    return said


def is_lost(error: BaseException) -> bool:
    """Whether after this error of a driver the connection is gone, and another one may do."""
    error = getattr(error, "orig", None) or error
    state = getattr(error, "sqlstate", None)
    if state:
        return str(state).startswith(_LOST)
    if isinstance(error, OSError) and not isinstance(error, TimeoutError):
        return True
    kind = type(error)
    # asyncpg says "connection is closed" so; psycopg has no code where the socket ended.
    return (kind.__module__.partition(".")[0], kind.__name__) in {
        ("asyncpg", "InterfaceError"),
        ("asyncpg", "InternalClientError"),
        ("psycopg", "OperationalError"),
        ("psycopg", "InterfaceError"),
    }


def _too_late(timeout_s: float | None, error: BaseException) -> PoolTimeoutError:
    waited = "in the time that the pool allows" if timeout_s is None else f"in {timeout_s:g} s"
    return PoolTimeoutError(
        f"no connection became free {waited} ({type(error).__name__}): more requests want one than "
        "the pool has; see who holds them, or give it more"
    )


# What COPY puts around a value and between two where they are to come as they are: no JSON and no
# text that a client could read has these raw (RFC 8259, section 7).
COPY_QUOTE: Final = "\x01"
_NO_DELIMITER: Final = "\x02"


_NO_LIMIT_S: Final = 365 * 86_400.0
"""For what lasts as long as a client takes: not given, the limit of a statement would hold."""


_RELEASE_TIMEOUT_S: Final = 10.0
"""How long a server has to set a connection back, before asyncpg ends it."""


def _count(rows: int | Callable[[], int]) -> int:
    return rows if isinstance(rows, int) else rows()


class AsyncpgConnection:
    """A connection of asyncpg."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    async def fetch(self, sql: str, arguments: Sequence[Any] = ()) -> Sequence[Row]:
        rows: Sequence[Row] = await self.raw.fetch(sql, *arguments)
        return rows

    async def execute(self, sql: str, arguments: Sequence[Any] = ()) -> None:
        await self.raw.execute(sql, *arguments)

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[None]:
        transaction = self.raw.transaction(readonly=read_only)
        await transaction.start()
        try:
            yield
        except BaseException:
            try:
                await transaction.rollback()
            except Exception:
                # A COPY that is cancelled as its data arrives stays under way, in asyncpg 0.32. And
                # what the server ended may be out of the pool already.
                with suppress(Exception):
                    self.raw.terminate()
            raise
        await transaction.commit()

    async def columns(self, query: str, arguments: Sequence[Any] = ()) -> list[str]:  # noqa: ARG002  # psycopg sends no query without them
        statement = await self.raw.prepare(query)
        return [one.name for one in statement.get_attributes()]

    async def stream(
        self, sql: str, arguments: Sequence[Any] = (), *, rows: int | Callable[[], int] = 1_000
    ) -> AsyncIterator[Sequence[Row]]:
        cursor = await self.raw.cursor(sql, *arguments, timeout=_NO_LIMIT_S)
        while found := await cursor.fetch(_count(rows), timeout=_NO_LIMIT_S):
            yield found

    async def copy_out(
        self, query: str, write: Write, *, header: bool = False, as_it_is: bool = False
    ) -> None:
        form = {"quote": COPY_QUOTE, "delimiter": _NO_DELIMITER} if as_it_is else {"header": header}
        await self.raw.copy_from_query(
            query, output=write, format="csv", encoding="UTF8", timeout=_NO_LIMIT_S, **form
        )


class PsycopgConnection:
    """A connection of psycopg 3, in autocommit."""

    def __init__(self, raw: Any) -> None:
        from psycopg import AsyncRawCursor
        from psycopg.rows import tuple_row

        self.raw = raw
        # Whatever the pool makes of rows: here they are read by position.
        self._cursor = partial(AsyncRawCursor, row_factory=tuple_row)
        """The kind whose parameters are written `$1`."""

    async def fetch(self, sql: str, arguments: Sequence[Any] = ()) -> Sequence[Row]:
        async with self._cursor(self.raw) as cursor:
            await cursor.execute(sql, arguments)
            rows: Sequence[Row] = await cursor.fetchall()
            return rows

    async def execute(self, sql: str, arguments: Sequence[Any] = ()) -> None:
        async with self._cursor(self.raw) as cursor:
            # Without parameters it may be several statements, as with asyncpg.
            await cursor.execute(sql, arguments or None)

    @asynccontextmanager
    async def transaction(self, *, read_only: bool = False) -> AsyncIterator[None]:
        async with self.raw.transaction():
            if read_only:
                await self.raw.execute("SET TRANSACTION READ ONLY")
            yield

    async def columns(self, query: str, arguments: Sequence[Any] = ()) -> list[str]:
        async with self._cursor(self.raw) as cursor:
            nothing = f"SELECT * FROM ({query}\n) AS unslow_query LIMIT 0"  # noqa: S608  # the caller's own query
            await cursor.execute(nothing, arguments)
            return [one.name for one in cursor.description or ()]

    async def stream(
        self, sql: str, arguments: Sequence[Any] = (), *, rows: int | Callable[[], int] = 1_000
    ) -> AsyncIterator[Sequence[Row]]:
        from psycopg import AsyncRawServerCursor
        from psycopg.rows import tuple_row

        cursor: Any = AsyncRawServerCursor(self.raw, "unslow_stream", row_factory=tuple_row)
        async with cursor:
            await cursor.execute(sql, arguments)
            while found := await cursor.fetchmany(_count(rows)):
                yield found

    async def copy_out(
        self, query: str, write: Write, *, header: bool = False, as_it_is: bool = False
    ) -> None:
        form = "HEADER" if header else "HEADER false"
        if as_it_is:
            form = f"QUOTE '{COPY_QUOTE}', DELIMITER '{_NO_DELIMITER}'"
        async with (
            self._cursor(self.raw) as cursor,
            cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv, ENCODING 'UTF8', {form})") as copy,
        ):
            async for piece in copy:
                await write(bytes(piece))


@asynccontextmanager
async def _autocommitting(raw: Any) -> AsyncIterator[PsycopgConnection]:
    """A connection of psycopg that opens no transaction by itself, until the end of the block."""
    before = raw.autocommit
    if not before:
        await raw.set_autocommit(True)
    try:
        yield PsycopgConnection(raw)
    finally:
        # What is broken goes back as it is: the pool throws it away.
        if not before and not raw.closed and raw.info.transaction_status == 0:
            await raw.set_autocommit(before)


class AsyncpgDatabase:
    """A pool of asyncpg."""

    driver = "asyncpg"

    def __init__(self, pool: Any) -> None:
        self.source = pool

    @asynccontextmanager
    async def connect(self, timeout_s: float | None = None) -> AsyncIterator[Connection]:
        try:
            raw = await self.source.acquire(timeout=timeout_s)
        except TimeoutError as error:
            raise _too_late(timeout_s, error) from error
        try:
            yield AsyncpgConnection(raw)
        except Exception as error:
            if is_lost(error):
                # The others of the pool may be gone too, and say so at their next use only.
                await self.source.expire_connections()
            raise
        finally:
            # Else asyncpg takes the time that it waited for one at most, which may be very short.
            await self.source.release(raw, timeout=_RELEASE_TIMEOUT_S)


class PsycopgDatabase:
    """A pool of psycopg 3."""

    driver = "psycopg"

    def __init__(self, pool: Any) -> None:
        self.source = pool

    @asynccontextmanager
    async def connect(self, timeout_s: float | None = None) -> AsyncIterator[Connection]:
        from psycopg_pool import PoolTimeout

        try:
            raw = await self.source.getconn(timeout_s)
        except PoolTimeout as error:
            raise _too_late(timeout_s, error) from error
        try:
            async with _autocommitting(raw) as connection:
                yield connection
        except Exception as error:
            if is_lost(error):
                await self.source.check()
            raise
        finally:
            await self.source.putconn(raw)


class EngineDatabase:
    """An async engine of SQLAlchemy, whose connections are those of asyncpg or psycopg."""

    def __init__(self, engine: Any) -> None:
        if engine.dialect.driver not in {"asyncpg", "psycopg"}:
            raise UnsupportedSourceError(
                f"got an engine of {engine.dialect.name}+{engine.dialect.driver} as database; "
                "wanted postgresql+asyncpg or postgresql+psycopg"
            )
        self.source = engine
        self.driver: str = engine.dialect.driver

    @asynccontextmanager
    async def opened(self, timeout_s: float | None = None) -> AsyncIterator[Any]:
        """A connection of the engine's own, for statements of SQLAlchemy."""
        from sqlalchemy.exc import TimeoutError as SQLAlchemyTimeoutError

        connection = self.source.connect()
        try:
            async with asyncio.timeout(timeout_s):
                await connection.start()
        except (TimeoutError, SQLAlchemyTimeoutError) as error:
            raise _too_late(timeout_s, error) from error
        pool = self.source.pool
        try:
            yield connection
        finally:
            if self.source.pool is not pool:
                # The engine was disposed of meanwhile, and the old pool would keep it open.
                await connection.invalidate()
            await connection.close()

    @asynccontextmanager
    async def connect(self, timeout_s: float | None = None) -> AsyncIterator[Connection]:
        async with self.opened(timeout_s) as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            try:
                if self.driver == "asyncpg":
                    yield AsyncpgConnection(raw)
                else:
                    async with _autocommitting(raw) as autocommitting:
                        yield autocommitting
            except Exception as error:
                if is_lost(error):
                    # As SQLAlchemy does after such an error of a statement that it sent itself.
                    await connection.invalidate()
                    await self.source.dispose()
                raise
            finally:
                if raw.is_closed() if self.driver == "asyncpg" else raw.closed:
                    # SQLAlchemy does not look at what it gets back.
                    await connection.invalidate()


class LaterDatabase:
    """What a function returns, asked at the first use: an app opens its pool at its start."""

    def __init__(self, opened: Callable[[], Any]) -> None:
        self._opened = opened
        self._database: Database | None = None

    @property
    def source(self) -> Any:
        return self._now().source

    @property
    def driver(self) -> str:
        return self._now().driver

    def connect(self, timeout_s: float | None = None) -> AbstractAsyncContextManager[Connection]:
        return self._now().connect(timeout_s)

    def _now(self) -> Database:
        source = self._opened()
        # An app that is started again, in tests say, opens another pool.
        if self._database is None or self._database.source is not source:
            self._database = database(source)
        return self._database


_Known: Final = (AsyncpgDatabase, PsycopgDatabase, EngineDatabase, LaterDatabase)

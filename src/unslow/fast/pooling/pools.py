"""A pool that is declared at import and opened in the lifespan of the app.

Its size is checked against what the server allows all workers together, so that the last worker of
a deployment does not find the server full. How long requests wait for a connection is measured.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, Literal, TypeAlias

from ..database import Connection, Database, database
from ..errors import DefinitionError, NotOpenError
from .limits import RESERVE, check_sum, largest_size, limits_of, worker_count
from .openers import OPENERS, Opener
from .waits import Waits

Driver: TypeAlias = Literal["asyncpg", "psycopg"]
Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Any]]

MAX_SIZE: Final = 10
"""Little's law: in use at once = statements a second x seconds each. A process with one event loop
sends no more than some 5,000 a second, and 2 ms each keep 10 connections in use."""
MIN_SIZE: Final = 1
ACQUIRE_TIMEOUT_S: Final = 5.0
"""Who waits longer has mostly lost its client; an error says where it hurts."""
CONNECT_TIMEOUT_S: Final = 10.0
STATEMENT_TIMEOUT_S: Final = 30.0
"""What most proxies wait for an answer at most is 60 s."""
MAX_LIFETIME_S: Final = 1_800.0
"""The default of HikariCP: memory of a server process, and addresses, grow old."""


def pool(
    url: str | Callable[[], str],
    *,
    workers: int | None = None,
    max_size: int | None = None,
    min_size: int = MIN_SIZE,
    reserve: int = RESERVE,
    driver: Driver = "asyncpg",
    name: str = "default",
    max_connections: int | None = None,
    acquire_timeout_s: float = ACQUIRE_TIMEOUT_S,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    statement_timeout_s: float | None = STATEMENT_TIMEOUT_S,
    max_lifetime_s: float = MAX_LIFETIME_S,
    **options: Any,
) -> Pool:
    """Declares a pool; it opens in the lifespan of the app, and nothing is asked before.

    Args:
        url: The address, `postgresql://user:password@host/database`, or what returns it at opening.
        workers: How many processes run the app; from WEB_CONCURRENCY or UVICORN_WORKERS if not
            given, else 1.
        max_size: The most connections of each process; 10, or fewer if the server allows fewer.
        min_size: How many are kept open.
        reserve: How many connections of the server are left for others.
        driver: `asyncpg`, or `psycopg` for a `psycopg_pool`.
        name: What health and metrics call it.
        max_connections: How many connections there are for all workers, where it is not the server
            that limits them: what PgBouncer allows.
        acquire_timeout_s: How long to wait for a free connection.
        connect_timeout_s: How long the server may take for a new one.
        statement_timeout_s: How long a statement may take; `None` for no limit. With asyncpg the
            app ends it, with psycopg the server.
        max_lifetime_s: How old a connection gets before it is replaced.
        options: For `asyncpg.create_pool`, or for `psycopg_pool.AsyncConnectionPool`, as they are.

    Raises:
        DefinitionError: A number makes no sense.
    """
    if max_size is not None and max_size < 1:
        raise DefinitionError(f"got max_size={max_size}; wanted 1 or more")
    if min_size < 0 or (max_size is not None and min_size > max_size):
        raise DefinitionError(f"got min_size={min_size}; wanted 0 or more, up to max_size")
    if driver not in OPENERS:
        raise DefinitionError(f"got driver={driver!r}; wanted one of {', '.join(OPENERS)}")
    opener = OPENERS[driver](
        url,
        name=name,
        acquire_timeout_s=acquire_timeout_s,
        connect_timeout_s=connect_timeout_s,
        statement_timeout_s=statement_timeout_s,
        max_lifetime_s=max_lifetime_s,
        options=options,
    )
    return Pool(
        opener,
        name=name,
        workers=workers,
        max_size=max_size,
        min_size=min_size,
        reserve=reserve,
        max_connections=max_connections,
        acquire_timeout_s=acquire_timeout_s,
    )


class Pool:
    """A pool with a lifespan; made by `pool`. Every block takes it as its database."""

    def __init__(
        self,
        opener: Opener,
        *,
        name: str,
        workers: int | None,
        max_size: int | None,
        min_size: int,
        reserve: int,
        max_connections: int | None,
        acquire_timeout_s: float,
    ) -> None:
        self.name = name
        self.driver: str = opener.driver
        self.waits = Waits()
        """How long requests waited for a connection that they took by `connect`."""
        self._opener = opener
        self._workers = workers
        self._wanted_max_size = max_size
        self._min_size = min_size
        self._reserve = reserve
        self._max_connections = max_connections
        self._acquire_timeout_s = acquire_timeout_s
        self._stack: AsyncExitStack | None = None
        self._database: Database | None = None
        self._max_size = 0

    async def __aenter__(self) -> Pool:
        """Opens it.

        Raises:
            PoolSizeError: All workers together ask for more connections than the server allows.
            DefinitionError: It is open already.
            MissingLibraryError: The driver is not installed.
            Exception: What the driver says where the server does not answer, or refuses.
        """
        if self._stack is not None:
            raise DefinitionError(
                f"the pool {self.name!r} is open already: one app opens it, in one lifespan"
            )
        async with AsyncExitStack() as stack:
            try:
                size = await self._checked_size()
                opened = self._opener.opened(min(self._min_size, size), size)
                source = await stack.enter_async_context(opened)
            except Exception as error:
                error.add_note(
                    f"The pool {self.name!r} did not open. Is the server up, and the address that "
                    "pool() was given the right one?"
                )
                raise
            self._database, self._max_size = database(source), size
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes it: waits a while for the connections in use, then ends them."""
        stack, self._stack, self._database = self._stack, None, None
        if stack is not None:
            await stack.aclose()

    @asynccontextmanager
    async def lifespan(self, _app: Any = None) -> AsyncIterator[None]:
        """For `FastAPI(lifespan=db.lifespan)`: open as long as the app runs."""
        async with self:
            yield

    def with_lifespan(self, lifespan: Lifespan) -> Lifespan:
        """A lifespan that has this pool open around another one, whose state it passes on."""

        @asynccontextmanager
        async def both(app: Any) -> AsyncIterator[Any]:
            async with self, lifespan(app) as state:
                yield state

        return both

    @property
    def is_open(self) -> bool:
        return self._database is not None

    @property
    def max_size(self) -> int:
        """The most connections of this process, known once it is open."""
        self._opened()
        return self._max_size

    @property
    def source(self) -> Any:
        """The pool of the driver.

        Raises:
            NotOpenError: It is not open.
        """
        return self._opened().source

    def database(self) -> Any:
        """The pool of the driver; who takes a connection from it goes past `waits`.

        Raises:
            NotOpenError: It is not open.
        """
        return self.source

    @asynccontextmanager
    async def connect(self, timeout_s: float | None = None) -> AsyncIterator[Connection]:
        """Takes a connection, and gives it back at the end of the block.

        Args:
            timeout_s: How long to wait for one, in seconds; the pool's own limit if not given.

        Raises:
            NotOpenError: It is not open.
            PoolTimeoutError: None was free in time.
        """
        limit_s = self._acquire_timeout_s if timeout_s is None else timeout_s
        taken = self._opened().connect(limit_s)
        async with AsyncExitStack() as stack:
            with self.waits.measured():
                connection = await stack.enter_async_context(taken)
            yield connection

    def _opened(self) -> Database:
        if self._database is None:
            raise NotOpenError(
                f"the pool {self.name!r} is not open: give the app its lifespan, "
                "FastAPI(lifespan=db.lifespan), or open it with `async with db:`; "
                "in tests, use the client as a context manager"
            )
        return self._database

    async def _checked_size(self) -> int:
        workers = worker_count(self._workers)
        limits = limits_of(await self._opener.limits(), self._max_connections)
        size = self._wanted_max_size
        if size is None:
            size = largest_size(workers, limits, self._reserve, MAX_SIZE)
        check_sum(workers, size, limits, self._reserve, "max_size")
        return size

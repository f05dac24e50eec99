"""How a pool of asyncpg or of psycopg 3 is opened, and closed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final

from ..errors import MissingLibraryError
from .limits import LIMITS_SQL

CLOSE_TIMEOUT_S: Final = 10.0
"""How long connections in use have to come back."""


class Opener:
    """How a driver opens a pool."""

    driver: str

    def __init__(
        self,
        url: str | Callable[[], str],
        *,
        name: str,
        acquire_timeout_s: float,
        connect_timeout_s: float,
        statement_timeout_s: float | None,
        max_lifetime_s: float,
        options: Mapping[str, Any],
    ) -> None:
        self._given_url = url
        self._name = name
        self._acquire_timeout_s = acquire_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._statement_timeout_s = statement_timeout_s
        self._max_lifetime_s = max_lifetime_s
        self._options = options

    @property
    def url(self) -> str:
        """The address as a driver wants it, also where it is written for SQLAlchemy."""
        url = self._given_url if isinstance(self._given_url, str) else self._given_url()
        return re.sub(r"^(postgres(?:ql)?)\+\w+:", r"\1:", url)

    async def limits(self) -> Any:
        """The row of `LIMITS_SQL`, from a connection of its own."""
        raise NotImplementedError

    def opened(self, min_size: int, max_size: int) -> AbstractAsyncContextManager[Any]:
        """The pool, for as long as the block lasts."""
        raise NotImplementedError


class AsyncpgOpener(Opener):
    """Opens a pool of asyncpg."""

    driver = "asyncpg"

    def _pool(self, min_size: int, max_size: int) -> Any:
        try:
            import asyncpg
        except ModuleNotFoundError as error:
            raise MissingLibraryError(
                "a pool needs asyncpg: pip install asyncpg, or give it driver='psycopg'"
            ) from error
        defaults = {
            "timeout": self._connect_timeout_s,
            "command_timeout": self._statement_timeout_s,
        }
        options = {**defaults, **self._options}
        return asyncpg.create_pool(self.url, min_size=min_size, max_size=max_size, **options)

    async def limits(self) -> Any:
        async with self._pool(0, 1) as one:
            return await one.fetchrow(LIMITS_SQL)

    @asynccontextmanager
    async def opened(self, min_size: int, max_size: int) -> AsyncIterator[Any]:
        opened = await self._pool(min_size, max_size)
        renewal = asyncio.create_task(self._renewed(opened))
        try:
            yield opened
        finally:
            renewal.cancel()
            # Once it takes too long it ends what is still in use.
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await opened.close()

    async def _renewed(self, opened: Any) -> None:
        """Has old connections replaced when they are next used; asyncpg knows no age of its own."""
        while True:
            await asyncio.sleep(self._max_lifetime_s)
            await opened.expire_connections()


class PsycopgOpener(Opener):
    """Opens a pool of psycopg 3."""

    driver = "psycopg"

    def _settings(self) -> dict[str, Any]:
        """What each connection is opened with."""
        from psycopg.conninfo import conninfo_to_dict

        # The library counts in whole seconds.
        settings: dict[str, Any] = {"connect_timeout": max(1, round(self._connect_timeout_s))}
        own = str(conninfo_to_dict(self.url).get("options") or "")
        if self._statement_timeout_s is not None and "statement_timeout" not in own:
            limit_ms = round(self._statement_timeout_s * 1_000)
            settings["options"] = f"{own} -c statement_timeout={limit_ms}".strip()
        return {**settings, **self._options.get("kwargs", {})}

    async def limits(self) -> Any:
        try:
            import psycopg
            import psycopg_pool  # noqa: F401  # missing at once, not once the server was asked
        except ModuleNotFoundError as error:
            raise MissingLibraryError(
                "driver='psycopg' needs its pool: pip install 'psycopg[binary,pool]'"
            ) from error
        # Not from the pool: it would go on trying, and keep the reason to itself.
        async with await psycopg.AsyncConnection.connect(self.url, **self._settings()) as one:
            return await (await one.execute(LIMITS_SQL)).fetchone()

    @asynccontextmanager
    async def opened(self, min_size: int, max_size: int) -> AsyncIterator[Any]:
        from psycopg_pool import AsyncConnectionPool

        options = {
            "timeout": self._acquire_timeout_s,
            "max_lifetime": self._max_lifetime_s,
            "name": self._name,
            **self._options,
            "kwargs": self._settings(),
        }
        opened: Any = AsyncConnectionPool(
            self.url, min_size=min_size, max_size=max_size, open=False, **options
        )
        try:
            await opened.open(wait=True, timeout=self._connect_timeout_s)
            yield opened
        finally:
            await opened.close(CLOSE_TIMEOUT_S)


OPENERS: Final[Mapping[str, type[Opener]]] = {
    "asyncpg": AsyncpgOpener,
    "psycopg": PsycopgOpener,
}

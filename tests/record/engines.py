"""Engines of each driver, used as if all were synchronous."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.record.probes.conftest import Bench

SYNC = ("postgresql+psycopg", "postgresql+psycopg2")
ASYNC = ("postgresql+asyncpg", "postgresql+psycopg_async")

Result = TypeVar("Result")

_SAYS_WHERE = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGPASSWORD", "PGSSLMODE", "PGSERVICE")


@contextmanager
def seen_engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bench]:
    """With the probe that sees engines, and nothing in the environment that says where to."""
    for name in (*_SAYS_WHERE, "PGOPTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    bench = Bench()
    bench.install("sqlalchemy")
    yield bench
    bench.probes.stop()


class Session:
    """An engine of any kind, used as if it were a synchronous one."""

    def __init__(self, engine: Engine | AsyncEngine) -> None:
        self.engine = engine
        self._runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)

    @property
    def sync_engine(self) -> Engine:
        return self.engine if isinstance(self.engine, Engine) else self.engine.sync_engine

    def run(self, statement: str = "SELECT 1", times: int = 1) -> list[float]:
        """Runs a statement several times in one connection; how long each took, in ms."""

        def work(connection: Connection) -> list[float]:
            took = []
            for _ in range(times):
                begun = time.perf_counter()
                connection.exec_driver_sql(statement)
                took.append((time.perf_counter() - begun) * 1e3)
            return took

        return self.do(work)

    def ask(self, statement: str) -> Any:
        """The first value of a statement's answer."""
        return self.do(lambda connection: connection.exec_driver_sql(statement).scalar_one())

    def do(self, work: Callable[[Connection], Result]) -> Result:
        """Does something with one connection."""

        async def on_loop(engine: AsyncEngine) -> Result:
            async with engine.connect() as connection:
                return await connection.run_sync(work)

        if isinstance(self.engine, AsyncEngine):
            return self._runner.run(on_loop(self.engine))
        with self.engine.connect() as connection:
            return work(connection)

    def close(self) -> None:
        async def on_loop(engine: AsyncEngine) -> None:
            await engine.dispose()
            # Transports say a step later that they are closed.
            await asyncio.sleep(0)

        if isinstance(self.engine, AsyncEngine):
            self._runner.run(on_loop(self.engine))
        else:
            self.engine.dispose()
        self._runner.close()


@contextmanager
def session(url: str, scheme: str = SYNC[0], **options: Any) -> Iterator[Session]:
    address = url.replace("postgresql", scheme, 1)
    made = Session(
        create_async_engine(address, **options)
        if scheme in ASYNC
        else create_engine(address, **options)
    )
    yield made
    made.close()


def listeners(engine: Engine) -> tuple[int, ...]:
    """How many listen to what an engine does to connect."""
    pool, dialect = engine.pool.dispatch, engine.dialect.dispatch
    return len(pool.checkout), len(pool.connect), len(dialect.do_connect)

"""SQLAlchemy's asyncio extension: what its coroutines take beside the methods that they run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine, engine
from sqlalchemy.orm import Session

from tests.record.probes.conftest import Bench
from tests.record.probes.slices import OwnTime, RawSlice, slices_of
from unslow.current import OpenTrace
from unslow.model.trace import ORM, SQL
from unslow.record.place import resolve

Work = Callable[[AsyncSession], Awaitable[Any]]


@pytest.fixture(autouse=True)
def installed(bench: Bench) -> None:
    bench.install("sqlalchemy")


def traced(bench: Bench, work: Work) -> OpenTrace:
    """What a session does, without its opening and closing."""
    engine: AsyncEngine = create_async_engine("sqlite+aiosqlite://")
    traces = []

    async def main() -> None:
        async with AsyncSession(engine) as session:
            await session.connection()
            traces.append(await bench.run_async(lambda: work(session)))
        await engine.dispose()

    asyncio.run(main())
    (trace,) = traces
    return trace


def holds(outer: RawSlice, inner: RawSlice) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def test_a_call_is_one_slice_around_its_statement_with_the_line_that_awaits_it(
    bench: Bench,
) -> None:
    async def work(session: AsyncSession) -> None:
        await session.execute(text("SELECT 1"))

    trace = traced(bench, work)

    # The session's, with the greenlet around it, and what its connection does.
    whole, part = slices_of(trace, ORM)
    (statement,) = slices_of(trace, SQL)
    assert holds(whole, part)
    assert holds(part, statement)
    line = work.__code__.co_firstlineno + 1
    for place in (whole[4], trace.statements[0].place):
        assert (resolve(place) or ("", 0, ""))[1] == line


def test_a_function_that_is_run_in_a_greenlet_is_the_users_own(bench: Bench) -> None:
    own = OwnTime()

    def in_there(session: Session) -> None:
        own.spend_ms(2)
        session.execute(text("SELECT 1"))
        own.spend_ms(2)

    async def work(session: AsyncSession) -> None:
        await session.run_sync(in_there)

    trace = traced(bench, work)

    found = slices_of(trace, ORM)
    assert own.is_outside(found)
    assert (resolve(found[0][4]) or ("", 0, ""))[1] == in_there.__code__.co_firstlineno + 2


def test_a_method_of_the_users_own_session_is_the_users_own(bench: Bench) -> None:
    own = OwnTime()

    class Own(Session):
        def execute(self, *args: Any, **options: Any) -> Any:
            own.spend_ms(2)
            return super().execute(*args, **options)

    async def main() -> OpenTrace:
        made = create_async_engine("sqlite+aiosqlite://")
        async with AsyncSession(made, sync_session_class=Own) as session:

            async def work() -> None:
                await session.execute(text("SELECT 1"))

            trace = await bench.run_async(work)
        await made.dispose()
        return trace

    trace = asyncio.run(main())

    assert own.is_outside(slices_of(trace, ORM))


def test_it_is_given_back(bench: Bench) -> None:
    ours = engine.greenlet_spawn  # type: ignore[attr-defined]  # not public

    bench.probes.stop()

    assert engine.greenlet_spawn is ours.__wrapped__  # type: ignore[attr-defined]  # the same

"""Waiting for connections, opening them, and for how long a request holds them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool, SingletonThreadPool, StaticPool

from tests.record.probes.conftest import Bench
from tests.record.probes.slices import everything_in, milliseconds, slices_of
from unslow.current import LANE, OpenTrace
from unslow.model.trace import CLOSED, CONNECT, GIVEN_BACK, PINGED, POOL_WAIT, SQL
from unslow.record.place import resolve

HELD_MS = 50
SLEEP = text(f"SELECT pg_sleep({HELD_MS / 1000})")


@pytest.fixture(scope="module")
def address(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """Of a database, without its scheme."""
    with new_database() as url:
        yield url.partition(":")[2]


@pytest.fixture(autouse=True)
def installed(bench: Bench) -> None:
    bench.install("sqlalchemy")


@pytest.fixture
def engine(address: str) -> Iterator[Engine]:
    """With a pool of one connection, which is open."""
    engine = create_engine(f"postgresql+psycopg:{address}", pool_size=1, max_overflow=0)
    with engine.connect():
        pass
    yield engine
    engine.dispose()


def nested(inner: Any, outer: Any) -> bool:
    return bool(outer[0] <= inner[0] and inner[1] <= outer[1])


def asks(engine: Engine, statement: str = "SELECT 1") -> Callable[[], None]:
    def work() -> None:
        with engine.connect() as connection:
            connection.execute(text(statement))

    return work


def test_a_wait_for_a_connection_is_seen_with_the_pools_name_and_who_held_it(
    bench: Bench, engine: Engine
) -> None:
    held = threading.Event()
    holder: list[OpenTrace] = []

    def holds() -> None:
        with engine.connect() as connection:
            held.set()
            connection.execute(SLEEP)

    thread = threading.Thread(target=lambda: holder.append(bench.run(holds)))
    thread.start()
    held.wait()
    trace = bench.run(asks(engine))
    thread.join()

    (wait,) = slices_of(trace, POOL_WAIT)
    address = urlsplit(engine.url.render_as_string(hide_password=False))
    where = f"{address.hostname}:{address.port}{address.path}"
    name = f"postgresql+psycopg {where} pool 1+0"
    assert wait[3] == name
    assert milliseconds([wait]) >= HELD_MS - 10
    assert slices_of(trace, CONNECT) == []
    ((pool, start, end, place),) = holder[0].holds
    assert (pool, (end - start) / 1e6 >= HELD_MS) == (name, True)
    taken_at = resolve(place)
    assert taken_at is not None
    assert taken_at[1] == holds.__code__.co_firstlineno + 1
    ((_, taken, given_back, _),) = trace.holds
    assert end <= taken + 1e6 < given_back + 1e6


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_an_async_wait_for_a_connection_is_seen(bench: Bench, address: str, driver: str) -> None:
    async def main() -> list[OpenTrace]:
        engine = create_async_engine(f"postgresql+{driver}:{address}", pool_size=1, max_overflow=0)

        async def request() -> None:
            async with engine.connect() as connection:
                await connection.execute(SLEEP)

        async with engine.connect():
            pass
        traces = await asyncio.gather(*[bench.run_async(request) for _ in range(2)])
        await engine.dispose()
        return traces

    first, second = asyncio.run(main())

    assert milliseconds(slices_of(first, POOL_WAIT)) < HELD_MS / 2
    assert milliseconds(slices_of(second, POOL_WAIT)) >= HELD_MS - 10
    assert [len(one.holds) for one in (first, second)] == [1, 1]
    assert first.holds[0][2] <= second.holds[0][1] + 1e6


def test_a_wait_that_ends_with_an_error_is_seen(bench: Bench, address: str) -> None:
    engine = create_engine(
        f"postgresql+psycopg:{address}", pool_size=1, max_overflow=0, pool_timeout=0.05
    )
    with engine.connect():

        def work() -> None:
            with pytest.raises(PoolTimeoutError):
                engine.connect()

        trace = bench.run(work)
    engine.dispose()

    assert milliseconds(slices_of(trace, POOL_WAIT)) >= 50
    assert trace.holds == []


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg", "psycopg_async"])
def test_opening_a_connection_lies_inside_the_wait_and_sends_nothing_of_the_app(
    bench: Bench, address: str, driver: str
) -> None:
    trace = _with_new_engine(bench, address, driver)

    (connect,) = slices_of(trace, CONNECT)
    (wait,) = slices_of(trace, POOL_WAIT)
    assert nested(connect, wait)
    assert [one.text for one in trace.statements] == ["SELECT 1", "ROLLBACK"]
    assert [one[3] for one in slices_of(trace, SQL)] == [0, 1]


def _with_new_engine(bench: Bench, address: str, driver: str, **options: Any) -> OpenTrace:
    url = f"postgresql+{driver.removesuffix('_async')}:{address}"
    if driver in ("psycopg", "psycopg2"):
        engine = create_engine(url, **options)
        trace = bench.run(asks(engine))
        engine.dispose()
        return trace

    async def main() -> OpenTrace:
        engine = create_async_engine(url, **options)

        async def request() -> None:
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))

        trace = await bench.run_async(request)
        await engine.dispose()
        return trace

    return asyncio.run(main())


def test_a_ping_before_use_is_connect(bench: Bench, address: str) -> None:
    engine = create_engine(f"postgresql+psycopg:{address}", pool_pre_ping=True)
    asks(engine)()
    trace = bench.run(asks(engine))
    engine.dispose()

    assert [one[3] for one in slices_of(trace, CONNECT)] == [PINGED]
    assert [one.text for one in trace.statements] == ["SELECT 1", "ROLLBACK"]


def test_what_undoes_a_connection_that_is_given_back_is_connect(
    bench: Bench, engine: Engine
) -> None:
    def work() -> None:
        connection = engine.raw_connection()
        connection.cursor().execute("SELECT 1")
        connection.close()

    trace = bench.run(work)

    assert [one[3] for one in slices_of(trace, CONNECT)] == [GIVEN_BACK]
    assert [one.text for one in trace.statements] == []
    assert trace.holds[0][2] > trace.holds[0][1]


@pytest.mark.parametrize("is_in_transaction", [True, False])
def test_what_the_pool_has_no_room_for_is_closed_on_its_way_back(
    bench: Bench, address: str, is_in_transaction: bool
) -> None:
    engine = create_engine(f"postgresql+psycopg:{address}", pool_size=1, max_overflow=1)
    first = engine.raw_connection()

    def work() -> None:
        second: Any = engine.connect() if is_in_transaction else engine.raw_connection()
        if is_in_transaction:
            second.execute(text("SELECT 1"))
        first.close()
        second.close()

    trace = bench.run(work)
    engine.dispose()

    assert [one[3] for one in slices_of(trace, CONNECT)][1:] == [GIVEN_BACK, CLOSED]


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_without_a_pool_each_request_opens_and_closes_a_connection(
    bench: Bench, address: str, driver: str
) -> None:
    trace = _with_new_engine(bench, address, driver, poolclass=NullPool)

    opened, closed = slices_of(trace, CONNECT)
    assert nested(opened, slices_of(trace, POOL_WAIT)[0])
    assert closed[0] >= opened[1]
    assert closed[3] == CLOSED
    assert trace.holds[0][0].endswith(" NullPool")


@pytest.mark.parametrize("pool", [StaticPool, SingletonThreadPool])
def test_a_connection_that_is_taken_twice_at_once_has_whole_holds(
    bench: Bench, pool: type[Any]
) -> None:
    engine = create_engine("sqlite://", poolclass=pool)

    def work() -> None:
        with engine.connect() as outer, engine.connect() as inner:
            inner.execute(text("SELECT 1"))
            outer.execute(text("SELECT 2"))

    trace = bench.run(work)
    engine.dispose()

    assert trace.holds != []
    assert all(end > start for _, start, end, _ in trace.holds)


def test_a_hold_lasts_as_long_as_the_session_has_the_connection(
    bench: Bench, engine: Engine
) -> None:
    times: list[int] = []

    def work() -> None:
        with Session(engine) as session:
            session.execute(text("SELECT 1"))
            lane = LANE.get()
            assert lane is not None
            times.append(lane.trace.holds[0][2])
            session.commit()
            times.append(lane.trace.holds[0][2])
            session.execute(text("SELECT 1"))

    trace = bench.run(work)

    assert times[0] == 0
    assert times[1] == trace.holds[0][2] > 0
    assert len(trace.holds) == 2
    assert trace.holds[1][1] >= trace.holds[0][2]


def test_a_connection_that_is_given_back_after_the_request_ends_its_hold(
    bench: Bench, engine: Engine
) -> None:
    kept: list[Any] = []
    trace = bench.run(lambda: kept.append(engine.connect()))
    open_end = trace.holds[0][2]
    kept.pop().close()

    assert open_end == 0
    assert trace.holds[0][2] > trace.end_ns


def test_an_invalidated_connection_ends_its_hold_and_the_next_is_opened(
    bench: Bench, engine: Engine
) -> None:
    def work() -> None:
        with engine.connect() as connection:
            connection.invalidate()
            connection.execute(text("SELECT 1"))

    trace = bench.run(work)

    assert len(trace.holds) == 2
    assert all(end > start for _, start, end, _ in trace.holds)
    waits = slices_of(trace, POOL_WAIT)
    assert [one for one in slices_of(trace, CONNECT) if any(nested(one, wait) for wait in waits)]


def test_no_name_carries_a_credential_or_a_path(bench: Bench, address: str, tmp_path: Path) -> None:
    secret = "hunter2hunter2"
    at = urlsplit(f"postgresql:{address}")
    url = f"postgresql+psycopg://somebody:{secret}@{at.hostname}:{at.port}{at.path}"
    engine = create_engine(url, connect_args={"user": at.username, "password": at.password or ""})
    files = create_engine(f"sqlite:///{tmp_path}/own.db")
    traces = [bench.run(asks(engine)), bench.run(asks(files))]
    for one in (engine, files):
        one.dispose()

    assert [trace.holds[0][0].partition(" ")[0] for trace in traces] == [
        "postgresql+psycopg",
        "sqlite+pysqlite",
    ]
    assert traces[1].holds[0][0] == "sqlite+pysqlite own.db pool 5+10"
    told = "".join([*map(everything_in, traces), *bench.recorder.coverage])
    assert secret not in told
    assert (at.password or secret) not in told
    assert str(tmp_path) not in told


def test_every_engine_is_covered(bench: Bench, address: str) -> None:
    async_engine: AsyncEngine = create_async_engine(f"postgresql+asyncpg:{address}")
    engine = create_engine(f"postgresql+psycopg2:{address}")
    bench.run(asks(engine))
    engine.dispose()

    on = {what for what, one in bench.recorder.coverage.items() if one.state == "on"}
    assert {
        "sqlalchemy engine postgresql+asyncpg",
        "sqlalchemy engine postgresql+psycopg2",
        "sqlalchemy orm",
    } <= on
    assert async_engine.name == "postgresql"

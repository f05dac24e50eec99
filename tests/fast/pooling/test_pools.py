"""Pools that open with the app, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest
from fastapi import FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tests.fast.doors import run
from unslow.fast.database import database
from unslow.fast.errors import (
    DefinitionError,
    NotOpenError,
    PoolSizeError,
    PoolTimeoutError,
    UnsupportedSourceError,
)
from unslow.fast.pooling.engines import check_engine, engine_settings
from unslow.fast.pooling.limits import Limits, check_sum, largest_size, worker_count
from unslow.fast.pooling.pools import Driver, pool
from unslow.fast.pooling.waits import BUCKETS_S, Waits
from unslow.postgres.server import embedded_server

DRIVERS: tuple[Driver, ...] = ("asyncpg", "psycopg")


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> Driver:
    name: Driver = request.param
    return name


@pytest.fixture(autouse=True)
def no_workers_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    monkeypatch.delenv("UVICORN_WORKERS", raising=False)


@pytest.fixture(scope="module")
def server_with_ten() -> Iterator[str]:
    """A server that allows 10 connections, of which it keeps 3."""
    with embedded_server(settings={"max_connections": "10", "max_wal_senders": "2"}) as server:
        yield server.url()


@asynccontextmanager
async def limited_role(url: str, limit: str) -> AsyncIterator[str]:
    """The address of a role that is not a superuser."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as admin:
        await admin.execute(f"CREATE ROLE limited LOGIN PASSWORD 'limited' {limit}".encode())
        try:
            parts = urlsplit(url)
            yield parts._replace(netloc=f"limited:limited@{parts.hostname}:{parts.port}").geturl()
        finally:
            await admin.execute("DROP ROLE limited")


def test_it_is_the_drivers_own_pool_while_it_is_open(driver: Driver, empty_url: str) -> None:
    db = pool(empty_url, driver=driver, max_size=3)

    async def test() -> None:
        async with db:
            kind = asyncpg.Pool if driver == "asyncpg" else AsyncConnectionPool
            assert isinstance(db.database(), kind)
            assert db.source is db.database()
            assert db.max_size == 3
            assert db.is_open
        assert not db.is_open

    run(test())


def test_every_block_takes_it_as_its_database(driver: Driver, empty_url: str) -> None:
    db = pool(empty_url, driver=driver)

    async def test() -> None:
        assert database(db) is db
        async with db, database(db).connect() as connection:
            assert [tuple(row) for row in await connection.fetch("SELECT $1::int", [1])] == [(1,)]
            assert db.waits.cumulative_counts()[-1] == 1

    run(test())


def test_before_it_is_open_it_says_what_to_do(empty_url: str) -> None:
    db = pool(empty_url, name="main")

    async def test() -> None:
        with pytest.raises(NotOpenError, match=r"'main' is not open.*lifespan=db\.lifespan"):
            async with db.connect():
                pass
        with pytest.raises(NotOpenError):
            db.database()
        async with db:
            pass
        with pytest.raises(NotOpenError):
            db.database()

    run(test())


def test_it_opens_again_after_it_was_closed(driver: Driver, empty_url: str) -> None:
    db = pool(empty_url, driver=driver)

    async def once() -> None:
        async with db, db.connect() as connection:
            await connection.fetch("SELECT 1")

    run(once())
    run(once())


def test_it_is_not_opened_twice(empty_url: str) -> None:
    db = pool(empty_url)

    async def test() -> None:
        async with db:
            with pytest.raises(DefinitionError, match="is open already"):
                await db.__aenter__()
            assert db.is_open

    run(test())


def test_an_app_opens_it_by_its_lifespan(driver: Driver, empty_url: str) -> None:
    db = pool(empty_url, driver=driver)
    app = FastAPI(lifespan=db.lifespan)

    @app.get("/")
    async def one() -> int:
        async with db.connect() as connection:
            [[number]] = await connection.fetch("SELECT 1")
        return int(number)

    with TestClient(app) as client:
        assert client.get("/").json() == 1
    assert not db.is_open


def test_it_opens_around_the_lifespan_of_the_app(empty_url: str) -> None:
    first, second = pool(empty_url, name="first"), pool(empty_url, name="second")
    seen: list[tuple[bool, bool]] = []

    @asynccontextmanager
    async def own(_app: Any) -> AsyncIterator[dict[str, str]]:
        seen.append((first.is_open, second.is_open))
        yield {"of": "the app"}
        seen.append((first.is_open, second.is_open))

    app = FastAPI(lifespan=first.with_lifespan(second.with_lifespan(own)))

    @app.get("/")
    async def state(request: Request) -> str:
        return str(request.state.of)

    with TestClient(app) as client:
        assert client.get("/").json() == "the app"
    assert seen == [(True, True), (True, True)]
    assert not first.is_open
    assert not second.is_open


def test_the_address_may_be_written_for_sqlalchemy_and_read_late(empty_url: str) -> None:
    db = pool(lambda: empty_url.replace("postgresql://", "postgresql+asyncpg://", 1))

    async def test() -> None:
        async with db, db.connect() as connection:
            await connection.fetch("SELECT 1")

    run(test())


def test_too_many_workers_are_refused_with_the_arithmetic(
    driver: Driver, server_with_ten: str
) -> None:
    db = pool(server_with_ten, driver=driver, workers=4, max_size=2, reserve=1)
    app = Starlette(lifespan=db.lifespan)

    with (
        pytest.raises(
            PoolSizeError,
            match=r"^4 workers x 2 = 8 connections, but the server allows 6 \(10 max_connections - "
            r"3 that it reserves - 1 left for others\): set max_size to at most 1, or",
        ),
        TestClient(app),
    ):
        pass
    assert not db.is_open


def test_a_size_that_is_not_given_is_what_is_left_for_each_worker(
    driver: Driver, server_with_ten: str
) -> None:
    async def test() -> None:
        async with pool(server_with_ten, driver=driver, workers=2, reserve=1) as db:
            assert db.max_size == 3

    run(test())


def test_workers_come_from_the_environment(
    server_with_ten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "9")

    async def test() -> None:
        with pytest.raises(PoolSizeError, match=r"9 workers x 1 = 9 .* run fewer workers"):
            async with pool(server_with_ten):
                pass

    run(test())


@pytest.mark.parametrize(
    "limit", ["CONNECTION LIMIT 3", ""], ids=["of the role", "of the database"]
)
def test_limits_of_role_and_database_count(
    driver: Driver, server_with_ten: str, limit: str
) -> None:
    async def test() -> None:
        async with limited_role(server_with_ten, limit) as url:
            if not limit:
                async with await psycopg.AsyncConnection.connect(
                    server_with_ten, autocommit=True
                ) as admin:
                    await admin.execute("ALTER DATABASE postgres CONNECTION LIMIT 3")
            what = "role limited" if limit else "database postgres"
            with pytest.raises(PoolSizeError, match=rf"4 .* allows 3 \(the .* LIMIT of {what}\)"):
                async with pool(url, driver=driver, max_size=4, reserve=0):
                    pass
            async with pool(server_with_ten, driver=driver, max_size=4, reserve=0):
                pass
            async with await psycopg.AsyncConnection.connect(
                server_with_ten, autocommit=True
            ) as admin:
                await admin.execute("ALTER DATABASE postgres CONNECTION LIMIT -1")

    run(test())


def test_behind_a_pooler_its_own_limit_counts(server_with_ten: str) -> None:
    async def test() -> None:
        async with pool(server_with_ten, workers=9, max_size=10, max_connections=100) as db:
            assert db.max_size == 10

    run(test())


def test_a_full_pool_says_so_in_its_time(driver: Driver, empty_url: str) -> None:
    async def test() -> None:
        async with pool(empty_url, driver=driver, max_size=1, acquire_timeout_s=0.05) as db:
            async with db.connect():
                with pytest.raises(PoolTimeoutError, match=r"became free in 0\.05 s"):
                    async with db.connect():
                        pass
                with pytest.raises(PoolTimeoutError, match=r"became free in 0\.02 s"):
                    async with db.connect(0.02):
                        pass
            assert db.waits.cumulative_counts()[-1] == 3
            assert (db.waits.p95_ms() or 0) >= 20
            async with db.connect() as connection:
                await connection.fetch("SELECT 1")

    run(test())


def test_a_statement_that_takes_too_long_is_ended(driver: Driver, empty_url: str) -> None:
    async def test() -> None:
        async with (
            pool(empty_url, driver=driver, max_size=1, statement_timeout_s=0.05) as db,
            db.connect() as connection,
        ):
            with pytest.raises((TimeoutError, psycopg.errors.QueryCanceled)):
                await connection.fetch("SELECT pg_sleep(600)")
            assert len(await connection.fetch("SELECT 1")) == 1

    run(test())


def test_own_options_win(driver: Driver, empty_url: str) -> None:
    options: dict[str, Any] = (
        {"server_settings": {"application_name": "of the user"}}
        if driver == "asyncpg"
        else {"kwargs": {"application_name": "of the user"}}
    )

    async def test() -> None:
        async with (
            pool(empty_url, driver=driver, **options) as db,
            db.connect() as connection,
        ):
            [[name]] = await connection.fetch("SHOW application_name")
            assert name == "of the user"

    run(test())


def test_connections_that_the_server_ended_are_replaced(driver: Driver, empty_url: str) -> None:
    async def test() -> None:
        async with pool(empty_url, driver=driver, max_size=2, min_size=2) as db:
            async with db.connect() as one, db.connect() as other:
                [[pid]] = await one.fetch("SELECT pg_backend_pid()")
                await other.fetch("SELECT pg_terminate_backend($1)", [pid])
                with pytest.raises(Exception):  # noqa: B017, PT011  # each driver has its own
                    await one.fetch("SELECT 1")
            async with db.connect() as one, db.connect() as other:
                assert len(await one.fetch("SELECT 1")) == len(await other.fetch("SELECT 1")) == 1

    run(test())


def test_old_connections_are_replaced(empty_url: str) -> None:
    async def backend(db: Any) -> int:
        async with db.connect() as connection:
            [[pid]] = await connection.fetch("SELECT pg_backend_pid()")
        return int(pid)

    async def test() -> None:
        async with pool(empty_url, max_size=1, max_lifetime_s=0.01) as db:
            first = await backend(db)
            while await backend(db) == first:
                async with db.connect() as connection:
                    await connection.fetch("SELECT pg_sleep(0.01)")

    run(test())


def test_a_server_that_is_not_there_is_said_at_once(driver: Driver) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"postgresql://user:secret@127.0.0.1:{bound.getsockname()[1]}/app"

        async def test() -> None:
            with pytest.raises((OSError, psycopg.OperationalError)) as caught:
                async with pool(url, driver=driver, name="main"):
                    pass
            [note] = caught.value.__notes__
            assert note.startswith("The pool 'main' did not open. Is the server up")
            assert "secret" not in f"{caught.value}{note}"

        run(test())


def test_a_server_that_does_not_answer_is_given_up(driver: Driver) -> None:
    async def test() -> None:
        async def silent(_reader: Any, writer: asyncio.StreamWriter) -> None:
            await ended.wait()
            writer.close()

        ended = asyncio.Event()
        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            url = f"postgresql://user@127.0.0.1:{port}/app"
            # The least that psycopg knows is 2 s.
            with pytest.raises((TimeoutError, psycopg.OperationalError)):
                async with pool(url, driver=driver, connect_timeout_s=0.05):
                    pass
            ended.set()

    run(test())


def test_a_wrong_password_is_what_the_driver_says(driver: Driver, server_with_ten: str) -> None:
    parts = urlsplit(server_with_ten)
    url = parts._replace(netloc=f"postgres:wrong@{parts.hostname}:{parts.port}").geturl()

    async def test() -> None:
        with pytest.raises(
            (asyncpg.InvalidPasswordError, psycopg.OperationalError), match="password"
        ):
            async with pool(url, driver=driver):
                pass

    run(test())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"max_size": 0}, "got max_size=0; wanted 1 or more"),
        ({"max_size": 2, "min_size": 3}, "got min_size=3; wanted 0 or more, up to max_size"),
        ({"driver": "pg8000"}, "got driver='pg8000'; wanted one of asyncpg, psycopg"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_at_import(
    arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(DefinitionError, match=said):
        pool("postgresql://localhost/app", **arguments)


@pytest.mark.parametrize("text", ["0", "-1", "many", "2.5"])
def test_a_number_of_workers_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError, match=f"got UVICORN_WORKERS='{text}'; wanted a number"):
        worker_count(None, {"UVICORN_WORKERS": text})


def test_workers_that_are_given_win_over_the_environment() -> None:
    environment = {"WEB_CONCURRENCY": "3", "UVICORN_WORKERS": "4"}

    assert worker_count(2, environment) == 2
    assert worker_count(None, environment) == 3
    assert worker_count(None, {"WEB_CONCURRENCY": "", "UVICORN_WORKERS": "4"}) == 4
    assert worker_count(None, {}) == 1


@given(
    workers=st.integers(1, 64),
    wanted=st.integers(1, 100),
    reserve=st.integers(0, 20),
    numbers=st.tuples(st.integers(1, 500), st.integers(0, 10), st.integers(-1, 50)),
)
def test_what_is_chosen_fits_wherever_anything_does(
    workers: int, wanted: int, reserve: int, numbers: tuple[int, int, int]
) -> None:
    most, reserved, role_limit = numbers
    limits = Limits(most, reserved, "app", role_limit, "app", -1)
    allowed, _ = limits.allowed(reserve)
    size = largest_size(workers, limits, reserve, wanted)

    if allowed >= workers:
        check_sum(workers, size, limits, reserve, "max_size")
    else:
        with pytest.raises(PoolSizeError, match="run fewer workers"):
            check_sum(workers, size, limits, reserve, "max_size")
    assert 1 <= size <= wanted


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_p95_is_that_of_the_last_minute() -> None:
    clock = Clock()
    waits = Waits(clock)
    for wait_s in (9.0, *(number / 1_000 for number in range(1, 101))):
        with waits.measured():
            assert waits.waiting_count == 1
            clock.now += wait_s
        if wait_s == 9.0:
            clock.now += 60

    assert waits.p95_ms() == pytest.approx(95)
    assert waits.waiting_count == 0
    clock.now += 61
    assert waits.p95_ms() is None


def test_the_histogram_counts_every_wait() -> None:
    clock = Clock()
    waits = Waits(clock)
    for wait_s in (0.0, 0.004, 0.2, 9.0):
        with waits.measured():
            clock.now += wait_s

    counts = waits.cumulative_counts()
    assert len(counts) == len(BUCKETS_S) + 1
    assert (counts[0], counts[BUCKETS_S.index(0.005)], counts[-2], counts[-1]) == (1, 2, 3, 4)
    assert waits.total_s == pytest.approx(9.204)


def engine_url(url: str, driver: str) -> str:
    return url.replace("postgresql://", f"postgresql+{driver}://", 1)


def test_an_engine_takes_the_settings(driver: Driver, empty_url: str) -> None:
    settings = engine_settings(driver=driver, max_size=2, statement_timeout_s=0.05)

    async def test() -> None:
        engine = create_async_engine(engine_url(empty_url, driver), **settings)
        await check_engine(engine, workers=2)
        async with engine.connect() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar() == 1
            with pytest.raises((TimeoutError, OperationalError)):
                await connection.execute(text("SELECT pg_sleep(600)"))
        await engine.dispose()

    run(test())


def test_settings_of_an_engine_fit_what_is_known_of_the_server() -> None:
    assert engine_settings()["pool_size"] == 10
    assert engine_settings(max_connections=30, workers=5, reserve=5)["pool_size"] == 5
    with pytest.raises(PoolSizeError, match=r"5 workers x 6 = 30 .* set max_size to at most 5"):
        engine_settings(max_size=6, max_connections=30, workers=5, reserve=5)


def test_an_engine_of_too_many_connections_is_refused(driver: Driver, server_with_ten: str) -> None:
    async def test() -> None:
        engine = create_async_engine(
            engine_url(server_with_ten, driver), pool_size=2, max_overflow=1
        )
        try:
            await check_engine(engine, workers=2, reserve=1)
            with pytest.raises(
                PoolSizeError, match=r"3 workers x 3 = 9 .* allows 6 .* set pool_size \+ max_overf"
            ):
                await check_engine(engine, workers=3, reserve=1)
        finally:
            await engine.dispose()

    run(test())


@pytest.mark.parametrize(
    "settings", [{"poolclass": NullPool}, {"max_overflow": -1}, {"pool_size": 0}]
)
def test_an_engine_without_a_limit_is_refused(settings: dict[str, Any], empty_url: str) -> None:
    async def test() -> None:
        engine = create_async_engine(engine_url(empty_url, "asyncpg"), **settings)
        with pytest.raises(PoolSizeError, match="has no limit; wanted one with pool_size"):
            await check_engine(engine)
        await engine.dispose()

    run(test())


def test_what_is_no_engine_is_refused() -> None:
    with pytest.raises(UnsupportedSourceError):
        run(check_engine(object()))
    with pytest.raises(DefinitionError, match="got driver='pg8000'"):
        engine_settings(driver="pg8000")  # type: ignore[arg-type]  # the mistake itself
    with pytest.raises(DefinitionError, match="got max_size=0"):
        engine_settings(max_size=0)

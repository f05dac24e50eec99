"""Keys of mapped tables, read from a real PostgreSQL by each driver."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Column, Engine, ForeignKey, Integer, Table, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from tests.injection.running import PATIENCE_S, until
from tests.record.probes.conftest import Bench
from unslow.record import keys as module
from unslow.record.keys import MOST_KEYS, database_hosts, keys
from unslow.record.probes.sqlalchemy import private
from unslow.record.probes.sqlalchemy.engine import engines

SYNC = ("postgresql+psycopg", "postgresql+psycopg2")
ASYNC = ("postgresql+asyncpg", "postgresql+psycopg_async")
FIRST = uuid.UUID(int=0)
SECOND = uuid.UUID(int=1)
HERE = ("127.0.0.1", "localhost")


class Base(DeclarativeBase):
    pass


class Absent(Base):
    """The first by its name, and no database has it."""

    __tablename__ = "absent"
    id: Mapped[int] = mapped_column(primary_key=True)


class Country(Base):
    __tablename__ = "country"
    code: Mapped[str] = mapped_column(primary_key=True)


class Customer(Base):
    __tablename__ = "customer"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)


class Empty(Base):
    __tablename__ = "empty"
    id: Mapped[int] = mapped_column(primary_key=True)


class Line(Base):
    """Has two columns as its key."""

    __tablename__ = "line"
    order_id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)


class Order(Base):
    __tablename__ = "order"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "order"}  # noqa: RUF012  # SQLAlchemy reads it from the class


class Gift(Order):
    """Has a table of its own beside its parent's."""

    __tablename__ = "gift"
    id: Mapped[int] = mapped_column(ForeignKey("order.id"), primary_key=True)
    __mapper_args__ = {"polymorphic_identity": "gift"}  # noqa: RUF012  # as above


class Sample(Order):
    """Shares its parent's table."""

    __mapper_args__ = {"polymorphic_identity": "sample"}  # noqa: RUF012  # as above


class Price(Base):
    """Has a key that no path holds."""

    __tablename__ = "price"
    amount: Mapped[Decimal] = mapped_column(primary_key=True)


class Ticket(Base):
    """A view, whose rows come only to who may write."""

    __tablename__ = "ticket"
    id: Mapped[int] = mapped_column(primary_key=True)


class Visit(Base):
    """Of a schema."""

    __tablename__ = "visit"
    __table_args__ = {"schema": "site"}  # noqa: RUF012  # as above
    id: Mapped[int] = mapped_column(primary_key=True)


class Waiting(Base):
    """A view that takes too long."""

    __tablename__ = "waiting"
    id: Mapped[int] = mapped_column(primary_key=True)


class Zone(Base):
    """The last by its name."""

    __table__ = Table("zone", Base.metadata, Column("id", Integer))
    __mapper_args__ = {"primary_key": [__table__.c.id]}  # noqa: RUF012  # as above


TABLES = f"""
CREATE TABLE country (code text PRIMARY KEY); INSERT INTO country VALUES ('de'), ('at'), ('');
CREATE TABLE customer (id uuid PRIMARY KEY); INSERT INTO customer VALUES ('{SECOND}'), ('{FIRST}');
CREATE TABLE empty (id int PRIMARY KEY);
CREATE TABLE line (order_id int, number int); INSERT INTO line VALUES (1, 1);
CREATE TABLE "order" (id int PRIMARY KEY, kind text);
INSERT INTO "order" SELECT 7000 + n, 'order' FROM generate_series(1, 9) n;
CREATE TABLE gift (id int PRIMARY KEY); INSERT INTO gift VALUES (7008);
CREATE TABLE price (amount numeric PRIMARY KEY); INSERT INTO price VALUES (1.5);
CREATE SEQUENCE numbers; CREATE VIEW ticket AS SELECT nextval('numbers')::int AS id;
CREATE SCHEMA site;
CREATE TABLE site.visit (id bigint PRIMARY KEY); INSERT INTO site.visit VALUES (9007199254740993);
CREATE VIEW waiting AS SELECT 1 AS id FROM pg_sleep(30);
CREATE TABLE zone (id int); INSERT INTO zone VALUES (1);
"""
ORDERS = [7001, 7002, 7003, 7004, 7005]
ALL = {
    "country": ["at", "de"],
    "customer": [str(FIRST), str(SECOND)],
    "empty": [],
    "gift": [7008],
    "order": ORDERS,
    "price": [],
    "site.visit": [9007199254740993],
    "zone": [1],
}


@pytest.fixture(scope="module")
def url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with new_database() as url:
        with psycopg.connect(url) as connection:
            connection.execute(TABLES.encode())
        yield url


@pytest.fixture(autouse=True)
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """With the probe that sees engines, and no models but those of this file."""
    bench = Bench()
    bench.install("sqlalchemy")
    owner, name = private.locate(private.ALL_REGISTRIES)
    monkeypatch.setattr(owner, name, lambda: {Base.registry})
    monkeypatch.setattr(module, "_LONGEST_STATEMENT_MS", 200)
    yield bench
    bench.probes.stop()
    assert [] == [one for one in bench.recorder.coverage.values() if one.why.startswith("broke")]


class Engines:
    """Makes engines, and disposes of their connections."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._made: list[Engine] = []

    def __call__(self, scheme: str = SYNC[0], url: str = "", **options: Any) -> Engine:
        address = (url or self.url).replace("postgresql", scheme, 1)
        engine = (
            create_async_engine(address, **options).sync_engine
            if scheme in ASYNC
            else create_engine(address, **options)
        )
        self._made.append(engine)
        return engine

    def dispose(self) -> None:
        for engine in self._made:
            engine.dispose(close=not engine.dialect.is_async)


@pytest.fixture
def engine_at(url: str) -> Iterator[Engines]:
    made = Engines(url)
    yield made
    made.dispose()


@pytest.mark.parametrize("scheme", [*SYNC, *ASYNC])
def test_each_table_with_one_column_as_key_tells_its_first_keys(
    scheme: str, engine_at: Engines
) -> None:
    engine_at(scheme)

    found = keys(HERE)

    assert ALL == found
    assert MOST_KEYS == len(ORDERS)


@pytest.mark.parametrize("scheme", [*SYNC, *ASYNC])
def test_they_are_read_where_the_app_commits_by_itself_each_statement(
    scheme: str, engine_at: Engines
) -> None:
    engine_at(scheme, isolation_level="AUTOCOMMIT")

    assert ALL == keys(HERE)


def test_nothing_is_written(engine_at: Engines, url: str) -> None:
    engine_at()

    keys(HERE)

    with psycopg.connect(url) as connection:
        assert (False,) == connection.execute("SELECT is_called FROM numbers").fetchone()


def test_the_apps_own_connections_are_left_alone(engine_at: Engines) -> None:
    engine = engine_at(pool_size=1, max_overflow=0)

    with engine.connect() as connection:
        connection.exec_driver_sql("SET LOCAL search_path TO nowhere")
        found = keys(HERE)
        still = connection.exec_driver_sql("SHOW search_path").scalar_one()

    assert ALL == found
    assert "nowhere" == still


@pytest.mark.parametrize("scheme", [SYNC[0], ASYNC[0]])
def test_no_connection_of_ours_stays(scheme: str, engine_at: Engines, url: str) -> None:
    before = threading.enumerate()
    engine_at(scheme)
    keys(HERE)

    with psycopg.connect(url, autocommit=True) as connection:
        until(lambda: connection.execute(OTHERS).fetchone() == (0,))
    assert before == threading.enumerate()


OTHERS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def test_connections_are_opened_as_the_app_opens_them(engine_at: Engines, url: str) -> None:
    engine = engine_at(url="postgresql://", creator=lambda: psycopg.connect(url))

    @event.listens_for(engine, "connect")
    def into_the_schema(connection: Any, _: Any) -> None:
        connection.execute("SET search_path TO nowhere")
        connection.commit()

    assert {"site.visit": [9007199254740993]} == keys(())


def test_arguments_of_an_async_driver_hold_for_ours_too(engine_at: Engines) -> None:
    engine_at(ASYNC[0], connect_args={"server_settings": {"search_path": "nowhere"}})

    assert {"site.visit": [9007199254740993]} == keys(HERE)


def test_an_engine_that_calls_a_schema_otherwise_is_asked_so(engine_at: Engines) -> None:
    engine_at(execution_options={"schema_translate_map": {None: "site"}})

    assert {"site.visit": [9007199254740993]} == keys(HERE)


def test_what_an_app_awaits_to_open_a_connection_is_not_called_from_another_loop(
    url: str, engine_at: Engines
) -> None:
    called: list[None] = []

    async def opens() -> Any:
        called.append(None)

    engine_at(ASYNC[0], async_creator=opens)

    assert {} == keys(HERE)
    assert [] == called


def test_a_table_is_read_from_the_database_that_has_it(
    engine_at: Engines, database_url: str
) -> None:
    engine_at(url=database_url)
    engine_at(url="postgresql://127.0.0.1:1/nowhere")
    engine_at()

    assert ALL == keys(HERE)


def test_a_file_has_no_host_and_is_read(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    Country.metadata.create_all(engine, [Country.metadata.tables["country"]])
    with Session(engine) as session:
        session.add(Country(code="ch"))
        session.commit()

    found = keys(())

    engine.dispose()
    assert ((), {"country": ["ch"]}) == (database_hosts(), found)


def test_a_database_is_asked_only_at_a_host_that_was_named(engine_at: Engines) -> None:
    engine_at()

    assert ("127.0.0.1",) == database_hosts()
    assert {} == keys(["database.example.com"])


def test_hosts_that_stand_in_the_query_of_an_address_are_hosts(engine_at: Engines) -> None:
    engine_at(url="postgresql://one/shop")
    engine_at(url="postgresql:///shop?host=two:5432&host=three")
    engine_at(url="postgresql:///shop?host=/var/run,four")
    engine_at(url="postgresql://[::1]:5432/shop")

    assert ("/var/run", "::1", "four", "one", "three", "two") == database_hosts()


def test_where_an_address_has_no_host_it_is_that_of_the_environment(
    engine_at: Engines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PGHOST", "db.example.com,db2.example.com")
    file = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    engine_at(url="postgresql:///shop")

    assert ("db.example.com", "db2.example.com") == database_hosts()
    monkeypatch.setenv("PGHOSTADDR", "203.0.113.7")
    assert ("203.0.113.7",) == database_hosts()
    engine_at(url="postgresql://one/shop")
    assert ("203.0.113.7", "one") == database_hosts()
    file.dispose()


def test_an_engine_that_is_gone_is_forgotten(engine_at: Engines) -> None:
    engine = engine_at()
    engine_at.dispose()
    engine_at._made.clear()
    assert 1 == len(engines)

    del engine
    gc.collect()

    assert 0 == len(engines)


def test_no_engine_is_known_once_the_probe_has_stopped(engine_at: Engines, bench: Bench) -> None:
    engine_at()
    bench.probes.stop()

    assert {} == keys(HERE)


def test_an_engine_is_known_that_was_there_before_the_probe(
    engine_at: Engines, bench: Bench
) -> None:
    engine = engine_at(poolclass=NullPool)
    engines.clear()
    bench.run(lambda: engine.connect().close())

    assert ALL == keys(HERE)


def test_nothing_is_logged_nor_recorded(
    engine_at: Engines, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    engine_at(echo="debug")
    covered = dict(bench.recorder.coverage)

    with caplog.at_level(logging.DEBUG, logger="sqlalchemy.engine"):
        assert ALL == keys(HERE)

    said = [
        one for one in caplog.records if "70" in one.getMessage() or "order" in one.getMessage()
    ]
    assert [] == said
    assert covered == bench.recorder.coverage
    assert 0 == len(bench.recorder.closed)


def test_a_newer_sqlalchemy_tells_none(engine_at: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "KNOWN_VERSIONS", ("1.9",))
    engine_at()

    assert {} == keys(HERE)


def test_only_so_many_tables_are_read(engine_at: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TABLES", 2)
    engine_at()

    assert {"country": ALL["country"]} == keys(HERE)


def test_a_mistake_of_ours_is_logged_without_its_text(
    engine_at: Engines, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    engine_at()

    def fails(_: Engine) -> bool:
        raise ValueError("7001")

    monkeypatch.setattr(module, "_opens_anywhere", fails)

    assert {} == keys(HERE)
    assert ["unslow could not read keys of the app's tables: ValueError"] == caplog.messages


@pytest.mark.parametrize("scheme", [SYNC[0], ASYNC[0]])
def test_a_server_that_says_nothing_is_not_waited_for(
    scheme: str, engine_at: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LONGEST_MS", 300)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine_at(scheme, url=f"postgresql://127.0.0.1:{silent.getsockname()[1]}/shop")
        silent.settimeout(PATIENCE_S)
        start = time.monotonic()
        found = keys(HERE)
        took_s = time.monotonic() - start
        # Hung up on, the reader ends.
        silent.accept()[0].close()

    until(lambda: "unslow-keys" not in {one.name for one in threading.enumerate()})
    assert {} == found
    assert took_s < 3


def test_an_async_engine_stays_usable_in_the_loop_of_the_app(engine_at: Engines) -> None:
    engine = engine_at(ASYNC[0], pool_size=1, max_overflow=0)

    async def asks() -> Any:
        ours = AsyncEngine(engine)
        async with ours.connect() as connection:
            before = await connection.exec_driver_sql("SELECT 1")
            found = keys(HERE)
            after = await connection.exec_driver_sql("SELECT 2")
        await ours.dispose()
        return before.scalar_one(), found, after.scalar_one()

    assert (1, ALL, 2) == asyncio.run(asks())

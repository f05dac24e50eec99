"""Another way to a real PostgreSQL, for engines of each driver."""

from __future__ import annotations

import asyncio
import statistics
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.pool import NullPool, StaticPool

from tests.injection.running import until
from tests.record.engines import ASYNC, SYNC, listeners, seen_engines, session
from tests.record.probes.conftest import Bench
from unslow.prove.network import SlowNetwork
from unslow.record.reroute import Rerouted, database_addresses, reroute

pytestmark = pytest.mark.usefixtures("own_pools_only")

STATEMENTS_COUNT = 30
SECRET = "no-one-may-read-this"


@pytest.fixture(autouse=True)
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bench]:
    with seen_engines(monkeypatch, tmp_path) as bench:
        yield bench


@pytest.fixture
def network(database_url: str) -> Iterator[SlowNetwork]:
    there = urlsplit(database_url)
    with SlowNetwork(there.hostname or "", there.port or 5432) as network:
        yield network


@pytest.fixture
def routes(database_url: str, network: SlowNetwork) -> dict[str, int]:
    there = urlsplit(database_url)
    return {f"{there.hostname}:{there.port or 5432}": network.port}


@pytest.mark.parametrize("scheme", [*SYNC, *ASYNC])
def test_statements_go_the_other_way_until_it_is_undone(
    scheme: str, database_url: str, network: SlowNetwork, routes: dict[str, int]
) -> None:
    with session(database_url, scheme) as app:
        app.run()
        before = listeners(app.sync_engine)
        threads = threading.active_count()

        result = reroute(routes)
        app.run()
        app.run()
        through = network.connections_count
        result.undo()
        app.run()

        assert (1, 1) == (through, network.connections_count)
        assert before == listeners(app.sync_engine)
        assert threads == threading.active_count()
        assert ((), 1) == (result.not_rerouted, len(result.rerouted))
        assert result.rerouted[0].endswith(f"{scheme.removesuffix('_async')} {next(iter(routes))}")


@pytest.mark.parametrize("scheme", [*SYNC, *ASYNC])
def test_a_round_trip_is_longer_by_the_delay(
    scheme: str, database_url: str, network: SlowNetwork, routes: dict[str, int]
) -> None:
    with session(database_url, scheme) as app:
        result = reroute(routes)
        app.run()
        without = statistics.median(app.run(times=STATEMENTS_COUNT))
        network.delay_ms = 5
        delayed = statistics.median(app.run(times=STATEMENTS_COUNT))
        result.undo()

    assert 4 <= delayed - without


def test_the_delay_and_the_answer_are_those_of_the_database(
    database_url: str, network: SlowNetwork, routes: dict[str, int]
) -> None:
    with session(database_url) as app, app.sync_engine.connect() as connection:
        ours = connection.exec_driver_sql("SELECT current_database()").scalar_one()
        result = reroute(routes)
        with app.sync_engine.connect() as another:
            theirs = another.exec_driver_sql("SELECT current_database()").scalar_one()
        result.undo()

    assert ours == theirs
    assert 1 == network.connections_count


def test_a_connection_in_use_goes_on_and_is_replaced_when_it_is_next_taken(
    database_url: str, network: SlowNetwork, routes: dict[str, int]
) -> None:
    pid = "SELECT pg_backend_pid()"
    with session(database_url, pool_size=1, max_overflow=0) as app:
        with app.sync_engine.connect() as connection:
            first = connection.exec_driver_sql(pid).scalar_one()
            result = reroute(routes)
            still = connection.exec_driver_sql(pid).scalar_one()
        with app.sync_engine.connect() as connection:
            second = connection.exec_driver_sql(pid).scalar_one()
            result.undo()
            also = connection.exec_driver_sql(pid).scalar_one()

    assert (first, second) == (still, also)
    assert first != second
    assert 1 == network.connections_count


@pytest.mark.parametrize("scheme", [*SYNC, *ASYNC])
def test_no_connection_is_left_behind(
    scheme: str, database_url: str, network: SlowNetwork, routes: dict[str, int]
) -> None:
    others = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with session(database_url, scheme) as app:
        app.run()
        result = reroute(routes)
        app.run()
        result.undo()
        app.run()
        network.close()
        app.run()

        with psycopg.connect(database_url, autocommit=True) as connection:
            until(lambda: connection.execute(others).fetchone() == (1,))


def test_undoing_twice_or_after_the_app_has_emptied_its_pool_does_no_harm(
    database_url: str, network: SlowNetwork, routes: dict[str, int]
) -> None:
    with session(database_url) as app:
        before = listeners(app.sync_engine)
        result = reroute(routes)
        app.run()
        app.sync_engine.dispose()
        app.run()

        result.undo()
        result.undo()
        app.run()

        assert 2 == network.connections_count
        assert before == listeners(app.sync_engine)


def test_it_can_be_done_again(
    database_url: str, network: SlowNetwork, routes: dict[str, int]
) -> None:
    with session(database_url) as app:
        for _ in range(2):
            result = reroute(routes)
            app.run()
            result.undo()
            app.run()

    assert 2 == network.connections_count


def test_engines_of_the_same_pool_are_one(
    database_url: str, network: SlowNetwork, routes: dict[str, int]
) -> None:
    with session(database_url) as app:
        reading = app.sync_engine.execution_options(isolation_level="AUTOCOMMIT")
        with reading.connect() as connection:
            connection.exec_driver_sql("SELECT 1")

        result = reroute(routes)
        with reading.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
        result.undo()

    assert 1 == len(result.rerouted)
    assert 1 == network.connections_count


def test_an_engine_without_a_pool_is_led_too(
    database_url: str, network: SlowNetwork, routes: dict[str, int]
) -> None:
    with session(database_url, poolclass=NullPool) as app:
        result = reroute(routes)
        app.run()
        result.undo()
        app.run()

    assert 1 == network.connections_count


def test_what_the_app_changes_when_it_connects_still_holds(
    database_url: str, network: SlowNetwork, routes: dict[str, int]
) -> None:
    with session(database_url) as app:

        @event.listens_for(app.sync_engine, "do_connect")
        def named(_dialect: Any, _record: Any, _cargs: Any, cparams: dict[str, Any]) -> None:
            cparams["application_name"] = "shop"

        result = reroute(routes)
        with app.sync_engine.connect() as connection:
            name = connection.exec_driver_sql("SHOW application_name").scalar_one()
        result.undo()

    assert ("shop", 1) == (name, network.connections_count)


def test_an_app_that_hands_out_connections_itself_when_it_connects_goes_on(
    database_url: str, network: SlowNetwork, routes: dict[str, int]
) -> None:
    with session(database_url) as app:
        app.run()

        @event.listens_for(app.sync_engine, "do_connect")
        def opened(*_: Any) -> Any:
            return psycopg.connect(database_url)

        result = reroute(routes)
        app.run()
        app.run()
        result.undo()

    assert 0 == network.connections_count


def why(url: str, scheme: str, **options: Any) -> str:
    """Why an engine, of which nothing is asked, goes no other way."""
    with session(url, scheme, **options):
        result = reroute({"db:5432": 1, "127.0.0.1:5432": 1})
        result.undo()
        assert () == result.rerouted
        assert SECRET not in repr(result)
        ((_, why),) = result.not_rerouted
        return why


ALICE = f"postgresql://alice:{SECRET}@"


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        (f"{ALICE}db:5432/shop?ssl=verify-full", {}, "verify-full"),
        (f"{ALICE}db:5432/shop", {"connect_args": {"ssl": True}}, "verify-full"),
        (f"{ALICE}/shop?host=/run/postgresql", {}, "Unix socket"),
        (f"{ALICE}/shop", {}, "Unix socket"),
        (f"{ALICE}/shop?host=db:5432&host=db2:5432", {}, "several hosts"),
        (f"{ALICE}elsewhere/shop", {}, "no way was given for its address"),
        (f"{ALICE}db/shop", {"connect_args": {"dsn": "postgresql://x"}}, "in a DSN"),
        (f"{ALICE}db/shop", {"poolclass": StaticPool}, "used by many at once"),
    ],
)
def test_what_cannot_be_led_is_named_with_the_reason(
    url: str, options: dict[str, Any], said: str
) -> None:
    assert said in why(url, ASYNC[0], **options)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"{ALICE}/shop?host=/run/postgresql", "Unix socket"),
        (f"{ALICE}/shop", "Unix socket"),
        (f"{ALICE}/shop?host=db:5432&host=db2:5432", "several hosts"),
        (f"{ALICE}db/shop?service=main", "a service file"),
    ],
)
def test_the_same_holds_for_the_drivers_on_libpq(url: str, said: str) -> None:
    assert said in why(url, SYNC[0])


def refuse() -> Any:
    raise AssertionError


@pytest.mark.parametrize(
    ("scheme", "options"),
    [(SYNC[0], {"creator": refuse}), (ASYNC[0], {"async_creator": refuse})],
)
def test_who_opens_connections_itself_is_named(scheme: str, options: dict[str, Any]) -> None:
    assert "the app opens its connections itself" in why("postgresql://", scheme, **options)


def test_a_password_that_is_known_by_the_address_stays_where_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "pgpass"
    file.write_text(f"db:5432:*:alice:{SECRET}")
    monkeypatch.setenv("PGPASSFILE", str(file))

    assert "its password may stand in a file" in why("postgresql://alice@db/shop", SYNC[0])


def test_no_engine_of_another_database_is_touched(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")

    result = reroute({"db:5432": 1})

    result.undo()
    engine.dispose()
    assert () == database_addresses() == result.rerouted
    assert "its driver is none of" in result.not_rerouted[0][1]


def test_the_addresses_are_those_that_drivers_would_connect_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPORT", "5433")
    with (
        session("postgresql://a@db/x"),
        session("postgresql://a@[::1]:5434/x", ASYNC[0]),
        session("postgresql://a@db/x?hostaddr=10.0.0.1"),
        session("postgresql://a@/x", connect_args={"host": "named", "port": 1}),
        session("postgresql://a@/x?host=/run/postgresql"),
    ):
        assert ("10.0.0.1:5433", "[::1]:5434", "db:5433", "named:1") == database_addresses()


def test_pools_without_sqlalchemy_are_named(database_url: str) -> None:
    import asyncpg
    from psycopg_pool import ConnectionPool

    async def with_pool() -> Rerouted:
        async with asyncpg.create_pool(database_url, min_size=0):
            return reroute({})

    with ConnectionPool(database_url, min_size=0, max_size=1, open=True):
        result = asyncio.run(with_pool())

    why = "its connections are not opened through SQLAlchemy"
    assert (("asyncpg Pool", why), ("psycopg_pool ConnectionPool", why)) == result.not_rerouted

"""Health and metrics of pools, on a real PostgreSQL that also fails."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import psycopg
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from starlette.applications import Starlette

from tests.fast.doors import opened_source, run
from unslow.fast.database import database
from unslow.fast.errors import DefinitionError, MissingLibraryError
from unslow.fast.pooling.monitoring import health, metrics
from unslow.fast.pooling.pool_states import PoolState, pool_state
from unslow.fast.pooling.pools import pool


async def asked(source: Any, **options: Any) -> httpx.Response:
    """What the health route of an app answers."""
    app = Starlette(routes=[health(source, **options)])
    return await fetched(app, options.get("path", "/health"))


async def fetched(app: Any, path: str = "/health") -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        return await client.get(path)


class Wire:
    """A way to the server that can be made to lose everything without a word."""

    def __init__(self, url: str) -> None:
        self.parts = urlsplit(url)
        self.is_cut = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def url(self) -> AsyncIterator[str]:
        self._server = await asyncio.start_server(self._joined, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        access = self.parts.netloc.rpartition("@")[0]
        try:
            yield self.parts._replace(netloc=f"{access}@127.0.0.1:{port}").geturl()
        finally:
            await self.end()

    async def end(self) -> None:
        """Ends all connections, so that both sides see it."""
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self.parts.hostname, self.parts.port or 5432)
        for source, target in ((reader, there[1]), (there[0], writer)):
            task = asyncio.create_task(self._passed_on(source, target))
            self._tasks.add(task)

    async def _passed_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while piece := await source.read(65_536):
                if not self.is_cut.is_set():
                    target.write(piece)
        finally:
            target.close()


def test_a_pool_that_is_well_says_how_it_is(door: str, empty_url: str) -> None:
    async def test() -> httpx.Response:
        async with opened_source(door, empty_url, 3) as source:
            async with database(source).connect() as first, database(source).connect() as second:
                await first.fetch("SELECT 1")
                await second.fetch("SELECT 1")
            async with database(source).connect():
                return await asked(source, name="main")

    answer = run(test())
    found = answer.json()

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert (found["status"], found["reason"], found["pool"]) == ("ok", None, "main")
    assert (found["max_size"], found["size"], found["in_use"], found["idle"]) == (3, 2, 1, 1)
    assert 0 < found["round_trip_ms"] < 1_000
    assert found["oldest_transaction_s"] == 0
    waiting = [] if door == "psycopg" else ["waiting"]
    assert found["unknown"] == [*waiting, "wait_p95_ms"]


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_a_pool_of_ours_knows_all_of_it(driver: Any, empty_url: str) -> None:
    async def test() -> dict[str, Any]:
        async with pool(empty_url, driver=driver, name="orders", max_size=2) as db:
            async with db.connect():
                pass
            found: dict[str, Any] = (await asked(db)).json()
            return found

    found = run(test())

    assert found["unknown"] == []
    assert (found["pool"], found["max_size"], found["in_use"]) == ("orders", 2, 0)
    assert found["waiting"] == 0
    assert found["wait_p95_ms"] >= 0


def test_who_waits_is_counted(empty_url: str) -> None:
    async def test() -> None:
        async with pool(empty_url, max_size=1) as db:

            async def one() -> None:
                async with db.connect():
                    pass

            async with db.connect():
                others = [asyncio.create_task(one()) for _ in range(3)]
                await asyncio.sleep(0)
                assert pool_state(db) == PoolState(1, 1, 1, 0, 3)
            await asyncio.gather(*others)
            assert pool_state(db).waiting == 0

    run(test())


def test_an_exhausted_pool_is_503_in_its_time(door: str, empty_url: str) -> None:
    async def test() -> httpx.Response:
        async with opened_source(door, empty_url, 1) as source, database(source).connect():
            return await asked(source, timeout_s=0.05)

    answer = run(test())
    found = answer.json()

    assert answer.status_code == 503
    assert found["status"] == "unavailable"
    assert found["reason"] == "no connection became free in 0.05 s: 1 of 1 are in use"
    assert found["in_use"] == 1
    assert found["round_trip_ms"] is None
    assert {"round_trip_ms", "oldest_transaction_s"} <= set(found["unknown"])


def test_a_server_that_is_gone_is_503(door: str) -> None:
    async def test() -> httpx.Response:
        url = "postgresql://user:secret@127.0.0.1:1/app"
        async with opened_source(door, url, 1) as source:
            return await asked(source, timeout_s=0.5)

    answer = run(test())

    assert answer.status_code == 503
    # The pool of psycopg goes on trying, and says nothing of why.
    expected = "no connection could be had" if door == "psycopg" else "the database does not answer"
    assert answer.json()["reason"].startswith(expected)
    assert "secret" not in answer.text


@pytest.mark.parametrize("when", ["before a connection", "with a connection"])
def test_a_server_that_no_longer_answers_is_503_in_its_time(
    door: str, empty_url: str, when: str
) -> None:
    async def test() -> None:
        wire = Wire(empty_url)
        async with wire.url() as url, opened_source(door, url, 1) as source:
            if when == "with a connection":
                async with database(source).connect() as connection:
                    await connection.fetch("SELECT 1")
            wire.is_cut.set()
            app = Starlette(routes=[health(source, timeout_s=0.05)])
            for _ in range(3):
                answer = await fetched(app)
                assert answer.status_code == 503
                assert " in 0.05 s" in answer.json()["reason"]
            await wire.end()

    run(test())


def test_requests_at_the_same_time_share_one_answer(door: str, empty_url: str) -> None:
    async def test() -> list[httpx.Response]:
        async with opened_source(door, empty_url, 1) as source:
            app = Starlette(routes=[health(source)])
            return await asyncio.gather(*(fetched(app) for _ in range(8)))

    answers = run(test())

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["round_trip_ms"] for answer in answers}) == 1


def test_a_connection_that_the_server_ended_does_not_stay_a_failure(
    door: str, empty_url: str
) -> None:
    async def test() -> None:
        watcher = await asyncpg.connect(empty_url)
        async with opened_source(door, empty_url, 1) as source:
            app = Starlette(routes=[health(source)])
            assert (await fetched(app)).status_code == 200
            await watcher.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await fetched(app)
            assert (await fetched(app)).status_code == 200
        await watcher.close()

    run(test())


def test_the_oldest_transaction_is_that_of_anyone(door: str, empty_url: str) -> None:
    async def test() -> float:
        other = await asyncpg.connect(empty_url)
        async with opened_source(door, empty_url) as source, other.transaction():
            await other.execute("SELECT pg_sleep(0.05)")
            found: float = (await asked(source)).json()["oldest_transaction_s"]
        await other.close()
        return found

    assert run(test()) >= 0.05


def test_a_role_that_may_not_see_the_others_says_that_it_does_not_know(empty_url: str) -> None:
    parts = urlsplit(empty_url)
    url = parts._replace(netloc=f"nobody_special:secret@{parts.hostname}:{parts.port}").geturl()

    async def test() -> dict[str, Any]:
        async with await psycopg.AsyncConnection.connect(empty_url, autocommit=True) as admin:
            await admin.execute("CREATE ROLE nobody_special LOGIN PASSWORD 'secret'")
            try:
                async with opened_source("asyncpg", url) as source:
                    found: dict[str, Any] = (await asked(source)).json()
                    return found
            finally:
                await admin.execute("DROP ROLE nobody_special")

    found = run(test())

    assert found["status"] == "ok"
    assert found["oldest_transaction_s"] is None
    assert "oldest_transaction_s" in found["unknown"]


def test_a_pool_that_is_not_open_is_503(empty_url: str) -> None:
    answer = run(asked(pool(empty_url)))

    assert answer.status_code == 503
    assert answer.json()["reason"] == "the pool is not open"


def test_an_engine_without_a_pool_knows_nothing_of_it(empty_url: str) -> None:
    async def test() -> dict[str, Any]:
        url = empty_url.replace("postgresql://", "postgresql+asyncpg://", 1)
        engine = create_async_engine(url, poolclass=NullPool)
        found: dict[str, Any] = (await asked(engine)).json()
        await engine.dispose()
        return found

    found = run(test())

    assert found["status"] == "ok"
    assert {"max_size", "size", "in_use", "idle", "waiting"} <= set(found["unknown"])


def test_an_app_of_fastapi_takes_the_route_in(empty_url: str) -> None:
    async def test() -> httpx.Response:
        db = pool(empty_url)
        app = FastAPI()
        app.router.routes.append(health(db, "/ready"))
        async with db:
            return await fetched(app, "/ready")

    assert run(test()).json()["status"] == "ok"


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"unslow_pool_{name}", {"pool": "default", **labels})


def test_metrics_are_read_when_they_are_asked_for(empty_url: str) -> None:
    registry = CollectorRegistry()
    db = pool(empty_url, max_size=2)
    metrics(db, registry)

    async def test() -> None:
        assert sample(registry, "in_use") is None
        async with db:
            async with db.connect():
                assert sample(registry, "in_use") == 1
                assert sample(registry, "max_size") == 2
            assert sample(registry, "in_use") == 0
            assert sample(registry, "idle") == 1
            assert sample(registry, "waiting") == 0
            assert sample(registry, "wait_seconds_count") == 1
            assert sample(registry, "wait_seconds_bucket", le="+Inf") == 1
            assert (sample(registry, "wait_seconds_sum") or 0) > 0

    run(test())


def test_what_a_library_does_not_tell_is_no_metric(door: str, empty_url: str) -> None:
    registry = CollectorRegistry()

    async def test() -> str:
        async with opened_source(door, empty_url, 2) as source:
            metrics(source, registry)
            return generate_latest(registry).decode()

    text = run(test())

    assert 'unslow_pool_max_size{pool="default"} 2.0' in text
    assert ('unslow_pool_waiting{pool="default"}' in text) == (door == "psycopg")
    assert 'unslow_pool_wait_seconds_count{pool="default"}' not in text


def test_pools_share_a_registry_under_names_of_their_own(empty_url: str) -> None:
    registry = CollectorRegistry()
    first, second = pool(empty_url, name="first"), pool(empty_url, name="second")

    assert metrics(first, registry) is metrics(second, registry) is metrics(first, registry)
    with pytest.raises(DefinitionError, match="got a second pool with the name 'first'"):
        metrics(pool(empty_url, name="first"), registry)


def test_without_the_library_it_says_what_to_install(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("prometheus_client"):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingLibraryError, match="pip install prometheus-client"):
        metrics(pool(empty_url))

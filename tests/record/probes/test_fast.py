"""The probe of `unslow.fast`, on a real server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

import asyncpg
import pytest
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.record.probes.asgi import Answer, exchange, receipt_ms
from tests.record.probes.conftest import Bench
from tests.record.probes.slices import milliseconds, slices_of, wall_ms
from unslow.current import OpenTrace
from unslow.fast import Keyset, View, coalesce, ingest
from unslow.fast.errors import NotOpenError, OverloadedError
from unslow.fast.gathering import Coalesced, Rows
from unslow.fast.ingestion.group_commit import GroupCommit
from unslow.model.trace import SQL
from unslow.record.place import resolve

WAIT_S = 0.05
DOUBLES = "SELECT k, 2 * k FROM unnest($1::int[]) AS k"
SLOW_DOUBLES = f"SELECT k, 2 * k, pg_sleep({WAIT_S}) FROM unnest($1::int[]) AS k"


class Base(DeclarativeBase):
    pass


class Bird(Base):
    __tablename__ = "birds"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class BirdOut(BaseModel):
    id: int
    name: str


@pytest.fixture
def probed(bench: Bench) -> Bench:
    bench.install("asyncpg", "fast", "fastapi", "starlette")
    return bench


@asynccontextmanager
async def birds(url: str) -> AsyncIterator[Any]:
    async with asyncpg.create_pool(url, min_size=1, max_size=3) as pool:
        await pool.execute("CREATE TABLE IF NOT EXISTS birds (id int PRIMARY KEY, name text)")
        await pool.execute("INSERT INTO birds SELECT i, 'bird ' || i FROM generate_series(1, 9) i")
        yield pool


def traced(bench: Bench, url: str, work: Callable[[Any], Awaitable[Any]]) -> OpenTrace:
    async def case() -> OpenTrace:
        async with birds(url) as pool:
            return await bench.run_async(lambda: work(pool))

    return asyncio.run(case())


def test_a_gathered_read_is_sql_as_long_as_it_is_waited_for(
    probed: Bench, database_url: str
) -> None:
    async def work(pool: Any) -> None:
        await coalesce(Rows(pool, SLOW_DOUBLES))(4)

    trace = traced(probed, database_url, work)
    (only,) = slices_of(trace, SQL)
    (statement,) = trace.statements
    place = resolve(statement.place)

    assert statement.index == only[3]
    assert (SLOW_DOUBLES, "unslow.fast", (4,)) == (
        statement.text,
        statement.driver,
        statement.parameters,
    )
    assert WAIT_S * 1000 <= milliseconds([only]) <= wall_ms(trace)
    assert place is not None
    assert __file__ == place[0]


def test_look_ups_of_a_request_that_go_together_are_one_statement(
    probed: Bench, database_url: str
) -> None:
    async def work(pool: Any) -> None:
        double = coalesce(Rows(pool, DOUBLES))
        await asyncio.gather(*map(double, range(5)))
        for key in range(2):
            await double(key)

    trace = traced(probed, database_url, work)

    assert 3 == len(trace.statements)
    assert 7 == len(slices_of(trace, SQL))


def test_of_two_requests_that_share_a_statement_each_has_it(
    probed: Bench, database_url: str
) -> None:
    async def case() -> list[OpenTrace]:
        async with birds(database_url) as pool:
            double = coalesce(Rows(pool, SLOW_DOUBLES), max_workers=1)
            return await asyncio.gather(
                *(probed.run_async(partial(double, key)) for key in range(3))
            )

    traces = asyncio.run(case())

    assert [1, 1, 1] == [len(trace.statements) for trace in traces]
    assert [(0,), (1,), (2,)] == [trace.statements[0].parameters for trace in traces]


def test_a_function_of_the_apps_own_is_not_called_sql(probed: Bench, database_url: str) -> None:
    async def ask(keys: list[int]) -> dict[int, int]:
        return {key: key for key in keys}

    async def work(_pool: Any) -> None:
        await coalesce(ask)(1)

    trace = traced(probed, database_url, work)

    assert [] == trace.statements
    assert [] == slices_of(trace, SQL)


@pytest.mark.parametrize("make", ["json", "rows"])
def test_what_a_view_reads_is_sql(probed: Bench, database_url: str, make: Any) -> None:
    async def work(pool: Any) -> None:
        keyset = Keyset(Bird.id, secret="not a secret, 16 bytes")
        view = View(BirdOut, Bird, pool, keyset=keyset, make=make)
        await view.document(1)
        await view.list_document(limit=2)

    trace = traced(probed, database_url, work)
    texts = [one.text for one in trace.statements if "birds.name" in one.text]

    assert ["ANY", "LIMIT 3"] == [
        next(word for word in ("ANY", "LIMIT 3") if word in text) for text in texts
    ]


def test_an_event_that_is_stored_is_sql_until_it_is_committed(
    probed: Bench, database_url: str
) -> None:
    async def work(pool: Any) -> None:
        async with ingest(BirdOut, pool, table="birds") as events:
            await events.add(BirdOut(id=10, name="secret"))

    trace = traced(probed, database_url, work)
    (statement,) = [one for one in trace.statements if one.driver == "unslow.fast"]

    assert statement.text.startswith('INSERT INTO "birds"')
    assert statement.parameters is None


def test_what_is_refused_at_once_has_waited_for_no_statement(
    probed: Bench, database_url: str
) -> None:
    async def work(pool: Any) -> None:
        events = ingest(BirdOut, pool, table="birds")
        async with events:
            pass
        with pytest.raises(NotOpenError):
            await events.add(BirdOut(id=11, name="late"))
        with pytest.raises(OverloadedError):
            await coalesce(Rows(pool, DOUBLES), max_waiting=0)(1)

    trace = traced(probed, database_url, work)

    assert [] == [one for one in trace.statements if one.driver == "unslow.fast"]


def test_a_bug_of_ours_reaches_no_request_and_switches_the_probe_off(
    breaking_bench: Bench, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> str:
        raise RuntimeError

    breaking_bench.install("fast")
    monkeypatch.setattr(Coalesced, "text", broken)
    found: list[Any] = []

    async def work(pool: Any) -> None:
        found.append(await coalesce(Rows(pool, DOUBLES))(4))

    traced(breaking_bench, database_url, work)

    assert [[4, 8]] == [[*one] for one in found]
    assert "broke: RuntimeError" == breaking_bench.recorder.coverage["fast"].why


def test_an_error_and_a_time_limit_end_the_wait(probed: Bench, database_url: str) -> None:
    async def work(pool: Any) -> None:
        read = coalesce(Rows(pool, "SELECT 1 / k FROM unnest($1::int[]) AS k"))
        with pytest.raises(asyncpg.DivisionByZeroError):
            await read(0)
        slow = coalesce(Rows(pool, SLOW_DOUBLES))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(WAIT_S / 10):
                await slow(1)

    trace = traced(probed, database_url, work)
    _, late = slices_of(trace, SQL)

    assert 2 == len(trace.statements)
    assert milliseconds([late]) < WAIT_S * 1000


def test_a_dependency_that_reads_leaves_the_frameworks_own_notes_alone(
    probed: Bench, database_url: str
) -> None:
    async def case() -> Answer:
        async with birds(database_url) as pool:
            double = coalesce(Rows(pool, SLOW_DOUBLES))

            async def doubled(key: int) -> int:
                found = await double(key)
                return 0 if found is None else int(found[1])

            app = FastAPI()

            @app.get("/{key}")
            async def show(value: Annotated[int, Depends(doubled)]) -> int:
                return value

            probed.recorder.recording = True
            return await exchange(app, "/4")

    answer = asyncio.run(case())
    (trace,) = probed.recorder.closed
    receipt = receipt_ms(trace)

    assert b"8" == answer.body
    assert [SLOW_DOUBLES] == [one.text for one in trace.statements]
    assert WAIT_S * 1000 <= receipt["sql"]
    assert receipt.get("unexplained", 0.0) < WAIT_S * 1000 / 2


def test_outside_of_a_request_nothing_is_kept_and_the_end_takes_it_all_back(
    bench: Bench, database_url: str
) -> None:
    before = (Coalesced.__call__, Coalesced._arrive, GroupCommit.store)
    bench.install("fast")

    async def case() -> Any:
        async with birds(database_url) as pool:
            return await coalesce(Rows(pool, DOUBLES))(2)

    assert [2, 4] == [*asyncio.run(case())]

    bench.probes.stop()

    assert before == (Coalesced.__call__, Coalesced._arrive, GroupCommit.store)
    assert {"unslow.fast gathered reads", "unslow.fast ingest"} == set(bench.recorder.coverage)

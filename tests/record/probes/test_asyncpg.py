"""The asyncpg probe, on a real server."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from contextvars import Context
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import uvloop
from asyncpg import connect_utils, connection, cursor, pool, protocol

from tests.record.probes.conftest import Bench
from unslow.current import LANE, Lane, OpenStatement, OpenTrace, clock
from unslow.model.codec import trace_of
from unslow.model.trace import CLOSED, CONNECT, GIVEN_BACK, POOL_WAIT, ROWS, SQL
from unslow.record.catalogue import PROBES
from unslow.record.finish import finished
from unslow.record.place import resolve

Work = Callable[[Any], Awaitable[Any]]

PROBE = next(probe for probe in PROBES if probe.name == "asyncpg")

VALUES = "SELECT n FROM generate_series(1, $1) AS n"
TABLE = "CREATE TABLE bird (id int, name text)"
INSERT = "INSERT INTO bird VALUES ($1, $2) RETURNING id"


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[Any]], Any]:
    """Runs a coroutine to its end, on each kind of event loop."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run(coroutine: Any) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(coroutine)

    return run


def slices(trace: OpenTrace, *segments: int) -> list[tuple[int, Any]]:
    return [
        (segment, what)
        for lane in trace.lanes
        for _, _, segment, what, _ in lane.slices
        if segment in (segments or (SQL, ROWS, CONNECT, POOL_WAIT))
    ]


def lasted_ms(trace: OpenTrace, segment: int) -> list[float]:
    return [
        (end - start) / 1e6
        for lane in trace.lanes
        for start, end, kind, _, _ in lane.slices
        if kind == segment
    ]


def only(trace: OpenTrace) -> OpenStatement:
    (statement,) = trace.statements
    return statement


async def traced_on_connection(bench: Bench, url: str, work: Work) -> tuple[Any, OpenTrace]:
    results = []
    connected = await asyncpg.connect(url)
    try:
        await connected.execute(TABLE)

        async def request() -> None:
            results.append(await work(connected))

        trace = await bench.run_async(request)
    finally:
        await connected.close()
    return results[0], trace


async def traced_on_pool(bench: Bench, url: str, work: Work) -> tuple[Any, OpenTrace]:
    results = []
    async with asyncpg.create_pool(url, min_size=1, max_size=2) as connections:
        await connections.execute(TABLE)

        async def request() -> None:
            results.append(await work(connections))

        trace = await bench.run_async(request)
    return results[0], trace


async def traced_on_proxy(bench: Bench, url: str, work: Work) -> tuple[Any, OpenTrace]:
    async def with_connection(connections: Any) -> Any:
        async with connections.acquire() as connected:
            return await work(connected)

    return await traced_on_pool(bench, url, with_connection)


FORMS = {
    "execute": (lambda c: c.execute("SELECT 1"), "SELECT 1", None, 1),
    "execute with arguments": (lambda c: c.execute(VALUES, 3), VALUES, 3, 1),
    "fetch": (lambda c: c.fetch(VALUES, 3), VALUES, 3, 1),
    "fetch by keyword": (lambda c: c.fetch(query="SELECT 7", timeout=5), "SELECT 7", 1, 1),
    "fetchrow": (lambda c: c.fetchrow(VALUES, 3), VALUES, 1, 1),
    "fetchval": (lambda c: c.fetchval(VALUES, 3, column=0), VALUES, 1, 1),
    "executemany": (
        lambda c: c.executemany(INSERT, [(1, "owl"), (2, "wren")]),
        INSERT,
        None,
        2,
    ),
    "copy_records_to_table": (
        lambda c: c.copy_records_to_table("bird", records=[(1, "owl")]),
        'COPY "bird" FROM STDIN (FORMAT binary)',
        None,
        1,
    ),
    "copy_to_table": (
        lambda c: c.copy_to_table("bird", source=io.BytesIO(b"1\towl\n")),
        'COPY "bird" FROM STDIN',
        None,
        1,
    ),
    "copy_from_query": (
        lambda c: c.copy_from_query("SELECT 1", output=io.BytesIO()),
        "COPY (SELECT 1) TO STDOUT",
        None,
        1,
    ),
}
if hasattr(connection.Connection, "fetchmany"):  # since 0.30
    FORMS["fetchmany"] = (
        lambda c: c.fetchmany(INSERT, [(1, "owl"), (2, "wren")]),
        INSERT,
        2,
        2,
    )


@pytest.mark.parametrize("traced", [traced_on_connection, traced_on_pool, traced_on_proxy])
@pytest.mark.parametrize("form", FORMS)
def test_each_call_is_one_statement_with_its_text(
    bench: Bench, database_url: str, form: str, traced: Any
) -> None:
    bench.install("asyncpg")
    work, text, rows_count, executions_count = FORMS[form]

    _, trace = asyncio.run(traced(bench, database_url, work))

    statement = only(trace)
    assert text == statement.text.rstrip()
    assert "asyncpg" == statement.driver
    assert rows_count == statement.rows_count
    assert executions_count == statement.executions_count
    assert (SQL, statement.index) in slices(trace)
    assert slices(trace, ROWS) == []


@pytest.mark.parametrize("form", FORMS)
def test_results_are_the_same_with_and_without_the_probe(
    bench: Bench, new_database: Any, form: str
) -> None:
    work = FORMS[form][0]
    with new_database() as url:
        without, _ = asyncio.run(traced_on_proxy(bench, url, work))
    bench.install("asyncpg")
    with new_database() as url:
        with_probe, _ = asyncio.run(traced_on_proxy(bench, url, work))

    assert without == with_probe


def test_the_statement_names_the_line_that_sent_it(bench: Bench, database_url: str) -> None:
    bench.install("asyncpg")

    async def sends(connections: Any) -> None:
        await connections.fetch("SELECT 1")

    _, trace = asyncio.run(traced_on_pool(bench, database_url, sends))

    place = resolve(only(trace).place)
    assert place is not None
    assert [__file__, sends.__code__.co_firstlineno + 1] == list(place)[:2]


def test_a_prepared_statement_counts_when_it_is_executed(
    bench: Bench, database_url: str, run: Any
) -> None:
    bench.install("asyncpg")

    async def work(connected: Any) -> Any:
        prepared = await connected.prepare(VALUES)
        return [
            await prepared.fetch(3),
            await prepared.fetchrow(3),
            await prepared.fetchval(3),
            await prepared.executemany([(1,), (2,)]),
        ]

    result, trace = run(traced_on_connection(bench, database_url, work))

    assert [3, 1, 1, None] == [statement.rows_count for statement in trace.statements]
    assert [1, 1, 1, 2] == [statement.executions_count for statement in trace.statements]
    assert {VALUES} == {statement.text for statement in trace.statements}
    assert [(SQL, None), (SQL, 0), (SQL, 1), (SQL, 2), (SQL, 3)] == slices(trace)
    assert [3, 1, 1] == [len(result[0]), result[1]["n"], result[2]]


def test_a_cursor_is_one_statement_and_its_further_pages_are_rows(
    bench: Bench, database_url: str, run: Any
) -> None:
    bench.install("asyncpg")

    async def work(connected: Any) -> int:
        count = 0
        async with connected.transaction():
            async for _ in connected.cursor(VALUES, 25, prefetch=10):
                count += 1
        return count

    count, trace = run(traced_on_connection(bench, database_url, work))

    assert 25 == count
    assert ["BEGIN;", VALUES, "COMMIT;"] == [one.text for one in trace.statements]
    assert 25 == trace.statements[1].rows_count
    closing = [(ROWS, 1)] if hasattr(protocol.Protocol, "close_portal") else []
    assert [
        (SQL, 0),
        (SQL, None),
        (SQL, 1),
        (ROWS, 1),
        (ROWS, 1),
        *closing,
        (SQL, 2),
    ] == slices(trace)


def test_an_awaited_cursor_is_one_statement(bench: Bench, database_url: str) -> None:
    bench.install("asyncpg")

    async def work(connected: Any) -> Any:
        async with connected.transaction():
            cursor = await connected.cursor(VALUES, 25)
            one = await cursor.fetchrow()
            skipped = await cursor.forward(4)
            return one["n"], skipped, len(await cursor.fetch(10))

    result, trace = asyncio.run(traced_on_connection(bench, database_url, work))

    assert (1, 4, 10) == result
    assert ["BEGIN;", VALUES, "COMMIT;"] == [one.text for one in trace.statements]
    assert 11 == trace.statements[1].rows_count
    assert [(ROWS, 1), (ROWS, 1), (ROWS, 1)] == slices(trace, ROWS)


def test_transactions_are_the_statements_they_send(bench: Bench, database_url: str) -> None:
    bench.install("asyncpg")

    async def work(connected: Any) -> None:
        async with connected.transaction():
            await connected.fetch("SELECT 1")
        with pytest.raises(ZeroDivisionError):
            async with connected.transaction(isolation="serializable"):
                raise ZeroDivisionError

    _, trace = asyncio.run(traced_on_connection(bench, database_url, work))

    assert [
        "BEGIN;",
        "SELECT 1",
        "COMMIT;",
        "BEGIN ISOLATION LEVEL SERIALIZABLE;",
        "ROLLBACK;",
    ] == [one.text for one in trace.statements]


def test_what_the_driver_asks_for_itself_belongs_to_the_statement(
    bench: Bench, database_url: str
) -> None:
    bench.install("asyncpg")

    async def work(connected: Any) -> Any:
        await connected.execute("CREATE TYPE mood AS ENUM ('sad', 'happy')")
        await connected.execute("CREATE TYPE pair AS (a int, b mood)")
        await connected.prepare("SELECT NULL::pair")
        return await connected.fetchval("SELECT (1, 'happy')::pair")

    result, trace = asyncio.run(traced_on_connection(bench, database_url, work))

    assert (1, "happy") == tuple(result)
    assert ["CREATE TYPE mood", "CREATE TYPE pair", "SELECT (1, 'happ"] == [
        one.text[:16] for one in trace.statements
    ]
    assert [(SQL, 0), (SQL, 1), (SQL, None), (SQL, 2)] == slices(trace)


def test_opening_and_closing_a_connection_is_connect(
    bench: Bench, database_url: str, run: Any
) -> None:
    bench.install("asyncpg")

    async def request() -> None:
        connected = await asyncpg.connect(database_url)
        await connected.reset()
        await connected.close()

    async def main() -> OpenTrace:
        return await bench.run_async(request)

    trace = run(main())

    address = urlsplit(database_url)
    name = f"asyncpg {address.hostname}:{address.port}{address.path}"
    assert [(CONNECT, name), (CONNECT, GIVEN_BACK), (CONNECT, CLOSED)] == slices(trace)
    assert [] == trace.statements


def test_a_connection_that_fails_closes_its_slice(bench: Bench) -> None:
    bench.install("asyncpg")

    async def request() -> None:
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncpg.connect("postgresql://nobody:secret@127.0.0.1:1/none")

    trace = bench.run(request)

    assert [(CONNECT, "asyncpg")] == slices(trace)


def test_who_gives_back_waits_for_the_task_that_does_it_and_that_is_no_connect(
    bench: Bench, database_url: str, run: Any
) -> None:
    bench.install("asyncpg")

    def hold_the_loop() -> None:
        end = clock() + 20_000_000
        while clock() < end:
            pass

    async def work(connections: Any) -> None:
        connected = await connections.acquire()
        asyncio.get_running_loop().call_soon(hold_the_loop, context=Context())
        await connections.release(connected)

    _, trace = run(traced_on_pool(bench, database_url, work))

    of_its_own = [end - start for start, end, kind, _, _ in trace.root.slices if kind == CONNECT]
    assert 2 == len(of_its_own)
    assert sum(of_its_own) < 10_000_000


def test_a_pool_records_wait_hold_and_reset(bench: Bench, database_url: str, run: Any) -> None:
    bench.install("asyncpg")

    async def work(connections: Any) -> None:
        async with connections.acquire() as connected:
            await connected.fetch("SELECT pg_sleep(0.02)")

    _, trace = run(traced_on_pool(bench, database_url, work))

    address = urlsplit(database_url)
    name = f"asyncpg {address.hostname}:{address.port}{address.path}"
    assert sum(lasted_ms(trace, POOL_WAIT)) < 5
    # Before and behind the task that asyncpg makes for it, and in there the reset.
    assert [(CONNECT, GIVEN_BACK)] * 3 == slices(trace, CONNECT)
    assert [2, 1] == [sum(one[2] == CONNECT for one in lane.slices) for lane in trace.lanes]
    ((held, start, end, place),) = trace.holds
    assert f"{name} pool 1-2" == held
    assert 20 <= (end - start) / 1e6
    assert place is not None
    assert ["SELECT pg_sleep(0.02)"] == [one.text for one in trace.statements]


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_connecting_for_a_pool_lies_within_the_wait(
    bench: Bench, database_url: str, timeout: float | None
) -> None:
    bench.install("asyncpg")

    async def main() -> OpenTrace:
        async with asyncpg.create_pool(database_url, min_size=0, max_size=1) as connections:

            async def request() -> None:
                async with connections.acquire(timeout=timeout):
                    pass

            return await bench.run_async(request)

    trace = asyncio.run(main())

    (waited,) = [one for lane in trace.lanes for one in lane.slices if one[2] == POOL_WAIT]
    connects = [one for lane in trace.lanes for one in lane.slices if one[2] == CONNECT]
    assert waited[0] <= connects[0][0] < connects[0][1] <= waited[1]


def test_a_pool_that_is_held_is_waited_for_by_one_and_held_by_the_other(
    bench: Bench, database_url: str, run: Any
) -> None:
    bench.install("asyncpg")

    async def main() -> tuple[OpenTrace, OpenTrace]:
        async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as connections:
            taken = asyncio.Event()

            async def holder() -> None:
                async with connections.acquire():
                    taken.set()
                    await asyncio.sleep(0.05)

            async def waiter() -> None:
                await connections.fetch("SELECT 1")

            first = asyncio.create_task(bench.run_async(holder))
            await taken.wait()
            second = await bench.run_async(waiter)
            return await first, second

    held, waited = run(main())

    (hold,) = held.holds
    (wait,) = [one for one in waited.root.slices if one[2] == POOL_WAIT]
    assert hold[0] == wait[3]
    assert 50 <= (hold[2] - hold[1]) / 1e6
    # The wait lies in the hold but for its beginning, and ends when the hold does.
    assert 40 <= lasted_ms(waited, POOL_WAIT)[0]
    assert abs(hold[2] - wait[1]) / 1e6 <= 10


def test_a_wait_that_times_out_is_recorded_without_a_hold(bench: Bench, database_url: str) -> None:
    bench.install("asyncpg")

    async def main() -> OpenTrace:
        async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as connections:

            async def request() -> None:
                with pytest.raises(asyncio.TimeoutError):
                    await connections.acquire(timeout=0.03)

            async with connections.acquire():
                return await bench.run_async(request)

    trace = asyncio.run(main())

    assert 30 <= lasted_ms(trace, POOL_WAIT)[0] <= 4_000
    assert [] == trace.holds


def test_a_connection_that_dies_ends_its_hold(bench: Bench, database_url: str) -> None:
    bench.install("asyncpg")

    async def work(connections: Any) -> None:
        connected = await connections.acquire()
        connected.terminate()

    _, trace = asyncio.run(traced_on_pool(bench, database_url, work))

    ((_, start, end, _),) = trace.holds
    assert start < end


def test_an_error_closes_the_slice_and_passes(bench: Bench, database_url: str, run: Any) -> None:
    bench.install("asyncpg")

    async def work(connected: Any) -> None:
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await connected.fetch("SELEKT")
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await connected.execute("SELEKT")
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await connected.prepare("SELEKT")
        with pytest.raises(asyncpg.DataError):
            await connected.fetch(VALUES, "three")
        assert 0 == LANE.get().inside_sql  # type: ignore[union-attr]  # in a trace
        await connected.fetch("SELECT 1")

    _, trace = run(traced_on_connection(bench, database_url, work))

    assert ["SELEKT", "SELEKT", VALUES, "SELECT 1"] == [one.text for one in trace.statements]
    assert [None, None, None, 1] == [one.rows_count for one in trace.statements]
    assert [(SQL, 0), (SQL, 1), (SQL, None), (SQL, 2), (SQL, 3)] == slices(trace)


@pytest.mark.parametrize("method", ["fetch", "execute"])
def test_a_timeout_closes_the_slice_and_passes(
    bench: Bench, database_url: str, run: Any, method: str
) -> None:
    bench.install("asyncpg")

    async def work(connected: Any) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await getattr(connected, method)("SELECT pg_sleep(5)", timeout=0.05)
        await connected.fetch("SELECT 1")

    _, trace = run(traced_on_connection(bench, database_url, work))

    assert ["SELECT pg_sleep(5)", "SELECT 1"] == [one.text for one in trace.statements]
    assert 45 <= lasted_ms(trace, SQL)[0] <= 4_000


@pytest.mark.parametrize("method", ["fetch", "execute"])
def test_cancelling_closes_the_slice_and_passes(
    bench: Bench, database_url: str, run: Any, method: str
) -> None:
    bench.install("asyncpg")

    async def work(connected: Any) -> None:
        async def sleeps() -> None:
            await getattr(connected, method)("SELECT pg_sleep(5)")

        task = asyncio.create_task(sleeps())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await connected.fetch("SELECT 1")

    _, trace = run(traced_on_connection(bench, database_url, work))

    assert ["SELECT pg_sleep(5)", "SELECT 1"] == [one.text for one in trace.statements]
    assert [(SQL, 0), (SQL, 1)] == sorted(slices(trace, SQL))
    assert [0, 0] == [lane.inside_sql for lane in trace.lanes[:2]]


def test_requests_at_once_never_mix(bench: Bench, database_url: str, run: Any) -> None:
    bench.install("asyncpg")

    async def main() -> list[OpenTrace]:
        async with asyncpg.create_pool(database_url, min_size=3, max_size=3) as connections:

            async def request(number: int) -> None:
                async with connections.acquire() as connected:
                    for _ in range(3):
                        await connected.fetch(f"SELECT {number}, pg_sleep(0.001)")
                await connections.execute(f"SELECT {number}")

            return await asyncio.gather(
                *(bench.run_async(partial(request, number)) for number in range(20))
            )

    traces = run(main())

    for number, trace in enumerate(traces):
        sleeping, plain = f"SELECT {number}, pg_sleep(0.001)", f"SELECT {number}"
        assert [sleeping] * 3 + [plain] == [one.text for one in trace.statements]
        assert [(SQL, 0), (SQL, 1), (SQL, 2), (SQL, 3)] == slices(trace, SQL)
        assert 2 == len(trace.holds)
        assert all(end > start for _, start, end, _ in trace.holds)


def test_nothing_is_recorded_outside_a_trace(
    bench: Bench, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.install("asyncpg")
    recorded: list[Any] = []
    monkeypatch.setattr(Lane, "add", lambda *what: recorded.append(what))
    monkeypatch.setattr(Lane, "new_statement", lambda *what: recorded.append(what))

    async def main() -> None:
        async with (
            asyncpg.create_pool(database_url, min_size=1, max_size=1) as connections,
            connections.acquire() as connected,
            connected.transaction(),
        ):
            await connected.fetch(VALUES, 3)
            assert 25 == len([row async for row in connected.cursor(VALUES, 25)])

    asyncio.run(main())

    assert [] == recorded


def test_it_is_silent_inside_a_statement_that_is_recorded_above(
    bench: Bench, database_url: str
) -> None:
    bench.install("asyncpg")

    async def work(connections: Any) -> None:
        lane = LANE.get()
        assert lane is not None
        lane.inside_sql += 1
        async with connections.acquire() as connected, connected.transaction():
            await connected.fetch(VALUES, 3)
            await (await connected.prepare(VALUES)).fetch(4)
            assert 25 == len([row async for row in connected.cursor(VALUES, 25)])
        assert 1 == lane.inside_sql
        lane.inside_sql -= 1

    _, trace = asyncio.run(traced_on_pool(bench, database_url, work))

    assert [] == trace.statements
    assert [] == slices(trace, SQL, ROWS, POOL_WAIT)


def test_rows_of_a_statement_that_is_recorded_above_are_its_rows_and_not_counted(
    bench: Bench, database_url: str
) -> None:
    bench.install("asyncpg")

    async def work(connected: Any) -> None:
        lane = LANE.get()
        assert lane is not None
        async with connected.transaction():
            lane.new_statement(VALUES, "above", None)
            lane.inside_sql += 1
            cursor = await connected.cursor(VALUES, 25)
            lane.inside_sql -= 1
            assert 10 == len(await cursor.fetch(10))

    _, trace = asyncio.run(traced_on_connection(bench, database_url, work))

    assert ["BEGIN;", VALUES, "COMMIT;"] == [one.text for one in trace.statements]
    assert None is trace.statements[1].rows_count
    assert [(ROWS, 1)] == slices(trace, ROWS)


def test_two_cursors_of_one_text_keep_their_rows_apart(bench: Bench, database_url: str) -> None:
    bench.install("asyncpg")

    async def work(connected: Any) -> None:
        async with connected.transaction():
            one = await connected.cursor(VALUES, 25)
            two = await connected.cursor(VALUES, 25)
            await one.fetch(3)
            await two.fetch(5)
            await one.fetch(4)

    _, trace = asyncio.run(traced_on_connection(bench, database_url, work))

    assert [7, 5] == [one.rows_count for one in trace.statements if one.text == VALUES]


def test_parameters_leave_the_request_only_when_they_are_asked_for(
    bench: Bench, database_url: str
) -> None:
    bench.install("asyncpg")

    async def work(connected: Any) -> None:
        await connected.fetch(VALUES, 4)

    _, trace = asyncio.run(traced_on_connection(bench, database_url, work))

    assert [None] == [one.parameters for one in trace_of(finished(trace)).statements]
    with_values = trace_of(finished(trace, with_values=True))
    assert ["(4,)"] == [one.parameters for one in with_values.statements]


def test_the_arrival_is_known_although_the_loop_was_busy(
    bench: Bench, database_url: str, run: Any
) -> None:
    bench.install("asyncpg")

    async def work(connected: Any) -> int:
        async def sends() -> None:
            await connected.execute("SELECT pg_sleep(0.02)")

        sending = asyncio.create_task(sends())
        started = clock()
        await asyncio.sleep(0.005)
        while clock() < started + 120_000_000:
            pass
        await sending
        return started

    started, trace = run(traced_on_connection(bench, database_url, work))

    (step,) = [one for one in trace.lanes[1].steps if one[3]]
    begins, _, _, arrived = step
    assert started + 15e6 <= arrived <= started + 80e6
    assert begins - arrived >= 30e6


def test_undoing_leaves_nothing_behind(bench: Bench, database_url: str) -> None:
    owners = (
        connection.Connection,
        protocol.Protocol,
        cursor.Cursor,
        connect_utils,
        pool.Pool,
        pool.PoolConnectionHolder,
    )
    before = [dict(vars(owner)) for owner in owners]
    bench.install("asyncpg")
    changed = [dict(vars(owner)) for owner in owners]
    bench.probes.stop()

    assert all(one != other for one, other in zip(before, changed, strict=True))
    assert before == [dict(vars(owner)) for owner in owners]


def test_a_bug_of_ours_switches_the_probe_off_and_the_app_goes_on(
    bench: Bench, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.install("asyncpg")
    before = connection.Connection._execute

    def breaks(*_: Any) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(Lane, "new_statement", breaks)

    async def work(connected: Any) -> Any:
        return await connected.fetchval("SELECT 7")

    result, _ = asyncio.run(traced_on_connection(bench, database_url, work))

    broke = bench.recorder.coverage.pop("asyncpg")
    assert 7 == result
    assert ("off", "broke: RuntimeError") == (broke.state, broke.why)
    assert before is not connection.Connection._execute


def looks_otherwise(self: Any, other: Any) -> None:
    """What a later version might have made of a name."""


def test_a_private_name_that_looks_otherwise_keeps_the_probe_off(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection.Connection, "_execute", looks_otherwise)
    changed = connection.Connection._execute
    bench.probes.start(PROBE, "asyncpg")

    coverage = bench.recorder.coverage["asyncpg"]
    assert "off" == coverage.state
    assert "_execute takes" in coverage.why
    assert changed is connection.Connection._execute


def test_an_old_version_is_off_and_a_new_one_is_on_with_a_word(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncpg, "__version__", "0.27.0")
    bench.probes.start(PROBE, "asyncpg")
    monkeypatch.setattr(asyncpg, "__version__", "0.99.1")
    bench.probes.start(PROBE, "asyncpg")

    coverage = bench.recorder.coverage
    assert "off" == coverage["asyncpg"].state
    assert "on" == coverage["asyncpg " + "0.99.1"].state
    assert "newer" in coverage["asyncpg " + "0.99.1"].why

"""The psycopg probe, its sync and its async half, on a real server."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import psycopg
import psycopg_pool
import pytest
from psycopg import sql

from tests.record.probes.conftest import Bench
from tests.record.probes.slices import milliseconds, slices_of
from unslow.current import LANE, Lane, OpenTrace, clock
from unslow.model.codec import trace_of
from unslow.model.trace import CONNECT, GIVEN_BACK, POOL_WAIT, ROWS, SQL
from unslow.record.catalogue import PROBES
from unslow.record.finish import finished
from unslow.record.place import resolve

Work = Callable[[Any], Awaitable[Any]]

PROBE = next(probe for probe in PROBES if probe.name == "psycopg")

VALUES = "SELECT n FROM generate_series(1, %s) AS n"
TABLE = "CREATE TABLE bird (id int, name text)"
INSERT = "INSERT INTO bird VALUES (%s, %s)"


async def settled(value: Any) -> Any:
    """The result of a call, whether it was a sync or an async one."""
    return await value if inspect.isawaitable(value) else value


async def all_of(rows: Any) -> list[Any]:
    return [row async for row in rows] if hasattr(rows, "__aiter__") else list(rows)


@asynccontextmanager
async def entered(block: Any) -> AsyncIterator[Any]:
    if hasattr(block, "__aenter__"):
        async with block as inside:
            yield inside
    else:
        with block as inside:
            yield inside


class Side:
    """One half of psycopg: the same test body runs on both."""

    def __init__(self, prefix: str, bench: Bench, url: str) -> None:
        self._prefix = prefix
        self._bench = bench
        self.url = url
        address = urlsplit(url)
        self.address = f"psycopg {address.hostname}:{address.port}{address.path}"

    def __getattr__(self, name: str) -> Any:
        return getattr(psycopg, self._prefix + name)

    def pool(self, min_size: int, max_size: int, **options: Any) -> Any:
        """A pool as a context manager; it is full when entered."""
        kind = getattr(psycopg_pool, f"{self._prefix}ConnectionPool")
        return _full(kind(self.url, min_size=min_size, max_size=max_size, open=False, **options))

    def traced(self, work: Work, autocommit: bool = True) -> tuple[Any, OpenTrace]:
        """Result and trace of work on a connection that was there before."""
        results: list[Any] = []

        async def main() -> OpenTrace:
            connected = await settled(self.Connection.connect(self.url, autocommit=autocommit))
            async with entered(connected):
                await settled(connected.execute(TABLE))
                await settled(connected.commit())

                async def request() -> None:
                    results.append(await work(connected))

                return await self._bench.run_async(request)

        trace = asyncio.run(main())
        return results[0], trace


@asynccontextmanager
async def _full(pool: Any) -> AsyncIterator[Any]:
    await settled(pool.open())
    try:
        await settled(pool.wait())
        yield pool
    finally:
        await settled(pool.close())


@pytest.fixture(params=["", "Async"], ids=["sync", "async"])
def side(request: pytest.FixtureRequest, bench: Bench, database_url: str) -> Side:
    bench.install("psycopg")
    return Side(request.param, bench, database_url)


def what(trace: OpenTrace, *segments: int) -> list[tuple[int, Any]]:
    """The slices in the order of their starts."""
    found = slices_of(trace, *(segments or (SQL, ROWS, CONNECT, POOL_WAIT)))
    return [(segment, what) for _, _, segment, what, _ in found]


def texts(trace: OpenTrace) -> list[str]:
    return [statement.text for statement in trace.statements]


async def executes(connected: Any) -> Any:
    cursor = await settled(connected.execute(VALUES, [3]))
    return await settled(cursor.fetchall())


async def executes_on_a_cursor(connected: Any) -> Any:
    async with entered(connected.cursor()) as cursor:
        await settled(cursor.execute(query=VALUES, params=(3,)))
        first = await settled(cursor.fetchone())
        return [first, *await settled(cursor.fetchmany(1)), *await settled(cursor.fetchall())]


async def executes_bytes(connected: Any) -> Any:
    return await all_of(await settled(connected.execute(VALUES.encode(), [3])))


async def executes_prepared(connected: Any) -> Any:
    return await all_of(await settled(connected.execute(VALUES, [3], prepare=True)))


async def executes_on_a_client_cursor(connected: Any) -> Any:
    asynchronous = isinstance(connected, psycopg.AsyncConnection)
    kind: Any = psycopg.AsyncClientCursor if asynchronous else psycopg.ClientCursor
    async with entered(kind(connected)) as cursor:
        await settled(cursor.execute(VALUES, [3]))
        return await all_of(cursor)


async def streams(connected: Any) -> Any:
    async with entered(connected.cursor()) as cursor:
        return await all_of(cursor.stream(VALUES, [3]))


SELECTING = [
    executes,
    executes_on_a_cursor,
    executes_bytes,
    executes_prepared,
    executes_on_a_client_cursor,
    streams,
]


@pytest.mark.parametrize("work", SELECTING)
def test_each_call_is_one_statement_with_its_text(side: Side, work: Work) -> None:
    rows, trace = side.traced(work)

    (statement,) = trace.statements
    assert [(1,), (2,), (3,)] == rows
    assert (VALUES, "psycopg", 3) == (statement.text, statement.driver, statement.rows_count)
    assert 1 == statement.executions_count
    assert {(SQL, 0)} == set(what(trace, SQL))


@pytest.mark.parametrize("work", SELECTING)
def test_results_are_the_same_with_and_without_the_probe(side: Side, work: Work) -> None:
    with_probe, _ = side.traced(work)
    side._bench.probes.stop()

    async def without() -> Any:
        connected = await settled(side.Connection.connect(side.url))
        async with entered(connected):
            return await work(connected)

    assert asyncio.run(without()) == with_probe


def test_the_statement_names_the_line_that_sent_it(bench: Bench, database_url: str) -> None:
    bench.install("psycopg")

    def sends() -> None:
        with psycopg.connect(database_url, autocommit=True) as connected:
            connected.execute("SELECT 1")

    async def sends_async() -> None:
        async with await psycopg.AsyncConnection.connect(database_url) as connected:
            await connected.set_autocommit(True)
            await connected.execute("SELECT 1")

    for sending, line in ((sends, 2), (sends_async, 3)):
        place = resolve(bench.run(sending).statements[0].place)
        assert place is not None
        assert [__file__, sending.__code__.co_firstlineno + line] == list(place)[:2]


def test_a_statement_put_together_has_the_text_that_was_sent(side: Side) -> None:
    async def work(connected: Any) -> None:
        query = sql.SQL("SELECT n AS {} FROM generate_series(1, %s) AS n").format(
            sql.Identifier("number")
        )
        await settled(connected.execute(query, [3]))

    _, trace = side.traced(work)

    assert ['SELECT n AS "number" FROM generate_series(1, $1) AS n'] == texts(trace)


@pytest.mark.parametrize("returning", [False, True])
def test_executemany_is_one_statement(side: Side, returning: bool) -> None:
    async def work(connected: Any) -> Any:
        async with entered(connected.cursor()) as cursor:
            text = INSERT + (" RETURNING id" if returning else "")
            await settled(cursor.executemany(text, [(1, "owl"), (2, "wren")], returning=returning))
            return cursor.rowcount

    count, trace = side.traced(work)

    (statement,) = trace.statements
    assert INSERT == statement.text.partition(" RETURNING")[0]
    assert 2 == statement.executions_count
    assert (1 if returning else 2) == count
    assert {(SQL, 0)} == set(what(trace))


def test_streamed_rows_are_rows_and_are_kept_as_few_slices(side: Side) -> None:
    async def work(connected: Any) -> int:
        async with entered(connected.cursor()) as cursor:
            return len(await all_of(cursor.stream(VALUES, [2_000])))

    count, trace = side.traced(work)

    (statement,) = trace.statements
    assert 2_000 == count == statement.rows_count
    assert {(SQL, 0), (ROWS, 0)} == set(what(trace))
    assert len(what(trace, ROWS)) < 1_000


def test_a_stream_that_is_left_early_is_closed(side: Side) -> None:
    async def work(connected: Any) -> Any:
        cursor = connected.cursor()
        rows = cursor.stream(VALUES, [2_000])
        first = await (anext(rows) if hasattr(rows, "__anext__") else settled(next(rows)))
        await settled(rows.aclose() if hasattr(rows, "aclose") else rows.close())
        again = await settled(connected.execute("SELECT 7"))
        return first, await settled(again.fetchone())

    result, trace = side.traced(work)

    assert ((1,), (7,)) == result
    assert [VALUES, "SELECT 7"] == texts(trace)


def test_a_server_side_cursor_is_one_statement_and_its_pages_are_rows(side: Side) -> None:
    async def work(connected: Any) -> Any:
        async with (
            entered(connected.transaction()),
            entered(connected.cursor("pages")) as cursor,
        ):
            cursor.itersize = 10
            await settled(cursor.execute(VALUES, [25]))
            one = await settled(cursor.fetchone())
            two = await settled(cursor.fetchmany(2))
            await settled(cursor.scroll(2))
            return [one, *two, *await all_of(cursor)]

    rows, trace = side.traced(work)

    assert [(1,), (2,), (3,), *((number,) for number in range(6, 26))] == rows
    assert ["BEGIN", VALUES, "COMMIT"] == texts(trace)
    assert 23 == trace.statements[1].rows_count
    # One row, two rows, skipping, three pages, closing: some may follow at once.
    assert {(ROWS, 1)} == set(what(trace, ROWS))
    assert [(SQL, 0), (SQL, 1), (SQL, 2)] == what(trace, SQL)


def test_a_server_side_cursor_of_an_earlier_request_is_a_fetch(side: Side) -> None:
    async def main() -> tuple[Any, OpenTrace]:
        rows: list[Any] = []
        connected = await settled(side.Connection.connect(side.url))
        async with entered(connected), entered(connected.cursor("pages")) as cursor:

            async def declares() -> None:
                await settled(cursor.execute(VALUES, [2]))

            async def reads() -> None:
                rows.extend(await settled(cursor.fetchall()))

            await side._bench.run_async(declares)
            return rows, await side._bench.run_async(reads)

    rows, trace = asyncio.run(main())

    assert [(1,), (2,)] == rows
    assert ['FETCH FORWARD ALL FROM "pages"'] == texts(trace)


def test_copying_in_and_out_is_one_statement_each(side: Side) -> None:
    async def work(connected: Any) -> Any:
        async with entered(connected.cursor()) as cursor:
            async with entered(cursor.copy("COPY bird FROM STDIN")) as copy:
                for number in range(2_000):
                    await settled(copy.write_row((number, "wren" * 20)))
            async with entered(cursor.copy("COPY bird (id) TO STDOUT")) as copy:
                return len(await all_of(copy.rows()))

    count, trace = side.traced(work)

    assert 2_000 == count
    assert ["COPY bird FROM STDIN", "COPY bird (id) TO STDOUT"] == texts(trace)
    assert [None, None] == [statement.rows_count for statement in trace.statements]
    assert {(SQL, 0), (SQL, 1), (ROWS, 1)} == set(what(trace))
    # What was written is waited for at the end of its block.
    assert len(what(trace, SQL)) >= 3


def test_transactions_are_the_statements_they_send(side: Side) -> None:
    async def work(connected: Any) -> None:
        async with entered(connected.transaction()):
            await settled(connected.execute("SELECT 1"))
            async with entered(connected.transaction()):
                pass
        with pytest.raises(ZeroDivisionError):
            async with entered(connected.transaction()):
                raise ZeroDivisionError

    _, trace = side.traced(work)

    assert [
        "BEGIN",
        "SELECT 1",
        'SAVEPOINT "_pg3_2"',
        'RELEASE "_pg3_2"',
        "COMMIT",
        "BEGIN",
        "ROLLBACK",
    ] == texts(trace)
    assert [(SQL, index) for index in range(7)] == what(trace)


def test_the_begin_of_its_own_accord_is_a_statement_inside_the_first(side: Side) -> None:
    async def work(connected: Any) -> None:
        await settled(connected.commit())  # Nothing to commit: nothing is sent.
        await settled(connected.execute("SELECT 1"))
        await settled(connected.execute("SELECT 2"))
        await settled(connected.commit())
        await settled(connected.execute("SELECT 3"))
        await settled(connected.rollback())

    _, trace = side.traced(work, autocommit=False)

    assert sorted(
        ["BEGIN", "SELECT 1", "SELECT 2", "COMMIT", "BEGIN", "SELECT 3", "ROLLBACK"]
    ) == sorted(texts(trace))
    outer, inner, *_ = slices_of(trace, SQL)
    assert ["SELECT 1", "BEGIN"] == [texts(trace)[outer[3]], texts(trace)[inner[3]]]
    assert outer[0] <= inner[0] < inner[1] <= outer[1]


def test_a_pipeline_waits_in_sql(side: Side) -> None:
    async def work(connected: Any) -> Any:
        async with entered(connected.pipeline()):
            one = await settled(connected.execute("SELECT 1"))
            two = await settled(connected.execute("SELECT 2, pg_sleep(0.02)"))
        return await settled(one.fetchone()), (await settled(two.fetchone()))[0]

    result, trace = side.traced(work)

    assert ((1,), 2) == result
    assert ["SELECT 1", "SELECT 2, pg_sleep(0.02)"] == texts(trace)
    assert {(SQL, 0), (SQL, 1)} == set(what(trace))
    assert 20 <= milliseconds(slices_of(trace, SQL))


def test_opening_a_connection_is_connect_also_for_a_class_of_ones_own(side: Side) -> None:
    class Own(side.Connection):  # type: ignore[misc, name-defined]  # a class that is a parameter
        pass

    async def main() -> tuple[list[Any], OpenTrace]:
        kinds: list[Any] = []

        async def request() -> None:
            async with entered(await settled(Own.connect(side.url))) as connected:
                kinds.append(type(connected))

        return kinds, await side._bench.run_async(request)

    kinds, trace = asyncio.run(main())

    assert [Own] == kinds
    assert [(CONNECT, side.address)] == what(trace)
    assert [] == trace.statements


def test_the_plain_function_connects_too(bench: Bench, database_url: str) -> None:
    bench.install("psycopg")

    def request() -> None:
        psycopg.connect(database_url).close()

    assert [CONNECT] == [segment for segment, _ in what(bench.run(request))]


def test_a_connection_that_fails_closes_its_slice(side: Side) -> None:
    async def main() -> OpenTrace:
        async def request() -> None:
            with pytest.raises(psycopg.OperationalError):
                await settled(
                    side.Connection.connect("postgresql://nobody:secret@127.0.0.1:1/none")
                )

        return await side._bench.run_async(request)

    assert [(CONNECT, "psycopg")] == what(asyncio.run(main()))


def test_a_pool_records_holds_and_no_wait_where_there_was_none(side: Side) -> None:
    async def main() -> OpenTrace:
        async with side.pool(1, 2) as pool:

            async def request() -> None:
                async with entered(pool.connection()) as connected:
                    await settled(connected.execute("SELECT pg_sleep(0.02)"))

            return await side._bench.run_async(request)

    trace = asyncio.run(main())

    ((name, start, end, place),) = trace.holds
    assert f"{side.address} pool 1-2" == name
    assert 20 <= (end - start) / 1e6
    assert place is not None
    assert __file__ == place[0].co_filename
    assert {"BEGIN", "SELECT pg_sleep(0.02)", "COMMIT"} == set(texts(trace))
    assert milliseconds(slices_of(trace, POOL_WAIT)) < 5


def test_a_pool_that_is_held_is_waited_for_by_one_and_held_by_the_other(
    bench: Bench, database_url: str
) -> None:
    bench.install("psycopg")

    async def main() -> tuple[OpenTrace, OpenTrace]:
        async with Side("Async", bench, database_url).pool(1, 1) as pool:
            taken = asyncio.Event()

            async def holder() -> None:
                async with pool.connection():
                    taken.set()
                    await asyncio.sleep(0.05)

            async def waiter() -> None:
                async with pool.connection() as connected:
                    await connected.execute("SELECT 1")

            first = asyncio.create_task(bench.run_async(holder))
            await taken.wait()
            second = await bench.run_async(waiter)
            return await first, second

    held, waited = asyncio.run(main())

    (hold,) = held.holds
    (wait,) = slices_of(waited, POOL_WAIT)
    assert hold[0] == wait[3]
    assert 50 <= (hold[2] - hold[1]) / 1e6
    # The wait lies in the hold but for its beginning, and ends when the hold does.
    assert 40 <= milliseconds([wait])
    assert abs(hold[2] - wait[1]) / 1e6 <= 10


def test_a_pool_of_threads_that_is_held_is_waited_for(bench: Bench, database_url: str) -> None:
    bench.install("psycopg")
    taken, traces = threading.Event(), []

    def holder(pool: Any) -> None:
        with pool.connection():
            taken.set()
            threading.Event().wait(0.05)

    def waiter(pool: Any) -> None:
        with pool.connection():
            pass

    with psycopg_pool.ConnectionPool(database_url, min_size=1, max_size=1, open=True) as pool:
        pool.wait()
        thread = threading.Thread(target=lambda: traces.append(bench.run(partial(holder, pool))))
        thread.start()
        assert taken.wait(5)
        waited = bench.run(partial(waiter, pool))
        thread.join()

    (hold,) = traces[0].holds
    (wait,) = slices_of(waited, POOL_WAIT)
    assert 50 <= (hold[2] - hold[1]) / 1e6
    assert 40 <= milliseconds([wait])
    assert abs(hold[2] - wait[1]) / 1e6 <= 10


def test_a_wait_that_times_out_is_recorded_without_a_hold(side: Side) -> None:
    async def main() -> OpenTrace:
        async with side.pool(1, 1) as pool, entered(pool.connection()):

            async def request() -> None:
                with pytest.raises(psycopg_pool.PoolTimeout):
                    await settled(pool.getconn(timeout=0.05))

            return await side._bench.run_async(request)

    trace = asyncio.run(main())

    assert 45 <= milliseconds(slices_of(trace, POOL_WAIT)) <= 4_000
    assert [] == trace.holds


def test_a_connection_left_in_a_transaction_is_reset_as_connect(side: Side) -> None:
    async def main() -> OpenTrace:
        async with side.pool(1, 1) as pool:

            async def request() -> None:
                connected = await settled(pool.getconn())
                await settled(connected.execute("SELECT 1"))
                await settled(pool.putconn(connected))

            return await side._bench.run_async(request)

    trace = asyncio.run(main())

    assert {"BEGIN", "SELECT 1"} == set(texts(trace))
    assert [(CONNECT, GIVEN_BACK)] == what(trace, CONNECT)


@pytest.mark.skipif(
    not hasattr(psycopg_pool.ConnectionPool, "_check_connection"),
    reason="pools check connections since psycopg_pool 3.2",
)
def test_checking_a_connection_is_connect_within_the_wait(side: Side) -> None:
    async def main() -> OpenTrace:
        kind = getattr(psycopg_pool, f"{side._prefix}ConnectionPool")
        async with side.pool(1, 1, check=kind.check_connection) as pool:

            async def request() -> None:
                async with entered(pool.connection()):
                    pass

            return await side._bench.run_async(request)

    trace = asyncio.run(main())

    assert [] == trace.statements
    ((outer, inner),) = [slices_of(trace, POOL_WAIT, CONNECT)]
    assert [POOL_WAIT, CONNECT] == [outer[2], inner[2]]
    assert outer[0] <= inner[0] < inner[1] <= outer[1]


def test_a_pool_without_connections_connects_within_the_wait(side: Side) -> None:
    async def main() -> OpenTrace:
        pool = getattr(psycopg_pool, f"{side._prefix}NullConnectionPool")(
            side.url, min_size=0, max_size=1, open=False
        )
        async with _full(pool):

            async def request() -> None:
                async with entered(pool.connection()):
                    pass

            return await side._bench.run_async(request)

    trace = asyncio.run(main())

    outer, inner = slices_of(trace, POOL_WAIT, CONNECT)
    assert [POOL_WAIT, CONNECT] == [outer[2], inner[2]]
    assert outer[0] <= inner[0] < inner[1] <= outer[1]
    ((_, start, end, _),) = trace.holds
    assert start < end


def test_an_error_closes_the_slice_and_passes(side: Side) -> None:
    async def work(connected: Any) -> None:
        with pytest.raises(psycopg.errors.SyntaxError):
            await settled(connected.execute("SELEKT"))
        with pytest.raises(psycopg.ProgrammingError):
            await settled(connected.execute("SELECT %s", []))
        with pytest.raises(psycopg.errors.SyntaxError):
            await all_of(connected.cursor().stream("SELEKT"))
        await settled(connected.execute("SELECT 1"))
        lane = LANE.get()
        assert lane is not None
        assert 0 == lane.inside_sql

    _, trace = side.traced(work)

    assert ["SELEKT", "SELECT %s", "SELEKT", "SELECT 1"] == texts(trace)
    assert [None, None, None, 1] == [one.rows_count for one in trace.statements]
    assert {(SQL, 0), (SQL, 1), (SQL, 2), (SQL, 3)} == set(what(trace, SQL))


def test_a_timeout_of_the_server_closes_the_slice_and_passes(side: Side) -> None:
    async def work(connected: Any) -> None:
        await settled(connected.execute("SET statement_timeout = 50"))
        with pytest.raises(psycopg.errors.QueryCanceled):
            await settled(connected.execute("SELECT pg_sleep(5)"))
        await settled(connected.execute("SELECT 1"))

    _, trace = side.traced(work)

    slept = [one for one in slices_of(trace, SQL) if one[3] == 1]
    assert 45 <= milliseconds(slept) <= 4_000
    assert 3 == len(trace.statements)


@pytest.mark.parametrize("end", ["cancel", "timeout"])
def test_cancelling_closes_the_slice_and_passes(bench: Bench, database_url: str, end: str) -> None:
    bench.install("psycopg")

    async def work(connected: Any) -> None:
        sleeping = connected.execute("SELECT pg_sleep(5)")
        if end == "timeout":
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(sleeping, 0.05)
        else:
            task = asyncio.create_task(sleeping)
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await connected.execute("SELECT 1")

    _, trace = Side("Async", bench, database_url).traced(work)

    assert ["SELECT pg_sleep(5)", "SELECT 1"] == texts(trace)
    assert [(SQL, 0), (SQL, 1)] == what(trace)
    assert 45 <= milliseconds(slices_of(trace, SQL)) <= 4_000
    assert all(lane.inside_sql == 0 for lane in trace.lanes)


def test_requests_at_once_never_mix(bench: Bench, database_url: str) -> None:
    bench.install("psycopg")

    async def main() -> list[OpenTrace]:
        async with Side("Async", bench, database_url).pool(3, 3) as pool:

            async def request(number: int) -> None:
                async with pool.connection() as connected:
                    await connected.set_autocommit(True)
                    for _ in range(3):
                        await connected.execute(f"SELECT {number}, pg_sleep(0.001)")
                    await connected.set_autocommit(False)

            return await asyncio.gather(
                *(bench.run_async(partial(request, number)) for number in range(20))
            )

    for number, trace in enumerate(asyncio.run(main())):
        assert [f"SELECT {number}, pg_sleep(0.001)"] * 3 == texts(trace)
        assert [(SQL, 0), (SQL, 1), (SQL, 2)] == what(trace, SQL)
        ((_, start, end, _),) = trace.holds
        assert start < end


def test_nothing_is_recorded_outside_a_trace(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[Any] = []
    monkeypatch.setattr(Lane, "add", lambda *noted: recorded.append(noted))
    monkeypatch.setattr(Lane, "new_statement", lambda *noted: recorded.append(noted))

    async def main() -> None:
        async with side.pool(1, 1) as pool, entered(pool.connection()) as connected:
            for work in SELECTING:
                assert [(1,), (2,), (3,)] == await work(connected)
            async with entered(connected.cursor("pages")) as cursor:
                await settled(cursor.execute(VALUES, [25]))
                assert 25 == len(await all_of(cursor))

    asyncio.run(main())

    assert [] == recorded


def test_it_is_silent_inside_a_statement_that_is_recorded_above(side: Side) -> None:
    async def main() -> OpenTrace:
        async with side.pool(1, 1) as pool:

            async def request() -> None:
                lane = LANE.get()
                assert lane is not None
                lane.inside_sql += 1
                async with entered(pool.connection()) as connected:
                    for work in SELECTING:
                        await work(connected)
                    async with entered(connected.cursor("pages")) as cursor:
                        await settled(cursor.execute(VALUES, [25]))
                        assert 25 == len(await all_of(cursor))
                assert 1 == lane.inside_sql
                lane.inside_sql -= 1

            return await side._bench.run_async(request)

    trace = asyncio.run(main())

    assert [] == trace.statements
    assert [] == what(trace)


def test_rows_of_a_statement_that_is_recorded_above_are_its_rows_and_not_counted(
    side: Side,
) -> None:
    async def work(connected: Any) -> None:
        lane = LANE.get()
        assert lane is not None
        async with (
            entered(connected.transaction()),
            entered(connected.cursor("pages")) as cursor,
        ):
            lane.new_statement(VALUES, "above", None)
            lane.inside_sql += 1
            await settled(cursor.execute(VALUES, [25]))
            lane.inside_sql -= 1
            assert 10 == len(await settled(cursor.fetchmany(10)))

    _, trace = side.traced(work)

    assert ["BEGIN", VALUES, "COMMIT"] == texts(trace)
    assert None is trace.statements[1].rows_count
    assert {(ROWS, 1)} == set(what(trace, ROWS))


def test_parameters_leave_the_request_only_when_they_are_asked_for(side: Side) -> None:
    async def work(connected: Any) -> None:
        await settled(connected.execute(VALUES, [4]))

    _, trace = side.traced(work)

    assert [None] == [one.parameters for one in trace_of(finished(trace)).statements]
    with_values = trace_of(finished(trace, with_values=True))
    assert ["[4]"] == [one.parameters for one in with_values.statements]


@pytest.mark.parametrize("recorded_above", [0, 1])
def test_the_arrival_is_known_although_the_loop_was_busy(
    bench: Bench, database_url: str, recorded_above: int
) -> None:
    bench.install("psycopg")

    async def work(connected: Any) -> int:
        async def sends() -> None:
            lane = LANE.get()
            assert lane is not None
            lane.inside_sql += recorded_above
            await connected.execute("SELECT pg_sleep(0.02)")

        sending = asyncio.create_task(sends())
        started = clock()
        await asyncio.sleep(0.005)
        while clock() < started + 120_000_000:
            pass
        await sending
        return started

    started, trace = Side("Async", bench, database_url).traced(work)

    (step,) = [one for one in trace.lanes[1].steps if one[3]]
    begins, _, _, arrived = step
    assert started + 15e6 <= arrived <= started + 80e6
    assert begins - arrived >= 30e6


def test_undoing_leaves_nothing_behind(bench: Bench) -> None:
    owners = [
        getattr(psycopg, prefix + name)
        for prefix in ("", "Async")
        for name in ("Connection", "Cursor", "ServerCursor", "Copy", "Pipeline")
    ]
    owners += [psycopg.BaseConnection, psycopg.copy.LibpqWriter, psycopg.copy.AsyncLibpqWriter]
    owners += [psycopg_pool.ConnectionPool, psycopg_pool.AsyncConnectionPool]
    before = [dict(vars(owner)) for owner in owners]
    bench.install("psycopg")
    changed = [dict(vars(owner)) for owner in owners]
    bench.probes.stop()

    assert before != changed
    assert before == [dict(vars(owner)) for owner in owners]


def test_a_bug_of_ours_switches_the_probe_off_and_the_app_goes_on(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dict(vars(side.Cursor))

    def breaks(*_: Any) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(Lane, "new_statement", breaks)

    rows, _ = side.traced(executes)

    broke = side._bench.recorder.coverage.pop("psycopg")
    assert [(1,), (2,), (3,)] == rows
    assert ("off", "broke: RuntimeError") == (broke.state, broke.why)
    assert before != dict(vars(side.Cursor))


def looks_otherwise(self: Any, other: Any) -> None:
    """What a later version might have made of a name."""


def test_a_private_name_that_looks_otherwise_keeps_the_probe_off(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psycopg.Cursor, "_execute_gen", looks_otherwise)
    changed = psycopg.Cursor._execute_gen
    bench.probes.start(PROBE, "psycopg")

    coverage = bench.recorder.coverage["psycopg"]
    assert "off" == coverage.state
    assert "_execute_gen takes" in coverage.why
    assert changed is psycopg.Cursor._execute_gen


def test_an_old_version_is_off_and_a_new_one_is_on_with_a_word(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psycopg, "__version__", "3.0.18")
    bench.probes.start(PROBE, "psycopg")
    monkeypatch.setattr(psycopg, "__version__", "3.99.1")
    bench.probes.start(PROBE, "psycopg")

    coverage = bench.recorder.coverage
    assert "off" == coverage["psycopg"].state
    assert "on" == coverage["psycopg " + "3.99.1"].state
    assert "newer" in coverage["psycopg " + "3.99.1"].why

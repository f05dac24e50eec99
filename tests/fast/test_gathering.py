"""Look-ups that are sent together, and that stay apart in all else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import asyncpg
import pytest

from tests.fast.doors import opened_source, run
from unslow.fast import Rows, coalesce
from unslow.fast.errors import DefinitionError, OverloadedError, PoolTimeoutError

DOUBLES = "SELECT n, n * 2 FROM unnest($1::int[]) AS n WHERE n < 1000"


class Doubling:
    """Reads doubles, and waits to be let go where it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[int], Any]] = []
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.came = asyncio.Event()

    async def __call__(self, keys: list[int], caller: Any) -> Mapping[int, int]:
        self.calls.append((keys, caller))
        self.came.set()
        await self.let_go.wait()
        if 13 in keys:
            raise ValueError("13 brings bad luck")
        return {key: key * 2 for key in keys if key < 1000}

    async def held(self, first: asyncio.Task[Any]) -> None:
        """Waits until the first look-up is on its way."""
        await self.came.wait()
        assert not first.done()


def test_look_ups_of_one_moment_go_in_one_call() -> None:
    async def case() -> tuple[list[int | None], int]:
        read = Doubling()
        double = coalesce(read)
        found = await asyncio.gather(*(double(key) for key in range(50, 100)))
        return found, len(read.calls)

    assert ([key * 2 for key in range(50, 100)], 1) == run(case())


def test_who_comes_while_others_are_on_their_way_goes_with_the_next_call() -> None:
    async def case() -> list[list[int]]:
        read = Doubling()
        double = coalesce(read, max_workers=1)
        read.let_go.clear()
        first = asyncio.create_task(double(1))
        await read.held(first)
        others = [asyncio.create_task(double(key)) for key in (2, 3, 2)]
        await asyncio.sleep(0)
        read.let_go.set()
        assert [2, 4, 6, 4] == await asyncio.gather(first, *others)
        return [keys for keys, _ in read.calls]

    assert [[1], [2, 3]] == run(case())


def test_a_second_call_does_not_wait_for_the_first_one() -> None:
    async def case() -> list[list[int]]:
        read = Doubling()
        double = coalesce(read, max_workers=2)
        read.let_go.clear()
        first = asyncio.create_task(double(1))
        await read.held(first)
        read.came.clear()
        second = asyncio.create_task(double(2))
        await read.held(second)
        read.let_go.set()
        await asyncio.gather(first, second)
        return [keys for keys, _ in read.calls]

    assert [[1], [2]] == run(case())


def test_no_call_has_more_keys_than_it_may() -> None:
    async def case() -> list[int]:
        read = Doubling()
        double = coalesce(read, max_keys=20)
        await asyncio.gather(*(double(key) for key in range(100, 150)))
        return sorted(len(keys) for keys, _ in read.calls)

    assert [10, 20, 20] == run(case())


def test_what_is_not_there_is_none() -> None:
    async def case() -> int | None:
        return await coalesce(Doubling())(5_000)

    assert run(case()) is None


def test_callers_never_share_a_call() -> None:
    async def case() -> list[tuple[list[int], Any]]:
        read = Doubling()
        double = coalesce(read)
        await asyncio.gather(double(1, caller="a"), double(1, caller="b"), double(2, caller="a"))
        return sorted(read.calls)

    assert [([1], "b"), ([1, 2], "a")] == run(case())


def test_a_value_that_is_refused_fails_alone() -> None:
    async def case() -> list[Any]:
        double = coalesce(Doubling())
        return await asyncio.gather(*(double(key) for key in range(20)), return_exceptions=True)

    found = run(case())

    assert "13 brings bad luck" == str(found.pop(13))
    assert [key * 2 for key in range(20) if key != 13] == found


def test_an_error_of_all_keys_is_told_to_each_as_an_error_of_its_own() -> None:
    calls = []

    async def refused(keys: list[int]) -> Mapping[int, int]:
        calls.append(keys)
        raise RuntimeError("down")

    async def case() -> list[Any]:
        double = coalesce(refused)
        return await asyncio.gather(*(double(key) for key in range(5)), return_exceptions=True)

    found = run(case())

    assert ["down"] * 5 == [str(one) for one in found]
    assert 5 == len({id(one) for one in found})
    assert 1 == len(calls)


def test_who_is_cancelled_leaves_the_others_as_they_are() -> None:
    async def case() -> tuple[bool, int | None]:
        read = Doubling()
        double = coalesce(read)
        read.let_go.clear()
        first = asyncio.create_task(double(1))
        second = asyncio.create_task(double(2))
        await read.held(first)
        first.cancel()
        await asyncio.sleep(0)
        read.let_go.set()
        await asyncio.wait([first])
        return first.cancelled(), await second

    assert (True, 4) == run(case())


def test_what_nobody_waits_for_any_more_is_not_read_to_its_end() -> None:
    ended: list[str] = []

    async def slow(_keys: list[int]) -> Mapping[int, int]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return {}

    async def case() -> int | None:
        double = coalesce(slow)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(double(1), 0.01)
        read = Doubling()
        return await coalesce(read)(4)

    assert 8 == run(case())
    assert ["cancelled"] == ended


def test_a_look_up_that_was_given_up_before_its_turn_is_not_read() -> None:
    async def case() -> list[list[int]]:
        read = Doubling()
        double = coalesce(read, max_workers=1)
        read.let_go.clear()
        first = asyncio.create_task(double(1))
        await read.held(first)
        given_up = asyncio.create_task(double(2))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(0)
        read.let_go.set()
        await first
        assert 6 == await double(3)
        return [keys for keys, _ in read.calls]

    assert [[1], [3]] == run(case())


def test_one_look_up_too_many_is_refused_with_a_time_to_come_back() -> None:
    async def case() -> OverloadedError:
        read = Doubling()
        double = coalesce(read, max_workers=1, max_waiting=2)
        read.let_go.clear()
        first = asyncio.create_task(double(1))
        await read.held(first)
        kept = [asyncio.create_task(double(key)) for key in (2, 3)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError, match="max_waiting is 2") as refused:
            await double(4)
        read.let_go.set()
        await asyncio.gather(first, *kept)
        return refused.value

    assert run(case()).retry_after_s > 0


def test_what_reads_for_many_has_the_context_of_none() -> None:
    tenant: ContextVar[str] = ContextVar("tenant", default="nobody")
    seen = []

    async def read(keys: list[int]) -> Mapping[int, int]:
        seen.append(tenant.get())
        return dict.fromkeys(keys, 0)

    async def case() -> None:
        tenant.set("a")
        await coalesce(read)(1)

    run(case())

    assert ["nobody"] == seen


def test_a_function_without_keys_is_refused_where_it_is_declared() -> None:
    async def nothing() -> Mapping[int, int]:
        return {}

    with pytest.raises(DefinitionError, match="takes no argument"):
        coalesce(nothing)


def test_a_statement_without_a_place_for_keys_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"has no \$1"):
        Rows(lambda: None, "SELECT 1")


def test_rows_are_read_through_every_door(door: str, empty_url: str) -> None:
    async def case() -> tuple[list[Any], int]:
        async with opened_source(door, empty_url) as source:
            double = coalesce(Rows(source, DOUBLES))
            found = await asyncio.gather(*(double(key) for key in (1, 5, 2_000)))
            return [one and tuple(one) for one in found], double.statement_count

    assert ([(1, 2), (5, 10), None], 1) == run(case())


def test_several_rows_of_a_key_are_a_list(empty_url: str) -> None:
    sql = "SELECT n, i FROM unnest($1::int[]) AS n, generate_series(1, n) AS i"

    async def case() -> list[Any]:
        async with opened_source("asyncpg", empty_url) as source:
            series = coalesce(Rows(source, sql, many=True))
            found = await asyncio.gather(*(series(key) for key in (0, 1, 3)))
            return [[row[1] for row in rows or ()] for rows in found]

    assert [[], [1], [1, 2, 3]] == run(case())


def test_the_caller_is_told_to_the_statement(empty_url: str) -> None:
    sql = "SELECT n, $2::text || n FROM unnest($1::int[]) AS n"

    async def case() -> list[Any]:
        async with opened_source("asyncpg", empty_url) as source:
            said = coalesce(Rows(source, sql))
            found = await asyncio.gather(said(1, caller="a"), said(1, caller="b"))
            return [row and row[1] for row in found]

    assert ["a1", "b1"] == run(case())


def test_a_bad_value_among_good_ones_fails_alone_in_the_database(door: str, empty_url: str) -> None:
    sql = "SELECT n, 100 / n FROM unnest($1::int[]) AS n"

    async def case() -> list[Any]:
        async with opened_source(door, empty_url) as source:
            hundredth = coalesce(Rows(source, sql))
            keys = (1, 2, 0, 4)
            found = await asyncio.gather(*(hundredth(key) for key in keys), return_exceptions=True)
            return [one if isinstance(one, BaseException) else one and one[1] for one in found]

    first, second, error, fourth = run(case())

    assert (100, 50, 25) == (first, second, fourth)
    assert "22012" == error.sqlstate


async def terminated(url: str) -> int:
    """Ends all other connections to the database; returns how many there were."""
    connection = await asyncpg.connect(url)
    try:
        return int(
            await connection.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    finally:
        await connection.close()


def test_a_connection_that_is_lost_in_the_middle_is_replaced(door: str, empty_url: str) -> None:
    sql = "SELECT n, pg_sleep($2::float8) FROM unnest($1::int[]) AS n"

    async def case() -> tuple[int, list[int]]:
        async with opened_source(door, empty_url) as source:
            read = coalesce(Rows(source, sql))
            slow = [asyncio.create_task(read(key, caller=0.3)) for key in (1, 2)]
            await _sleeping(empty_url)
            count = await terminated(empty_url)
            return count, [row[0] for row in await asyncio.gather(*slow) if row]

    count, found = run(case())

    assert [1, 2] == found
    assert count >= 1


async def _sleeping(url: str) -> None:
    """Waits until a statement that sleeps is with the server."""
    connection = await asyncpg.connect(url)
    try:
        # One look takes its time, so that this does not spin.
        while not await connection.fetchval(  # noqa: ASYNC110  # it is another process that waits
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event = 'PgSleep'"
        ):
            await asyncio.sleep(0)
    finally:
        await connection.close()


def test_where_no_connection_is_free_in_time_each_is_told_so(door: str, empty_url: str) -> None:
    async def case() -> list[Any]:
        async with opened_source(door, empty_url, size=1) as source, taken(source):
            read = coalesce(Rows(source, DOUBLES, timeout_s=0.05))
            return [*await asyncio.gather(read(1), read(2), return_exceptions=True)]

    assert [PoolTimeoutError, PoolTimeoutError] == [type(one) for one in run(case())]


@asynccontextmanager
async def taken(source: Any) -> AsyncIterator[None]:
    """Somebody else has the only connection."""
    from unslow.fast.database import database

    async with database(source).connect():
        yield


def test_connections_go_back_to_the_pool(door: str, empty_url: str) -> None:
    async def case() -> list[Any]:
        async with opened_source(door, empty_url, size=1) as source:
            double = coalesce(Rows(source, DOUBLES), max_workers=1)
            first = await double(1)
            # The only connection is free again, or this would wait for ever.
            async with taken(source):
                pass
            return [first and first[1], (await double(2) or [0, 0])[1]]

    assert [2, 4] == run(case())


def test_another_event_loop_finds_nothing_of_the_last_one() -> None:
    read = Doubling()
    double = coalesce(read)

    async def left_behind() -> None:
        read.let_go = asyncio.Event()
        task = asyncio.create_task(double(1))
        await read.came.wait()
        task.cancel()

    run(left_behind())

    async def case() -> int | None:
        read.let_go = asyncio.Event()
        read.let_go.set()
        return await double(2)

    assert 4 == run(case())

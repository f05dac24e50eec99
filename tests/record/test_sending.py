"""By which way a line came to send its statement again: equal in a loop, and only there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy.util import greenlet_spawn

from tests.record.probes.conftest import Bench
from unslow.current import LANE, OpenStatement, OpenTrace
from unslow.model.codec import trace_of
from unslow.record.finish import finished
from unslow.record.lanes import unwatch_all
from unslow.record.place import caller_place
from unslow.record.sending import new_statement

TEXT = "SELECT * FROM item WHERE id = $1"
STACKS_COUNT = 4


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A trace without probes."""
    yield Bench()
    unwatch_all()


def send(parameters: Any = None) -> OpenStatement:
    """The one line that sends, as that of a repository would be."""
    lane = LANE.get()
    assert lane is not None
    return new_statement(lane, TEXT, "asyncpg", caller_place(), parameters)


def item_of(number: int) -> OpenStatement:
    """A helper between the line that sends and those that want something."""
    return send((number,))


def stacks_of(trace: OpenTrace) -> list[int]:
    return [one.stack for one in trace.statements]


def again(trace: OpenTrace) -> list[int]:
    """Those of all but the first one, of which nobody knew that it would come again."""
    first, *others = stacks_of(trace)
    assert first == 0
    others = others[:STACKS_COUNT]
    assert 0 not in others
    return others


def test_a_statement_is_noted_as_it_is_sent(bench: Bench) -> None:
    trace = bench.run(lambda: send((7, "x")))

    (one,) = trace.statements
    assert (one.text, one.driver, one.parameters, one.stack) == (TEXT, "asyncpg", (7, "x"), 0)
    assert one.place is not None


def test_each_round_of_a_loop_comes_the_same_way(bench: Bench) -> None:
    def work() -> None:
        for number in range(6):
            item_of(number)

    assert len(set(again(bench.run(work)))) == 1


@pytest.mark.parametrize(
    "work",
    [
        lambda: [item_of(number) for number in range(5)],
        lambda: list(map(item_of, range(5))),
        lambda: {number: item_of(number) for number in range(5)},
        lambda: list(item_of(number) for number in range(5)),  # noqa: C400  # a generator is meant
    ],
    ids=["list", "map", "dict", "generator"],
)
def test_loops_that_are_no_statements_do_so_too(bench: Bench, work: Callable[[], Any]) -> None:
    assert len(set(again(bench.run(work)))) == 1


def test_two_callers_of_one_helper_come_different_ways(bench: Bench) -> None:
    def work() -> None:
        item_of(0)
        item_of(1)
        item_of(2)
        item_of(3)

    assert len(set(again(bench.run(work)))) == 3


def test_two_calls_on_one_line_come_different_ways(bench: Bench) -> None:
    def work() -> None:
        item_of(0)
        _ = item_of(1), item_of(2)

    assert len(set(again(bench.run(work)))) == 2


def test_two_loops_come_two_ways(bench: Bench) -> None:
    def work() -> None:
        for number in range(4):
            item_of(number)
        for number in range(4):
            item_of(number)

    stacks = again(bench.run(work))

    assert len(set(stacks[:3])) == len(set(stacks[3:])) == 1
    assert stacks[0] != stacks[-1]


def test_a_loop_around_a_function_is_a_loop(bench: Bench) -> None:
    def both(number: int) -> None:
        item_of(number)
        item_of(-number)

    def work() -> None:
        for number in range(4):
            both(number)

    stacks = again(bench.run(work))

    assert len(set(stacks[0::2])) == len(set(stacks[1::2])) == 1
    assert len(set(stacks)) == 2


def test_who_called_what_works_for_the_request_does_not_matter(bench: Bench) -> None:
    async def work() -> None:
        for number in range(3):
            item_of(number)

    first = bench.run(work)
    second = bench.run(work)

    assert set(again(first)) == set(again(second))


@pytest.mark.anyio
async def test_coroutines_are_part_of_the_way(bench: Bench) -> None:
    async def item(number: int) -> None:
        await asyncio.sleep(0)
        item_of(number)

    async def looping() -> None:
        for number in range(5):
            await item(number)

    async def looking_up() -> None:
        await item(0)
        await item(1)
        await item(2)

    assert len(set(again(await bench.run_async(looping)))) == 1
    assert len(set(again(await bench.run_async(looking_up)))) == 2


@pytest.mark.anyio
async def test_the_way_leads_through_the_greenlets_of_sqlalchemy(bench: Bench) -> None:
    async def item(number: int) -> None:
        await greenlet_spawn(item_of, number)

    async def looping() -> None:
        for number in range(5):
            await item(number)

    async def looking_up() -> None:
        await item(0)
        await item(1)
        await item(2)

    assert len(set(again(await bench.run_async(looping)))) == 1
    assert len(set(again(await bench.run_async(looking_up)))) == 2


def test_only_the_first_rounds_are_looked_at(bench: Bench) -> None:
    def work() -> None:
        for number in range(30):
            item_of(number)

    stacks = stacks_of(bench.run(work))

    assert [bool(one) for one in stacks] == [
        False,
        *[True] * STACKS_COUNT,
        *[False] * (29 - STACKS_COUNT),
    ]


def test_each_line_is_counted_for_itself(bench: Bench) -> None:
    def work() -> None:
        lane = LANE.get()
        assert lane is not None
        for _ in range(30):
            item_of(1)
            new_statement(lane, "SELECT 1", "asyncpg", caller_place())

    trace = bench.run(work)

    counts = [
        sum(bool(one.stack) for one in trace.statements if one.text == text)
        for text in (TEXT, "SELECT 1")
    ]
    assert counts == [STACKS_COUNT, STACKS_COUNT]


def test_a_line_counts_whatever_it_sends(bench: Bench) -> None:
    def work() -> None:
        lane = LANE.get()
        assert lane is not None
        for number in range(4):
            new_statement(lane, f"SELECT {number}", "asyncpg", caller_place())

    assert len(set(again(bench.run(work)))) == 1


def test_what_no_line_of_the_users_sends_has_no_way(bench: Bench) -> None:
    def work() -> None:
        lane = LANE.get()
        assert lane is not None
        for _ in range(4):
            new_statement(lane, TEXT, "asyncpg", None)

    trace = bench.run(work)

    assert stacks_of(trace) == [0] * 4
    assert trace.places == {}


def test_a_way_that_is_too_long_is_not_half_told(bench: Bench) -> None:
    def deep(depth: int) -> None:
        if depth:
            deep(depth - 1)
        else:
            item_of(depth)

    def work() -> None:
        for _ in range(4):
            deep(150)

    assert stacks_of(bench.run(work)) == [0] * 4


def test_what_leaves_the_request_is_equal_for_equal_ways_and_no_address(bench: Bench) -> None:
    def work() -> None:
        for number in range(3):
            item_of(number)
        item_of(3)

    trace = bench.run(work)
    raw = stacks_of(trace)
    first, second, third, other = [one.stack for one in trace_of(finished(trace)).statements]

    assert first == ""
    assert second == third != other
    assert {len(second), len(other)} == {8}
    assert int(second, 16) not in [one & 0xFFFFFFFF for one in raw]

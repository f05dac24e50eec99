from __future__ import annotations

import asyncio
import gc
import weakref
from contextvars import ContextVar

import pytest

from tests.fast.doors import run
from unslow.fast.caching.flights import SingleFlight, Statistics, single_flight
from unslow.fast.errors import DefinitionError

tenant: ContextVar[str] = ContextVar("tenant", default="none")


class Gate:
    """A computation that waits until it is let go, and counts."""

    def __init__(self) -> None:
        self.count = 0
        self.was_cancelled = False
        self.entered = asyncio.Event()
        self.opened = asyncio.Event()

    async def pass_through(self) -> None:
        self.count += 1
        self.entered.set()
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


def test_many_who_ask_for_the_same_get_one_computation() -> None:
    async def scenario() -> tuple[list[int], int, Statistics]:
        gate = Gate()

        @single_flight
        async def double(number: int) -> int:
            await gate.pass_through()
            return number * 2

        tasks = [asyncio.create_task(double(4)) for _ in range(20)]
        await gate.entered.wait()
        gate.opened.set()
        return await asyncio.gather(*tasks), gate.count, double.statistics

    answers, count, statistics = run(scenario())

    assert [8] * 20 == answers
    assert 1 == count
    assert Statistics(misses=1, waits=19) == statistics


def test_another_key_is_another_computation() -> None:
    async def scenario() -> list[int]:
        @single_flight
        async def double(number: int) -> int:
            return number * 2

        return list(await asyncio.gather(double(1), double(2), double(number=1)))

    assert [2, 4, 2] == run(scenario())


def test_nothing_is_kept() -> None:
    async def scenario() -> list[int]:
        numbers = iter(range(10))

        @single_flight
        async def following() -> int:
            return next(numbers)

        # Without a turn of the loop between the calls, too.
        return [await following() for _ in range(3)]

    assert [0, 1, 2] == run(scenario())


def test_an_error_reaches_all_who_wait_as_an_object_of_their_own() -> None:
    async def scenario() -> tuple[list[BaseException | int], Statistics]:
        @single_flight
        async def fail() -> int:
            await asyncio.sleep(0)
            raise LookupError("no such thing")

        found = await asyncio.gather(*(fail() for _ in range(3)), return_exceptions=True)
        return found, fail.statistics

    found, statistics = run(scenario())

    assert ["no such thing"] * 3 == [
        str(one.args[0]) for one in found if isinstance(one, LookupError)
    ]
    assert 3 == len({id(one) for one in found})
    assert 1 == statistics.errors


def test_an_error_still_says_where_it_comes_from() -> None:
    async def scenario() -> list[BaseException | int]:
        @single_flight
        async def fail() -> int:
            await asyncio.sleep(0)
            raise LookupError

        return list(await asyncio.gather(fail(), fail(), return_exceptions=True))

    for error in run(scenario()):
        assert isinstance(error, LookupError)
        names = []
        frame = error.__traceback__
        while frame is not None:
            names.append(frame.tb_frame.f_code.co_name)
            frame = frame.tb_next
        assert "fail" in names


def test_an_error_that_cannot_be_copied_still_reaches_all() -> None:
    class OddError(Exception):
        def __init__(self, *, code: int) -> None:
            self.code = code

    async def scenario() -> list[BaseException | int]:
        @single_flight
        async def fail() -> int:
            await asyncio.sleep(0)
            raise OddError(code=7)

        return list(await asyncio.gather(fail(), fail(), return_exceptions=True))

    assert [7, 7] == [one.code for one in run(scenario()) if isinstance(one, OddError)]


def test_one_who_is_cancelled_leaves_the_others_their_answer() -> None:
    async def scenario() -> tuple[bool, int, bool]:
        gate = Gate()

        @single_flight
        async def read() -> int:
            await gate.pass_through()
            return 5

        first, second = asyncio.create_task(read()), asyncio.create_task(read())
        await gate.entered.wait()
        first.cancel()
        await asyncio.wait([first])
        gate.opened.set()
        return first.cancelled(), await second, gate.was_cancelled

    assert (True, 5, False) == run(scenario())


def test_when_all_are_cancelled_the_computation_is_too() -> None:
    async def scenario() -> tuple[bool, int]:
        gate = Gate()

        @single_flight
        async def read() -> int:
            await gate.pass_through()
            return gate.count

        tasks = [asyncio.create_task(read()) for _ in range(3)]
        await gate.entered.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        # Who comes now does not join what is being cancelled.
        gate.opened.set()
        return gate.was_cancelled, await read()

    assert (True, 2) == run(scenario())


def test_who_comes_while_a_computation_is_being_cancelled_gets_a_new_one() -> None:
    async def scenario() -> int:
        gate = Gate()

        @single_flight
        async def read() -> int:
            await gate.pass_through()
            return gate.count

        task = asyncio.create_task(read())
        await gate.entered.wait()
        task.cancel()
        await asyncio.sleep(0)
        gate.opened.set()
        return await read()

    assert 2 == run(scenario())


def test_a_computation_that_cancels_itself_cancels_who_waits() -> None:
    async def scenario() -> list[bool]:
        @single_flight
        async def odd() -> int:
            await asyncio.sleep(0)
            raise asyncio.CancelledError

        tasks = [asyncio.create_task(odd()) for _ in range(2)]
        await asyncio.wait(tasks)
        return [task.cancelled() for task in tasks]

    assert [True, True] == run(scenario())


def test_the_computation_sees_no_context_variable_of_its_callers() -> None:
    async def scenario() -> str:
        @single_flight
        async def who() -> str:
            return tenant.get()

        tenant.set("the first caller's")
        return await who()

    assert "none" == run(scenario())


def test_each_event_loop_has_its_own_computations() -> None:
    gates: list[Gate] = []

    @single_flight
    async def read() -> int:
        await gates[-1].pass_through()
        return len(gates)

    async def leaves_in_the_middle() -> None:
        gates.append(Gate())
        task = asyncio.create_task(read())
        await gates[-1].entered.wait()
        assert not task.done()

    async def asks_again() -> int:
        gates.append(Gate())
        gates[-1].opened.set()
        return await read()

    asyncio.run(leaves_in_the_middle())

    assert 2 == run(asks_again())


def test_an_event_loop_that_ended_is_let_go() -> None:
    loops = []

    @single_flight
    async def read() -> int:
        return 1

    async def scenario() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await read()

    asyncio.run(scenario())
    gc.collect()

    assert loops[0]() is None


def test_a_method_is_told_apart_by_a_key_of_its_own() -> None:
    class Reader:
        def __init__(self, shard: int) -> None:
            self.shard = shard

        @single_flight(key=lambda self, number: (self.shard, number))
        async def read(self, number: int) -> tuple[int, int]:
            return self.shard, number

    async def scenario() -> list[tuple[int, int]]:
        one, other = Reader(1), Reader(2)
        return list(await asyncio.gather(one.read(5), other.read(5)))

    assert [(1, 5), (2, 5)] == run(scenario())


def test_a_blocking_function_is_refused() -> None:
    def blocking() -> int:
        return 1

    with pytest.raises(DefinitionError, match=r"single_flight got .*blocking"):
        single_flight(blocking)  # type: ignore[arg-type]  # that is the mistake


def test_it_goes_by_the_name_of_its_function() -> None:
    @single_flight
    async def read() -> int:
        """Reads."""
        return 1

    assert isinstance(read, SingleFlight)
    assert ("read", "Reads.") == (read.__name__, read.__doc__)  # type: ignore[attr-defined]  # taken over when it runs

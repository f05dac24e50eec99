"""Workers: who is called when work comes."""

from __future__ import annotations

import asyncio

import pytest

from tests.fast.doors import run
from unslow.fast.workers import Workers


def test_a_new_one_is_started_for_work_that_comes_unless_one_is_on_its_way() -> None:
    workers = Workers()

    assert workers.call(2)
    assert not workers.call(2)

    workers.begin()

    assert workers.call(2)
    assert 2 == workers.count


def test_there_are_never_more_than_were_allowed() -> None:
    workers = Workers()
    workers.call(1)
    workers.begin()

    assert not workers.call(1)

    workers.end()

    assert workers.call(1)
    assert 1 == workers.count


def test_one_that_has_a_connection_and_no_work_is_called_before_a_new_one() -> None:
    async def case() -> tuple[bool, bool, bool]:
        workers = begun()
        lingering = asyncio.create_task(workers.linger())
        await asyncio.sleep(0)
        is_new, is_another = workers.call(5), workers.call(5)
        return await lingering, is_new, is_another

    assert (True, False, False) == run(case())


def test_one_that_was_called_is_not_on_its_way_for_ever() -> None:
    async def case() -> bool:
        workers = begun()
        lingering = asyncio.create_task(workers.linger())
        await asyncio.sleep(0)
        workers.call(5)
        await lingering
        return workers.call(5)

    assert run(case())


def test_nobody_calls_and_it_gives_its_connection_back() -> None:
    async def case() -> tuple[bool, bool]:
        workers = begun()
        return await workers.linger(), workers.call(5)

    assert (False, True) == run(case())


@pytest.mark.parametrize("is_called_first", [True, False])
def test_one_that_is_cancelled_as_it_is_called_stands_in_nobodys_way(
    is_called_first: bool,
) -> None:
    async def case() -> bool:
        workers = begun()
        lingering = asyncio.create_task(workers.linger())
        await asyncio.sleep(0)
        if is_called_first:
            workers.call(5)
            lingering.cancel()
        else:
            lingering.cancel()
            assert workers.call(5)
            workers.begin()
        await asyncio.wait([lingering])
        return workers.call(5)

    assert run(case())


def begun() -> Workers:
    """With one that works."""
    workers = Workers()
    workers.call(1)
    workers.begin()
    return workers

"""Which event loop runs, remembered."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from unslow.fast.loops import RunningLoop


def test_each_loop_finds_itself_also_after_another_and_beside_one_in_another_thread() -> None:
    running = RunningLoop()

    async def finds_itself() -> bool:
        return all(running.get() is asyncio.get_running_loop() for _ in range(2))

    async def beside() -> list[bool]:
        before = await finds_itself()
        with ThreadPoolExecutor(1) as thread:
            there = await asyncio.wrap_future(thread.submit(asyncio.run, finds_itself()))
        return [before, there, await finds_itself()]

    assert [True] * 3 == asyncio.run(beside())
    assert asyncio.run(finds_itself())


def test_where_no_loop_runs_it_says_so() -> None:
    running = RunningLoop()

    async def used() -> None:
        running.get()

    asyncio.run(used())

    with pytest.raises(RuntimeError, match="no running event loop"):
        running.get()

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from tests.fast.doors import run
from unslow.fast.caching.time_limit import within


def test_what_never_answers_is_late() -> None:
    async def scenario() -> None:
        await within(0.001, asyncio.Event().wait())

    with pytest.raises(TimeoutError):
        run(scenario())


def test_time_in_which_the_app_itself_computes_does_not_count() -> None:
    async def answers_while_the_loop_is_busy() -> str:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(answer.set_result, "here")
        time.sleep(0.05)  # noqa: ASYNC251  # the busy app
        # An answer that lies in the socket takes some turns of the loop to arrive.
        for _ in range(3):
            await asyncio.sleep(0)
        return await answer

    async def scenario() -> str:
        return await within(0.01, answers_while_the_loop_is_busy())

    assert "here" == run(scenario())


def test_what_loses_a_cancellation_is_cancelled_again() -> None:
    async def careless() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    async def scenario() -> None:
        await within(0.001, careless())

    with pytest.raises(TimeoutError):
        run(scenario())


def test_an_answer_that_comes_all_the_same_is_given_and_leaves_no_cancellation() -> None:
    async def late() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "here"

    async def scenario() -> tuple[str, int]:
        answer = await within(0.001, late())
        task = asyncio.current_task()
        assert task is not None
        return answer, task.cancelling()

    assert ("here", 0) == run(scenario())


def test_a_cancelled_caller_is_cancelled_not_late() -> None:
    async def scenario() -> None:
        task = asyncio.create_task(within(10, asyncio.Event().wait()))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        run(scenario())

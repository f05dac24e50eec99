"""A time limit for what answers quickly or not at all, that a busy event loop does not trip."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar

Answer = TypeVar("Answer")

_TURNS: Final = 5
"""How often the loop must have come round: while the app computes, answers lie unread."""


class _Turns:
    """Cancels the current task after some turns of the loop, and the time."""

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit needs a task to cancel")
        self._task = task
        self._cancelled_before = task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._step_s = seconds / _TURNS
        self._left = _TURNS
        self._own_count = 0
        self._handle = self._loop.call_later(self._step_s, self._turn)

    def _turn(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self._own_count += 1
            self._task.cancel()
        # Also after that: `asyncio.wait_for` of Python 3.11 may lose a cancellation.
        self._handle = self._loop.call_later(self._step_s, self._turn)

    def stop(self) -> bool:
        """Takes its cancellations back; returns whether all that came are its own."""
        self._handle.cancel()
        for _ in range(self._own_count):
            self._task.uncancel()
        return self._own_count > 0 and self._task.cancelling() <= self._cancelled_before


async def within(seconds: float, operation: Awaitable[Answer]) -> Answer:
    """What is awaited, unless it takes too long.

    Raises:
        TimeoutError: It does.
    """
    turns = _Turns(seconds)
    try:
        answer = await operation
    except asyncio.CancelledError as error:
        if turns.stop():
            raise TimeoutError from error
        raise
    except BaseException:
        turns.stop()
        raise
    turns.stop()
    return answer

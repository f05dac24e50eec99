"""Work in an event loop, asked for by another thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from ....errors import WireError
from .named import living

_PATIENCE_S: Final = 4.0
"""Whoever asks over the wire waits for 5."""

_Result = TypeVar("_Result")


def running_loops() -> list[asyncio.AbstractEventLoop]:
    """The event loops of this process that run."""
    return [one for one in living(asyncio.AbstractEventLoop) if one.is_running()]


def call_in(loop: asyncio.AbstractEventLoop | None, function: Callable[[], _Result]) -> _Result:
    """Calls a function in a loop's thread; here where the loop does not run.

    Raises:
        WireError: the loop did not come to it in time.
    """
    if loop is None or not loop.is_running() or asyncio._get_running_loop() is loop:
        return function()

    async def call() -> _Result:
        return function()

    future = asyncio.run_coroutine_threadsafe(call(), loop)
    try:
        return future.result(_PATIENCE_S)
    except TimeoutError:
        future.cancel()
        raise WireError(f"The app's event loop was not free for {_PATIENCE_S:g} s.") from None


def undo_in(loop: asyncio.AbstractEventLoop | None, function: Callable[[], object]) -> None:
    """Calls what has to happen in any case: by the loop itself, later, where it is not free now.

    Args:
        loop: What the function needs.
        function: May be called twice, the second time in the loop's thread.
    """
    try:
        function()
    except WireError:
        if loop is not None and loop.is_running():
            loop.call_soon_threadsafe(function)


def finish_in(
    loop: asyncio.AbstractEventLoop | None, make: Callable[[], Coroutine[Any, Any, object]]
) -> None:
    """Awaits something in a loop, which goes on with it where it takes too long.

    In the loop's own thread it only starts; nothing happens where the loop does not run any more.
    """
    if loop is None or not loop.is_running():
        return
    if asyncio._get_running_loop() is loop:
        start_in(loop, make)
        return
    with contextlib.suppress(TimeoutError):
        asyncio.run_coroutine_threadsafe(make(), loop).result(_PATIENCE_S)


_started: set[asyncio.Task[object]] = set()
"""A loop keeps only weak references to its tasks."""


def start_in(
    loop: asyncio.AbstractEventLoop, make: Callable[[], Coroutine[Any, Any, object]]
) -> None:
    """Starts something in a loop, by its own thread."""
    task = loop.create_task(make())
    _started.add(task)
    task.add_done_callback(_started.discard)

"""The threads in which anyio runs `def` endpoints and dependencies."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, NamedTuple

from ....current import OpenArm
from ....errors import WireError
from ....patching import Patches
from .. import Undo
from .loops import call_in, running_loops, undo_in


class _Limited(NamedTuple):
    """An event loop with its limiter, and what that allowed."""

    loop: AbstractEventLoop
    limiter: Any
    tokens: float


def resize(arm: OpenArm, threads_count: int) -> Undo:
    """Lets each running loop have so many threads.

    Raises:
        WireError: no event loop runs.
    """
    from anyio.to_thread import current_default_thread_limiter

    if threads_count < 1:
        raise WireError(f"A loop needs at least 1 thread, not {threads_count}.")
    loops = running_loops()
    if not loops:
        raise WireError("No event loop runs in this process, so none has threads.")
    limited = [_limited(one, current_default_thread_limiter) for one in loops]
    before = {id(one.limiter): one.tokens for one in limited}
    patches = Patches()

    def undo() -> None:
        patches.undo()
        for one in limited:
            if one.limiter.total_tokens == threads_count:
                undo_in(one.loop, partial(_set, one, one.tokens))

    for kind in {type(one.limiter) for one in limited}:
        patches.replace(kind, "acquire_on_behalf_of", _counting(arm, before))
    try:
        for one in limited:
            _set(one, threads_count)
    except WireError:
        undo()
        raise
    return undo


def _limited(loop: AbstractEventLoop, current: Callable[[], Any]) -> _Limited:
    limiter = call_in(loop, current)
    return _Limited(loop, limiter, limiter.total_tokens)


def _set(limited: _Limited, tokens: float) -> None:
    """Lets those who wait go on too, as many as may."""
    call_in(limited.loop, partial(setattr, limited.limiter, "total_tokens", tokens))


def _counting(
    arm: OpenArm, before: dict[int, float]
) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Awaitable[None]]]:
    def make(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        @wraps(original)
        async def acquire_on_behalf_of(self: Any, borrower: object) -> None:
            await original(self, borrower)
            if self.borrowed_tokens > before.get(id(self), float("inf")):
                arm.fired()

        return acquire_on_behalf_of

    return make

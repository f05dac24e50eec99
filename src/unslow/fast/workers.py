"""Workers: tasks that serve what waits, each on one connection for as long as there is work."""

from __future__ import annotations

import asyncio
from typing import Final

TURNS: Final = 100
"""After so many statements a connection goes back to the pool, for others who wait for one."""
LINGER_S: Final = 0.005
"""For so long a worker without work keeps its connection: to give it back and take it again costs a
statement that resets it."""


class Workers:
    """How many there are, which of them have nothing to do, and who is called when work comes."""

    __slots__ = ("_is_called", "_lingering", "count")

    def __init__(self) -> None:
        self.count = 0
        self._lingering: list[asyncio.Future[bool]] = []
        """What wakes those that have a connection and no work."""
        self._is_called = False
        """Whether one was called and has not begun: it takes all that comes until then."""

    def call(self, most: int) -> bool:
        """Calls one for work that came, and returns whether it is a new one, to be started.

        None is called where one is on its way, or where there are so many already.
        """
        if self._is_called:
            return False
        while self._lingering:
            wake = self._lingering.pop()
            # Not one that was cancelled with its task.
            if not wake.done():
                wake.set_result(True)
                self._is_called = True
                return False
        self._is_called = self.count < most
        self.count += self._is_called
        return self._is_called

    def begin(self) -> None:
        """The new one has begun."""
        self._is_called = False

    def end(self) -> None:
        """One has ended."""
        self.count -= 1

    async def linger(self) -> bool:
        """Waits for a little while, with the connection; returns whether it was called."""
        loop = asyncio.get_running_loop()
        wake: asyncio.Future[bool] = loop.create_future()
        self._lingering.append(wake)

        def give_up() -> None:
            if not wake.done():
                self._lingering.remove(wake)
                wake.set_result(False)

        timer = loop.call_later(LINGER_S, give_up)
        try:
            return await wake
        finally:
            timer.cancel()
            if wake in self._lingering:
                self._lingering.remove(wake)
            elif not wake.cancelled() and wake.result():
                self._is_called = False

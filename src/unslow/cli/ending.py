"""Ctrl-C and its kin while we have things running: whatever we started ends first, and in order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Final

_TAKEN: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Ended(KeyboardInterrupt):
    """A signal asked us to end; like Ctrl-C, it passes by every `except Exception`."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number

    @property
    def exit_code(self) -> int:
        """As a shell counts: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number


def cancelling() -> Callable[[], object]:
    """What cancels the running task, also from a signal's handler."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def cancel() -> None:
        # The loop may just have been closed: then all is done that was to be cancelled.
        with suppress(RuntimeError):
            if task is not None:
                loop.call_soon_threadsafe(task.cancel)

    return cancel


class Ending:
    """Raises `Ended` in the block when a signal asks us to end; a signal ignored before stays so.

    The first signal raises, the later ones do not: what it led to ends in bounded time, and is not
    to be torn in the middle. To be entered in the main thread.
    """

    def __init__(self) -> None:
        self._held = False
        self._asked_for = 0
        self._instead: Callable[[], object] | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Ending:
        for number in _TAKEN:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what `signal` gave us

    def hold(self) -> None:
        """From now on a signal waits: what runs is short, and must not be left half done."""
        self._held = True

    def release(self) -> None:
        """From now on a signal raises; one that came before does so now.

        Raises:
            Ended: a signal came while it was held, or what it raised got lost on its way.
        """
        self._held = False
        self._instead = None
        if self._asked_for:
            raise Ended(self._asked_for)

    def call_instead(self, action: Callable[[], object]) -> None:
        """From now on a signal does this instead of raising; one that came before does so now.

        For an event loop, whose tasks complain when something is raised in the middle of them.
        """
        self._instead = action
        if self._asked_for:
            action()

    def forget(self) -> None:
        """What the signal wanted has been done; the next one raises again."""
        self._asked_for = 0

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        is_first = not self._asked_for
        self._asked_for = number
        if self._instead is not None:
            self._instead()
        elif is_first and not self._held:
            raise Ended(number)

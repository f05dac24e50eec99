"""A command's output on its way to the terminal, in our hands so that a report can stand below it.

The command writes to a terminal of ours: it keeps its colours and writes line by line as before.
Its input, its signals and what was not going to a terminal stay untouched.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

_OUTPUTS: Final = (1, 2)
_READ_BYTES: Final = 65_536
_UNFINISHED_AFTER_S: Final = 0.5
"""A line that waits for its end so long is a question, or a progress bar: shown as it is."""
_PAUSE_S: Final = 0.05
"""Between two showings: each draws the report again."""


class Passing:
    """Gives the command a terminal, and what it writes there to `show`, whole lines at a time."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._ours, self.terminal = os.openpty()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, name="unslow-output", daemon=True)
        self._text = bytearray()
        self._last_read_s = self._last_shown_s = 0.0
        _leave_bytes_alone(self.terminal)
        self.take_size()

    def __enter__(self) -> Passing:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        os.close(self.terminal)
        os.close(self._ours)

    @property
    def file_actions(self) -> tuple[tuple[int, int, int], ...]:
        """For `posix_spawn`: what would go to the terminal goes to ours."""
        return tuple(
            (os.POSIX_SPAWN_DUP2, self.terminal, number) for number in _OUTPUTS if os.isatty(number)
        )

    def take_size(self) -> None:
        """Makes our terminal as large as the one that its output is shown on."""
        import fcntl
        import termios

        with contextlib.suppress(OSError):
            size = fcntl.ioctl(_OUTPUTS[-1], termios.TIOCGWINSZ, bytes(8))
            fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, size)

    def _read(self) -> None:
        """Takes what comes at once, so that nobody waits for us, and shows it now and then."""
        while True:
            ended = self._ended.is_set()
            readable, _, _ = select.select([self._ours], [], [], _PAUSE_S)
            now_s = time.monotonic()
            if readable:
                self._text += os.read(self._ours, _READ_BYTES)
                self._last_read_s = now_s
            if now_s - self._last_shown_s >= _PAUSE_S:
                self._show_lines(now_s)
            if ended and not readable:
                self._show_text(bytes(self._text))
                return

    def _show_lines(self, now_s: float) -> None:
        is_unfinished_for_long = now_s - self._last_read_s > _UNFINISHED_AFTER_S
        end = len(self._text) if is_unfinished_for_long else self._text.rfind(b"\n") + 1
        if end:
            lines = bytes(self._text[:end])
            del self._text[:end]
            self._show_text(lines.removesuffix(b"\n"))
            self._last_shown_s = time.monotonic()

    def _show_text(self, text: bytes) -> None:
        # Also when the terminal is gone we read on: the command would wait for us without end.
        with contextlib.suppress(OSError):
            if text:
                self._show(text.decode(errors="replace"))


def _leave_bytes_alone(terminal: int) -> None:
    """Takes a terminal's own changes off, such as a carriage return before each line's end."""
    import termios

    attributes = termios.tcgetattr(terminal)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)

"""What a check may switch on in an app that it has started, and what is off everywhere else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..errors import WireError
from .recorder import recorder

WATCH: Final = "watch"
"""What the app reads of the ORM's objects is noted, at the price of time."""
COMPARE: Final = "compare"
"""Bodies of answers are hashed."""


class Arms:
    """What is switched on in this process, with the way to switch it off again."""

    def __init__(self) -> None:
        self._undo: dict[str, Callable[[], None]] = {}

    def arm(self, switch: str) -> None:
        """Switches something on; nothing happens where it is on.

        Raises:
            WireError: there is no such switch.
        """
        if switch in self._undo:
            return
        if switch == WATCH:
            self._undo[switch] = _watch()
        elif switch == COMPARE:
            self._undo[switch] = _compare()
        else:
            raise WireError(f"There is no switch {switch!r}; there are {WATCH} and {COMPARE}.")

    def disarm(self, switch: str | None = None) -> None:
        """Switches something off, or everything."""
        for name in [name for name in list(self._undo) if switch in (None, name)]:
            # The tool may go while the agent stops: each undoes once.
            self._undo.pop(name, _nothing)()


def _nothing() -> None:
    pass


def _watch() -> Callable[[], None]:
    # Only here: it looks into SQLAlchemy, which the app may not have.
    from .probes.sqlalchemy.usage import is_watching, start_watching

    stop = start_watching(recorder)
    recorder.watching = is_watching()

    def undo() -> None:
        recorder.watching = False
        stop()

    return undo


def _compare() -> Callable[[], None]:
    recorder.comparing = True

    def undo() -> None:
        recorder.comparing = False

    return undo

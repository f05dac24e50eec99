"""Records garbage collections, in the request that they interrupt."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any, Final

from ...current import LANE, Lane, clock
from ...model.trace import GC
from ..probe import Installation

_GENERATIONS: Final = ("generation 0", "generation 1", "generation 2")


def install(installation: Installation, module: str) -> None:  # noqa: ARG001  # there is one
    """Starts the recording of collections; the interpreter's own door is a list of callbacks."""
    callback = _callback()
    gc.callbacks.append(callback)

    def undo() -> None:
        # An app may have emptied the list.
        if callback in gc.callbacks:
            gc.callbacks.remove(callback)

    installation.patches.on_undo(undo)
    installation.cover("garbage collection")


def _callback() -> Callable[[str, dict[str, Any]], None]:
    # Collections do not overlap, in no two threads either, so one pair of variables is enough.
    interrupted: Lane | None = None
    start = 0

    def collected(phase: str, info: dict[str, Any]) -> None:
        nonlocal interrupted, start
        if phase == "start":
            interrupted = LANE.get()
            if interrupted is not None:
                start = clock()
        elif interrupted is not None:
            lane, interrupted = interrupted, None
            lane.add(GC, start, clock(), _GENERATIONS[info["generation"]])

    return collected

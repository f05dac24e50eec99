"""The one place that replaces names in foreign modules.

All or nothing, undone in reverse; the original is taken at the moment of patching, and only what is
still ours is undone.
"""

from __future__ import annotations

import _thread
import inspect
import time
from collections.abc import Callable
from typing import Any, Final

_MISSING = object()
_sleep: Final = time.sleep
_start_new_thread: Final = _thread.start_new_thread


def original_sleep() -> Callable[[float], object]:
    """The `time.sleep` of before we, or an app's tests, put something in its place.

    Where something like gevent has made threads take turns in one, it is its own: with the original
    none of the others would go on.
    """
    return _sleep if _thread.start_new_thread is _start_new_thread else time.sleep


class Patches:
    """Replacements made together and undone together."""

    def __init__(self) -> None:
        self._done: list[tuple[Any, str, Any, Any]] = []
        self._undo: list[Callable[[], None]] = []

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Puts `make(original)` where `owner.name` is.

        A name that the owner inherits is set on the owner and deleted again by `undo`.

        Raises:
            AttributeError: the owner has no such name.
        """
        original = inspect.getattr_static(owner, name)
        own = vars(owner).get(name, _MISSING)
        if isinstance(original, classmethod):
            # The class is passed on: a child of the owner must not turn into the owner.
            replacement: Any = classmethod(make(original.__func__))
        else:
            replacement = make(getattr(owner, name))
            if isinstance(original, staticmethod):
                replacement = staticmethod(replacement)
        setattr(owner, name, replacement)
        self._done.append((owner, name, own, replacement))

    def on_undo(self, action: Callable[[], None]) -> None:
        """Has `action` called when the patches are undone."""
        self._undo.append(action)

    def undo(self) -> None:
        """Puts back every original whose place still holds our replacement."""
        for action in reversed(self._undo):
            action()
        self._undo.clear()
        for owner, name, own, replacement in reversed(self._done):
            if vars(owner).get(name, _MISSING) is not replacement:
                continue
            if own is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, own)
        self._done.clear()

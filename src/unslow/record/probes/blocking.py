"""Records known blocking calls: sleeping, processes, opening files, reading and writing whole ones.

Not recorded: the locks, events and queues of `threading`, sockets used by hand, and reads of files
that are open. A name that was imported before the probe started (`from time import sleep`) keeps
the original.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Final

from ...current import LANE, clock
from ...model.trace import BLOCKING
from ..place import caller_place
from ..probe import Installation, require

_SHORTEST_NS: Final = 100_000
"""A cached file opens in 10 to 30 us, and `sleep(0)` returns at once: work, not a wait."""

_FUNCTIONS: Final = {"builtins": ("open",), "os": ("system",), "time": ("sleep",)}

_METHODS: Final = {
    "pathlib": ("Path", ("read_bytes", "read_text", "write_bytes", "write_text")),
    "subprocess": ("Popen", ("__init__", "communicate", "wait")),
}


def install(installation: Installation, module: str) -> None:
    """Starts the recording of one module's calls."""
    owner: Any = sys.modules[module]
    for name in _FUNCTIONS.get(module, ()):
        require(owner, name)
        installation.patches.replace(owner, name, functools.partial(BlockingFunction, module))
    if module in _METHODS:
        kind, names = _METHODS[module]
        owner = getattr(owner, kind)
        for name in names:
            require(owner, name, "self")
            what = f"{module}.{kind}" if name == "__init__" else f"{module}.{kind}.{name}"
            installation.patches.replace(owner, name, functools.partial(_blocking_method, what))
    installation.cover("blocking calls")


class BlockingFunction:
    """In place of a function of the interpreter.

    Like those, and unlike a function written in Python, it is no method of a class that keeps it as
    an attribute, and it is pickled by its name.
    """

    def __init__(self, module: str, original: Callable[..., Any]) -> None:
        functools.update_wrapper(self, original)
        self.__module__ = module
        self._original = original
        self._what = original.__name__ if module == "builtins" else f"{module}.{original.__name__}"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        lane = LANE.get()
        if lane is None or lane.inside_sql:
            return self._original(*args, **kwargs)
        start = clock()
        try:
            return self._original(*args, **kwargs)
        finally:
            end = clock()
            if end - start >= _SHORTEST_NS:
                lane.add(BLOCKING, start, end, self._what, caller_place())

    def __reduce__(self) -> str:
        return self._original.__name__

    def __repr__(self) -> str:
        return repr(self._original)


def _blocking_method(what: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        lane = LANE.get()
        if lane is None or lane.inside_sql:
            return original(self, *args, **kwargs)
        start = clock()
        try:
            return original(self, *args, **kwargs)
        finally:
            end = clock()
            if end - start >= _SHORTEST_NS:
                lane.add(BLOCKING, start, end, what, caller_place())

    return method

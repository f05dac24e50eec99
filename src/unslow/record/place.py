"""Which lines are the user's own, and how a frame becomes a line."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from types import CodeType, FrameType
from typing import Any

from ..current import RawPlace

_DEEPEST = 120
_BOTTOM = "bottom"
"""Marks the file that drives tasks and threads: what lies below it did not call, it only serves."""
_LANES = os.path.join(os.path.dirname(__file__), "lanes.py")


def _both_names(path: str) -> tuple[str, ...]:
    """A path as it is named and as it is without links.

    Worked out at the start, so that no file is looked at while a request holds the event loop.
    """
    return tuple(dict.fromkeys((os.path.abspath(path), os.path.realpath(path))))


_PACKAGE = tuple(
    os.path.join(os.path.dirname(os.path.dirname(file)), "") for file in _both_names(__file__)
)
_DEMO = tuple(os.path.join(folder, "demo", "") for folder in _PACKAGE)


def _library_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders.update(site.getsitepackages() if hasattr(site, "getsitepackages") else ())
    folders.add(os.path.dirname(os.__file__))
    return tuple(
        sorted({os.path.join(path, "") for folder in folders for path in _both_names(folder)})
    )


class OwnCode:
    """Tells the user's own code from libraries, by file.

    Own is what lies outside the standard library and the installed packages, and of the installed
    packages those that were named: the application itself may be one.
    """

    def __init__(self, named: tuple[str, ...] = ()) -> None:
        self._libraries = _library_folders()
        self._named: tuple[str, ...] = ()
        self.by_file: dict[str, bool | str] = {_LANES: _BOTTOM}
        for name in named:
            self.include(name)

    def include(self, name: str) -> None:
        """Counts an installed package, or a folder, as the user's own."""
        if os.sep in name:
            prefixes = [
                path if path.endswith(".py") else os.path.join(path, "")
                for path in _both_names(name)
            ]
        else:
            part = name.replace(".", os.sep)
            prefixes = [os.path.join(folder, part) + os.sep for folder in self._libraries]
            prefixes += [os.path.join(folder, part) + ".py" for folder in self._libraries]
        self._named = (*self._named, *prefixes)
        self.by_file = {_LANES: _BOTTOM}

    def include_package_of(self, module: str) -> None:
        """Counts the installed package that holds an endpoint as the user's own."""
        top = module.partition(".")[0]
        file = getattr(sys.modules.get(top), "__file__", None)
        if not top or file is None or top in _FRAMEWORKS or self.is_own_file(file):
            return
        self.include(top)

    def is_own_file(self, file: str) -> bool:
        """Whether a `co_filename` is the user's own code; remembered by file."""
        known = self.by_file.get(file)
        if known is None:
            known = self.by_file[file] = self._judge(file)
        return known is True

    def _judge(self, file: str) -> bool:
        if not file or file[0] == "<":
            return False
        if file.startswith(_PACKAGE):
            # The demo's application stands for a user's.
            return file.startswith(_DEMO)
        if self._named and file.startswith(self._named):
            return True
        if f"{os.sep}site-packages{os.sep}" in file or f"{os.sep}dist-packages{os.sep}" in file:
            return False
        return not file.startswith(self._libraries)


_FRAMEWORKS = frozenset(
    {"unslow", "fastapi", "starlette", "litestar", "asyncio", "functools", "builtins"}
)

own_code = OwnCode()


def caller_place() -> RawPlace | None:
    """The innermost line of the user's own code below the calling function, or None."""
    return place_from(sys._getframe(1))


def place_from(frame: FrameType | None) -> RawPlace | None:
    """The innermost line of the user's own code, from a frame outwards.

    Crosses from a greenlet to the one that runs it: SQLAlchemy's async sessions run the ORM in one.
    """
    by_file = own_code.by_file
    greenlet: Any = None
    for _ in range(_DEEPEST):
        if frame is None:
            greenlet = greenlet_above(greenlet)
            if greenlet is None:
                return None
            frame = greenlet.gr_frame
            continue
        code = frame.f_code
        own = by_file.get(code.co_filename)
        if own is None:
            own = own_code.is_own_file(code.co_filename)
        if own:
            return (code, frame.f_lasti) if own is True else None
        frame = frame.f_back
    return None


Chain = tuple[RawPlace, ...]
"""Lines that called one another, the innermost first."""
_CHAIN_COUNT = 4


def caller_chain() -> Chain | None:
    """The innermost lines of the user's own code that called one another, the innermost first.

    For calls that take milliseconds: who wants to know which of a function's lines waits asks not
    for the line in some helper of it.
    """
    by_file = own_code.by_file
    frame: FrameType | None = sys._getframe(1)
    chain: list[RawPlace] = []
    for _ in range(_DEEPEST):
        if frame is None or len(chain) == _CHAIN_COUNT:
            break
        code = frame.f_code
        own = by_file.get(code.co_filename)
        if own is None:
            own = own_code.is_own_file(code.co_filename)
        if own:
            if own is not True:
                break
            chain.append((code, frame.f_lasti))
        frame = frame.f_back
    return tuple(chain) or None


def greenlet_above(greenlet: Any) -> Any:
    """The greenlet that runs the given one, or the current one where none is given; or None."""
    if greenlet is None:
        module = sys.modules.get("greenlet")
        if module is None:
            return None
        greenlet = module.getcurrent()
    return greenlet.parent


PackedPlace = tuple[str, int, str]
"""The fields of a `model.trace.Place`."""

_lines: dict[int, tuple[CodeType, dict[int, PackedPlace]]] = {}
"""By the id of a code object, which is kept alive: hashing one reads all of its constants."""
_CODES_KEPT = 5_000


def resolve(raw: RawPlace | None) -> PackedPlace | None:
    """Path, line and function of a raw place; called after the request."""
    if raw is None:
        return None
    code, offset = raw
    known = _lines.get(id(code))
    if known is None:
        if len(_lines) >= _CODES_KEPT:
            _lines.clear()
        known = _lines[id(code)] = (code, {})
    place = known[1].get(offset)
    if place is None:
        place = (code.co_filename, _line_at(code, offset), code.co_qualname)
        known[1][offset] = place
    return place


def _line_at(code: CodeType, offset: int) -> int:
    for start, end, line in code.co_lines():
        if start <= offset < end:
            return line or code.co_firstlineno
    return code.co_firstlineno

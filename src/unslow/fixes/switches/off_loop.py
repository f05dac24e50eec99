"""Takes a call off the event loop: the function that makes it runs with the patched code.

What runs is the patch itself: the source file with the call replaced by
`await asyncio.to_thread(...)`, compiled as a whole, so that names, closures and lines are those of
the file. Of the result only the code of that one function is used, and put into the function
objects that the app has already made. A request keeps the code that it has begun with.

The change holds for all requests of the process while it is on: threads are what requests share.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import inspect
import itertools
import os
import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from itertools import compress, repeat
from operator import is_
from pathlib import Path
from threading import Lock
from types import CodeType, FunctionType
from typing import Any, Final, NamedTuple

from ...current import OpenArm
from ...errors import WireError
from . import Parameters, Tools, Undo

_numbers = itertools.count(1)
_lock: Final = Lock()
_COROUTINE: Final = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR

ToThread = Callable[..., Awaitable[Any]]
Name = tuple[str, int]
"""The qualified name and the first line of a code object."""


class Change(NamedTuple):
    """What is changed in a source file, as it travels to the app."""

    path: str
    function: str
    """The qualified name of the coroutine function that makes the call."""
    line: int
    """Its first line as Python counts: that of its first decorator, if it has one."""
    start: int
    end: int
    """Where the text of the call begins and ends in the file, in characters."""
    call: str
    """The text of the call."""
    source: str
    """What takes its place; of as many lines."""
    to_thread: str
    """How `asyncio.to_thread` is written in there."""
    text_digest: str
    """Of the file's whole text, by `digest_of`."""


def switch_on(arm: OpenArm, parameters: Parameters, _tools: Tools) -> Undo:
    """Switches the fix on for the whole process.

    Raises:
        WireError: the parameters are not those of a change, the file is not as it was, or what
            runs in the process is not what the file says.
    """
    change = change_of(parameters)
    path = os.path.realpath(change.path)
    with _lock:
        file = _files.get(path) or _File()
        switched = file.add(change, arm)
        _files[path] = file

    def undo() -> None:
        with _lock:
            file.remove(switched)
            if not file.has_changes and _files.get(path) is file:
                del _files[path]

    return undo


def change_of(parameters: Mapping[str, object]) -> Change:
    """A change as it came over the wire.

    Raises:
        WireError: a part is missing, or is of another type.
    """
    for name, kind in _KINDS.items():
        if type(parameters.get(name)) is not kind:
            raise WireError(f"The fix off-loop needs `{name}` as {kind.__name__}.")
    return Change(**{name: parameters[name] for name in _KINDS})  # type: ignore[arg-type]  # checked right above


_KINDS: Final[dict[str, type]] = {
    name: int if name in {"line", "start", "end"} else str for name in Change._fields
}


def digest_of(text: str) -> str:
    """What tells a text from any other."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class _Switched(NamedTuple):
    change: Change
    arm: OpenArm


class _Swap(NamedTuple):
    function: FunctionType
    original: CodeType
    ours: CodeType


class _File:
    """What is changed in one source file; several changes are one text."""

    def __init__(self) -> None:
        self._switched: list[_Switched] = []
        self._swaps: list[_Swap] = []
        self._originals: dict[int, tuple[CodeType, CodeType]] = {}
        """By the id of a code of ours, which is kept alive: itself, and what it stands for."""

    @property
    def has_changes(self) -> bool:
        return bool(self._switched)

    def add(self, change: Change, arm: OpenArm) -> _Switched:
        """Switches a change on; of one that cannot be nothing stays."""
        switched = _Switched(change, arm)
        self._take_back()
        self._switched.append(switched)
        try:
            self._put()
        except WireError:
            self.remove(switched)
            raise
        return switched

    def remove(self, switched: _Switched) -> None:
        """Switches a change off; the others stay on."""
        self._take_back()
        self._switched = [one for one in self._switched if one is not switched]
        try:
            self._put()
        except WireError as error:
            for one in self._switched:
                one.arm.failed(str(error))

    def _put(self) -> None:
        """Gives all functions that are concerned the code of the changed text."""
        if not self._switched:
            return
        changes = [one.change for one in self._switched]
        text = _text_of(changes[0])
        path = changes[0].path
        counters = {_marker(): _counting(one.arm) for one in self._switched}
        changed = _spliced(text, changes, counters)
        before = _compiled(text, path)
        after = _with_constants(_compiled(changed, path), counters)
        swaps: list[_Swap] = []
        originals: dict[int, tuple[CodeType, CodeType]] = {}
        for change in changes:
            pairs = _pairs(_way(before, change), _way(after, change), change)
            swaps += _swaps(pairs, change)
            originals |= _originals(swaps, change)
        self._swaps, self._originals = swaps, originals
        for function, _, ours in swaps:
            function.__code__ = ours

    def _take_back(self) -> None:
        """Gives every function that still has a code of ours its own."""
        for function, original, ours in reversed(self._swaps):
            if function.__code__ is ours:
                function.__code__ = original
        self._swaps = []
        if self._originals:
            # Functions that were made meanwhile, by functions whose code was ours.
            for function in _living():
                known = self._originals.get(id(function.__code__))
                if known is not None:
                    function.__code__ = known[1]
        self._originals = {}


_files: Final[dict[str, _File]] = {}
"""By the path without links."""


def _text_of(change: Change) -> str:
    try:
        # As the tool reads it: positions are counted in this text.
        text = Path(change.path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise WireError(f"{change.path} cannot be read: {type(error).__name__}.") from error
    if digest_of(text) != change.text_digest:
        raise WireError(f"{change.path} has changed since the fix was planned; ask again.")
    return text


def _spliced(text: str, changes: Iterable[Change], counters: Iterable[str]) -> str:
    """The text with all changes; each calls what is to be counted by its own marker."""
    end = len(text)
    for change, marker in sorted(zip(changes, counters, strict=True), reverse=True, key=_start):
        if change.end > end or text[change.start : change.end] != change.call:
            raise WireError(f"The call in `{change.function}` is not where it was; ask again.")
        if change.source.count("\n") != change.call.count("\n"):
            raise WireError(f"The fix in `{change.function}` would move the lines below it.")
        source = change.source.replace(change.to_thread, repr(marker), 1)
        text = text[: change.start] + source + text[change.end :]
        end = change.start
    return text


def _start(one: tuple[Change, str]) -> int:
    return one[0].start


def _marker() -> str:
    """A constant that stands in no source file."""
    return f"\0unslow {next(_numbers)}"


def _counting(arm: OpenArm) -> ToThread:
    """`asyncio.to_thread`, for an arm that is told of each call."""

    def to_thread(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        arm.fired()
        return asyncio.to_thread(function, *args, **kwargs)

    return to_thread


def _compiled(text: str, path: str) -> CodeType:
    with warnings.catch_warnings():
        # Those of the user's text were told when it was imported; and markers are called.
        warnings.simplefilter("ignore")
        try:
            return compile(text, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise WireError(f"{path} cannot be compiled: {type(error).__name__}.") from error


def _with_constants(code: CodeType, functions: Mapping[str, ToThread]) -> CodeType:
    """A code whose markers are functions: so nothing has to be added to the app's own names."""
    constants: list[Any] = []
    for one in code.co_consts:
        if isinstance(one, CodeType):
            constants.append(_with_constants(one, functions))
        else:
            constants.append(functions.get(one, one) if isinstance(one, str) else one)
    return code.replace(co_consts=tuple(constants))


def _way(code: CodeType, change: Change) -> tuple[CodeType, ...]:
    """The code of the function, and before it those of the functions that make it."""
    for one in code.co_consts:
        if isinstance(one, CodeType):
            if _name_of(one) == (change.function, change.line):
                return (one,)
            if further := _way(one, change):
                return (one, *further)
    return ()


def _pairs(
    before: tuple[CodeType, ...], after: tuple[CodeType, ...], change: Change
) -> list[tuple[CodeType, CodeType]]:
    """Each code with the one to take its place.

    A function takes no other code: its callers and its closure are made for this one.
    """
    if not before or len(before) != len(after):
        raise WireError(f"{change.path} has no function `{change.function}` where it was.")
    old, new = before[-1], after[-1]
    if not old.co_flags & _COROUTINE:
        raise WireError(f"`{change.function}` is no coroutine function.")
    if _shape(old) != _shape(new):
        raise WireError(f"`{change.function}` would take other arguments with the fix in it.")
    return list(zip(before, after, strict=True))


def _shape(code: CodeType) -> tuple[object, ...]:
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    arguments_count = code.co_argcount + code.co_kwonlyargcount
    arguments = code.co_varnames[:arguments_count]
    return (*counts, arguments, code.co_flags, code.co_freevars)


def _swaps(pairs: list[tuple[CodeType, CodeType]], change: Change) -> list[_Swap]:
    """Each living function whose code is on the way, with the code that it is to have.

    Raises:
        WireError: none of them runs what the file says.
    """
    path = os.path.realpath(change.path)
    wanted = {_name_of(old): (old, new) for old, new in pairs}
    found: list[_Swap] = []
    is_other = False
    for function in _living():
        code = function.__code__
        pair = wanted.get(_name_of(code))
        if pair is None or os.path.realpath(code.co_filename) != path:
            continue
        if code == pair[0]:
            found.append(_Swap(function, code, pair[1]))
        else:
            is_other = True
    if is_other:
        raise WireError(
            f"The process does not run `{change.function}` as {change.path} has it:"
            " the file was changed after it was imported, or something rewrites it on import."
        )
    if not found:
        frozen = (
            " The app has frozen its objects with `gc.freeze`." if gc.get_freeze_count() else ""
        )
        raise WireError(
            f"The process has no function `{change.function}` of {change.path}.{frozen}"
        )
    return found


def _originals(swaps: list[_Swap], change: Change) -> dict[int, tuple[CodeType, CodeType]]:
    """What each code of ours stands for, also within the functions that make others."""
    found: dict[int, tuple[CodeType, CodeType]] = {}
    for _, original, ours in swaps:
        old = (original, *_way(original, change))
        new = (ours, *_way(ours, change))
        found |= {id(one): (one, other) for one, other in zip(new, old, strict=True)}
    return found


def _living() -> Iterator[FunctionType]:
    """All functions written in Python that the process has."""
    objects = gc.get_objects()
    # Without a step of Python for each: of millions of objects, the app waits meanwhile.
    return compress(objects, map(is_, map(type, objects), repeat(FunctionType)))


def _name_of(code: CodeType) -> Name:
    return code.co_qualname, code.co_firstlineno

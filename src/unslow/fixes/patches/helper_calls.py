"""Where a coroutine calls the plain function in which something blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import libcst as cst
from libcst import matchers as m

from ...model.trace import REMOTE, Place
from .calls import Call, Function, Source, name_of, source_of
from .patch import CannotTryError, Subject


class HelperCall(NamedTuple):
    """A call of a plain function, made by a coroutine."""

    path: str
    source: Source
    call: Call


def call_of_helper(subject: Subject, place: Place, helper: Function) -> HelperCall:
    """The one call of a function that a coroutine makes itself.

    Where the recording has the lines that called one another, it is the line of that; else it is
    looked for by its name, in the endpoint's file and the function's own.

    Raises:
        CannotTryError: there is none, there are several, or the function is called deeper.
    """
    files = dict(_files(subject, place))
    if any(one.is_generator(helper) for one in files.values()):
        raise CannotTryError(
            f"`{helper.qualified_name}` is a generator: what goes through it waits, not its call."
        )
    found = [
        one
        for path, source in files.items()
        for one in _calls(path, source, helper, place.path)
        if one.call.function.is_async and not one.call.is_awaited
    ]
    found = _seen(subject, place, found) or _by_endpoint(subject, found) or found
    if len(found) == 1:
        return found[0]
    if not found:
        raise CannotTryError(_deeper(subject, files, place, helper))
    functions = dict.fromkeys(f"`{one.call.function.qualified_name}`" for one in found)
    raise CannotTryError(
        f"`{helper.qualified_name}` is called at {len(found)} places, in {', '.join(functions)}:"
        " it is not certain which of them waits."
    )


def _files(subject: Subject, place: Place) -> Iterator[tuple[str, Source]]:
    """The files to look in: the function's own, and those of endpoints and callers."""
    endpoints = [one.endpoint.path for one in subject.traces if one.endpoint is not None]
    callers = [one.path for one in _chain(subject, place)]
    for path in dict.fromkeys([place.path, *endpoints, *callers]):
        text = subject.read(path)
        if text is not None:
            try:
                yield path, source_of(text)
            except ValueError:
                continue


def _chain(subject: Subject, place: Place) -> tuple[Place, ...]:
    """The lines that called the one at a place, from the nearest on, where they were kept."""
    for trace in subject.traces:
        for lane in trace.lanes:
            for one in lane.slices:
                if one.segment == REMOTE and one.place == place and isinstance(one.what, tuple):
                    return tuple(Place(*line) for line in one.what[4:])
    return ()


def _calls(path: str, source: Source, helper: Function, defined_in: str) -> Iterator[HelperCall]:
    """The calls that may be of a function: by its name, and by how that came into the file."""
    names = None if path == defined_in else dict(_imported_names(source))
    for call in source.calls:
        if _may_call(call, helper, names, Path(defined_in)):
            yield HelperCall(path, source, call)


def _may_call(
    call: Call, helper: Function, names: Mapping[str, str] | None, defined_in: Path
) -> bool:
    owner = call.node.func.value if isinstance(call.node.func, cst.Attribute) else None
    if helper.is_method:
        return call.name == helper.name and owner is not None
    if names is None:
        return call.name == helper.name and owner is None
    if owner is None:
        return names.get(call.name) == helper.name
    module = name_of(owner)
    module = names.get(module, module).rpartition(".")[2]
    return call.name == helper.name and module in {defined_in.stem, defined_in.parent.name}


def _imported_names(source: Source) -> Iterator[tuple[str, str]]:
    """The names that a file imports, with what they are called where they come from."""
    for one in m.findall(source.module, m.ImportAlias()):
        alias = cst.ensure_type(one, cst.ImportAlias)
        yield alias.evaluated_alias or alias.evaluated_name, alias.evaluated_name


def _seen(subject: Subject, place: Place, found: list[HelperCall]) -> list[HelperCall]:
    """Those at the line that was seen to call."""
    lines = {(one.path, one.line) for one in _chain(subject, place)[:1]}
    return [one for one in found if (one.path, one.call.line) in lines]


def _by_endpoint(subject: Subject, found: list[HelperCall]) -> list[HelperCall]:
    endpoints = {
        (one.endpoint.path, one.endpoint.function)
        for one in subject.traces
        if one.endpoint is not None
    }
    return [one for one in found if (one.path, one.call.function.qualified_name) in endpoints]


def _deeper(subject: Subject, files: dict[str, Source], place: Place, helper: Function) -> str:
    """Why there is nothing to hand over, with the function to be handed over by hand."""
    way = _way_to(files, place, helper) or _chain_to(subject, files, place)
    if way is None:
        return (
            f"No coroutine is seen to call `{helper.qualified_name}` itself: where one leads to it,"
            " hand that call over with `await asyncio.to_thread(...)`."
        )
    frames_count, function, coroutine = way
    return (
        f"It waits {frames_count} frames below the coroutine: move `{function}`, which"
        f" `{coroutine}` calls, with `await asyncio.to_thread(...)`."
    )


_Way = tuple[int, str, str]
"""Frames below the coroutine, the function that it calls, and the coroutine."""


def _chain_to(subject: Subject, files: dict[str, Source], place: Place) -> _Way | None:
    """The way to the nearest coroutine by the lines that called one another."""
    below = place
    for depth, one in enumerate(_chain(subject, place), 1):
        source = files.get(one.path)
        function = source and source.function_at(one.line, one.function)
        if function and function.is_async:
            return depth, below.function, one.function
        below = one
    return None


def _way_to(files: dict[str, Source], place: Place, helper: Function) -> _Way | None:
    """The shortest way from a coroutine by the names of what is called."""
    waiting = deque([(1, place.path, helper)])
    seen = {helper}
    while waiting:
        depth, own_path, function = waiting.popleft()
        for path, source in files.items():
            for _, _, call in _calls(path, source, function, own_path):
                caller = call.function
                if caller.is_async and depth > 1:
                    return depth, function.qualified_name, caller.qualified_name
                if caller not in seen and not caller.is_async:
                    seen.add(caller)
                    waiting.append((depth + 1, path, caller))
    return None

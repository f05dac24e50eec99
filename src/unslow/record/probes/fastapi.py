"""Records FastAPI: endpoints, async dependencies, validation, serialization, the route's template.

What runs in worker threads (sync endpoints and dependencies) is recorded by the probe of threads;
routes of Starlette and the rendering of responses by Starlette's.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Awaitable, Callable
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE
from typing import Any, Final

from ...current import LANE, Lane, RawPlace, clock
from ...model.trace import OWN_CODE, SERIALIZATION, VALIDATION
from ..functions import code_of, own_place
from ..handlers import opening, selected
from ..probe import Installation, ProbeOffError, require

_GENERATOR_SOLVERS: Final = ("_solve_generator", "solve_generator")
"""Private names: since FastAPI 0.121, and before; both take `stack`, and the dependency by name."""

_SHORTEST_NS: Final = 3_000
"""A dependency that took less was perhaps only looked up, where another one is overridden."""

_Patch = Callable[[Callable[..., Any]], Callable[..., Any]]


def install(installation: Installation, module: str) -> None:
    """Starts the recording of what one module of FastAPI does."""
    if module == "fastapi.applications":
        _application(installation, sys.modules[module])
    else:
        _routing(installation, sys.modules[module])


def _application(installation: Installation, applications: Any) -> None:
    require(applications.FastAPI, "__call__", "self", "scope", "receive", "send")
    installation.patches.replace(applications.FastAPI, "__call__", opening(installation.recorder))


def _routing(installation: Installation, routing: Any) -> None:
    solving = importlib.import_module("fastapi.dependencies.utils")
    require(routing, "run_endpoint_function", "dependant", "values", "is_coroutine")
    require(routing, "serialize_response", "field", "response_content")
    require(solving, "request_params_to_args", "fields", "received_params")
    require(solving, "request_body_to_args", "body_fields", "received_body")
    replace = installation.patches.replace
    if hasattr(routing, "_operation"):
        # Since 0.162: where its own spans begin and end, with no layer more in the chain of awaits.
        require(routing, "_operation", "name", "function")
        replace(routing, "_operation", _operation(installation))
        replace(routing, "serialize_response", _returned)
    else:
        replace(routing, "run_endpoint_function", _endpoint(installation))
        replace(routing, "serialize_response", _serialized)
    replace(solving, "request_params_to_args", _validated)
    replace(solving, "request_body_to_args", _timed(VALIDATION))
    if hasattr(routing, "_route_selected"):
        # Since 0.162, with routes that an included router keeps; before, Starlette's own were used.
        require(routing, "_route_selected", "scope", "path", "mount")
        replace(routing, "_route_selected", _route_selected(installation))
    installation.cover(f"fastapi {importlib.import_module('fastapi').__version__}")
    _dependencies(installation, routing, solving)


def _dependencies(installation: Installation, routing: Any, solving: Any) -> None:
    try:
        require(routing, "solve_dependencies", "request", "dependant")
        require(solving, "solve_dependencies", "request", "dependant")
        name = next(one for one in _GENERATOR_SOLVERS if hasattr(solving, one))
        if not hasattr(solving, "SolvedDependency"):
            raise ProbeOffError("FastAPI before 0.112 solves dependencies in another way")
    except (ProbeOffError, StopIteration) as reason:
        installation.cover("fastapi dependencies", "off", str(reason) or "no solve_generator")
        return
    replace = installation.patches.replace
    replace(routing, "solve_dependencies", _solving)
    replace(solving, "solve_dependencies", _solving_below(installation))
    replace(solving, name, _solving_generator(installation))


def _route_selected(installation: Installation) -> _Patch:
    def make(original: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(original)
        def route_selected(*, scope: Any, path: str | None, mount: bool = False) -> None:
            try:
                if path is not None and not mount:
                    selected(scope, path)
            except Exception as error:
                installation.broke(error)
            original(scope=scope, path=path, mount=mount)

        return route_selected

    return make


# The functions below return the original's coroutine, or one around it: an `async def` in between
# would be one more layer that each step of the request goes through.


def _operation(installation: Installation) -> _Patch:
    def place_of(function: Any) -> RawPlace | None:
        try:
            code = code_of(function)
        except Exception as error:
            installation.broke(error)
            return None
        return None if code is None else (code, 0)

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def operation(*, name: str, function: Any = None) -> Any:
            theirs = original(name=name, function=function)
            lane = LANE.get()
            if lane is None:
                return theirs
            if name == "dependencies":
                # Before everything else, and also where the endpoint will run in a thread.
                if lane.trace.endpoint is None:
                    lane.trace.endpoint = place_of(function)
            elif name == "endpoint":
                return _Timed(theirs, lane, OWN_CODE, place_of(function))
            elif name == "serialization":
                return _Timed(theirs, lane, SERIALIZATION, None)
            return theirs

        return operation

    return make


class _Timed:
    """A context of FastAPI's, with the time that was spent in it."""

    __slots__ = ("_context", "_lane", "_place", "_segment", "_start_ns")

    def __init__(self, context: Any, lane: Lane, segment: int, place: RawPlace | None) -> None:
        self._context = context
        self._lane = lane
        self._segment = segment
        self._place = place
        self._start_ns = 0

    def __enter__(self) -> Any:
        entered = self._context.__enter__()
        self._start_ns = clock()
        return entered

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> Any:
        self._lane.add(self._segment, self._start_ns, clock(), None, self._place)
        return self._context.__exit__(kind, error, traceback)


def _endpoint(installation: Installation) -> _Patch:
    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(original)
        def run_endpoint_function(
            *, dependant: Any, values: Any, is_coroutine: bool
        ) -> Awaitable[Any]:
            running = original(dependant=dependant, values=values, is_coroutine=is_coroutine)
            lane = LANE.get()
            if lane is None:
                return running
            lane.trace.endpoint = own_place(dependant.call)
            if not is_coroutine:
                return running
            code = None
            try:
                code = code_of(dependant.call)
            except Exception as error:
                installation.broke(error)
            place = None if code is None else (code, 0)
            return _run(running, lane, OWN_CODE, place)

        return run_endpoint_function

    return make


async def _run(
    running: Awaitable[Any], lane: Lane, segment: int, place: RawPlace | None = None
) -> Any:
    start = clock()
    try:
        return await running
    finally:
        lane.add(segment, start, clock(), None, place)


def _note_returned(lane: Lane, arguments: dict[str, Any]) -> None:
    is_fast = bool(arguments.get("dump_json", False))
    lane.trace.returned = arguments.get("response_content"), arguments.get("field"), is_fast


def _returned(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(original)
    def serialize_response(**arguments: Any) -> Awaitable[Any]:
        lane = LANE.get()
        if lane is not None:
            _note_returned(lane, arguments)
        return original(**arguments)

    return serialize_response


def _serialized(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(original)
    def serialize_response(**arguments: Any) -> Awaitable[Any]:
        lane = LANE.get()
        if lane is None:
            return original(**arguments)
        _note_returned(lane, arguments)
        return _run(original(**arguments), lane, SERIALIZATION)

    return serialize_response


def _timed(segment: int) -> _Patch:
    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Awaitable[Any]:
            lane = LANE.get()
            if lane is None:
                return original(*args, **kwargs)
            return _run(original(*args, **kwargs), lane, segment)

        return timed

    return make


def _validated(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def request_params_to_args(fields: Any, received_params: Any) -> Any:
        if not fields:
            # Asked four times for each dependency: for its path, query, headers and cookies.
            return original(fields, received_params)
        lane = LANE.get()
        if lane is None:
            return original(fields, received_params)
        start = clock()
        try:
            return original(fields, received_params)
        finally:
            lane.add(VALIDATION, start, clock())

    return request_params_to_args


class Solving:
    """The dependencies of one function, solved one behind the other."""

    __slots__ = ("place", "since_ns")

    def __init__(self) -> None:
        self.since_ns = 0
        self.place: RawPlace | None = None

    def begins(self, place: RawPlace) -> None:
        """FastAPI has the arguments of a dependency; what comes next is to await it."""
        self.place = place
        self.since_ns = clock()

    def ended(self, lane: Lane) -> None:
        """FastAPI goes on: the dependency that it awaited, if it did, has run."""
        since, self.since_ns = self.since_ns, 0
        if since:
            end = clock()
            if end - since >= _SHORTEST_NS:
                lane.add(OWN_CODE, since, end, None, self.place)


def _solving(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(original)
    def solve_dependencies(**arguments: Any) -> Awaitable[Any]:
        lane = LANE.get()
        if lane is None or not arguments["dependant"].dependencies:
            return original(**arguments)
        return _solve(original(**arguments), lane)

    return solve_dependencies


async def _solve(solving: Awaitable[Any], lane: Lane) -> Any:
    outer, lane.extra = lane.extra, Solving()
    level = lane.extra
    try:
        return await solving
    finally:
        lane.extra = outer
        level.ended(lane)


def _solving_below(installation: Installation) -> _Patch:
    """FastAPI solves what a dependency depends on, then awaits the dependency itself."""

    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(original)
        def solve_dependencies(**arguments: Any) -> Awaitable[Any]:
            lane = LANE.get()
            if lane is None or lane.extra.__class__ is not Solving:
                return original(**arguments)
            return solve_below(arguments, lane, lane.extra)

        async def solve_below(arguments: dict[str, Any], lane: Lane, level: Solving) -> Any:
            level.ended(lane)
            dependant = arguments["dependant"]
            if dependant.dependencies:
                solved = await _solve(original(**arguments), lane)
            else:
                solved = await original(**arguments)
            try:
                if not solved.errors and not _is_known(dependant, arguments):
                    place = own_place(dependant.call)
                    if place is not None and place[0].co_flags & CO_COROUTINE:
                        level.begins(place)
            except Exception as error:
                installation.broke(error)
            return solved

        return solve_dependencies

    return make


def _is_known(dependant: Any, arguments: dict[str, Any]) -> bool:
    """Whether the request has the value of a dependency already; the keys begin with its call."""
    known = arguments.get("dependency_cache")
    if not known or not dependant.use_cache:
        return False
    call = dependant.call
    return any(key[0] is call for key in known)


def _solving_generator(installation: Installation) -> _Patch:
    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(original)
        def solve_generator(**arguments: Any) -> Awaitable[Any]:
            if LANE.get() is not None:
                try:
                    call = arguments.get("call") or arguments["dependant"].call
                    place = own_place(call)
                    if place is not None and place[0].co_flags & CO_ASYNC_GENERATOR:
                        arguments["stack"] = _Stack(arguments["stack"], place)
                except Exception as error:
                    installation.broke(error)
            return original(**arguments)

        return solve_generator

    return make


class _Stack:
    """An `AsyncExitStack` that takes the one context of a dependency with `yield`, timed."""

    __slots__ = ("_place", "_stack")

    def __init__(self, stack: Any, place: RawPlace) -> None:
        self._stack = stack
        self._place = place

    async def enter_async_context(self, context: Any) -> Any:
        return await self._stack.enter_async_context(_Context(context, self._place))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stack, name)


class _Context:
    """A dependency with `yield`: what stands before it and behind it is own code."""

    __slots__ = ("_context", "_place")

    def __init__(self, context: Any, place: RawPlace) -> None:
        self._context = context
        self._place = place

    async def __aenter__(self) -> Any:
        lane = LANE.get()
        if lane is None:
            return await self._context.__aenter__()
        return await _run(self._context.__aenter__(), lane, OWN_CODE, self._place)

    async def __aexit__(self, *error: Any) -> Any:
        lane = LANE.get()
        if lane is None:
            return await self._context.__aexit__(*error)
        return await _run(self._context.__aexit__(*error), lane, OWN_CODE, self._place)

"""What frameworks' probes share: which function handles a request, and under which route."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from types import CodeType, FunctionType, GeneratorType, MethodType
from typing import Any, Final

from ..current import RawPlace
from .middleware import MARK, Receive, Scope, Send, call_traced
from .place import own_code
from .recorder import Recorder

_MOUNTS: Final = "unslow.mounts"
"""The key in a scope under which the templates of the mounts passed so far stand."""

_DEEPEST: Final = 10
_PASSED_ON: Final = 3
"""How many arguments of a library's function may be the user's function that it is to call."""


def opening(recorder: Recorder) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Any]]:
    """Makes a framework's own `__call__` open a trace, unless an outer layer has opened one."""

    def make(original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def __call__(self: Any, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: N807  # it replaces a method of this name
            if MARK in scope:
                await original(self, scope, receive, send)
            else:
                await call_traced(MethodType(original, self), recorder, scope, receive, send)

        return __call__

    return make


def mounted(scope: Scope, template: str) -> None:
    """Notes that a request goes on below a mount; what answers there may have no routes."""
    trace = scope.get(MARK)
    if trace is not None:
        scope[_MOUNTS] = below = scope.get(_MOUNTS, "") + template
        trace.route = f"{below}/{{path}}"


def selected(scope: Scope, template: str) -> None:
    """Names the trace after the route that answers, with the mounts that lead to it."""
    trace = scope.get(MARK)
    if trace is None:
        return
    trace.route = scope.get(_MOUNTS, "") + template
    module = getattr(scope.get("endpoint"), "__module__", None)
    if module is not None and module not in _modules:
        _modules.add(module)
        own_code.include_package_of(module)


_modules: set[str] = set()
"""Of the endpoints seen so far."""


def code_of(function: Any) -> CodeType | None:
    """The code that a callable runs, below its partials and decorators; None if not Python's."""
    for _ in range(_DEEPEST):
        below = getattr(function, "__wrapped__", None)
        if below is None and isinstance(function, functools.partial):
            below = function.func
        if below is None:
            break
        function = below
    code = getattr(function, "__code__", None)
    if code is None:
        called = function.__init__ if isinstance(function, type) else type(function).__call__
        code = getattr(called, "__code__", None)
    return code if isinstance(code, CodeType) else None


def own_place(function: Any) -> RawPlace | None:
    """The first line of a callable, if it is the user's own code."""
    code = code_of(function)
    if code is None or not own_code.is_own_file(code.co_filename):
        return None
    return code, 0


def place_of_call(function: Any, args: tuple[Any, ...] = ()) -> RawPlace | None:
    """The first line of the user's own code that a call to a worker thread will run.

    Libraries pass it on in their own ways: `partial(run, function=f)`, `context.run(f)`,
    `next(generator)`, the method of a context manager that a generator makes.
    """
    keywords: dict[str, Any] = {}
    while isinstance(function, functools.partial):
        args = function.args + args
        keywords = function.keywords
        function = function.func
    place = own_place(function)
    if place is not None:
        return place
    if isinstance(function, MethodType):
        generator = getattr(function.__self__, "gen", None)
        if isinstance(generator, GeneratorType):
            return generator_place(generator)
    for passed in (*args[:_PASSED_ON], keywords.get("function")):
        if isinstance(passed, GeneratorType):
            place = generator_place(passed)
        elif isinstance(passed, FunctionType | MethodType | functools.partial):
            place = place_of_call(passed)
        if place is not None:
            return place
    return None


def generator_place(generator: Any) -> RawPlace | None:
    """The first line of a generator, or of the one it passes on, if it is the user's own code."""
    for prefix in ("gi", "ag"):
        code = getattr(generator, f"{prefix}_code", None)
        if code is None:
            continue
        if own_code.is_own_file(code.co_filename):
            return code, 0
        frame = getattr(generator, f"{prefix}_frame")
        if frame is None:
            return None
        # FastAPI's own generators around an endpoint that is one.
        for name in ("gen", "async_gen"):
            inner = frame.f_locals.get(name)
            if inner is not None and inner is not generator:
                return generator_place(inner)
        return None
    return own_place(getattr(type(generator), "__anext__", None))

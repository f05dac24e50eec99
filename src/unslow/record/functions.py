"""Which of the user's functions a library is about to run."""

from __future__ import annotations

import functools
from types import CodeType, FunctionType, GeneratorType, MethodType
from typing import Any, Final

from ..current import RawPlace
from .place import own_code

_DEEPEST: Final = 10
_PASSED_ON: Final = 3
"""How many arguments of a library's function may be the user's function that it is to call."""


def code_of(function: Any) -> CodeType | None:
    """The code that a callable runs, below its partials and decorators; None if not Python's."""
    if function.__class__ is FunctionType and not function.__dict__:
        return function.__code__
    for _ in range(_DEEPEST):
        below = getattr(function, "__wrapped__", None)
        if below is None and isinstance(function, functools.partial):
            below = function.func
        if below is None:
            break
        function = below
    code = getattr(function, "__code__", None)
    if code is None:
        name = "__init__" if isinstance(function, type) else "__call__"
        kind = function if isinstance(function, type) else type(function)
        code = getattr(getattr(kind, name), "__code__", None)
    return code if isinstance(code, CodeType) else None


def own_place(function: Any) -> RawPlace | None:
    """The first line of a callable, if it is the user's own code."""
    code = code_of(function)
    if code is None:
        return None
    file = code.co_filename
    own = own_code.by_file.get(file)
    if own is None:
        own = own_code.is_own_file(file)
    return (code, 0) if own else None


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

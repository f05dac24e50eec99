"""What the probes of frameworks share: opening a trace, and naming it after its route."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from types import MethodType
from typing import Any, Final

from .middleware import MARK, Receive, Scope, Send, call_traced
from .place import own_code
from .recorder import Recorder

_MOUNTS: Final = "unslow.mounts"
"""The key in a scope under which the templates of the mounts passed so far stand."""


def opening(recorder: Recorder) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Any]]:
    """Makes a framework's own `__call__` open a trace, unless an outer layer has opened one."""

    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def __call__(self: Any, scope: Scope, receive: Receive, send: Send) -> Any:  # noqa: N807  # it replaces a method of this name
            if MARK in scope:
                return await original(self, scope, receive, send)
            app = MethodType(original, self)
            return await call_traced(app, recorder, scope, receive, send)

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
    below = scope.get(_MOUNTS)
    route = template if below is None else below + template
    if trace.route == route:
        return
    trace.route = route
    module = getattr(scope.get("endpoint"), "__module__", None)
    if module is not None and module not in _modules:
        _modules.add(module)
        own_code.include_package_of(module)


_modules: set[str] = set()
"""Of the endpoints seen so far."""

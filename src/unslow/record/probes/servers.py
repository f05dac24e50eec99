"""Finding the app where servers load it, and being its outermost layer.

A framework's own class is found by its own probe; here come apps of any make, and wrapped ones. An
app that is found twice opens one trace.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Callable
from typing import Any

from ..middleware import TraceMiddleware
from ..probe import Installation, require


def install(installation: Installation, module: str) -> None:
    """Hooks one server's loading of its app."""
    _HOOKS[module](installation, sys.modules[module])


def _uvicorn_config(installation: Installation, module: Any) -> None:
    if hasattr(module.Config, "load_app"):
        installation.patches.replace(module.Config, "load_app", _noting_failure(installation))


def _uvicorn_server(installation: Installation, module: Any) -> None:
    """Every protocol calls what stands in its configuration's `loaded_app`, since uvicorn 0.13.

    It is exchanged when a server starts, not when it is loaded: others may load a configuration
    and look for their own app in it. After its last request uvicorn dies of the signal that stopped
    it: `atexit` never runs.
    """
    require(module.Server, "startup", "self", "sockets")
    require(module.Server, "shutdown", "self")

    def make_startup(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def startup(self: Any, *args: Any, **kwargs: Any) -> Any:
            _take(installation, getattr(self, "config", None), "loaded_app", "uvicorn")
            return await original(self, *args, **kwargs)

        return startup

    installation.patches.replace(module.Server, "startup", make_startup)

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def shutdown(*args: Any, **kwargs: Any) -> Any:
            try:
                return await original(*args, **kwargs)
            finally:
                _ended(installation)

        return shutdown

    installation.patches.replace(module.Server, "shutdown", make)


def _hypercorn(installation: Installation, module: Any) -> None:
    require(module.ASGIWrapper, "__init__", "self", "app")
    installation.patches.replace(
        module.ASGIWrapper, "__init__", _behind(installation, "app", "hypercorn")
    )


def _gunicorn(installation: Installation, module: Any) -> None:
    """The `asgi` worker, since gunicorn 24; the uvicorn workers load through uvicorn."""
    require(module.ASGIWorker, "load_wsgi", "self")
    installation.patches.replace(
        module.ASGIWorker, "load_wsgi", _behind(installation, "asgi", "gunicorn")
    )


def _granian(installation: Installation, module: Any) -> None:
    """Each of granian's kinds of workers wraps the app by this name, in the worker itself."""
    require(module, "_asgi_call_wrap", "callback")

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def wrap(callback: Any, *args: Any, **kwargs: Any) -> Any:
            return original(_traced(installation, callback, "granian"), *args, **kwargs)

        return wrap

    installation.patches.replace(module, "_asgi_call_wrap", make)


_HOOKS: dict[str, Callable[[Installation, Any], None]] = {
    "uvicorn.config": _uvicorn_config,
    "uvicorn.server": _uvicorn_server,
    "hypercorn.app_wrappers": _hypercorn,
    "gunicorn.workers.gasgi": _gunicorn,
    "granian.server.embed": _granian,
    "granian.server.mp": _granian,
    "granian.server.mt": _granian,
}


def _behind(
    installation: Installation, name: str, server: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Makes a method after which the attribute `name` of its object holds the traced app."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def load(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            _take(installation, self, name, server)
            return result

        return load

    return make


def _take(installation: Installation, owner: Any, name: str, server: str) -> None:
    """Puts the traced app where the attribute `name` of a server's object holds the app."""
    app = getattr(owner, name, None)
    if app is not None:
        traced = _traced(installation, app, server)
        if traced is not app:
            setattr(owner, name, traced)
            _give_back_on_undo(installation, owner, name, traced)


def _give_back_on_undo(
    installation: Installation, owner: Any, name: str, traced: TraceMiddleware
) -> None:
    reference = weakref.ref(owner)

    def give_back() -> None:
        still_there = reference()
        if getattr(still_there, name, None) is traced:
            setattr(still_there, name, traced.app)

    installation.patches.on_undo(give_back)


def _traced(installation: Installation, app: Any, server: str) -> Any:
    """The app with its requests recorded; the app itself where a bug of ours prevents it."""
    try:
        traced = app
        if not isinstance(app, TraceMiddleware):
            traced = TraceMiddleware(app, installation.recorder)
        installation.cover(f"server {server}")
        if installation.recorder.on_app is not None:
            installation.recorder.on_app(server)
    except Exception as error:
        installation.broke(error)
        return app
    return traced


def _noting_failure(installation: Installation) -> Callable[[Callable[..., Any]], Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def load_app(*args: Any, **kwargs: Any) -> Any:
            try:
                return original(*args, **kwargs)
            except (Exception, SystemExit) as error:
                _failed(installation, error)
                raise

        return load_app

    return make


def _failed(installation: Installation, error: BaseException) -> None:
    """Tells why the app could not be loaded; uvicorn says it in the error behind its exit."""
    cause = error.__context__ if isinstance(error, SystemExit) else None
    says = f"{type(error).__name__}: {error}" if cause is None else str(cause)
    try:
        if installation.recorder.on_app_failed is not None:
            installation.recorder.on_app_failed(says)
    except Exception as ours:
        installation.broke(ours)


def _ended(installation: Installation) -> None:
    try:
        if installation.recorder.on_app_ended is not None:
            installation.recorder.on_app_ended()
    except Exception as error:
        installation.broke(error)

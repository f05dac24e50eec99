"""Has the apps recorded that the clients of tests call, of whatever make the app is.

FastAPI's and Starlette's own classes are hooked by their probes; other apps are found here, in the
hands of who calls them.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

from ..record.handlers import opening
from ..record.imports import ImportHook
from ..record.middleware import TraceMiddleware
from ..record.probe import Installation, Probe, ProbeOffError, Probes, require
from ..record.recorder import recorder

_TRANSPORTS: Final = {
    "httpx": ("ASGITransport", "handle_async_request"),
    "httpx2": ("ASGITransport", "handle_async_request"),
    # Private; of this name and with this method from Starlette 0.21 to 1.10.
    "starlette.testclient": ("_TestClientTransport", "handle_request"),
}
_APPS: Final = {"litestar.app": "Litestar"}
"""Frameworks without a probe, whose own test clients call their apps."""

_CLIENTS: Final = Probe("clients", (*_TRANSPORTS, *_APPS))


class ClientHook(ImportHook):
    """Starts what is here behind the import of each client's library."""

    def __init__(self) -> None:
        self.probes = Probes(recorder, __package__)
        super().__init__(self.probes)

    def install(self) -> None:
        """Starts what is imported already and waits for the rest."""
        self._waiting.update({module: [_CLIENTS] for module in _CLIENTS.modules})
        self.catch_up()
        sys.meta_path.insert(0, self)

    def uninstall(self) -> None:
        """Stops waiting, and gives back every client as it was."""
        super().uninstall()
        self.probes.stop()


def install(installation: Installation, module: str) -> None:
    """Hooks the client, or the app, of one module."""
    library = sys.modules[module]
    if library.__name__ != module:
        # `httpx2.alias_httpx()` makes this name another name of httpx2.
        return
    if module in _APPS:
        _hook_app(installation, getattr(library, _APPS[module]))
        return
    name, method = _TRANSPORTS[module]
    transport = getattr(library, name, None)
    if transport is None:
        raise ProbeOffError(f"{module} has no {name}: only apps of FastAPI and Starlette are seen")
    require(transport, "__init__", "self", "app")
    require(transport, method, "self", "request")
    if "__class__" in getattr(transport, method).__code__.co_freevars:
        raise ProbeOffError(f"{module}.{name}.{method} asks what class it belongs to")
    is_async = module != "starlette.testclient"
    make = _async_handling if is_async else _handling
    installation.patches.replace(transport, method, make(installation))
    installation.cover(f"{module}.{name.lstrip('_')}")


def _hook_app(installation: Installation, kind: Any) -> None:
    require(kind, "__call__", "self", "scope", "receive", "send")
    installation.patches.replace(kind, "__call__", opening(installation.recorder))
    installation.cover(kind.__name__)


class _Holder:
    """A transport that holds another app; all else of it is its own."""

    __slots__ = ("_transport", "app")

    def __init__(self, transport: Any, app: Any) -> None:
        object.__setattr__(self, "_transport", transport)
        object.__setattr__(self, "app", app)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._transport, name, value)


def _traced(transport: Any, installation: Installation) -> Any:
    """What stands for the transport during one request: its users find the app in it unchanged."""
    try:
        return _Holder(transport, TraceMiddleware(transport.app, installation.recorder))
    except Exception as error:
        installation.broke(error)
        return transport


def _handling(installation: Installation) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def handle_request(self: Any, request: Any) -> Any:
            return original(_traced(self, installation), request)

        return handle_request

    return make


def _async_handling(
    installation: Installation,
) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]:
    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(original)
        async def handle_async_request(self: Any, request: Any) -> Any:
            return await original(_traced(self, installation), request)

        return handle_async_request

    return make

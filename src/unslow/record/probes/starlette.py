"""Records Starlette: routes, endpoints, middleware functions, rendering, streams, background tasks.

What is recorded nowhere else is the framework's: it is what a request's first lane does by default.
A plain ASGI middleware therefore counts as framework, except where the watchdog saw its lines.
"""

from __future__ import annotations

import functools
import importlib.metadata
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from inspect import CO_COROUTINE
from types import CodeType
from typing import Any, Final

from ...current import LANE, Lane, RawPlace, clock
from ...model.trace import FRAMEWORK, OWN_CODE, SERIALIZATION, VALIDATION
from ..functions import generator_place, own_place, place_of_call
from ..handlers import mounted, opening, selected
from ..middleware import Message, Receive, Scope, Send
from ..probe import Installation, ProbeOffError, require

_PRIVATE: Final = (
    "Request._get_form: 0.29 to 1.10",
    "BaseHTTPMiddleware.dispatch_func: 0.9 to 1.10, an attribute of each instance",
    "middleware.base._StreamingResponse.body_iterator: 0.29 to 1.10",
    "templating._TemplateResponse: 0.9 to 1.10",
    "routing.request_response's endpoint, two functions deep: `func` 0.29 to 0.37, `f` since 0.38",
)
"""The private names used here, with the versions they were seen in; each is tested at the start."""

_ENDPOINT_NAMES: Final = ("f", "func")
BACKGROUND: Final = "background"
_MOUNTED_PATH: Final = "/{path}"


def install(installation: Installation, module: str) -> None:
    """Starts the recording of what one module of Starlette does."""
    _HOOKS[module](installation, sys.modules[module])
    installation.cover(f"starlette {importlib.metadata.version('starlette')}")


def _applications(installation: Installation, module: Any) -> None:
    require(module.Starlette, "__call__", "self", "scope", "receive", "send")
    installation.patches.replace(module.Starlette, "__call__", opening(installation.recorder))


def _routing(installation: Installation, module: Any) -> None:
    for kind in (module.Route, module.Mount, module.Host):
        require(kind, "handle", "self", "scope", "receive", "send")
    replace = installation.patches.replace
    replace(module.Route, "handle", _before_handling(installation, _route_selected))
    replace(module.Mount, "handle", _before_handling(installation, _mount_selected))
    replace(module.Host, "handle", _before_handling(installation, _host_selected))
    require(module, "wrap_app_handling_exceptions", "app", "conn")
    if not _has_endpoint(module.request_response.__code__):
        raise ProbeOffError("starlette.routing.request_response calls its endpoint in a new way")
    replace(module, "wrap_app_handling_exceptions", _around_endpoint(installation))


def _requests(installation: Installation, module: Any) -> None:
    require(module.Request, "json", "self")
    require(module.Request, "_get_form", "self")
    installation.patches.replace(module.Request, "json", _timed_method(VALIDATION))
    installation.patches.replace(module.Request, "_get_form", _timed_method(VALIDATION))


def _responses(installation: Installation, module: Any) -> None:
    require(module.Response, "__init__", "self", "content", "status_code", "headers", "media_type")
    require(module.StreamingResponse, "stream_response", "self", "send")
    installation.patches.replace(module.Response, "__init__", _rendering)
    installation.patches.replace(
        module.StreamingResponse, "stream_response", _streaming(installation)
    )


def _templating(installation: Installation, module: Any) -> None:
    require(module._TemplateResponse, "__init__", "self")
    installation.patches.replace(module._TemplateResponse, "__init__", _templated)


def _background(installation: Installation, module: Any) -> None:
    require(module.BackgroundTask, "__call__", "self")
    installation.patches.replace(module.BackgroundTask, "__call__", _in_background(installation))


def _endpoints(installation: Installation, module: Any) -> None:
    require(module.HTTPEndpoint, "dispatch", "self")
    installation.patches.replace(module.HTTPEndpoint, "dispatch", _dispatching(installation))


def _middleware(installation: Installation, module: Any) -> None:
    kind = module.BaseHTTPMiddleware
    require(kind, "__init__", "self", "app", "dispatch")
    if "dispatch_func" not in kind.__init__.__code__.co_names or "dispatch_func" in vars(kind):
        raise ProbeOffError("BaseHTTPMiddleware keeps its function under a new name")
    function = DispatchFunction(installation)
    kind.dispatch_func = function
    installation.patches.on_undo(functools.partial(_take_off, kind, function))
    require(module._StreamingResponse, "__call__", "self", "scope", "receive", "send")
    installation.patches.replace(module._StreamingResponse, "__call__", _streaming(installation))


def _take_off(kind: Any, function: DispatchFunction) -> None:
    if vars(kind).get("dispatch_func") is function:
        del kind.dispatch_func


_HOOKS: Final[dict[str, Callable[[Installation, Any], None]]] = {
    "starlette.applications": _applications,
    "starlette.background": _background,
    "starlette.endpoints": _endpoints,
    "starlette.middleware.base": _middleware,
    "starlette.requests": _requests,
    "starlette.responses": _responses,
    "starlette.routing": _routing,
    "starlette.templating": _templating,
}


def _route_selected(route: Any, scope: Scope) -> None:
    selected(scope, route.path_format)


def _mount_selected(mount: Any, scope: Scope) -> None:
    mounted(scope, mount.path_format.removesuffix(_MOUNTED_PATH))


def _host_selected(host: Any, scope: Scope) -> None:
    mounted(scope, host.host_format)


def _before_handling(
    installation: Installation, note: Callable[[Any, Scope], None]
) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Awaitable[None]]]:
    def make(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        # Not an `async def`: a layer less in the chain of awaits, each step goes through all.
        @functools.wraps(original)
        def handle(self: Any, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            try:
                note(self, scope)
            except Exception as error:
                installation.broke(error)
            return original(self, scope, receive, send)

        return handle

    return make


def _has_endpoint(code: CodeType) -> bool:
    inner = [one for one in code.co_consts if isinstance(one, CodeType)]
    deeper = [two for one in inner for two in one.co_consts if isinstance(two, CodeType)]
    return any(name in two.co_freevars for two in deeper for name in _ENDPOINT_NAMES)


def _around_endpoint(installation: Installation) -> Callable[[Callable[..., Any]], Any]:
    """Routes may have been made before us, so the endpoint is found where it is called."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def wrap_app_handling_exceptions(app: Any, conn: Any) -> Any:
            lane = LANE.get()
            if lane is not None:
                try:
                    place = _endpoint_place(app)
                    if place is not None:
                        lane.trace.endpoint = place
                        if place[0].co_flags & CO_COROUTINE:
                            app = _Endpoint(app, lane, place)
                except Exception as error:
                    installation.broke(error)
            return original(app, conn)

        return wrap_app_handling_exceptions

    return make


def _endpoint_place(app: Any) -> RawPlace | None:
    """The place of the endpoint that a function of `request_response` calls, if it is own code."""
    code = getattr(app, "__code__", None)
    names = () if code is None else code.co_freevars
    for name in _ENDPOINT_NAMES:
        if name in names:
            return place_of_call(app.__closure__[names.index(name)].cell_contents)
    return None


class _Endpoint:
    """An endpoint's call and the sending of its response: own code until the first `send`."""

    __slots__ = ("_app", "_lane", "_place", "_send", "_start_ns")

    def __init__(self, app: Any, lane: Lane, place: RawPlace) -> None:
        self._app = app
        self._lane = lane
        self._place = place
        self._start_ns = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._send = send
        self._start_ns = clock()
        try:
            await self._app(scope, receive, self._first_send)
        finally:
            self._end()

    async def _first_send(self, message: Message) -> None:
        if self._start_ns:
            self._end()
        await self._send(message)

    def _end(self) -> None:
        start, self._start_ns = self._start_ns, 0
        if start:
            self._lane.add(OWN_CODE, start, clock(), None, self._place)


def _timed_method(segment: int) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Any]]:
    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            lane = LANE.get()
            if lane is None:
                return await original(self, *args, **kwargs)
            start = clock()
            try:
                return await original(self, *args, **kwargs)
            finally:
                lane.add(segment, start, clock())

        return method

    return make


def _rendering(original: Callable[..., None]) -> Callable[..., None]:
    """`Response.__init__` renders; of its subclasses some render in ways of their own."""

    @functools.wraps(original)
    def __init__(  # noqa: N807  # it replaces a method of this name
        self: Any,
        content: Any = None,
        status_code: int = 200,
        headers: Any = None,
        media_type: str | None = None,
        background: Any = None,
    ) -> None:
        if content is not None and content.__class__ is not bytes:
            lane = LANE.get()
            if lane is not None:
                start = clock()
                try:
                    original(self, content, status_code, headers, media_type, background)
                finally:
                    lane.add(SERIALIZATION, start, clock())
                return
        original(self, content, status_code, headers, media_type, background)

    return __init__


def _templated(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807  # as above
        lane = LANE.get()
        if lane is None:
            original(self, *args, **kwargs)
            return
        start = clock()
        try:
            original(self, *args, **kwargs)
        finally:
            lane.add(SERIALIZATION, start, clock())

    return __init__


def _streaming(
    installation: Installation,
) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Any]]:
    """For the methods that read a response's `body_iterator`."""

    def make(original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def stream(self: Any, *args: Any) -> None:
            if LANE.get() is None:
                await original(self, *args)
                return
            body = timed = self.body_iterator
            try:
                place = generator_place(body)
                if place is not None:
                    self.body_iterator = timed = Chunks(body, place)
            except Exception as error:
                installation.broke(error)
            try:
                await original(self, *args)
            finally:
                if self.body_iterator is timed:
                    self.body_iterator = body

        return stream

    return make


class Chunks:
    """What the user's generator yields, with the time it took noted as own code."""

    __slots__ = ("_chunks", "_place", "_source")

    def __init__(self, source: Any, place: RawPlace) -> None:
        self._source = self._chunks = source
        self._place = place

    def __aiter__(self) -> AsyncIterator[Any]:
        self._chunks = self._source.__aiter__()
        return self

    async def __anext__(self) -> Any:
        lane = LANE.get()
        if lane is None:
            return await self._chunks.__anext__()
        start = clock()
        try:
            return await self._chunks.__anext__()
        finally:
            lane.add(OWN_CODE, start, clock(), None, self._place)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


def _in_background(
    installation: Installation,
) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Any]]:
    def make(original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def __call__(self: Any) -> None:  # noqa: N807  # it replaces a method of this name
            lane = LANE.get()
            if lane is None:
                await original(self)
                return
            start = clock()
            try:
                await original(self)
            finally:
                try:
                    lane.add(OWN_CODE, start, clock(), BACKGROUND, own_place(self.func))
                except Exception as error:
                    installation.broke(error)

        return __call__

    return make


def _dispatching(
    installation: Installation,
) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., Awaitable[None]]]:
    """An `HTTPEndpoint` is made for each request, so its method can be timed on the instance."""

    def make(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        @functools.wraps(original)
        def dispatch(self: Any) -> Awaitable[None]:
            lane = LANE.get()
            if lane is not None:
                try:
                    _time_handler(self, lane)
                except Exception as error:
                    installation.broke(error)
            return original(self)

        return dispatch

    return make


def _time_handler(endpoint: Any, lane: Lane) -> None:
    name = endpoint.scope["method"].lower()
    if name == "head" and not hasattr(endpoint, "head"):
        name = "get"
    handler = getattr(endpoint, name, None)
    place = None if handler is None else own_place(handler)
    if place is not None:
        lane.trace.endpoint = place
        if place[0].co_flags & CO_COROUTINE:
            setattr(endpoint, name, _timed_handler(handler, place))


def _timed_handler(handler: Any, place: RawPlace) -> Callable[[Any], Awaitable[Any]]:
    @functools.wraps(handler)
    async def timed(request: Any) -> Any:
        lane = LANE.get()
        start = clock()
        try:
            return await handler(request)
        finally:
            if lane is not None:
                lane.add(OWN_CODE, start, clock(), None, place)

    return timed


class DispatchFunction:
    """In place of the instances' own attribute: their function, timed while a request is open."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation

    def __get__(self, middleware: Any, kind: Any = None) -> Any:
        if middleware is None:
            return self
        try:
            function = vars(middleware)["dispatch_func"]
        except KeyError:
            raise AttributeError("dispatch_func") from None
        if LANE.get() is None:
            return function
        try:
            place = own_place(function)
        except Exception as error:
            self._installation.broke(error)
            return function
        return function if place is None else functools.partial(_dispatch, function, place)

    def __set__(self, middleware: Any, function: Any) -> None:
        vars(middleware)["dispatch_func"] = function

    def __delete__(self, middleware: Any) -> None:
        vars(middleware).pop("dispatch_func")


async def _dispatch(function: Any, place: RawPlace, request: Any, call_next: Any) -> Any:
    lane = LANE.get()
    start = clock()
    try:
        return await function(request, functools.partial(_call_next, call_next))
    finally:
        if lane is not None:
            lane.add(OWN_CODE, start, clock(), None, place)


async def _call_next(call_next: Any, request: Any) -> Any:
    lane = LANE.get()
    start = clock()
    try:
        return await call_next(request)
    finally:
        if lane is not None:
            lane.add(FRAMEWORK, start, clock())

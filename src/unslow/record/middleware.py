"""The outermost layer of the app: opens a trace for each request and closes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any
from zlib import crc32

from ..current import LANE, OpenTrace, clock
from ..model.trace import RECEIVE, SEND
from .exchanges import exchanges
from .lanes import driven, watch
from .recorder import Recorder, log
from .response import response_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[Any]]

MARK = "unslow"
"""The key in a scope under which the open trace stands: a sub-application opens no second one."""


class TraceMiddleware:
    """An ASGI application that records what the wrapped one does with each HTTP request.

    Lifespan and websockets pass untouched.
    """

    def __init__(self, app: Application, recorder: Recorder) -> None:
        self.app = app
        self.recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        return await call_traced(self.app, self.recorder, scope, receive, send)

    def __getattr__(self, name: str) -> Any:
        # Servers and test clients look for attributes of the app, such as its state. A copy is
        # looked at before it has one.
        if name == "app":
            raise AttributeError(name)
        return getattr(self.app, name)


def call_traced(
    app: Application, recorder: Recorder, scope: Scope, receive: Receive, send: Send
) -> Awaitable[Any]:
    """Calls an application for one scope, under a trace of its own when it is a new request.

    Not an `async def`: a layer less in the chain of awaits, each step of the request goes through
    all.

    Returns:
        What is to be awaited, for what the application does: nothing, or a mistake that its server
        complains of.
    """
    if scope["type"] != "http" or MARK in scope or not recorder.recording:
        return app(scope, receive, send)
    armed = recorder.armed
    if armed is not None and (asked := armed.asked(scope)) is not None:
        traced = partial(call_traced, app, recorder)
        return armed.call(app, traced, asked, scope, receive, send)
    outer = LANE.get()
    if outer is not None and outer.trace.response_end_ns == 0 and outer.trace.end_ns == 0:
        # An app that calls another one in-process: part of the request that is open.
        return app(scope, receive, send)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        # Another kind of loop, such as trio's, whose tasks nobody could drive.
        recorder.cover("event loop", "off", "it is not asyncio's")
        return app(scope, receive, send)
    watch(loop)
    exchange = Exchange(recorder, scope, receive, send)
    try:
        work: Any = app(scope, exchange.receive, exchange.send)
        if not hasattr(work, "send"):
            work = _awaiting(work)
    except BaseException as error:
        exchange.ended(error)
        raise
    return driven(work, exchange.trace.root, ended=exchange.ended)


async def _awaiting(work: Awaitable[Any]) -> Any:
    """Makes a coroutine of what can be awaited only, such as a task that an app returns."""
    return await work


class Exchange:
    """A request under its trace: the two ends of its conversation with the client, timed."""

    __slots__ = (
        "_body_received",
        "_body_sum",
        "_kept",
        "_receive",
        "_recorder",
        "_scope",
        "_send",
        "_token",
        "trace",
    )

    def __init__(self, recorder: Recorder, scope: Scope, receive: Receive, send: Send) -> None:
        self._recorder = recorder
        self._scope = scope
        self._kept = kept = exchanges.open(scope, receive) if exchanges.is_counting else None
        self._receive = receive if kept is None else kept.receive
        self._send = send
        self._body_received = False
        self._body_sum = 0 if recorder.comparing else None
        self.trace = trace = OpenTrace(scope["method"], recorder.slices_per_trace)
        if recorder.watching:
            trace.watched = {}
        if recorder.record_values:
            trace.keeps_values = True
        scope[MARK] = trace
        self._token = LANE.set(trace.root)

    def ended(self, error: BaseException | None) -> None:
        """The application has returned, or raised."""
        trace = self.trace
        if error is not None:
            trace.error = type(error).__qualname__
        LANE.reset(self._token)
        trace.close()
        try:
            trace.response = response_of(self._scope, trace.response, self._body_sum)
        except Exception as mistake:
            # Headers that no server would take either; the app hears of that from its server.
            trace.response = None
            log.debug("the headers of a response could not be read: %s", type(mistake).__name__)
        self._recorder.keep(trace, self._scope)
        if self._kept is not None:
            self._kept.end(trace)

    async def receive(self) -> Message:
        if self._body_received:
            # From here on an app only waits for the client to leave; that explains no time.
            message = await self._receive()
        else:
            start = clock()
            try:
                message = await self._receive()
            finally:
                lane = LANE.get()
                if lane is not None:
                    lane.add(RECEIVE, start, clock())
            self._body_received = not message.get("more_body", False)
        if message["type"] == "http.disconnect" and self.trace.response_end_ns == 0:
            self.trace.disconnected = True
        return message

    async def send(self, message: Message) -> None:
        trace = self.trace
        start = clock()
        try:
            await self._send(message)
        except OSError:
            # What servers raise when the client has left.
            trace.disconnected = True
            raise
        finally:
            end = clock()
            lane = LANE.get()
            if lane is not None:
                lane.add(SEND, start, end)
        kind = message["type"]
        if kind == "http.response.body":
            body = message.get("body", b"")
            trace.response_bytes += len(body)
            if self._body_sum is not None:
                self._body_sum = crc32(body, self._body_sum)
            if not message.get("more_body", False):
                trace.response_end_ns = end
        elif kind == "http.response.start":
            trace.status = message["status"]
            trace.response = message.get("headers", ())
        elif kind == "http.response.pathsend":
            trace.response_end_ns = end

"""The outermost layer of the app: opens a trace for each request and closes it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ..current import LANE, OpenTrace, clock
from ..model.trace import RECEIVE, SEND
from .lanes import Steps, watch
from .recorder import Recorder

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


async def call_traced(
    app: Application, recorder: Recorder, scope: Scope, receive: Receive, send: Send
) -> Any:
    """Calls an application for one scope, under a trace of its own when it is a new request.

    Returns:
        What the application does: nothing, or a mistake that its server complains of.
    """
    if scope["type"] != "http" or MARK in scope or not recorder.recording:
        return await app(scope, receive, send)
    outer = LANE.get()
    if outer is not None and outer.trace.response_end_ns == 0 and outer.trace.end_ns == 0:
        # An app that calls another one in-process: part of the request that is open.
        return await app(scope, receive, send)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        # Another kind of loop, such as trio's, whose tasks nobody could drive.
        recorder.cover("event loop", "off", "it is not asyncio's")
        return await app(scope, receive, send)
    watch(loop)
    trace = OpenTrace(scope["method"], recorder.slices_per_trace)
    exchange = Exchange(trace, receive, send)
    scope[MARK] = trace
    token = LANE.set(trace.root)
    try:
        work: Any = app(scope, exchange.receive, exchange.send)
        if not hasattr(work, "send"):
            work = _awaiting(work)
        return await Steps(work, trace.root, enter=False)
    except BaseException as error:
        trace.error = type(error).__qualname__
        raise
    finally:
        LANE.reset(token)
        trace.close()
        recorder.keep(trace, scope)


async def _awaiting(work: Awaitable[Any]) -> Any:
    """Makes a coroutine of what can be awaited only, such as a task that an app returns."""
    return await work


class Exchange:
    """The two ends of a request's conversation with its client, timed."""

    __slots__ = ("_body_received", "_receive", "_send", "trace")

    def __init__(self, trace: OpenTrace, receive: Receive, send: Send) -> None:
        self.trace = trace
        self._receive = receive
        self._send = send
        self._body_received = False

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
            trace.response_bytes += len(message.get("body", b""))
            if not message.get("more_body", False):
                trace.response_end_ns = end
        elif kind == "http.response.start":
            trace.status = message["status"]
        elif kind == "http.response.pathsend":
            trace.response_end_ns = end

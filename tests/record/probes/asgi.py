"""Asking an app in-process, and what was recorded of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.record.probes.conftest import Bench
from tests.record.probes.slices import RawSlice
from unslow.current import OpenTrace
from unslow.model.codec import trace_of
from unslow.model.receipt import Receipt
from unslow.model.trace import SEGMENTS
from unslow.record.finish import finished
from unslow.record.middleware import Message
from unslow.record.place import resolve
from unslow.record.receipt import after_response, receipt_of

App = Callable[..., Awaitable[None]]


@dataclass
class Answer:
    """What a client was sent."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


def scope_of(method: str, target: str, host: str, headers: Iterable[tuple[bytes, bytes]]) -> Any:
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", host.encode()), *headers],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 40000),
    }


async def exchange(
    app: App,
    target: str,
    method: str = "GET",
    body: bytes = b"",
    content_type: bytes = b"application/json",
    host: str = "localhost",
) -> Answer:
    """One request, sent as a server sends it."""
    sent: list[Message] = []
    told = [{"type": "http.request", "body": body, "more_body": False}]
    gone = asyncio.Event()

    async def receive() -> Message:
        if told:
            return told.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", content_type)] if body else []
    try:
        await app(scope_of(method, target, host, headers), receive, send)
    finally:
        gone.set()
    begin = sent[0]
    return Answer(
        status=begin["status"],
        headers=dict(begin["headers"]),
        body=b"".join(message.get("body", b"") for message in sent[1:]),
    )


class Asked:
    """Asks an app that opens its traces itself."""

    def __init__(self, bench: Bench, app: App) -> None:
        self.app = app
        self.recorder = bench.recorder
        self.recorder.recording = True

    def __call__(self, target: str, method: str = "GET", **rest: Any) -> tuple[Answer, OpenTrace]:
        """The answer to one request and its trace, the only one."""
        assert not self.recorder.closed
        answer = asyncio.run(exchange(self.app, target, method, **rest))
        (trace,) = self.recorder.closed
        self.recorder.closed.clear()
        return answer, trace

    def trace(self, target: str, method: str = "GET", **rest: Any) -> OpenTrace:
        """The trace of one request that is answered."""
        answer, trace = self(target, method, **rest)
        assert answer.status < 300
        return trace


def function_of(one: RawSlice) -> str:
    """The name of the function that a slice's place lies in."""
    place = resolve(one[4])
    return "" if place is None else place[2].rpartition(".")[2]


def whole_receipt(trace: OpenTrace) -> Receipt:
    """Of the request without what came after its response."""
    return receipt_of(trace_of(finished(trace)))


def receipt_ms(trace: OpenTrace, *, after: bool = False) -> dict[str, float]:
    """The lines of a trace's receipt; with `after`, of what came after the response."""
    of = after_response if after else receipt_of
    receipt = of(trace_of(finished(trace)))
    return {name: ns / 1e6 for name, ns in zip(SEGMENTS, receipt.segments_ns, strict=True)}

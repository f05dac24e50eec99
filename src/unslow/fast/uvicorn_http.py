"""uvicorn's protocol for HTTP, which sends the head of a response together with its body.

`uvicorn module:app --http unslow.fast.uvicorn_http:HttpProtocol`, or the class itself as `http=` of
`uvicorn.run`. uvicorn writes head and body one after the other, and each write is a system call
that wakes the client: 37 % of the samples of a small answer. ASGI wants the head to be held back
until the first of the body is there (its specification, "Response Start").
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_HELD: Final = 65_536
"""Bytes; to copy more than that takes longer than another system call."""


class HttpProtocol(HttpToolsProtocol):
    """Joins what is written in one step of the event loop."""

    def connection_made(self, transport: Any) -> None:
        """Writes through a transport that joins."""
        super().connection_made(_Joining(transport, self.loop))  # type: ignore[arg-type]  # it does all that uvicorn asks of one

    def handle_websocket_upgrade(self) -> None:
        """Gives the connection away as it was."""
        transport: Any = self.transport
        transport.flush()
        self.transport = transport.joined
        super().handle_websocket_upgrade()


class _Joining:
    """A transport that holds what is written until the next turn of the event loop.

    Not only until a response is complete: where many are made in one turn, as by a gathered read,
    the clients are better woken when all are made.
    """

    def __init__(self, joined: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.joined = joined
        self._loop = loop
        self._held: list[bytes] = []
        self._size = 0
        # What is asked of it for each request.
        self.is_closing = joined.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self.joined, name)

    def write(self, data: bytes) -> None:
        """Sends it with all that is written in this turn."""
        if not data:
            return
        if self._size + len(data) > _MOST_HELD:
            self.flush()
            self.joined.write(data)
            return
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)
        self._size += len(data)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        """The same for several."""
        self.write(b"".join(pieces))

    def flush(self) -> None:
        """Sends what is held."""
        held = self._held
        if held:
            self._held, self._size = [], 0
            self.joined.write(held[0] if len(held) == 1 else b"".join(held))

    def close(self) -> None:
        """Closes once all is sent."""
        self.flush()
        self.joined.close()

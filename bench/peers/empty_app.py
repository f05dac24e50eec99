"""The floor of every peer in Python: a route that does nothing, under the same server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

_BODY = b'{"id":1,"name":"User 1","email":"user1@example.com","city":"Berlin"}'
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(_BODY)).encode()),
    ],
}


async def app(
    scope: dict[str, Any],
    _receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answers everything with the same body."""
    assert scope["type"] == "http", "served with --lifespan off"
    await send(_START)
    await send({"type": "http.response.body", "body": _BODY})

"""Routes that answer from a view without the framework's work per request.

Such a route stands in the app like any other: middleware runs, it is matched in its turn, it is in
the OpenAPI document. What it leaves out is what FastAPI does for an endpoint's parameters and its
answer. Where dependencies are given, to it or to the whole app, it is an ordinary route.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from fastapi.routing import APIRoute
from pydantic import TypeAdapter

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Document: TypeAlias = Callable[[Any], Awaitable[bytes | None]]

NOT_FOUND: Final = b'{"detail":"Not Found"}'
_JSON: Final = (b"content-type", b"application/json")


class ByKey:
    """An endpoint that answers with the document of the key in its path."""

    def __init__(self, document: Document, respond: Any, kinds: dict[str, type]) -> None:
        self.document = document
        self._respond = respond
        self.kinds = kinds
        """The parameters of the path, each with the type of its column."""
        self.__name__ = "read"
        self.__signature__ = inspect.Signature(
            [
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
                for name, kind in kinds.items()
            ]
        )

    async def __call__(self, **values: Any) -> Any:
        key = tuple(values[name] for name in self.kinds)
        return await self._respond(key[0] if len(key) == 1 else key)


class ViewRoute(APIRoute):
    """The route of a `ByKey`, bare where nothing else is asked of it."""

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._reads: ByKey | None = None
        if isinstance(endpoint, ByKey) and not self.dependencies:
            self._reads = endpoint
            self._parsers = [(name, parser(kind)) for name, kind in endpoint.kinds.items()]

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request that has matched."""
        # A router that was included brings dependencies of its own, and its mark is in the scope.
        if self._reads is None or scope["method"] != "GET" or scope.get("fastapi"):
            await super().handle(scope, receive, send)
            return
        values = scope["path_params"]
        try:
            key = [parse(values[name]) for name, parse in self._parsers]
        except ValueError:
            # FastAPI says what is wrong with it.
            await super().handle(scope, receive, send)
            return
        body = await self._reads.document(key[0] if len(key) == 1 else tuple(key))
        await answer(send, body)


def parser(kind: type) -> Callable[[str], Any]:
    """What turns a part of the path into a value as FastAPI would; raises `ValueError`."""
    if kind is str:
        return str
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def parsed(text: str) -> Any:
        # Most keys are plain numbers, and only ASCII ones are so for Python and pydantic alike.
        if kind is int and text.isdecimal() and text.isascii():
            return int(text)
        return adapter.validate_python(text)

    return parsed


async def answer(send: Send, body: bytes | None) -> None:
    """Sends a document, or that there is none."""
    status, content = (200, body) if body is not None else (404, NOT_FOUND)
    headers = [(b"content-length", str(len(content)).encode()), _JSON]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})

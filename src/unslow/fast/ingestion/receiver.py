"""Routes that store the event of a request and answer after the commit.

Such a route stands in the app like any other: middleware runs, it is matched in its turn, it is in
the OpenAPI document, and what it refuses it refuses as FastAPI does. What it leaves out is what
FastAPI does for an endpoint's parameters and its answer; with dependencies it is an ordinary one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..database import is_lost
from ..errors import (
    DefinitionError,
    NotOpenError,
    OutcomeUnknownError,
    OverloadedError,
    PoolTimeoutError,
)
from .request_bodies import (
    ClientLeftError,
    InvalidBodyError,
    Receive,
    Scope,
    Send,
    read_body,
    validated,
)

if TYPE_CHECKING:
    from .declaration import Ingest

_RETRY_AFTER_S: Final = 1.0
_JSON: Final = (b"content-type", b"application/json")
_ACKNOWLEDGED: Final = {
    True: b'{"is_new":true}',
    False: b'{"is_new":false}',
    None: b'{"is_new":null}',
}

_OF_UNIQUENESS: Final = ("23505", "23P01")
_OF_THE_EVENT: Final = ("21", "22", "23", "42501", "44", "P0001")
_OF_THE_HOUR: Final = ("40", "53", "55", "57")
"""Serialization, resources, locks, and an operator or a time limit that ended the statement."""


class Receiver:
    """An ASGI app that takes an event, or a list of them, by POST."""

    def __init__(
        self, events: Ingest[Any], *, many: bool, status_code: int, max_body_bytes: int
    ) -> None:
        self._events = events
        self.many = many
        self.status_code = status_code
        self.max_body_bytes = max_body_bytes
        model: Any = events.model
        self.model_name = model.__name__
        self.body_type: Any = list[model] if many else model
        self._adapter: TypeAdapter[Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(receive, self.max_body_bytes)
            added = await self.add(validated(self._validator(), scope, body))
        except ClientLeftError:
            return
        except InvalidBodyError as error:
            await error.answer(scope, receive, send)
            return
        except HTTPException as error:
            if isinstance(scope.get("app"), Starlette):
                raise
            answer = JSONResponse({"detail": error.detail}, error.status_code, error.headers)
            await answer(scope, receive, send)
            return
        content = self._content(added)
        headers = [(b"content-length", str(len(content)).encode()), _JSON]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def add(self, event: Any) -> Any:
        """What became of a validated event, or of a list of them.

        Raises:
            HTTPException: It was not stored, or nobody knows.
        """
        try:
            if self.many:
                return await self._events.add_many(event)
            return await self._events.add(event)
        except Exception as error:
            refused = refusal(error)
            if refused is None:
                raise
            raise refused from error

    def _content(self, added: Any) -> bytes:
        if not self.many:
            return _ACKNOWLEDGED[added.is_new]
        return b"[" + b",".join(_ACKNOWLEDGED[one.is_new] for one in added) + b"]"

    def _validator(self) -> TypeAdapter[Any]:
        # At its first use: a model may be completed after it was declared.
        if self._adapter is None:
            self._adapter = TypeAdapter(self.body_type)
        return self._adapter


def refusal(error: BaseException) -> HTTPException | None:
    """What is answered where an event was not stored; `None` if that is a fault of the app.

    Nothing of the driver's message is in it: that may quote values of others.
    """
    if isinstance(error, OverloadedError):
        return _later("Too many events are waiting", error.retry_after_s)
    if isinstance(error, OutcomeUnknownError):
        if error.is_safe_to_repeat:
            return _later("It is not known whether the event was stored: send it again")
        return HTTPException(500, "It is not known whether the event was stored")
    if isinstance(error, PoolTimeoutError | NotOpenError) or is_lost(error):
        return _later("The database cannot be reached")
    # SQLAlchemy puts its own around what the driver raises when it connects.
    error = getattr(error, "orig", None) or error
    return _refusal_by_state(str(getattr(error, "sqlstate", None) or ""), error)


def _refusal_by_state(state: str, error: BaseException) -> HTTPException | None:
    if state.startswith(_OF_THE_HOUR):
        return _later("The database is too busy")
    if state in _OF_UNIQUENESS:
        return HTTPException(409, "The event conflicts with one that is stored")
    if state.startswith(_OF_THE_EVENT) or (not state and isinstance(error, ValueError)):
        return HTTPException(422, "The database does not accept the event")
    return None


def _later(detail: str, retry_after_s: float = _RETRY_AFTER_S) -> HTTPException:
    return HTTPException(503, detail, {"Retry-After": str(math.ceil(retry_after_s))})


async def responded(events: Ingest[Any], event: Any, status_code: int) -> Response:
    """The response for an event that was validated elsewhere."""
    try:
        added = await events.add(event)
    except Exception as error:
        refused = refusal(error)
        if refused is None:
            raise
        return JSONResponse({"detail": refused.detail}, refused.status_code, refused.headers)
    return Response(_ACKNOWLEDGED[added.is_new], status_code, media_type="application/json")


def add_route(
    app: Any, path: str, receiver: Receiver, dependencies: Sequence[Any], options: dict[str, Any]
) -> None:
    """Adds `POST path` to an app or a router, of FastAPI or of Starlette."""
    router = getattr(app, "router", app)
    if hasattr(router, "add_api_route"):
        from .api_route import add_api_route

        add_api_route(router, path, receiver, dependencies, options)
        return
    if dependencies or options or not hasattr(router, "routes"):
        raise DefinitionError(
            f"got a {type(app).__qualname__} with dependencies={list(dependencies)!r} and the "
            f"options {sorted(options)}; wanted an app or a router of FastAPI, or one of "
            "Starlette without dependencies and options"
        )
    router.routes.append(Route(path, receiver, methods=["POST"]))

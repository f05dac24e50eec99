"""The body of a request: read up to a limit, and refused with the words of FastAPI."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final, TypeAlias

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_PLAIN: Final = b"application/json"


class ClientLeftError(Exception):
    """The client went away before its body was whole."""


class InvalidBodyError(Exception):
    """A body is not what the model wants."""

    def __init__(self, errors: Sequence[Any], body: Any) -> None:
        super().__init__("the body is not what the model wants")
        self.errors = errors
        self.body = body

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers with 422 as FastAPI does, by the app's own handler where it is FastAPI's."""
        fastapi = sys.modules.get("fastapi")
        if fastapi is not None and isinstance(scope.get("app"), fastapi.FastAPI):
            raise fastapi.exceptions.RequestValidationError(self.errors, body=self.body)
        content = {"detail": to_jsonable_python(self.errors, fallback=str)}
        await JSONResponse(content, 422)(scope, receive, send)


async def read_body(receive: Receive, max_bytes: int) -> bytes:
    """The whole body.

    Raises:
        HTTPException: It is longer than the limit, in bytes.
        ClientLeftError: The client went away.
    """
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        _check(len(body), max_bytes)
        return body
    pieces: list[bytes] = []
    length = 0
    while message["type"] == "http.request":
        pieces.append(message.get("body", b""))
        length += len(pieces[-1])
        _check(length, max_bytes)
        if not message.get("more_body", False):
            return b"".join(pieces)
        message = await receive()
    raise ClientLeftError


def limited(receive: Receive, max_bytes: int) -> Receive:
    """The same messages, until together they are longer than the limit: then 413 is raised."""
    length = 0

    async def receive_limited() -> MutableMapping[str, Any]:
        nonlocal length
        message = await receive()
        length += len(message.get("body", b""))
        _check(length, max_bytes)
        return message

    return receive_limited


def _check(length: int, max_bytes: int) -> None:
    if length > max_bytes:
        raise HTTPException(413, f"The body is longer than {max_bytes} bytes")


def is_json(scope: Scope) -> bool:
    """Whether the body says that it is JSON; a browser sends none that does to another's site."""
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value.partition(b";")[0].strip().lower()
            is_other_json = kind.startswith(b"application/") and kind.endswith(b"+json")
            return bool(kind == _PLAIN or is_other_json)
    return False


def validated(adapter: TypeAdapter[Any], scope: Scope, body: bytes) -> Any:
    """What a body of JSON says.

    Raises:
        InvalidBodyError: The adapter does not accept it; with the errors that FastAPI has, which
            validates what `json.loads` makes of a body.
        HTTPException: It is not text.
    """
    if not body:
        missing = {"type": "missing", "loc": ("body",), "msg": "Field required", "input": None}
        raise InvalidBodyError([missing], None)
    if not is_json(scope):
        raise _refusal(adapter, body, [])
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise _refusal(adapter, _parsed(body), error.errors(include_url=False)) from error


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        problem = {
            "type": "json_invalid",
            "loc": ("body", error.pos),
            "msg": "JSON decode error",
            "input": {},
            "ctx": {"error": error.msg},
        }
        raise InvalidBodyError([problem], error.doc) from error
    except ValueError as error:
        raise HTTPException(400, "There was an error parsing the body") from error


def _refusal(adapter: TypeAdapter[Any], value: Any, errors: Sequence[Any]) -> InvalidBodyError:
    try:
        adapter.validate_python(value, from_attributes=True)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    return InvalidBodyError([{**one, "loc": ("body", *one["loc"])} for one in errors], value)

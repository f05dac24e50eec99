"""What is sent for a document, and where there is none."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, TypeAlias

from ..errors import BadRequestError, OverloadedError, PoolTimeoutError

if TYPE_CHECKING:
    from starlette.responses import Response

Headers: TypeAlias = list[tuple[bytes, bytes]]

NOT_FOUND: Final = b'{"detail":"Not Found"}'
HEADERS: Final[Headers] = [(b"content-type", b"application/json")]


async def answered(document: Awaitable[bytes | None]) -> tuple[int, bytes, Headers]:
    """The status, the body and the headers.

    404 where there is no document, 400 for what a client may not ask, 503 with `Retry-After` where
    too many wait for the database.
    """
    try:
        body = await document
    except (BadRequestError, OverloadedError, PoolTimeoutError) as error:
        return refusal(error)
    return (404, NOT_FOUND, HEADERS) if body is None else (200, body, HEADERS)


def refusal(
    error: BadRequestError | OverloadedError | PoolTimeoutError,
) -> tuple[int, bytes, Headers]:
    """What is answered where there is no document for this reason."""
    if isinstance(error, BadRequestError):
        return 400, _detail(str(error)), HEADERS
    if isinstance(error, OverloadedError):
        return 503, _detail("Too many requests are waiting"), _later(error.retry_after_s)
    return 503, _detail("The database cannot be reached in time"), _later(1.0)


def _detail(text: str) -> bytes:
    return json.dumps({"detail": text}).encode()


def _later(after_s: float) -> Headers:
    return [*HEADERS, (b"retry-after", b"%d" % math.ceil(after_s))]


async def responded(document: Awaitable[bytes | None]) -> Response:
    """The same as a response."""
    from starlette.responses import Response

    status, body, headers = await answered(document)
    named = {name.decode(): value.decode() for name, value in headers}
    return Response(body, status, named)

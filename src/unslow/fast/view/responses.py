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

_NOT_FOUND: Final = b'{"detail":"Not Found"}'
_HEADERS: Final[Headers] = [(b"content-type", b"application/json")]


async def answered(document: Awaitable[bytes | None]) -> tuple[int, bytes, Headers]:
    """The status, the body and the headers.

    404 where there is no document, 400 for what a client may not ask, 503 with `Retry-After` where
    too many wait for the database.
    """
    try:
        body = await document
    except BadRequestError as error:
        return 400, _detail(str(error)), _HEADERS
    except OverloadedError as error:
        return 503, _detail("Too many requests are waiting"), _later(error.retry_after_s)
    except PoolTimeoutError:
        return 503, _detail("The database cannot be reached in time"), _later(1.0)
    return (404, _NOT_FOUND, _HEADERS) if body is None else (200, body, _HEADERS)


def _detail(text: str) -> bytes:
    return json.dumps({"detail": text}).encode()


def _later(after_s: float) -> Headers:
    return [*_HEADERS, (b"retry-after", b"%d" % math.ceil(after_s))]


async def responded(document: Awaitable[bytes | None]) -> Response:
    """The same as a response."""
    from starlette.responses import Response

    status, body, headers = await answered(document)
    named = {name.decode(): value.decode() for name, value in headers}
    return Response(body, status, named)

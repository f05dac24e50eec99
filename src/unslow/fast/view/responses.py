"""What is sent for a document, and where there is none."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

from ..errors import BadRequestError

if TYPE_CHECKING:
    from starlette.responses import Response

_NOT_FOUND: Final = b'{"detail":"Not Found"}'


async def answered(document: Awaitable[bytes | None]) -> tuple[int, bytes]:
    """The status and the body: 404 where there is none, 400 for what a client may not ask."""
    try:
        body = await document
    except BadRequestError as error:
        return 400, json.dumps({"detail": str(error)}).encode()
    return (404, _NOT_FOUND) if body is None else (200, body)


async def responded(document: Awaitable[bytes | None]) -> Response:
    """The same as a response."""
    from starlette.responses import Response

    status, body = await answered(document)
    return Response(body, status, media_type="application/json")

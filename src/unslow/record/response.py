"""What is noted of a response and its request beside status and size: no value of either."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from .shape import keyed

_LONGEST_TYPE: Final = 60
_VALIDATORS: Final = frozenset({b"etag", b"last-modified", b"cache-control", b"expires"})
_NO_CACHE: Final = (b"no-store", b"no-cache")
_PERSONAL: Final = frozenset({b"authorization", b"cookie", b"x-api-key"})
_ENCODINGS: Final = (b"gzip", b"br", b"zstd", b"deflate")

_content_by_header: dict[bytes, str] = {}
_CONTENTS_KEPT: Final = 200

Headers = Iterable[tuple[bytes, bytes]]


def response_of(
    scope: Mapping[str, Any], headers: Headers | None, body_sum: int | None = None
) -> tuple[str, bool, bool, bool, bool, bool, str] | None:
    """The fields of a `model.trace.Response`; None where no response was started.

    Args:
        scope: Of the request.
        headers: Of the response.
        body_sum: A checksum of the body, where answers are compared.
    """
    if headers is None:
        return None
    content, is_compressed, has_validator = "", False, False
    for name, value in headers:
        # In this order: most responses have a length and a type, and nothing else.
        if name == b"content-type":
            content = _content_of(bytes(value))
        elif name == b"content-encoding":
            is_compressed = value != b"identity"
        elif name in _VALIDATORS:
            has_validator = has_validator or not any(word in value for word in _NO_CACHE)
    accepts, is_personal = False, False
    for name, value in scope.get("headers", ()):
        if name == b"accept-encoding":
            accepts = accepts or any(encoding in value for encoding in _ENCODINGS)
        elif name in _PERSONAL:
            is_personal = True
    has_query = bool(scope.get("query_string"))
    digest = "" if body_sum is None else keyed(body_sum)
    return content, is_compressed, accepts, has_validator, is_personal, has_query, digest


def _content_of(header: bytes) -> str:
    known = _content_by_header.get(header)
    if known is not None:
        return known
    content = header.partition(b";")[0].decode("latin-1")[:_LONGEST_TYPE].lower()
    if len(_content_by_header) >= _CONTENTS_KEPT:
        _content_by_header.clear()
    _content_by_header[header] = content
    return content

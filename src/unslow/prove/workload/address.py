"""Addresses as people write them: split into where they go and what stands in the request line."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

WANTED: Final = "an address that begins with /, http:// or https://"

_LEFT_AS_IT_IS: Final = "%/:?[]@!$&'()*+,;=-._~"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def split_address(address: str) -> tuple[str, str]:
    """The origin (empty for a bare path) and the target: path and query, percent-encoded.

    Raises:
        ValueError: it is none that can be asked over HTTP; the message says why.
    """
    whole = address.partition("#")[0]
    if whole.startswith("/"):
        return "", _encoded(whole)
    parts = urlsplit(whole)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(WANTED)
    if "@" in parts.netloc:
        raise ValueError("an address without user and password: give them as a header")
    query = f"?{parts.query}" if "?" in whole else ""
    return _origin(parts), _encoded((parts.path or "/") + query)


def _origin(parts: SplitResult) -> str:
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _encoded(target: str) -> str:
    # Files hold texts of any encoding: a byte that is no UTF-8 stays that byte.
    return quote(target, safe=_LEFT_AS_IT_IS, errors="surrogateescape")

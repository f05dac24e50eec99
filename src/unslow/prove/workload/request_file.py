"""What the readers of requests have in common: their error, and which headers are ours to write."""

from __future__ import annotations

from typing import Final

from ...errors import UnslowError
from ...model.workload import Headers

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE")

_LONGEST_QUOTE: Final = 60

_OF_THE_CONNECTION: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""They hold for the connection that was recorded; who sends again writes its own."""


class RequestFileError(UnslowError):
    """A file of requests holds something that cannot be read as a request."""


def fault(place: str, got: str, wanted: str) -> RequestFileError:
    """The error for one place in a file, such as `shop.http:12`."""
    return RequestFileError(f"{place}: got {got}; wanted {wanted}.")


def quoted(text: str) -> str:
    """The beginning of a line, fit to be shown: without the values of its query."""
    shown, query, _ = text.partition("?")
    if query:
        return repr(f"{shown[:_LONGEST_QUOTE]}?...")
    return repr(shown if len(shown) <= _LONGEST_QUOTE else f"{shown[:_LONGEST_QUOTE]}...")


def sendable(headers: Headers) -> Headers:
    """The headers without those that belong to the recorded connection."""
    return tuple(one for one in headers if one[0].lower() not in _OF_THE_CONNECTION)

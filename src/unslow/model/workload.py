"""What a check sends, and what came back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

Headers = tuple[tuple[str, str], ...]

READ_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "QUERY", "TRACE"})
"""Those that are to change nothing."""


@dataclass(frozen=True, slots=True, repr=False)
class Request:
    """One request to send; its values are the user's own, and its `repr` shows none of them."""

    method: str
    target: str
    """The path with its query, percent-encoded, as it stands in the request line."""
    headers: Headers = ()
    body: bytes | None = None
    source: str = ""
    """Where it was read, such as `shop.http:12` or `shop.har entry 3`; `openapi` if it was made."""
    origin: str = ""
    """Where its source sends it, such as `https://shop.example`; empty where that is not said."""
    route: str = ""
    """The template of the route; empty where only the app knows it."""
    group: str = ""
    """Equal for requests that ask for the same in pages of different sizes; else empty."""
    times_count: int = 1
    """How often it stands in its source."""

    @property
    def operation(self) -> str:
        """What it is called: method and template."""
        return f"{self.method} {self.route or '(no route)'}"

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.headers) or "none"
        body = "none" if self.body is None else f"{len(self.body)} bytes"
        return f"Request({self.operation}, from {self.source!r}, headers: {names}, body: {body})"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that is not sent, and why."""

    method: str
    route: str
    """The template of the route; empty for what was read from a file."""
    why: str
    may_write: bool = False
    """Whether that is because of its method, so that nothing is missing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The requests of a check."""

    requests: tuple[Request, ...]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what is kept of its answer."""

    request: Request
    status: int
    """0 when no answer began."""
    took_ms: float
    """From the sending to the last byte of the answer, at the client's side."""
    body_bytes: int = 0
    """The size of the body once it is unpacked."""
    wire_bytes: int = 0
    """The size of the body as it came over the wire."""
    digest: str = ""
    """A hash of the unpacked body; empty when it did not come whole."""
    content_type: str = ""
    content_encoding: str = ""
    caching: tuple[str, ...] = ()
    """Which of `cache-control`, `etag` and `last-modified` the answer had."""
    first_line: str = ""
    """How the body of an answer that is not 2xx begins."""
    error: str = ""
    """The name of what went wrong on the way; empty for a whole answer."""
    kept: object = field(default=None, repr=False)
    """What the sender was asked to keep of the body; None if nothing."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of many requests."""

    exchanges: tuple[Exchange, ...]
    """In the order of the requests."""
    counted_count: int
    """How many have an answer that counts."""
    statuses: tuple[tuple[int, int], ...]
    """Each status of a whole answer, and how often it came."""
    errors: tuple[tuple[str, int], ...]
    """Each kind of failure, and how often it came."""
    not_sent_count: int
    stopped_by: str
    """`deadline`, `429` or `503`; empty when everything was sent."""
    duration_ms: float
    """From the first request to the last answer."""

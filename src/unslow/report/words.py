"""What the lines of a receipt mean, in a few words each; `docs/receipt.md` says it whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MEANINGS: Final[Mapping[str, str]] = {
    "own-code": "your own functions ran",
    "validation": "the request was parsed and validated",
    "serialization": "the result was turned into bytes",
    "hydration": "the ORM built objects from rows",
    "orm": "the ORM worked outside SQL: building statements, unit of work",
    "framework": "routing, middleware, dependencies",
    "gc": "a garbage collection ran",
    "probe": "unslow itself",
    "sql": "a statement was with the driver and the database",
    "rows": "further rows were fetched",
    "connect": "a connection was opened, pinged, reset or closed",
    "pool-wait": "no connection of the pool was free",
    "cache": "Redis was waited for",
    "remote": "another service was waited for",
    "thread-queue": "a worker thread was waited for",
    "receive": "the client was still sending the request",
    "send": "the client was taking the response",
    "blocking": "a blocking call ran: a sleep, a file, a child process",
    "loop-busy": "it could go on, but the event loop ran something else",
    "unexplained": "what no other line accounts for",
}
"""By segment; a reader meets them beside the name."""

"""Which answers are texts: what is parsed, and what can be compressed."""

from __future__ import annotations

from typing import Final

from ..model.trace import Response

_EVENTS: Final = "text/event-stream"
"""Sent one by one, as they come: nothing gains by packing them together."""


def is_text(response: Response | None) -> bool:
    """Whether an answer is JSON or another text; an image, an archive, any bytes are not."""
    if response is None:
        return False
    kind = response.content
    if kind == _EVENTS:
        return False
    return kind.startswith("text/") or kind.endswith(("json", "xml", "javascript", "csv"))

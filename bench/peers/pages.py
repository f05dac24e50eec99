"""The pages of a list, by following `next`: an id with some peers, a signed text with others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx

from .cases import PAGE


class Page(NamedTuple):
    """A page as a peer gave it."""

    target: str
    items: list[Any]


def pages(client: httpx.Client, limit: int) -> Iterator[Page]:
    """All pages with something on them."""
    asked: dict[str, Any] = {"limit": limit}
    while True:
        target = f"/posts?{urlencode(asked)}"
        answer = client.get(target).raise_for_status().json()
        if answer["items"]:
            yield Page(target, answer["items"])
        if not answer["items"] or answer["next"] is None:
            return
        # By the name that the peer knows; it ignores the other.
        asked["after"] = asked["cursor"] = answer["next"]


def page_requests(address: str) -> list[str]:
    """The requests for the full pages of a peer."""
    with httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
        return [f"GET {page.target}" for page in pages(client, PAGE) if len(page.items) == PAGE]

"""The fixes: what each is called, how risky it is, and whom it changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SAFE: Final = "safe"
UNSAFE: Final = "unsafe"
SHOW_ONLY: Final = "show-only"

OWN: Final = "own"
SHARED: Final = "shared"


@dataclass(frozen=True, slots=True)
class Fix:
    """Something that can be changed, and how it is tried."""

    id: str
    """A file of this name is in `patches`, and in `switches` where there is a switch."""
    title: str
    risk: str
    """`safe`: the answers stay the same if its trial says so; `unsafe`: what a trial does not see
    may change, read the patch; `show-only`: it is told and not tried."""
    changes: str
    """`own`: the request that runs under it; `shared`: what all requests share."""
    has_switch: bool = True
    """Whether it can be switched on in the running app."""
    saves_statements: bool = False
    """Whether it is about sending fewer: what sends as many cannot win."""
    acts_in_crowd: bool = False
    """Whether a request that is alone does not show that it acts."""
    is_what_if: bool = False
    """Whether it changes the answer by purpose: its trial shows what that would bring."""


FIXES: Final[tuple[Fix, ...]] = (
    Fix("eager-load", "Load the relationship with its rows", SAFE, OWN, saves_statements=True),
    Fix("off-loop", "Take the blocking call off the event loop", UNSAFE, SHARED),
    Fix("limit-rows", "Answer a page instead of all rows", SAFE, OWN, is_what_if=True),
    Fix("fast-json", "Let pydantic-core make the bytes", SAFE, OWN),
    Fix("resize-pool", "Change the size of a pool", UNSAFE, SHARED, acts_in_crowd=True),
    Fix("compress", "Compress the response", SHOW_ONLY, SHARED, has_switch=False),
    Fix("batch-by-key", "Ask once for all keys", SHOW_ONLY, OWN, has_switch=False),
    Fix("split-joins", "Load each list by a statement of its own", SHOW_ONLY, OWN, False),
    Fix("share-engine", "Keep one engine for all requests", SHOW_ONLY, SHARED, False),
    Fix("share-client", "Keep one client for all requests", SHOW_ONLY, SHARED, False),
    Fix("release-early", "Give the connection back before the wait", SHOW_ONLY, SHARED, False),
    Fix("bind-parameters", "Pass values as parameters", SHOW_ONLY, OWN, has_switch=False),
    Fix("set-timeout", "Bound the wait for another service", SHOW_ONLY, OWN, has_switch=False),
    Fix("reuse-result", "Keep the result of the first query", SHOW_ONLY, OWN, has_switch=False),
)

_BY_ID: Final = {one.id: one for one in FIXES}


def fix_of(fix_id: str) -> Fix:
    """The fix of an id.

    Raises:
        KeyError: there is none.
    """
    return _BY_ID[fix_id]

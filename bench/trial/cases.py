"""The cases of the trial: what is asked, what is wrong there, and what has to be said about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

PAGE_SIZES: Final = (25, 50, 100)
_LOOPS: Final = ("lazy_load", "column_load", "repeated_statement")
_TEAMS_COUNT: Final = 12


@dataclass(frozen=True, slots=True)
class Case:
    """One endpoint, and the verdict that is right about it."""

    name: str
    """The last word of its route."""
    says: str
    rules: tuple[str, ...] = ()
    """The rules of unslow any of which is right; none where nothing is wrong."""
    peer_kinds: tuple[str, ...] | None = _LOOPS
    """What is right of queryspy's kinds of findings; None where the fault is outside its scope."""
    method: str = "GET"
    parameters: str = ""
    """What follows the name in the route."""
    query: str = ""
    """The query string, with `{size}` and other values of a request in braces."""
    sizes: tuple[int, ...] = PAGE_SIZES
    body: Callable[[int], object] | None = None
    """What is sent as JSON, by page size."""

    @property
    def faulty(self) -> bool:
        """Whether something is wrong there."""
        return bool(self.rules)

    @property
    def route(self) -> str:
        """The template of the route."""
        return f"/{'faulty' if self.faulty else 'correct'}/{self.name}{self.parameters}"

    def request(self, number: int) -> Request:
        """The request of a number: page sizes in turn, and each time other keys."""
        size = self.sizes[number % len(self.sizes)]
        template = f"{self.route}?{self.query}" if self.query else self.route
        path = template.format(
            size=size,
            user_id=600 + number,
            other_id=900 + number,
            team_id=1 + number % _TEAMS_COUNT,
            # Every third post is a draft; those of the polls are touched by no other case.
            post_id=3000 + 3 * number,
            draft_id=3300 + 3 * number,
        )
        body = None if self.body is None else json.dumps(self.body(size)).encode()
        return Request(self.method, path, body)


@dataclass(frozen=True, slots=True)
class Request:
    """One request to send."""

    method: str
    path: str
    body: bytes | None


def case_of_path(path: str) -> str:
    """The name of the case that a path belongs to."""
    return path.split("/")[2].partition("?")[0]


def _ids(size: int) -> list[int]:
    return list(range(1, size + 1))


def _tags(size: int) -> list[dict[str, object]]:
    return [{"user_id": number, "name": "imported"} for number in range(1, size + 1)]


FAULTY: Final = (
    Case("lazy-collection", "lazy 1:N, select()", ("lazy-load-loop",), query="n={size}"),
    Case("lazy-collection-query", "lazy 1:N, Query", ("lazy-load-loop",), query="n={size}"),
    Case("lazy-parent", "lazy N:1", ("lazy-load-loop",), query="n={size}"),
    Case(
        "awaitable-attributes", "awaitable_attrs loop, async", ("lazy-load-loop",), query="n={size}"
    ),
    Case("get-loop", "session.get loop", ("repeated-query",), query="n={size}"),
    Case("text-loop", "session.execute(text) loop", ("repeated-query",), query="n={size}"),
    Case("core-loop", "Core connection loop", ("repeated-query",), query="n={size}"),
    Case(
        "literal-loop",
        "literals inlined in the SQL text, in a loop",
        ("repeated-query", "literal-in-sql"),
        query="n={size}",
    ),
    Case("deferred-column", "deferred column loop", ("lazy-load-loop",), query="n={size}"),
    Case("update-loop", "UPDATE per id", ("repeated-query",), method="POST", body=_ids),
    Case("asyncpg-loop", "raw asyncpg loop", ("repeated-query",), query="n={size}"),
    Case("count-loop", "2 COUNTs per row", ("repeated-query",), query="n={size}"),
    Case(
        "unused-selectinload",
        "unused selectinload",
        ("unused-relationship",),
        peer_kinds=None,
        query="n={size}",
    ),
    Case(
        "double-joinedload",
        "cartesian double joinedload",
        ("cartesian-join",),
        peer_kinds=None,
        query="n={size}",
    ),
    Case(
        "one-column-of-all",
        "3600 rows loaded, one column used",
        ("unused-columns",),
        peer_kinds=None,
    ),
    Case(
        "held-transaction",
        "transaction held open 0.5 s",
        ("held-connection",),
        peer_kinds=(),
        method="POST",
        parameters="/{post_id}",
    ),
    Case(
        "same-query-twice",
        "same query, same parameter, 2 sites",
        ("duplicate-query",),
        query="user_id={user_id}",
    ),
    Case("slow-query", "one slow query", ("slow-statement",), peer_kinds=None, query="n={size}"),
)

CORRECT: Final = (
    Case(
        "selectinload-of-1200",
        "selectinload of 1200 parents",
        query="n={size}",
        sizes=(600, 900, 1200),
    ),
    Case("keyset-export", "keyset export, 4 pages", query="n={size}", sizes=(1000, 1200, 1800)),
    Case("two-look-ups", "two independent look-ups", query="first={user_id}&second={other_id}"),
    Case("status-polls", "3 status polls", parameters="/{draft_id}"),
    Case("commits-with-refresh", "2 commits with refresh", method="POST", parameters="/{post_id}"),
    Case("streamed-rows", "rows streamed by a server-side cursor"),
    Case("many-inserts", "executemany", method="POST", body=_tags),
    Case("three-relationships", "one object with 3 relations", parameters="/{user_id}"),
    Case("shared-parent", "N:1 with a shared parent", parameters="/{team_id}", query="n={size}"),
    Case("plain-selectinload", "plain selectinload", query="n={size}"),
)

CASES: Final = (*FAULTY, *CORRECT)

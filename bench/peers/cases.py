"""What is asked of every peer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final, NamedTuple

from .schema import POSTS, USERS, USERS_WITH_POSTS

KEY: Final = "00000000-0000-4000-8000-000000000000"
"""Where it stands in a body, the sender writes a text of the same length that is its own."""

PAGE: Final = 100


class Case(NamedTuple):
    """One kind of request."""

    name: str
    requests: Sequence[str] | None
    """`METHOD PATH [BODY]`, sent in random order; None where each peer has its own (`pages.py`)."""
    statement: str | None = None
    """What pgbench runs as its floor; None where that is more than one statement."""


def event(kind: str = "lead.created", payload: object = None) -> str:
    """The body of an insert."""
    lead = {"email": "ada@example.com", "amount": 129.5}
    return json.dumps({"key": KEY, "kind": kind, "payload": payload or lead})


CASES: Final = (
    Case(
        "point-read",
        [f"GET /users/{number}" for number in range(1, USERS + 1)],
        f"\\set id random(1, {USERS})\n"
        "SELECT id, name, email, city, created_at FROM users WHERE id = :id;\n",
    ),
    Case("nested-read", [f"GET /users/{number}/feed" for number in range(1, USERS_WITH_POSTS + 1)]),
    Case(
        "list-page",
        None,
        f"\\set after random(0, {POSTS - PAGE - 1})\n"
        "SELECT id, user_id, title, created_at FROM posts"
        f" WHERE id > :after ORDER BY id LIMIT {PAGE};\n",
    ),
    Case(
        "insert",
        [f"POST /events {event()}"],
        "INSERT INTO events (key, kind, payload) VALUES (gen_random_uuid()::text, 'lead.created',"
        """ '{"email": "ada@example.com", "amount": 129.5}');\n""",
    ),
    Case("empty", ["GET /"]),
)
CASE_NAMES: Final = tuple(case.name for case in CASES)

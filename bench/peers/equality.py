"""Whether a peer answers as the data says, before it is measured."""

from __future__ import annotations

import json
import sys
from typing import Any, Final, NamedTuple

import httpx

from .cases import KEY, event
from .pages import pages

_TIME: Final = """to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""

_USER: Final = f"""
SELECT json_build_object('id', id, 'name', name, 'email', email, 'city', city,
    'created_at', {_TIME.format("created_at")})
FROM users WHERE id = %s
"""
_FEED: Final = f"""
SELECT json_build_object('id', u.id, 'name', u.name, 'posts', coalesce((
    SELECT json_agg(json_build_object('id', p.id, 'title', p.title,
        'created_at', {_TIME.format("p.created_at")}, 'comments', (
        SELECT json_agg(json_build_object('id', c.id, 'author', c.author, 'body', c.body)
            ORDER BY c.id)
        FROM comments c WHERE c.post_id = p.id)) ORDER BY p.id)
    FROM posts p WHERE p.user_id = u.id), '[]'))
FROM users u WHERE u.id = %s
"""
_POSTS: Final = f"""
SELECT json_agg(one ORDER BY one.id) FROM (
    SELECT id, user_id, title, {_TIME.format("created_at")} AS created_at FROM posts) one
"""
_READS: Final = (
    *(("point-read", "/users/{}", _USER, key) for key in (1, 2, 500, 1000, 1001)),
    *(("nested-read", "/users/{}/feed", _FEED, key) for key in (1, 57, 100, 101, 1001)),
)
_LIMITS: Final = (100, 37)
_REFUSED: Final = (event(kind="k" * 51), event(payload=[1]), '{"key": "a", "kind": "b"}')


class Difference(NamedTuple):
    """A request that is answered otherwise than the data says."""

    request: str
    expected: str
    got: str


def check(variant: str, cases: set[str], address: str, connection: Any) -> None:
    """Ends the run where a peer's answers are not as they should be."""
    with httpx.Client(base_url=address, timeout=30, trust_env=False) as client:
        found = [*_reads(client, cases, connection)]
        if "list-page" in cases:
            found += _lists(client, connection)
        if "insert" in cases:
            found += _inserts(client, connection)
    for one in found:
        print(f"{variant}, {one.request}: expected {one.expected[:300]}, got {one.got[:300]}")
    if found:
        sys.exit(f"{variant} is not measured against the others: its answers differ")


def _reads(client: httpx.Client, cases: set[str], connection: Any) -> list[Difference]:
    found = []
    for case, path, sql, key in _READS:
        if case not in cases:
            continue
        row = connection.execute(sql, (key,)).fetchone()
        expected = "404" if row is None else _canonical(row[0])
        answer = client.get(path.format(key))
        got = str(answer.status_code)
        if answer.status_code == 200:
            got = _canonical(answer.json())
        if got != expected:
            found.append(Difference(f"GET {path.format(key)}", expected, got))
    return found


def _lists(client: httpx.Client, connection: Any) -> list[Difference]:
    """All pages, in their order, are all posts in theirs; how `next` is written is not compared."""
    (posts,) = connection.execute(_POSTS).fetchone()
    found = []
    for limit in _LIMITS:
        starts = range(0, len(posts), limit)
        expected = _canonical([posts[start : start + limit] for start in starts])
        try:
            got = _canonical([page.items for page in pages(client, limit)])
        except (httpx.HTTPStatusError, LookupError) as error:
            got = repr(error)
        if got != expected:
            found.append(Difference(f"GET /posts?limit={limit} and on", expected, got))
    return found


def _inserts(client: httpx.Client, connection: Any) -> list[Difference]:
    """A good event is there once it is answered; of bad ones nothing is."""
    headers = {"content-type": "application/json"}
    connection.execute("TRUNCATE events")
    bad = [client.post("/events", content=body, headers=headers).status_code for body in _REFUSED]
    good = client.post("/events", content=event(), headers=headers).status_code
    rows = connection.execute("SELECT key, kind, payload FROM events").fetchall()
    wanted = json.loads(event())
    expected = _canonical([201, [[KEY, wanted["kind"], wanted["payload"]]]])
    got = _canonical([good, [list(row) for row in rows]])
    found = [] if got == expected else [Difference("POST /events", expected, got)]
    # Some stacks say 400 of what does not fit, others 422.
    if set(bad) - {400, 422}:
        found.append(Difference("POST /events, not valid", "400 or 422", str(bad)))
    return found


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)

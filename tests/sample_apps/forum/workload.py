"""What the forum is asked for."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from ..call import COMPRESSING, Call, calls, spread
from .data import BOARDS_COUNT, MEMBERS_COUNT, POSTS_COUNT, THREADS_COUNT

SIZES = (10, 20, 40)
BOARDS = spread(1, BOARDS_COUNT)
MEMBERS = spread(1, MEMBERS_COUNT)
POSTS = spread(1, POSTS_COUNT)
THREADS = spread(1, THREADS_COUNT)
TITLES = ("How to paint a fence", "How to sell a boat", "Build me a house")
USERS_COUNT = 16


def workload() -> list[Call]:
    """All requests."""
    return list(chain(_lists(), _boards(), _threads(), _posts(), _similar(), _members(), _mine()))


def _lists() -> Iterator[Call]:
    for route in ("/threads", "/threads/latest", "/boards/activity", "/boards/figures"):
        yield from calls(f"GET {route}", query="limit={limit}", limit=SIZES)
    yield from calls("GET /tags")


def _boards() -> Iterator[Call]:
    for name in ("sidebar", "margin"):
        yield from calls(
            f"GET /boards/{{board_id}}/{name}",
            query="threads={threads}",
            board_id=BOARDS,
            threads=(5, 10, 20),
        )
    yield from calls("GET /boards/{board_id}/export", board_id=BOARDS)
    yield from calls("GET /boards/{board_id}/dump", board_id=(1, 2, 3, 4))


def _threads() -> Iterator[Call]:
    for name in ("preview", "glance", "translated", "meaning", "print"):
        yield from calls(f"GET /threads/{{thread_id}}/{name}", thread_id=THREADS)
    for name in ("preview", "glance"):
        route = f"GET /threads/{{thread_id}}/{name}"
        yield from calls(route, 4, thread_id=THREADS, users_count=USERS_COUNT)


def _posts() -> Iterator[Call]:
    yield from calls(
        "GET /posts", query="page={page}&size={size}", page=(400, 700, 900), size=(20, 25, 30)
    )
    yield from calls(
        "GET /posts/front", query="page={page}&size={size}", page=(1, 2, 3, 4), size=(20, 25, 30)
    )
    yield from calls("GET /posts/after", query="last={last}&size={size}", last=POSTS, size=SIZES)
    for name in ("posts", "threads"):
        yield from calls(f"GET /authors/{{author_id}}/{name}", author_id=MEMBERS)
    yield from calls(
        "GET /trending",
        query="since={since}&word={word}",
        since=("2026-01-02T00:00:00Z", "2026-01-05T00:00:00Z"),
        word=("a[0-9]b", "c[0-9]d", "f[0-9]f"),
    )
    yield from calls("POST /posts", body=_new_post, status=201)
    yield from calls("POST /posts/several", body=_several, status=201)


def _similar() -> Iterator[Call]:
    for name in ("", "/newest", "/gentle", "/beside"):
        yield from calls(f"GET /similar{name}", query="title={title}", title=TITLES)


def _members() -> Iterator[Call]:
    yield from calls("GET /members", query="sort={sort}", sort=("name", "age"))
    yield from calls(
        "GET /members/page", query="after={after}&limit={limit}", after=MEMBERS, limit=SIZES
    )
    yield from calls(
        "GET /members/some",
        query="{ids}",
        ids=[_repeated("ids", MEMBERS[: 2 + number]) for number in range(12)],
    )
    yield from calls(
        "GET /members/statistics", query="since={since}", since=("2020-03-01", "2021-01-01")
    )


def _mine() -> Iterator[Call]:
    for member_id in MEMBERS:
        headers = (*COMPRESSING, ("authorization", f"token-{member_id}"))
        for route in ("/inbox", "/inbox/short", "/profile", "/profile/quiet"):
            yield from calls(f"GET {route}", 1, headers=headers)
        yield from calls("POST /inbox/read", 1, headers=headers)


def _repeated(name: str, values: list[int]) -> str:
    return "&".join(f"{name}={value}" for value in values)


def _new_post(number: int) -> dict[str, Any]:
    return {"thread_id": 1 + number, "author_id": 2 + number, "text": "I agree."}


def _several(number: int) -> list[dict[str, Any]]:
    return [_new_post(each) for each in range((5, 10, 20)[number % 3])]

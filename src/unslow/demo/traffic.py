"""The requests of the demo: planned from ids that exist, sent by one user or by many at once."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import httpx
import psycopg

from ..errors import DemoError

USERS_TOGETHER = 20
SEED = 20
IDS_OF_EACH_KIND = 10
ANSWER_WITHIN_S = 30.0
ALL_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request to send."""

    method: str
    """The HTTP method."""
    route: str
    """The template of the route, such as `/users/{user_id}/posts`."""
    path: str
    """The path and query to ask for."""
    body: str | None = None
    """The JSON to send, where there is one."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of the requests."""

    requests_count: int
    """How many were to be sent."""
    statuses: tuple[tuple[int, int], ...]
    """Each status and how many answers had it."""
    errors: tuple[tuple[str, int], ...]
    """The name of each kind of failure without an answer, and how often it came."""
    not_sent_count: int
    """How many were left when the time was up."""
    duration_ms: float
    """From the first request to the last answer."""


@dataclass(frozen=True, slots=True)
class Visit:
    """How often a route is asked for: fewer times where it is slow."""

    route: str
    key: str | None
    """The kind of id in the path."""
    alone_count: int
    together_count: int
    query: str = ""
    burst_count: int = 1
    """How many of these requests come at once."""
    method: str = "GET"


VISITS = (
    Visit("/users/{user_id}/posts", "user_id", 30, 50),
    Visit("/users/{user_id}/feed", "user_id", 30, 50),
    Visit("/users/{user_id}/page", "user_id", 30, 50),
    Visit("/customers", None, 30, 50),
    Visit("/posts/export", None, 24, 40),
    Visit("/orders/{order_id}", "order_id", 24, 40),
    Visit("/orders/{order_id}/shipping", "order_id", 24, 40),
    Visit("/orders/{order_id}/tracking", "order_id", 30, 50),
    # Everybody opens the report at the same time: spread out, 20 users seldom meet in its pool.
    Visit("/reports/sales", None, 40, 60, burst_count=20),
    Visit("/leads/{lead_id}/score", "lead_id", 30, 50),
    Visit("/leads/{lead_id}/company", "lead_id", 24, 50),
    Visit("/health", None, 40, 60),
    Visit("/users/{user_id}", "user_id", 40, 60),
    Visit("/customers/{customer_id}/summary", "customer_id", 40, 60),
    Visit("/posts", "post_id", 40, 60, query="?after={post_id}&limit=50"),
    Visit("/posts/{post_id}", "post_id", 40, 60),
    Visit("/leads/{lead_id}", "lead_id", 40, 60),
    Visit("/leads", None, 40, 60, method="POST"),
)

# Users with about 50 posts and 500 comments: neither the busiest nor the idle ones.
TYPICAL_USERS = """
SELECT posts.user_id
FROM posts JOIN (SELECT post_id, count(*) AS comments FROM comments GROUP BY post_id) AS c
     ON c.post_id = posts.id
GROUP BY posts.user_id
ORDER BY 10 * abs(count(*) - 50) + abs(sum(c.comments) - 500), posts.user_id
LIMIT %s
"""
# Every n-th key, so that the requests are spread over the table.
SPREAD_KEYS = """
SELECT id FROM {table} WHERE id %% greatest((SELECT count(*) FROM {table}) / %s, 1) = 0
ORDER BY id LIMIT %s
"""


def plan(database_url: str, users: int = 1) -> tuple[Request, ...]:
    """The requests of one user alone, or of many together, in an order that is always the same.

    Raises:
        DemoError: The database is not reachable, or not filled.
    """
    ids = _ids(database_url)
    random_order = random.Random(SEED)
    bursts = [burst for visit in VISITS for burst in _bursts(visit, ids, together=users > 1)]
    random_order.shuffle(bursts)
    return tuple(request for burst in bursts for request in burst)


def send(
    url: str,
    requests: Sequence[Request],
    concurrency: int = 1,
    on_progress: Callable[[str, float], None] | None = None,
    *,
    within_s: float = ALL_WITHIN_S,
) -> Sent:
    """Sends the requests in order, each user the next one as soon as the last is answered.

    Args:
        url: The address of the app, `http://127.0.0.1:PORT`.
        requests: What to send.
        concurrency: How many users there are.
        on_progress: Called once before the first request, and after each answer with its route and
            the share that is done.
        within_s: When this time is up, nothing more is sent.
    """
    return asyncio.run(_send(url, requests, concurrency, on_progress or _ignore, within_s))


def _ignore(_what: str, _share: float) -> None:
    return None


def _ids(database_url: str) -> Mapping[str, tuple[int, ...]]:
    try:
        with psycopg.connect(database_url) as connection:
            users = _keys(connection, TYPICAL_USERS, IDS_OF_EACH_KIND)
            posts, leads, orders = (
                _keys(connection, SPREAD_KEYS.format(table=table), *[IDS_OF_EACH_KIND] * 2)
                for table in ("posts", "leads", "orders")
            )
    except psycopg.Error as error:
        raise DemoError(
            f"The demo's traffic could not be planned: {str(error).splitlines()[0]}. "
            "It wants the database that `fill` has filled."
        ) from error
    if not (users and posts and leads and orders):
        raise DemoError(
            "The demo's traffic could not be planned: the tables are empty. "
            "It wants the database that `fill` has filled."
        )
    return {
        "user_id": users,
        "customer_id": users,
        "post_id": posts,
        "lead_id": leads,
        "order_id": orders,
    }


def _keys(
    connection: psycopg.Connection[tuple[int]], statement: str, *limits: int
) -> tuple[int, ...]:
    return tuple(key for (key,) in connection.execute(statement.encode(), limits))


def _bursts(
    visit: Visit, ids: Mapping[str, tuple[int, ...]], *, together: bool
) -> Iterator[tuple[Request, ...]]:
    requests = tuple(
        _request(visit, ids, number)
        for number in range(visit.together_count if together else visit.alone_count)
    )
    at_once = visit.burst_count if together else 1
    for first in range(0, len(requests), at_once):
        yield requests[first : first + at_once]


def _request(visit: Visit, ids: Mapping[str, tuple[int, ...]], number: int) -> Request:
    keys = {visit.key: ids[visit.key][number % len(ids[visit.key])]} if visit.key else {}
    return Request(
        method=visit.method,
        route=visit.route,
        path=(visit.route + visit.query).format(**keys),
        body=_lead(number) if visit.method == "POST" else None,
    )


def _lead(number: int) -> str:
    return json.dumps(
        {
            "email": f"visitor{number}@example.net",
            "company": f"Company {number}",
            "source": "website",
            "message": "Please call me back about the larger plan.",
        }
    )


async def _send(
    url: str,
    requests: Sequence[Request],
    concurrency: int,
    on_progress: Callable[[str, float], None],
    within_s: float,
) -> Sent:
    waiting = iter(requests)
    statuses: Counter[int] = Counter()
    errors: Counter[str] = Counter()
    on_progress("", 0.0)
    begun_ns = time.perf_counter_ns()

    async def be_a_user(client: httpx.AsyncClient) -> None:
        while time.perf_counter_ns() - begun_ns < within_s * 1e9:
            request = next(waiting, None)
            if request is None:
                return
            try:
                statuses[await _status(client, request)] += 1
            except httpx.HTTPError as error:
                errors[type(error).__name__] += 1
            on_progress(request.route, (statuses.total() + errors.total()) / len(requests))

    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx.AsyncClient(
        # The app is on this machine: never through a proxy of the environment.
        base_url=url,
        timeout=ANSWER_WITHIN_S,
        limits=limits,
        trust_env=False,
    ) as client:
        await asyncio.gather(*(be_a_user(client) for _ in range(concurrency)))
    return Sent(
        requests_count=len(requests),
        statuses=tuple(sorted(statuses.items())),
        errors=tuple(sorted(errors.items())),
        not_sent_count=len(requests) - statuses.total() - errors.total(),
        duration_ms=(time.perf_counter_ns() - begun_ns) / 1e6,
    )


async def _status(client: httpx.AsyncClient, request: Request) -> int:
    headers = {"content-type": "application/json"} if request.body else {}
    answer = await client.request(
        request.method, request.path, content=request.body, headers=headers
    )
    return answer.status_code

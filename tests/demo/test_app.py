import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, event

from unslow.demo.app import create_app
from unslow.demo.routers import orders
from unslow.demo.rows import counts
from unslow.demo.services import Services
from unslow.demo.traffic import Request, plan

ROWS = counts(0.02)


@pytest.fixture(scope="module")
def typical_user(demo_database_url: str) -> int:
    """A user with about 50 posts, as the traffic asks for."""
    request = next(each for each in plan(demo_database_url) if each.route == "/users/{user_id}")
    return int(request.path.rpartition("/")[2])


@contextmanager
def statements_sent() -> Iterator[list[str]]:
    """The statements of all engines of this process, in which the app runs too."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def get(client: httpx.Client, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def on_the_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def held_count(services: Services) -> int:
    pool: Any = services.async_engine.pool
    count: int = pool.checkedout()
    return count


def wait_until(condition: Callable[[], bool], *, within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline


@pytest.mark.parametrize("name", ["posts", "feed"])
def test_the_lazy_pages_ask_once_per_post(
    client: httpx.Client, typical_user: int, name: str
) -> None:
    with statements_sent() as sent:
        page = get(client, f"/users/{typical_user}/{name}")

    assert 40 <= len(page["posts"]) <= 60
    assert len(sent) == 2 + len(page["posts"])


def test_the_eager_page_asks_three_times(client: httpx.Client, typical_user: int) -> None:
    with statements_sent() as sent:
        get(client, f"/users/{typical_user}/page")

    assert len(sent) == 3


def test_the_three_pages_of_a_user_are_the_same(client: httpx.Client, typical_user: int) -> None:
    posts, feed, page = (
        client.get(f"/users/{typical_user}/{name}").content for name in ("posts", "feed", "page")
    )

    assert posts == feed == page


def test_a_page_holds_posts_and_their_comments_in_order(
    client: httpx.Client, typical_user: int
) -> None:
    page = get(client, f"/users/{typical_user}/page")

    assert page["id"] == typical_user
    post_ids = [post["id"] for post in page["posts"]]
    assert post_ids == sorted(post_ids)
    comments = [comment for post in page["posts"] for comment in post["comments"]]
    assert len(comments) > 100
    assert set(comments[0]) == {"id", "user_id", "body", "created_at"}


def test_a_user_is_one_statement(client: httpx.Client, typical_user: int) -> None:
    with statements_sent() as sent:
        user = get(client, f"/users/{typical_user}")

    assert set(user) == {"id", "name", "email", "city", "created_at"}
    assert len(sent) == 1


def test_the_customers_are_all_users(client: httpx.Client) -> None:
    with statements_sent() as sent:
        customers = get(client, "/customers")

    assert [customer["id"] for customer in customers] == list(range(1, ROWS.users + 1))
    assert "LIMIT" not in sent[0]


def test_the_summary_of_a_customer_adds_up(
    client: httpx.Client, demo_database_url: str, typical_user: int
) -> None:
    with psycopg.connect(demo_database_url) as connection:
        totals = [
            total
            for (total,) in connection.execute(
                "SELECT total_cents FROM orders WHERE user_id = %s", [typical_user]
            )
        ]

    summary = get(client, f"/customers/{typical_user}/summary")

    assert summary == {
        "customer_id": typical_user,
        "orders": len(totals),
        "total_cents": sum(totals),
    }


def test_the_pages_of_posts_follow_one_another(client: httpx.Client) -> None:
    first = get(client, "/posts?limit=30")
    second = get(client, f"/posts?limit=30&after={first[-1]['id']}")

    assert [post["id"] for post in first + second] == list(range(1, 61))
    assert set(first[0]) == {"id", "user_id", "title", "created_at"}


def test_a_page_of_posts_has_a_limit(client: httpx.Client) -> None:
    assert len(get(client, "/posts")) == 50
    assert client.get("/posts?limit=101").status_code == 422


def test_a_post_is_the_same_alone_and_in_the_export(client: httpx.Client) -> None:
    export = get(client, "/posts/export")

    assert len(export) == min(ROWS.posts, 3000)
    alone = get(client, f"/posts/{export[7]['id']}")
    # The two are encoded by different encoders, which write the zone as +00:00 and as Z.
    assert alone | {"created_at": ""} == export[7] | {"created_at": ""}


def test_a_lead_that_is_posted_can_be_looked_up(client: httpx.Client) -> None:
    lead = {
        "email": "ada@example.net",
        "company": "North Mill",
        "source": "fair",
        "message": "Call me.",
    }

    created = client.post("/leads", json=lead)

    assert created.status_code == 201
    assert created.json().items() >= lead.items()
    assert get(client, f"/leads/{created.json()['id']}") == created.json()


def test_a_lead_without_an_address_is_refused(client: httpx.Client) -> None:
    refused = client.post("/leads", json={"email": "ada", "company": "x", "message": ""})

    assert refused.status_code == 422


def test_the_report_counts_every_order(client: httpx.Client) -> None:
    report = get(client, "/reports/sales")

    assert sum(month["orders"] for month in report) == ROWS.orders
    assert set(report[0]) == {"month", "orders", "total_cents"}


def test_the_reports_wait_for_a_pool_of_two(
    client: httpx.Client, services: Services, demo_database_url: str
) -> None:
    pool: Any = services.reporting_engine.pool
    with (
        psycopg.connect(demo_database_url) as blocker,
        psycopg.connect(demo_database_url, autocommit=True) as watcher,
        ThreadPoolExecutor(4) as users,
    ):
        blocker.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        answers = [users.submit(client.get, "/reports/sales") for _ in range(4)]
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        wait_until(lambda: watcher.execute(waiting).fetchall() == [(2,)])

        assert (pool.size(), pool.checkedout(), pool.overflow()) == (2, 2, 0)
        assert not any(answer.done() for answer in answers)
        blocker.rollback()
        assert [answer.result().status_code for answer in answers] == [200] * 4


def test_an_order_sleeps_on_the_event_loop(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[tuple[float, bool]] = []

    class Clock:
        @staticmethod
        def sleep(duration_s: float) -> None:
            naps.append((duration_s, on_the_loop()))

    monkeypatch.setattr(orders, "time", Clock)

    order = get(client, "/orders/1")

    assert set(order) == {"id", "user_id", "status", "total_cents", "created_at"}
    assert naps == [(orders.SETTLING_S, True)]


def test_shipping_is_asked_for_on_the_event_loop(
    client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = services.shipping.get
    places: list[bool] = []

    def ask(url: str, **options: Any) -> Any:
        places.append(on_the_loop())
        return original(url, **options)

    monkeypatch.setattr(services.shipping, "get", ask)

    shipping = get(client, "/orders/1/shipping")

    assert set(shipping) == {"order_id", "status", "shipping_cents"}
    assert places == [True]


@pytest.fixture
def calls(services: Services, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, object]]:
    """For each call of a service: connections held by the async ORM, and the timeout given."""
    original = services.remote.get
    seen: list[tuple[int, object]] = []

    async def ask(url: str, **options: Any) -> httpx.Response:
        seen.append((held_count(services), options.get("timeout", "of the client")))
        return await original(url, **options)

    monkeypatch.setattr(services.remote, "get", ask)
    # The dependency of an earlier request may still be giving its connection back.
    wait_until(lambda: held_count(services) == 0)
    return seen


def test_a_lead_is_scored_while_a_connection_is_held(
    client: httpx.Client, calls: list[tuple[int, object]]
) -> None:
    assert set(get(client, "/leads/1/score")) == {"lead_id", "company", "score"}
    assert calls == [(1, "of the client")]


def test_a_parcel_is_tracked_without_a_timeout(
    client: httpx.Client, calls: list[tuple[int, object]]
) -> None:
    assert set(get(client, "/orders/1/tracking")) == {"order_id", "status", "kilometres"}
    assert calls == [(0, None)]


def test_a_company_is_asked_for_by_a_client_of_its_own(
    client: httpx.Client, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_until(lambda: held_count(services) == 0)
    made: list[int] = []

    class Counted(httpx.AsyncClient):
        def __init__(self, **options: Any) -> None:
            made.append(held_count(services))
            super().__init__(**options)

    monkeypatch.setattr(httpx, "AsyncClient", Counted)

    for _ in range(2):
        assert set(get(client, "/leads/1/company")) == {"lead_id", "company", "employees"}
    assert made == [0, 0]


@pytest.mark.parametrize(
    "path",
    [
        "/users/999999",
        "/users/999999/posts",
        "/users/999999/feed",
        "/users/999999/page",
        "/posts/999999",
        "/leads/999999",
        "/leads/999999/score",
        "/leads/999999/company",
        "/orders/999999",
        "/orders/999999/shipping",
        "/orders/999999/tracking",
    ],
)
def test_a_key_that_does_not_exist_is_answered_404(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_the_id_of_a_request_is_the_callers_or_a_new_one(client: httpx.Client) -> None:
    given = client.get("/health", headers={"x-request-id": "mine"}).headers["x-request-id"]
    made = {client.get("/health").headers["x-request-id"] for _ in range(2)}

    assert given == "mine"
    assert len(made) == 2


@pytest.mark.parametrize("missing", ["UNSLOW_DEMO_DATABASE_URL", "UNSLOW_DEMO_STUB_URL"])
def test_a_missing_address_is_named_at_the_start(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setenv("UNSLOW_DEMO_DATABASE_URL", "postgresql://127.0.0.1:1/demo")
    monkeypatch.setenv("UNSLOW_DEMO_STUB_URL", "http://127.0.0.1:1")
    monkeypatch.delenv(missing)
    app: FastAPI = create_app()

    async def start() -> None:
        async with app.router.lifespan_context(app):
            pass

    with pytest.raises(RuntimeError, match=f"{missing} is not set"):
        asyncio.run(start())


def test_every_request_of_the_plan_is_answered(
    client: httpx.Client, demo_database_url: str
) -> None:
    first_of_each: dict[tuple[str, str], Request] = {}
    for request in plan(demo_database_url):
        first_of_each.setdefault((request.method, request.route), request)

    answers = {
        key: client.request(
            request.method,
            request.path,
            content=request.body,
            headers={"content-type": "application/json"},
        ).status_code
        for key, request in first_of_each.items()
    }

    assert answers == {key: 201 if key[0] == "POST" else 200 for key in first_of_each}

"""Reports as the recording of a small API makes them, for the tests that show them."""

from dataclasses import replace
from typing import Any

from unslow.model.report import (
    Blocked,
    Detail,
    Endpoint,
    Holder,
    Machine,
    Report,
    Spread,
    StatementShape,
    Victim,
)
from unslow.model.trace import SEGMENTS, Coverage, Place

FOLDER = "/home/me/shop"
POOL = "postgresql+asyncpg 127.0.0.1:5432/shop pool 5+10"
COMMENTS = (
    "SELECT comments.id AS comments_id, comments.post_id AS comments_post_id, comments.body AS "
    "comments_body, comments.author AS comments_author, comments.created AS comments_created "
    "FROM comments WHERE comments.post_id = ?"
)


def place(path: str, line: int, function: str) -> Place:
    return Place(f"{FOLDER}/{path}", line, function)


def endpoint(route: str, segments: dict[str, float], **changes: Any) -> Endpoint:
    """An endpoint whose receipts are all these segments, and the rest zero."""
    method, _, path = route.partition(" ")
    receipt = dict.fromkeys(SEGMENTS, 0.0) | {
        name.replace("_", "-"): ms for name, ms in segments.items()
    }
    mean = sum(receipt.values())
    made = Endpoint(
        method=method,
        route=path,
        requests_count=40,
        errors_count=0,
        wall_ms=Spread(mean, mean * 0.98, mean * 1.22, mean * 1.31),
        receipts_ms={"mean": receipt, "p50": receipt, "p95": receipt},
        requests_per_s=12.3,
        concurrency_max=1,
        statements_p50=1,
        statements_max=1,
        response_bytes_p50=312,
        response_bytes_max=312,
        blocked_loop_ms=0.0,
        off_cpu_ms=None,
        overlap_ms=0.0,
        dropped_slices_count=0,
        loop_busy_most_ms=receipt["loop-busy"],
    )
    return replace(made, **changes)


def report(*endpoints: Endpoint, **changes: Any) -> Report:
    """A report about these endpoints, with nothing else in it."""
    made = Report(
        target="shop.main:app",
        created="2026-03-01T12:00:31+00:00",
        unslow="0.1.0",
        machine=Machine("Linux", "3.11.7", 2, 0.84, {"fastapi": "0.165.0", "sqlalchemy": "2.1.9"}),
        endpoints=endpoints,
        coverage=(),
        blocked=(),
        holders=(),
        processes_count=1,
        traces_count=sum(one.requests_count for one in endpoints),
        dropped_traces_count=0,
    )
    return replace(made, **changes)


def lazy_posts() -> Endpoint:
    """A lazy load per row, in a sync session."""
    handler = place("shop/routers/users.py", 97, "get_user_posts")
    return endpoint(
        "GET /users/{user_id}/posts",
        {
            "sql": 10.2,
            "orm": 13.1,
            "hydration": 6.0,
            "serialization": 3.1,
            "own_code": 0.8,
            "framework": 0.02,
            "validation": 0.01,
            "unexplained": 0.5,
        },
        statements_p50=52,
        statements_max=60,
        response_bytes_p50=20_639,
        response_bytes_max=20_700,
        details={"own-code": (Detail(0.7, handler), Detail(0.1))},
        statements=(
            StatementShape(COMMENTS, handler, "Post.comments", 50.0, 9.1, 1.4, 500.0),
            StatementShape(
                "SELECT posts.id, posts.title FROM posts WHERE posts.user_id = ?",
                handler,
                "User.posts",
                1.0,
                0.8,
                1.1,
                50.0,
            ),
            StatementShape(
                "SELECT users.id FROM users WHERE users.id = ?", None, "", 1, 0.3, 0.6, 1
            ),
            StatementShape("SELECT ?", None, "", 0.5, 0.02, 0.1, None),
        ),
        off_cpu_ms=0.9,
    )


def blocking_order() -> Endpoint:
    """`time.sleep` in `async def`, alone and with 20 users."""
    handler = place("shop/routers/orders.py", 31, "get_order")
    alone = endpoint(
        "GET /orders/{order_id}",
        {"blocking": 249.6, "own_code": 0.6, "sql": 0.9},
        requests_count=20,
    )
    return endpoint(
        "GET /orders/{order_id}",
        {"blocking": 249.7, "own_code": 0.6, "sql": 1.1, "loop_busy": 2210.4, "unexplained": 0.2},
        requests_count=60,
        concurrency_max=20,
        errors_count=2,
        wall_ms=Spread(2462.0, 3710.0, 4902.0, 4990.0),
        blocked_loop_ms=249.7,
        loop_busy_most_ms=2301.0,
        details={
            "blocking": (Detail(249.7, handler, "time.sleep", count=1.0),),
            "loop-busy": (
                Detail(2100.0, handler, "time.sleep", "GET /orders/{order_id}", most_ms=2180.5),
                Detail(110.4, None, "outside requests"),
            ),
        },
        statements=(
            StatementShape(
                "SELECT orders.id, orders.total FROM orders WHERE orders.id = ?",
                handler,
                "",
                1,
                1.1,
                9,
                1,
            ),
        ),
        alone=alone,
    )


def waiting_report() -> Endpoint:
    """A pool of two under 20 users, with two kinds of slow requests."""
    handler = place("shop/routers/reports.py", 12, "report_sales")
    base = endpoint(
        "GET /reports/sales",
        {"pool_wait": 120.0, "sql": 30.5, "connect": 2.1, "own_code": 1.2, "unexplained": 0.1},
        details={
            "pool-wait": (Detail(120.0, handler, POOL, count=1.0),),
            "connect": (Detail(2.1, handler, POOL),),
        },
        wall_ms=Spread(153.9, 120.0, 410.0, 428.2),
        concurrency_max=20,
        overlap_ms=8.1,
        after_response_ms={"sql": 2.0, "own-code": 1.1, "framework": 0.01},
        dropped_slices_count=12,
    )
    slow = dict(base.receipts_ms["mean"]) | {"pool-wait": 375.0}
    fast = dict(base.receipts_ms["mean"]) | {"pool-wait": 86.0}
    return replace(base, receipts_ms={"mean": base.receipts_ms["mean"], "p50": fast, "p95": slow})


def remote_score() -> Endpoint:
    handler = place("shop/routers/leads.py", 44, "score_lead")
    library = Place("/usr/lib/python3/site-packages/scoring/client/http.py", 210, "ask")
    return endpoint(
        "GET /leads/{lead_id}/score",
        {"remote": 41.2, "sql": 1.1, "own_code": 2.3, "cache": 3.0, "unexplained": 0.4},
        details={
            "remote": (
                Detail(36.0, library, "scores.example.com", count=3.0),
                Detail(5.2, handler, "127.0.0.1:9000", count=1.0),
            ),
            "cache": (Detail(3.0, handler, "redis", count=12.5),),
            "own-code": (Detail(2.0, handler), Detail(0.2, library)),
        },
    )


def quick(number: int) -> Endpoint:
    return endpoint(
        f"GET /things/{number}/parts",
        {"sql": 0.3, "own_code": 0.4, "framework": 0.3, "validation": 0.2},
        requests_count=1 if number == 3 else 40,
        errors_count=3 if number == 5 else 0,
    )


def shop() -> Report:
    """All of it together, with culprits, holders and things that were not recorded."""
    sleep = place("shop/routers/orders.py", 31, "get_order")
    sales = place("shop/routers/reports.py", 12, "report_sales")
    return report(
        blocking_order(),
        waiting_report(),
        remote_score(),
        lazy_posts(),
        *(quick(number) for number in range(14)),
        processes_count=2,
        notes=("This machine was busy (load 5.1 on 2 cores): ask again when it is quiet.",),
        blocked=(
            Blocked(
                "GET /orders/{order_id}",
                sleep,
                "time.sleep",
                14_980.0,
                60,
                (
                    Victim("GET /orders/{order_id}", 58, 61_000.0, 62_310.0),
                    Victim("GET /health", 12, 3_100.0, 4_700.0),
                    Victim("GET /users/{user_id}/posts", 1, 412.0, 412.0),
                    Victim("GET /leads/{lead_id}/score", 4, 0.0, 300.4),
                    Victim("GET /customers", 2, 120.0, 120.0),
                    Victim("GET /posts", 2, 20.0, 31.0),
                ),
            ),
            Blocked("", None, "outside requests", 110.4, 1),
        ),
        holders=(
            Holder(POOL, "GET /reports/sales", sales, 3_900.0, {"GET /reports/sales": 3_900.0}),
            Holder(POOL, "GET /leads/{lead_id}/score", None, 900.0, {"GET /reports/sales": 900.0}),
        ),
        coverage=(
            *(
                Coverage(what, "on")
                for what in (
                    "asgi",
                    "asyncpg 0.32.0",
                    "event loop uvloop 0.22.1",
                    "httpx 0.28.1",
                    "redis 6.4.0",
                    "requests 2.32.5",
                    "sqlalchemy 2.1.9",
                    "sqlalchemy engine postgresql+asyncpg",
                    "watchdog",
                )
            ),
            Coverage("psycopg 3.3.0", "on", "tried with 3.1 to 3.2"),
            Coverage(
                "aiohttp 3.7.4", "off", "this version is older than 3.9, the first that is known"
            ),
            Coverage("garbage collection", "not-checked"),
        ),
    )

import socket
from collections import Counter
from itertools import pairwise

import pytest

from unslow.demo.traffic import USERS_TOGETHER, VISITS, Request, plan, send
from unslow.errors import DemoError

HEALTH = Request("GET", "/health", "/health")


def test_the_plan_is_always_the_same(demo_database_url: str) -> None:
    assert plan(demo_database_url) == plan(demo_database_url)
    assert plan(demo_database_url, 20) == plan(demo_database_url, 20)


@pytest.mark.parametrize("users", [1, USERS_TOGETHER])
def test_each_route_is_asked_for_as_often_as_its_visit_says(
    demo_database_url: str, users: int
) -> None:
    asked = Counter((each.method, each.route) for each in plan(demo_database_url, users))

    assert asked == {
        (visit.method, visit.route): visit.together_count if users > 1 else visit.alone_count
        for visit in VISITS
    }


def test_a_95th_percentile_has_requests_enough() -> None:
    assert all(20 <= visit.alone_count <= 40 for visit in VISITS)
    assert all(40 <= visit.together_count <= 60 for visit in VISITS)


def test_the_routes_are_mixed(demo_database_url: str) -> None:
    routes = [request.route for request in plan(demo_database_url, USERS_TOGETHER)]

    repeated = sum(one == next_one for one, next_one in pairwise(routes))
    assert repeated < len(routes) / 4


def test_the_report_is_asked_for_by_everybody_at_once(demo_database_url: str) -> None:
    routes = [request.route for request in plan(demo_database_url, USERS_TOGETHER)]
    first = routes.index("/reports/sales")

    assert routes[first : first + USERS_TOGETHER] == ["/reports/sales"] * USERS_TOGETHER


def test_requests_go_to_keys_of_all_parts_of_a_table(demo_database_url: str) -> None:
    paths = {each.path for each in plan(demo_database_url) if each.route == "/posts/{post_id}"}

    assert paths == {f"/posts/{key}" for key in range(100, 1001, 100)}


def test_a_database_without_the_tables_is_said(database_url: str) -> None:
    with pytest.raises(DemoError, match="could not be planned"):
        plan(database_url)


def test_a_plan_can_be_sent(app_url: str, demo_database_url: str) -> None:
    requests = plan(demo_database_url, USERS_TOGETHER)[:120]
    shares: list[float] = []

    sent = send(app_url, requests, USERS_TOGETHER, lambda _route, share: shares.append(share))

    assert (sent.requests_count, sent.not_sent_count, sent.errors) == (120, 0, ())
    created = sum(request.method == "POST" for request in requests)
    assert dict(sent.statuses) == {200: 120 - created, 201: created}
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert sent.duration_ms > 0


def test_an_app_that_is_not_there_is_counted_as_errors() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    sent = send(f"http://127.0.0.1:{port}", (HEALTH,) * 3)

    assert sent.statuses == ()
    assert sent.errors == (("ConnectError", 3),)


def test_when_the_time_is_up_the_rest_is_counted_as_not_sent(app_url: str) -> None:
    sent = send(app_url, (HEALTH,) * 3, within_s=0)

    assert (sent.statuses, sent.errors, sent.not_sent_count) == ((), (), 3)

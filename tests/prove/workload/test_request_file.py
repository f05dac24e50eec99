from unslow.model.workload import Exchange, Request
from unslow.prove.workload.request_file import quoted, sendable

SECRET = "tulip-4711"


def test_what_is_shown_of_a_request_has_none_of_its_values() -> None:
    request = Request(
        "POST",
        f"/users/{SECRET}?token={SECRET}",
        (("Authorization", f"Bearer {SECRET}"), ("Cookie", SECRET)),
        SECRET.encode(),
        source="shop.http:3",
        route="/users/{user_id}",
    )
    exchange = Exchange(request, 200, 1.5, kept={"token": SECRET})

    assert SECRET not in f"{request!r} {exchange!r} {[request]}"
    assert (
        "Request(POST /users/{user_id}, from 'shop.http:3', headers: Authorization, Cookie,"
        " body: 10 bytes)"
    ) == repr(request)


def test_a_request_without_a_known_route_says_so_instead_of_its_path() -> None:
    assert "GET (no route)" == Request("GET", f"/users/{SECRET}").operation


def test_a_line_is_shown_short_and_without_its_query() -> None:
    assert "'GET /users?...'" == quoted(f"GET /users?token={SECRET}")
    assert repr("x" * 60 + "...") == quoted("x" * 100)


def test_headers_of_the_recorded_connection_are_not_sent_again() -> None:
    headers = (("Accept", "*/*"), ("Content-Length", "3"), ("connection", "close"), ("TE", "x"))

    assert (("Accept", "*/*"),) == sendable(headers)

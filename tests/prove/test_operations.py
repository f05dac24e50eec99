"""What the operations of a check are called, and what is said of them."""

from __future__ import annotations

import pytest

from unslow.model.trace import Trace
from unslow.model.workload import Exchange, LeftOut, Request
from unslow.prove.operations import Operations, is_of, pattern, plain, says, status_of


def trace(route: str, method: str = "GET") -> Trace:
    return Trace(1, 1, method, route, 200, 0.0, 0, 1, 1, 0)


def read(target: str, method: str = "GET", route: str = "") -> Request:
    return Request(method, target, source="shop.http:7", route=route)


@pytest.mark.parametrize(
    ("route", "path", "fits"),
    [
        ("/users", "/users", True),
        ("/users", "/users/", False),
        ("/users/{id}", "/users/7", True),
        ("/users/{id}", "/users/7/posts", False),
        ("/users/{id:int}", "/users/7", True),
        ("/files/{name:path}", "/files/a/b.txt", True),
        ("/a.b", "/axb", False),
        ("/größe|x/{n}", "/größe|x/1", True),
    ],
)
def test_a_template_has_its_paths(route: str, path: str, fits: bool) -> None:
    assert fits is (pattern(route).fullmatch(path) is not None)


def test_the_kind_of_a_parameter_is_no_part_of_a_name() -> None:
    assert "/a/{b}/c/{d}" == plain("/a/{b:int}/c/{d:path}")


def test_a_trace_is_of_the_request_that_leads_to_its_route() -> None:
    assert is_of(trace("/users/{id:int}"), read("/users/7", route="/users/{id}"))
    assert is_of(trace("/users/{id}"), read("/users/7?x=1"))
    assert is_of(trace("/größe"), read("/gr%C3%B6%C3%9Fe"))
    assert not is_of(trace("/users/{id}", "POST"), read("/users/7"))
    assert not is_of(trace("/posts/{id}"), read("/users/7"))
    assert not is_of(trace(""), read("/users/7"))


def test_requests_of_a_file_come_together_once_the_app_has_said_their_route() -> None:
    operations = Operations()
    assert operations.known(read("/users/7")) is None

    first = operations.add(read("/users/7"), [trace("/posts"), trace("/users/{id:int}")])

    assert first is operations.known(read("/users/8?page=2"))
    assert first is operations.add(read("/users/8"))
    assert first is operations.of(trace("/users/{id:int}"))
    assert operations.known(read("/users/7", "DELETE")) is None
    assert ["GET /users/{id}"] == [one.name for one in operations]
    assert 2 == len(first.requests)


def test_each_path_without_a_route_stands_for_itself() -> None:
    operations = Operations()
    first = operations.add(read("/gone/7"), [trace("")])

    assert first is operations.known(read("/gone/7?x=1"))
    assert operations.known(read("/gone/8")) is None
    assert operations.of(trace("")) is None
    assert "GET /gone/7" == first.name


def test_what_the_plan_has_left_out_and_what_was_asked_all_the_same_is_one_operation() -> None:
    operations = Operations()
    operations.add(read("/users/7", route="/users/{id}"))
    left_out = [
        LeftOut("GET", "/users/{id:int}", "no value"),
        LeftOut("POST", "/users/{id}", "may write"),
    ]

    assert 2 == operations.count_with(left_out)


@pytest.mark.parametrize(
    ("exchange", "status", "whole"),
    [
        (Exchange(read("/"), 404, 1.0, first_line="none"), "404", '404 ("none")'),
        (Exchange(read("/"), 500, 1.0), "500", "500"),
        (Exchange(read("/"), 0, 1.0, error="TimeoutError"), *["nothing in time"] * 2),
        (Exchange(read("/"), 200, 1.0, error="TooLargeError"), *["more than 64 MB"] * 2),
        (Exchange(read("/"), 0, 1.0, error="ReadError"), *["nothing (ReadError)"] * 2),
    ],
)
def test_an_answer_is_told_with_its_own_words_and_without_them(
    exchange: Exchange, status: str, whole: str
) -> None:
    assert (status, whole) == (status_of(exchange), says(exchange))

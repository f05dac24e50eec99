"""Which operations and requests `--only` and `--skip` leave."""

from __future__ import annotations

import pytest

from unslow.cli.choice import Choice, of_operation, of_request
from unslow.model.workload import Request
from unslow.prove.workload.making import RouteMissingError
from unslow.prove.workload.openapi import Operation

OPERATIONS = (
    Operation("GET", "/users"),
    Operation("POST", "/users"),
    Operation("GET", "/users/me"),
    Operation("GET", "/users/{user_id}"),
)
REQUESTS = (
    Request("GET", "/users?page=2"),
    Request("GET", "/users/7"),
    Request("DELETE", "/users/7"),
    Request("GET", "/gr%C3%B6%C3%9Fe"),
    Request("GET", "/users/8/posts", route="/users/{user_id}/posts"),
)


@pytest.mark.parametrize(
    ("choice", "left"),
    [
        (Choice(), [0, 1, 2, 3]),
        (Choice(only=("/users",)), [0, 1]),
        (Choice(only=("GET /users",)), [0]),
        (Choice(only=("get /users", "/users/me")), [0, 2]),
        (Choice(skipped=("POST /users",)), [0, 2, 3]),
        (Choice(skipped=("/users/{user_id:int}",)), [0, 1, 2]),
        (Choice(only=("/users",), skipped=("POST /users",)), [0]),
    ],
)
def test_operations_are_chosen_by_their_templates(choice: Choice, left: list[int]) -> None:
    assert tuple(OPERATIONS[one] for one in left) == choice.of(OPERATIONS, of_operation)


@pytest.mark.parametrize(
    ("choice", "left"),
    [
        (Choice(skipped=("/users/{id}",)), [0, 3, 4]),
        (Choice(skipped=("DELETE /users/{id}",)), [0, 1, 3, 4]),
        (Choice(skipped=("/users/7",)), [0, 3, 4]),
        (Choice(only=("/users",)), [0]),
        (Choice(only=("/größe",)), [3]),
        (Choice(only=("/users/{user_id}/posts",)), [4]),
    ],
)
def test_requests_are_chosen_by_the_templates_that_their_paths_fit(
    choice: Choice, left: list[int]
) -> None:
    assert tuple(REQUESTS[one] for one in left) == choice.of(REQUESTS, of_request)


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (Choice(only=("/user",)), "--only is '/user', and nothing that could be asked is called"),
        (Choice(skipped=("PUT /users",)), "--skip is 'PUT /users', and nothing"),
        (Choice(skipped=("/users/{other}",)), "there is GET /users, POST /users, GET /users/me,"),
    ],
)
def test_a_name_that_nothing_has_is_refused_with_those_that_there_are(
    choice: Choice, says: str
) -> None:
    with pytest.raises(RouteMissingError) as raised:
        choice.of(OPERATIONS, of_operation)

    assert says in str(raised.value)


def test_where_there_is_nothing_and_nothing_was_named_nothing_is_left() -> None:
    assert () == Choice().of((), of_request)

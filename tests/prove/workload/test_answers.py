from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.model.workload import Request
from unslow.prove.workload.answers import (
    Answer,
    candidates,
    found,
    resource_before,
    sightings,
    values_in_path,
)

INTEGER = {"type": "integer"}
TEXT = {"type": "string"}
UUID = {"type": "string", "format": "uuid"}
ONE = "7f1c3c1e-6f0a-4d6e-9a57-0d3c0a6e3f11"


def answer(route: str, json: Any, target: str = "") -> Answer:
    return Answer(Request("GET", target or route, route=route), json)


def values(
    parameter: str, schema: dict[str, Any], route: str, *answers: Answer, **assigned: object
) -> list[object]:
    seen = found(parameter, schema, route, sightings(answers))
    return [one.value for one in candidates(seen, assigned, route)]


@pytest.mark.parametrize(
    "json",
    [
        [{"id": 1}, {"id": 2}],
        {"items": [{"id": 1}, {"id": 2}], "total": 2},
        {"data": {"results": [{"id": 1}, {"id": 2}]}, "meta": {"id": 9}},
        {"users": [{"id": 1}, {"id": 2}]},
        {"members": [{"id": 1}, {"id": 2}], "next": None},
        {"edges": [{"node": {"id": 1}, "cursor": "x"}, {"node": {"id": 2}, "cursor": "y"}]},
        [1, 2],
        [{"userId": 1}, {"userId": 2}],
        [{"pk": 1, "name": "a"}, {"pk": 2, "name": "b"}],
        [{"id": 1, "posts": [{"id": 7}]}, {"id": 2, "items": [{"id": 8}]}],
    ],
)
def test_ids_are_found_in_lists_of_every_form(json: Any) -> None:
    assert [1, 2] == values("user_id", INTEGER, "/users/{user_id}", answer("/users", json))


@pytest.mark.parametrize(
    ("parameter", "schema", "item", "value"),
    [
        ("user_id", UUID, {"id": 1, "uuid": ONE}, ONE),
        ("user_id", INTEGER, {"id": ONE, "user_id": 3}, 3),
        ("user_id", INTEGER, {"id": "1"}, None),
        ("user_id", INTEGER, {"id": True}, None),
        ("user_id", INTEGER | {"minimum": 5}, {"id": 1}, None),
        ("user_id", TEXT, {"id": ""}, None),
        ("slug", TEXT, {"id": "a", "slug": "b"}, "b"),
        ("user_slug", TEXT, {"id": "a"}, None),
        ("username", TEXT, {"id": "a", "username": "b"}, "b"),
        ("user", TEXT, {"id": 1, "slug": "b", "name": "c"}, "b"),
        ("id", INTEGER, {"id": 3}, 3),
    ],
)
def test_only_the_field_that_is_meant_and_fits_is_taken(
    parameter: str, schema: dict[str, Any], item: dict[str, object], value: object
) -> None:
    found = values(parameter, schema, f"/users/{{{parameter}}}", answer("/users", [item]))

    assert ([] if value is None else [value]) == found


@pytest.mark.parametrize(
    ("parameter", "route"),
    [
        ("name", "/users/name/{name}"),
        ("name", "/users/by-name/{name}/posts"),
        ("user_name", "/users/user-name/{user_name}"),
        ("slug", "/users/slug/{slug}"),
    ],
)
def test_a_word_before_a_parameter_that_only_repeats_it_names_nothing(
    parameter: str, route: str
) -> None:
    users = answer("/users", [{"id": 1, "name": "ann", "slug": "ann"}])
    posts = answer("/posts", [{"id": 2, "name": "snow", "slug": "snow"}])

    assert ["ann"] == values(parameter, TEXT, route, posts, users)


@pytest.mark.parametrize(
    ("route", "resource"),
    [
        ("/users/{id}", "users"),
        ("/users/id/{id}", "users"),
        ("/{id}", ""),
        ("/id/{id}", ""),
        ("id/{id}", "id"),
        ("/users", ""),
    ],
)
def test_a_parameter_is_of_what_stands_before_it(route: str, resource: str) -> None:
    assert resource == resource_before(route, "id")


@pytest.mark.parametrize(
    ("route", "json", "found"),
    [
        ("/users/search", [{"id": 1}], [1]),
        ("/api/posts", [{"id": 1, "user_id": 2}], [2]),
        ("/posts", [{"id": 1, "user": {"id": 2}}], [2]),
        ("/teams/{team_id}", {"id": 1, "users": [{"id": 2}]}, [2]),
        ("/posts", [{"id": 1}], []),
        ("/me", {"id": 1}, []),
        ("/people", [{"id": 1}], []),
        ("/users", {"detail": "none"}, []),
        ("/users", "none", []),
        ("/users", None, []),
    ],
)
def test_ids_are_found_by_name_in_other_answers(route: str, json: Any, found: list[object]) -> None:
    assert found == values("user_id", INTEGER, "/users/{user_id}", answer(route, json))


def test_the_list_that_the_path_goes_on_from_comes_before_fields_of_other_answers() -> None:
    seen = found(
        "user_id",
        INTEGER,
        "/users/{user_id}/posts",
        sightings(
            [
                answer("/posts", [{"id": 1, "user_id": 7}]),
                answer("/posts/{id}", {"id": 1, "user": {"id": 8}}, "/posts/1"),
                answer("/users", [{"id": 9}]),
            ]
        ),
    )

    assert [(0, 9), (1, 8), (2, 7)] == [(one.tier, one.value) for one in seen]


NESTED = "/users/{user_id}/posts/{post_id}"


@pytest.mark.parametrize(
    ("answers", "known"),
    [
        ([answer("/users/{user_id}/posts", [{"id": 5}], "/users/3/posts")], [5]),
        ([answer("/users/{id}/posts/", [{"id": 5}], "/users/3/posts/")], [5]),
        ([answer("/posts", [{"id": 5, "user_id": 3}])], [5]),
        ([answer("/users/{user_id}", {"id": 3, "posts": [{"id": 5}]}, "/users/3")], [5]),
        ([answer("/posts", [{"id": 5}])], []),
        (
            [answer("/posts", [{"id": 5}, {"id": 5, "user_id": 3}])],
            [5],
        ),
    ],
)
def test_what_was_seen_to_belong_together_is_known_to(
    answers: list[Answer], known: list[int]
) -> None:
    seen = found("post_id", INTEGER, NESTED, sightings(answers))

    pairs = candidates(seen, {"user_id": 3}, NESTED)

    assert [5] == [one.value for one in pairs]
    assert known == [one.value for one in pairs if one.is_known_to_go_with]


def test_what_was_seen_to_belong_to_another_is_not_combined() -> None:
    answers = (
        answer("/users/{user_id}/posts", [{"id": 5}], "/users/3/posts"),
        answer("/posts", [{"id": 6, "user_id": 3}]),
    )

    assert [] == values("post_id", INTEGER, NESTED, *answers, user_id=4)


def test_an_answer_that_repeats_what_was_asked_for_tells_of_nothing_new() -> None:
    answers = (
        answer("/users/{id}", {"id": 3}, "/users/3"),
        answer("/users/{user_id}/posts", {"user_id": 3, "posts": []}, "/users/3/posts"),
    )

    assert [] == values("user_id", INTEGER, "/users/{user_id}", *answers)


def test_the_bare_id_of_an_object_is_not_taken_for_that_of_what_it_belongs_to() -> None:
    route = "/users/{id}/posts/{post_id}"

    assert [5] == values("post_id", INTEGER, route, answer("/posts", [{"id": 5}]), id=3)


@pytest.mark.parametrize(
    ("route", "target", "values"),
    [
        ("/users/{user_id}/posts", "/users/3/posts?limit=5", {"user_id": "3"}),
        ("/a/{b}/{c}", "/a/x%20y/%C3%A4", {"b": "x y", "c": "ä"}),
        ("/users/{user_id}", "/posts/3", {}),
        ("/a.b/{c}", "/aXb/3", {}),
        ("/users", "/users", {}),
    ],
)
def test_the_values_in_a_path_are_read_by_its_template(
    route: str, target: str, values: dict[str, str]
) -> None:
    assert values == values_in_path(route, target)


def test_what_is_seen_in_an_answer_is_not_shown() -> None:
    one = answer("/users", [{"id": "tulip-4711"}])

    assert "tulip" not in f"{one!r} {sightings([one])!r}"


def test_no_more_objects_than_are_of_use_are_looked_at() -> None:
    (users,) = sightings([answer("/users", [{"id": n} for n in range(3000)])])

    assert 100 == len(users.objects)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "items", "users", "user_id", "x"]), inner)
    ),
    max_leaves=15,
)


@given(JSON)
def test_any_answer_gives_only_values_that_fit(json: Any) -> None:
    found = values("user_id", INTEGER, "/users/{user_id}", answer("/users", json))

    assert all(type(value) is int for value in found)
    assert len(set(found)) == len(found)

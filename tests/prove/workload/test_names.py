import pytest

from unslow.prove.workload.names import (
    Identifier,
    fields_for,
    identifier,
    is_identifier,
    normal,
    same_thing,
    words_of,
)


@pytest.mark.parametrize("name", ["pageSize", "page-size", "page_size", "PageSize", "page size"])
def test_a_name_is_the_same_however_its_words_are_put_together(name: str) -> None:
    assert "page_size" == normal(name)


def test_capitals_and_numbers_are_words() -> None:
    assert ["user", "id", "2"] == words_of("userID2")
    assert [] == words_of("--")


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("users", "user", True),
        ("categories", "category", True),
        ("addresses", "address", True),
        ("people", "person", True),
        ("BlogPosts", "blog_post", True),
        ("status", "status", True),
        ("posts", "blog_post", False),
        ("user", "userss", False),
        ("", "", False),
        ("users", "", False),
        ("news", "new", True),
    ],
)
def test_singular_and_plural_are_the_same_thing(one: str, other: str, is_same: bool) -> None:
    assert is_same == same_thing(one, other) == same_thing(other, one)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("user_id", Identifier("user", "id")),
        ("authorUuid", Identifier("author", "uuid")),
        ("id", Identifier("", "id")),
        ("username", Identifier("username", "")),
        ("blog_post_slug", Identifier("blog_post", "slug")),
    ],
)
def test_a_name_says_what_it_identifies(name: str, says: Identifier) -> None:
    assert says == identifier(name)


def test_ids_are_told_from_what_can_be_made_up() -> None:
    names = [
        "user_id",
        "id",
        "slug",
        "uuid",
        "api_key",
        "limit",
        "q",
        "country_code",
        "page_number",
    ]

    assert [True] * 5 + [False] * 4 == [is_identifier(name) for name in names]


def test_the_best_field_comes_first() -> None:
    assert ("user_id", "id", "uuid") == fields_for("user_id")[:3]
    assert ("user_uuid", "uuid", "id") == fields_for("user_uuid")[:3]
    assert ("post_slug", "slug") == fields_for("post_slug")
    assert ("tag", "id") == fields_for("tag")[:2]

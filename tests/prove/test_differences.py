"""Where two documents differ, and what is said of it."""

from __future__ import annotations

import pytest

from unslow.prove.differences import (
    Path,
    Step,
    body_differences,
    described,
    is_field,
    leaf_paths,
    written,
)

EACH = Step.EACH


def told(before: object, now: object) -> list[str]:
    found = body_differences(before, now)
    return [described(spot, change) for spot, change in found.items()]


def test_differences_come_in_the_order_of_the_document() -> None:
    before = {"a": [{"b": 1}, {"b": 2}], "c": {"d": None}, "e": 1}
    now = {"a": [{"b": 1}, {"b": 3}], "c": {"d": False}, "e": 1, "f": 1}

    assert told(before, now) == [
        "f: added",
        "a[].b: another value",
        "c.d: boolean in place of null",
    ]


def test_elements_with_a_key_are_told_from_one_another_in_any_order() -> None:
    before = [{"rank": 1, "id": 7, "name": "ash"}, {"rank": 2, "id": 8, "name": "birch"}]
    now = [{"rank": 1, "id": 8, "name": "birch"}, {"rank": 2, "id": 7, "name": "oak"}]

    assert set(told(before, now)) == {
        "[]: another order",
        "[].rank: another value",
        "[].name: another value",
    }


def test_a_number_that_happens_to_change_places_is_no_other_order() -> None:
    before = [{"load": 1, "name": "a", "on": True}, {"load": 2, "name": "b", "on": True}]
    now = [{"load": 2, "name": "a", "on": True}, {"load": 1, "name": "b", "on": True}]

    assert told(before, now) == ["[].load: another value"]


def test_only_what_others_go_with_is_a_key() -> None:
    before = [{"id": 7, "name": "ash", "seat": 1}, {"id": 8, "name": "birch", "seat": 2}]
    now = [{"id": 7, "name": "ash", "seat": 2}, {"id": 8, "name": "oak", "seat": 1}]

    assert told(before, now) == ["[].seat: another value", "[].name: another value"]


def test_a_flag_is_no_key() -> None:
    assert told([{"on": True}, {"on": False}], [{"on": False, "a": 1}, {"on": True}]) == [
        "[].a: added",
        "[].on: another value",
    ]


def test_the_order_of_keys_is_nothing_to_an_element_in_another_place() -> None:
    before, now = [{"a": 1, "b": 2}, {"c": 3}], [{"c": 3}, {"b": 2, "a": 1}]

    assert told(before, now) == ["[]: another order"]


def test_lists_of_anything_are_compared_in_turn() -> None:
    assert told([1, "a", {}], [1, {}, None]) == [
        "[]: object in place of text",
        "[]: null in place of object",
    ]


def test_equal_values_have_equal_fingerprints_and_others_do_not() -> None:
    ones = [body_differences([0, 0], now) for now in ([1, 0], [1, 0], [0, 1], [2, 0])]
    fingerprints = [change.fingerprint for found in ones for change in found.values()]

    assert fingerprints[0] == fingerprints[1]
    assert len(set(fingerprints)) == 3


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((), "the body"),
        ((EACH,), "[]"),
        (("items", EACH, "price"), "items[].price"),
        ((EACH, EACH, "a"), "[][].a"),
        (("by_id", "7f-1", Step.ANY), "by_id.*.*"),
        (("anna@example.org",), "*"),
        ((Step.HEADER, "x-total-count"), "header x-total-count"),
        ((Step.HEADER, "x-7f3a91c2"), "header *"),
        (("a",) * 200, "..." + ".a" * 60),
    ],
)
def test_a_path_is_written_without_data(path: Path, expected: str) -> None:
    assert written(path) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("updated_at", True),
        ("address2", True),
        ("sha256", True),
        ("_", True),
        ("a" * 41, True),
        ("a" * 42, False),
        ("", False),
        ("first name", False),
        ("7", False),
        ("name\n", False),
        ("M\u00fcller", False),
        ("a7f3191c2", False),
    ],
)
def test_a_key_is_a_field_when_a_programmer_named_it(key: str, expected: bool) -> None:
    assert is_field(key) is expected


def test_leaves_are_single_values_and_empty_lists() -> None:
    value: object = {"a": [{"b": 1}, {"b": 2, "c": []}], "d": None, "e": {}}

    assert leaf_paths(value) == {("a", EACH, "b"), ("a", EACH, "c", EACH), ("d",)}
    assert leaf_paths("x") == {()}

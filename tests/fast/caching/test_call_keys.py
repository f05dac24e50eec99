from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.fast.caching.call_keys import (
    CallKey,
    CallTags,
    Signature,
    async_function,
    key_text,
)
from unslow.fast.errors import DefinitionError


class Colour(enum.Enum):
    RED = 1


class Shade(enum.Enum):
    RED = 1


class Right(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Level(enum.StrEnum):
    HIGH = "high"


async def page(user: Any, number: Any = 1, *rest: Any, **options: Any) -> None: ...


async def item(number: Any, size: Any = 10) -> None: ...


def key_of(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    signature = Signature(function)
    return CallKey(signature, None, "")(signature.values(args, kwargs))


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.uuids()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.decimals(allow_nan=False)
    | st.sampled_from([*Colour, *Shade, *Right, *Level, Right.READ | Right.WRITE]),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=5,
)


def typed(value: Any) -> Any:
    """The value so that what only compares as equal (1 and True) differs."""
    if isinstance(value, tuple):
        return tuple(typed(one) for one in value)
    return (type(value), repr(value))


@given(plain, plain)
def test_two_values_have_one_text_only_if_they_are_the_same(one: Any, other: Any) -> None:
    assert (typed(one) == typed(other)) == (key_text(one) == key_text(other))


@given(plain, plain, plain, plain)
def test_two_calls_have_one_key_only_if_they_are_the_same(
    one: Any, two: Any, three: Any, four: Any
) -> None:
    same = (typed(one), typed(two)) == (typed(three), typed(four))

    assert same == (key_of(item, one, two) == key_of(item, three, four))


def test_all_ways_to_write_a_call_have_one_key() -> None:
    keys = {
        key_of(item, 1),
        key_of(item, number=1),
        key_of(item, 1, 10),
        key_of(item, size=10, number=1),
    }

    assert 1 == len(keys)


def test_the_order_of_free_options_does_not_matter() -> None:
    assert key_of(page, 1, 2, a=1, b=2) == key_of(page, 1, 2, b=2, a=1)


def test_free_arguments_are_part_of_the_key() -> None:
    keys = {
        key_of(page, 1, 2),
        key_of(page, 1, 2, 3),
        key_of(page, 1, 2, (3,)),
        key_of(page, 1, 2, a=3),
        key_of(page, 1, 2, ("a", 3)),
    }

    assert 5 == len(keys)


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        b"a",
        [1],
        {"a": 1},
        object(),
        (1, [2]),
        type("Text", (str,), {})("a"),
        datetime(2026, 1, 1, tzinfo=type("Odd", (ZoneInfo,), {})("Europe/Berlin")),
    ],
)
def test_what_makes_no_key_is_refused_with_what_to_do(value: Any) -> None:
    with pytest.raises(DefinitionError, match=r"item got .* as number.* write key=lambda"):
        key_of(item, value)


def test_the_refusal_does_not_quote_the_value() -> None:
    with pytest.raises(DefinitionError) as caught:
        key_of(item, ["a secret"])

    assert "a secret" not in str(caught.value)


def test_plain_values_make_keys() -> None:
    values = (
        1,
        "a",
        True,
        None,
        UUID(int=1),
        date(2026, 1, 1),
        datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")),
        Decimal("1.0"),
        Colour.RED,
        Level.HIGH,
        Right.READ | Right.WRITE,
    )

    assert isinstance(key_of(item, values), str)


def test_a_key_of_ones_own_names_the_parameters_it_takes() -> None:
    signature = Signature(page)
    key = CallKey(signature, lambda number, user: (user["id"], number), "")

    assert key(signature.values(({"id": 7},), {})) == key(
        signature.values((), {"user": {"id": 7, "session": 3}, "number": 1})
    )


def test_a_key_of_ones_own_that_names_no_parameter_is_refused() -> None:
    with pytest.raises(
        DefinitionError, match=r"key= of item is a function of other; wanted .*number"
    ):
        CallKey(Signature(item), lambda other: other, "")


def test_a_key_of_ones_own_must_be_plain_too() -> None:
    signature = Signature(item)

    with pytest.raises(DefinitionError, match=r"key= of item made a key of list"):
        CallKey(signature, lambda number: [number], "")(signature.values((1,), {}))


def test_tags_come_from_the_parameters_they_name() -> None:
    signature = Signature(item)
    tags = CallTags(signature, lambda size: [f"size:{size}", "all", "all"])

    assert ("all", "size:10") == tags(signature.values((1,), {}))


@pytest.mark.parametrize("tags", ["user", 5, [5], {"a": 1}])
def test_tags_that_are_no_list_of_text_are_refused(tags: Any) -> None:
    with pytest.raises(DefinitionError, match=r"tags= of item gave .*; wanted a list of str"):
        CallTags(Signature(item), tags)


def test_a_wrong_call_is_refused_as_the_function_itself_would() -> None:
    with pytest.raises(TypeError, match=r"missing a required argument: 'number'"):
        key_of(item)


def test_what_is_not_async_is_refused() -> None:
    def blocking(number: int) -> int:
        return number

    with pytest.raises(DefinitionError, match=r"cached got .*blocking, which is no async function"):
        async_function(blocking, "cached")


def test_an_async_generator_is_refused() -> None:
    async def numbers() -> Any:
        yield 1

    with pytest.raises(DefinitionError, match=r"which is no async function"):
        async_function(numbers, "cached")


def test_an_object_with_an_async_call_is_fine() -> None:
    class Reader:
        async def __call__(self, number: int) -> int:
            return number

    async_function(Reader(), "cached")

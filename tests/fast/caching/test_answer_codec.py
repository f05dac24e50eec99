from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, computed_field

from unslow.fast.caching.answer_codec import AnswerCodec
from unslow.fast.errors import DefinitionError


class Post(BaseModel):
    title: str
    made_at: datetime
    price: Decimal | None = None


class User(BaseModel):
    id: UUID
    posts: list[Post] = []
    seen: dict[int, bool] = {}


class Renamed(BaseModel):
    id: int = Field(alias="userId")
    name: str = Field(validation_alias="in", serialization_alias="out")

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated property
    @property
    def twice(self) -> int:
        return self.id * 2


class Secret(BaseModel):
    id: int
    token: str = Field(default="", exclude=True)


@dataclass
class Point:
    x: int
    marks: list[str] = field(default_factory=list)


class Opaque:
    pass


async def any_answer(number: int) -> None: ...


def codec(answer_type: Any) -> AnswerCodec:
    return AnswerCodec(any_answer, answer_type)


@given(
    st.builds(
        User,
        id=st.uuids(),
        posts=st.lists(
            st.builds(
                Post,
                title=st.text(),
                made_at=st.datetimes(),
                price=st.none() | st.decimals(allow_nan=False, allow_infinity=False),
            ),
            max_size=3,
        ),
        seen=st.dictionaries(st.integers(-(2**60), 2**60), st.booleans(), max_size=3),
    )
)
def test_a_model_comes_back_the_same(user: User) -> None:
    written = codec(User)

    assert user == written.decode(written.encode(user))


@given(st.binary())
def test_bytes_are_kept_as_they_are(value: bytes) -> None:
    written = codec(bytes)

    assert value == written.encode(value) == written.decode(value)


@pytest.mark.parametrize(
    ("answer_type", "value"),
    [
        (Point, Point(1, ["a"])),
        (list[Point], [Point(1), Point(2)]),
        (int | None, None),
        (dict[str, Any], {"a": [1, 2.5, None, "x"]}),
        (tuple[int, str], (1, "a")),
        (set[int], {1, 2}),
        (Renamed, Renamed.model_validate({"userId": 1, "in": "a"})),
        (Secret, Secret(id=1)),
    ],
)
def test_answers_of_many_types_come_back_the_same(answer_type: Any, value: Any) -> None:
    written = codec(answer_type)

    assert value == written.decode(written.encode(value))


@pytest.mark.parametrize(
    ("answer_type", "value"),
    [
        (int, "no number"),
        (User, {"id": "no user"}),
        (float, float("nan")),
        (dict[str, Any], {"a": (1, 2)}),
        (Secret, Secret(id=1, token="left out of JSON")),
        (bytes, "text"),
    ],
)
def test_what_would_come_back_as_something_else_is_refused(answer_type: Any, value: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # pydantic's own errors are of that kind
        codec(answer_type).encode(value)


def test_what_was_written_for_another_type_is_refused() -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the same
        codec(Post).decode(codec(Point).encode(Point(1)))


def test_a_pickle_is_refused() -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the same
        codec(dict[str, Any]).decode(b"\x80\x05}\x94.")


def test_the_return_type_of_the_function_is_taken() -> None:
    async def point() -> Point:
        return Point(1)

    written = AnswerCodec(point)

    assert Point(1) == written.decode(written.encode(Point(1)))


def test_a_function_without_a_return_type_is_refused() -> None:
    async def untyped(number):  # type: ignore[no-untyped-def]  # that is the case
        return number

    with pytest.raises(DefinitionError, match=r"untyped has no return type.*type="):
        AnswerCodec(untyped)


def test_a_type_that_pydantic_does_not_know_is_refused() -> None:
    async def opaque() -> Opaque:
        return Opaque()

    with pytest.raises(DefinitionError, match=r"opaque has a return type that pydantic does not"):
        AnswerCodec(opaque).check()


def test_a_type_that_cannot_be_resolved_is_refused() -> None:
    class Hidden:
        pass

    async def hidden() -> Hidden:
        return Hidden()

    with pytest.raises(DefinitionError, match=r"hidden has a return type that cannot be resolved"):
        AnswerCodec(hidden).check()

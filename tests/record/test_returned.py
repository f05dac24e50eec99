"""What endpoints of a real FastAPI return, and which field of their models reads what."""

from __future__ import annotations

import dataclasses
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, Optional, TypeVar

import pytest
from fastapi import FastAPI, Response
from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, create_model
from pydantic.alias_generators import to_camel
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from tests.record.probes.asgi import Asked
from tests.record.probes.blog import USERS_COUNT, Post, User, fill
from tests.record.probes.conftest import Bench
from unslow.model.codec import trace_of
from unslow.model.trace import Returned, Trace
from unslow.record import returned
from unslow.record.finish import finished
from unslow.record.lanes import unwatch_all
from unslow.record.returned import field_read, returned_of

ItemT = TypeVar("ItemT")
THIS_FILE = Path(__file__)


class CommentOut(BaseModel):
    text: str


class PostOut(BaseModel):
    """What is shown of a post.

    Attributes:
        comments: What this line says is no field.
    """

    model_config = ConfigDict(from_attributes=True)

    title: str
    comments: list[CommentOut] = []


class UserOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    name: str
    posts: list[PostOut] = []


class OtherOut(BaseModel):
    name: str = "other"


class Page(BaseModel, Generic[ItemT]):
    total: int = 0
    items: list[ItemT]


@dataclasses.dataclass
class Plain:
    name: str = "plain"


class Pair(NamedTuple):
    name: str
    size: int


Old = namedtuple("Old", "name size")


def field_of(response_model: Any) -> Any:
    """What a real app makes of a response model."""
    app = FastAPI()

    @app.get("/", response_model=response_model)
    def endpoint() -> None: ...

    return app.routes[-1].response_field  # type: ignore[attr-defined]  # it is an APIRoute


def said_of(value: Any, response_model: Any = None, *, is_fast: bool = False) -> Returned:
    field = None if response_model is None else field_of(response_model)
    packed = returned_of((value, field, is_fast))
    assert packed is not None
    return Returned(*packed)


def place_of(response_model: Any, attribute: str = "User.posts") -> tuple[str, int, str] | None:
    return field_read((None, field_of(response_model), False), attribute)


def line_of(code: str) -> int:
    """The only line of this file that begins so."""
    lines = THIS_FILE.read_text().splitlines()
    (number,) = [n for n, line in enumerate(lines, 1) if line.strip().startswith(code)]
    return number


@pytest.fixture(scope="module")
def rows() -> Any:
    """Of SQLAlchemy."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    fill(engine)
    with Session(engine) as session:
        yield session.execute(select(User.id, User.name)).all()
    engine.dispose()


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (User(name="ann"), "entity"),
        (OtherOut(), "model"),
        ({"name": "ann"}, "dict"),
        ({}, "dict"),
        (Plain(), "other"),
        (Pair("ann", 2), "other"),
        (Old("ann", 2), "other"),
        ("text", "other"),
        (b"bytes", "other"),
        (7, "other"),
        (None, "other"),
        ({1, 2, 3}, "other"),
        (iter([1, 2]), "other"),
    ],
    ids=repr,
)
def test_a_single_value_is_of_its_own_kind_and_counts_as_one(value: Any, kind: str) -> None:
    assert said_of(value) == Returned(kind, 1, False, False, False)


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        (User(name="ann"), "entity"),
        (UserOut(name="ann"), "model"),
        ({"name": "ann"}, "dict"),
        (Plain(), "other"),
        (Pair("ann", 2), "other"),
        (7, "other"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("make", [list, tuple])
def test_a_list_is_of_the_kind_of_its_items(make: Any, item: Any, kind: str) -> None:
    assert said_of(make([item] * 3)) == Returned(kind, 3, False, False, False)


def test_a_row_of_sqlalchemy_is_no_list_though_it_has_a_length(rows: Any) -> None:
    assert said_of(rows[0]) == Returned("row", 1, False, False, False)
    assert said_of(rows) == Returned("row", USERS_COUNT, False, False, False)


def test_an_empty_list_has_no_items_and_no_kind() -> None:
    assert said_of([], list[UserOut]) == Returned("other", 0, True, False, False)


@pytest.mark.parametrize(
    "page",
    [
        {"total": 3, "items": [User(name="ann")] * 3},
        {"tags": ["a"], "items": (User(name="ann"), User(name="bob"), User(name="cy"))},
        Page[Any](total=3, items=[User(name="ann")] * 3),
    ],
    ids=["a dict", "with another list", "a model"],
)
def test_what_holds_a_list_is_of_the_kind_of_the_longest_ones_items(page: Any) -> None:
    assert said_of(page) == Returned("entity", 3, False, False, False)


def test_also_where_these_are_plain_values() -> None:
    assert said_of({"name": "ann", "tags": ["a", "b"]}) == Returned("other", 2, False, False, False)
    assert said_of(UserOut(name="ann"), UserOut) == Returned("other", 0, True, False, False)


def test_a_list_of_an_entity_is_not_looked_for() -> None:
    user = User(name="ann", posts=[Post(title="a"), Post(title="b")])

    assert said_of(user) == Returned("entity", 1, False, False, False)


@pytest.mark.parametrize(
    ("value", "response_model", "is_own"),
    [
        (OtherOut(), OtherOut, True),
        ([UserOut(name="ann")], list[UserOut], True),
        ([UserOut(name="ann")], tuple[UserOut, ...], True),
        (OtherOut(), OtherOut | None, True),
        (OtherOut(), Optional[OtherOut], True),  # noqa: UP045  # the older way to write it
        (OtherOut(), Annotated[OtherOut, Field(title="x")], True),
        (OtherOut(), UserOut | OtherOut, True),
        (Page[UserOut](items=[UserOut(name="ann")]), Page[UserOut], True),
        ({"items": [UserOut(name="ann")]}, Page[UserOut], True),
        (UserOut(name="ann", posts=[PostOut(title="a")]), UserOut, True),
        ({"a": UserOut(name="ann")}, dict[str, UserOut], False),
        (OtherOut(), UserOut, False),
        ([OtherOut()], list[UserOut], False),
        ([User(name="ann")], list[UserOut], False),
        ([{"name": "ann"}], list[UserOut], False),
        ([UserOut(name="ann")], list[Any], False),
        ([7], list[int], False),
    ],
    ids=str,
)
def test_items_are_of_the_response_models_own_class_or_not(
    value: Any, response_model: Any, is_own: bool
) -> None:
    said = said_of(value, response_model)

    assert (said.is_typed, said.is_own_model) == (True, is_own)


def test_without_a_response_model_nothing_is_typed() -> None:
    assert not said_of(UserOut(name="ann")).is_typed
    assert not said_of(UserOut(name="ann")).is_own_model


def test_whether_pydantic_makes_the_bytes_is_handed_on() -> None:
    assert said_of([], list[UserOut], is_fast=True).is_fast


def test_of_an_endpoint_that_was_not_seen_nothing_is_said() -> None:
    assert returned_of(None) is None


# Fields.


@pytest.mark.parametrize(
    "response_model",
    [
        UserOut,
        list[UserOut],
        UserOut | None,
        Page[UserOut],
        dict[str, list[UserOut]],
        Annotated[list[UserOut], Field(max_length=3)],
        OtherOut | UserOut,
    ],
    ids=str,
)
def test_an_attribute_is_read_by_the_field_of_its_name_wherever_the_model_stands(
    response_model: Any,
) -> None:
    expected = (str(THIS_FILE), line_of("posts: list[PostOut]"), "UserOut.posts")

    assert place_of(response_model) == expected


def test_a_line_of_a_docstring_is_no_field() -> None:
    expected = (str(THIS_FILE), line_of("comments: list[CommentOut]"), "PostOut.comments")

    assert place_of(list[UserOut], "Post.comments") == expected


def test_what_sqlalchemy_calls_the_relationship_will_do() -> None:
    found = field_read((None, field_of(UserOut), False), User.posts.property)

    assert found is not None
    assert found[2] == "UserOut.posts"


class WithLog(BaseModel):
    log: list[str] = []


class Inherits(WithLog, Page[UserOut]):
    more: int = 0


class Redefines(WithLog):
    log: tuple[str, ...] = ()  # type: ignore[assignment]  # Pydantic allows it


def test_an_inherited_field_stands_where_the_base_has_it() -> None:
    assert place_of(Inherits, "X.log") == (
        str(THIS_FILE),
        line_of("log: list[str]"),
        "Inherits.log",
    )
    assert place_of(Inherits, "X.items") == (
        str(THIS_FILE),
        line_of("items: list[ItemT]"),
        "Inherits.items",
    )


def test_a_field_that_is_defined_again_stands_in_the_class_itself() -> None:
    assert place_of(Redefines, "X.log") == (
        str(THIS_FILE),
        line_of("log: tuple[str, ...]"),
        "Redefines.log",
    )


class Renamed(BaseModel):
    by_alias: list[PostOut] = Field(alias="posts")
    by_validation: list[PostOut] = Field(validation_alias="comments", alias="nobodys")
    by_choice: int = Field(validation_alias=AliasChoices("first", AliasPath("second", "third")))
    by_path: int = Field(validation_alias=AliasPath("fourth", 0))


class Generated(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

    all_posts: list[PostOut]


@pytest.mark.parametrize(
    ("model", "attribute", "field"),
    [
        (Renamed, "posts", "by_alias"),
        (Renamed, "comments", "by_validation"),
        (Renamed, "first", "by_choice"),
        (Renamed, "second", "by_choice"),
        (Renamed, "fourth", "by_path"),
        (Generated, "allPosts", "all_posts"),
        (Generated, "all_posts", "all_posts"),
    ],
)
def test_a_field_reads_the_attribute_of_its_alias(
    model: type[BaseModel], attribute: str, field: str
) -> None:
    place = place_of(model, f"User.{attribute}")

    assert place == (str(THIS_FILE), line_of(f"{field}: "), f"{model.__name__}.{field}")


@pytest.mark.parametrize("attribute", ["third", "nobodys", "None", "missing"])
def test_what_no_field_reads_has_no_place(attribute: str) -> None:
    assert place_of(Renamed, f"User.{attribute}") is None


def test_of_several_models_the_outer_one_reads_it() -> None:
    class Outer(BaseModel):
        user: UserOut
        name: str

    found = place_of(Outer, "User.name")

    assert found is not None
    assert found[2].endswith("Outer.name")


def test_the_line_of_a_model_within_a_function_is_found() -> None:
    class Local(BaseModel):
        within_a_function: int

    found = place_of(Local, "User.within_a_function")

    assert found is not None
    assert found[:2] == (str(THIS_FILE), line_of("within_a_function: int"))


def test_a_model_that_was_made_without_a_class_statement_is_at_its_modules_beginning() -> None:
    made = create_model("Made", __module__=__name__, posts=(list[PostOut], ...))
    nowhere = create_model("Nowhere", __module__="nowhere", posts=(list[PostOut], ...))

    assert place_of(made) == (__file__, 1, "Made.posts")
    assert place_of(nowhere) is None


class Tree(BaseModel):
    children: list[Tree] = []


def test_a_model_that_holds_itself_is_looked_through_once() -> None:
    assert place_of(Tree, "Node.children") is not None
    assert place_of(Tree, "Node.missing") is None


@pytest.mark.parametrize(
    ("note", "relationship"),
    [
        (None, "User.posts"),
        (([], None, False), "User.posts"),
        (([], field_of(UserOut), False), None),
        (([], object(), False), "User.posts"),
    ],
    ids=["no note", "no field", "no relationship", "no field that is known"],
)
def test_where_something_is_missing_there_is_no_place(note: Any, relationship: Any) -> None:
    assert field_read(note, relationship) is None


def test_fields_are_told_apart_however_few_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(returned, "_FIELDS_KEPT", 2)
    fields = [field_of(UserOut), field_of(PostOut), field_of(Tree), field_of(Renamed)]
    names = ["UserOut.name", "PostOut.title", "Tree.children", "Renamed.by_path"]

    for _ in range(3):
        for field, name in zip(fields, names, strict=True):
            place = field_read((None, field, False), f"User.{name.partition('.')[2]}")
            assert place is not None
            assert place[2] == name


# A whole request.


@pytest.fixture
def asked() -> Iterator[Asked]:
    """An app that returns entities, and the real probes."""
    bench = Bench()
    bench.install("fastapi", "starlette", "threads", "sqlalchemy")
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    fill(engine)
    with Session(engine) as session:
        yield Asked(bench, app_with(session))
    engine.dispose()
    bench.probes.stop()
    unwatch_all()


def app_with(session: Session) -> FastAPI:
    app = FastAPI()

    @app.get("/users", response_model=list[UserOut])
    async def users() -> Any:
        return session.scalars(select(User).order_by(User.id)).all()

    @app.get("/page")
    def page() -> Page[UserOut]:
        return Page(items=[UserOut(name="ann")])

    @app.get("/untyped", response_model=None)
    async def untyped() -> Any:
        return {"name": "ann"}

    @app.get("/response")
    async def response() -> Response:
        return Response("bytes")

    return app


def trace(asked: Asked, target: str) -> Trace:
    return trace_of(finished(asked.trace(target)))


def test_a_lazy_load_by_a_response_model_names_the_field_that_reads(asked: Asked) -> None:
    seen = trace(asked, "/users")

    assert seen.returned == Returned("entity", USERS_COUNT, True, False, True)
    lazy = [one for one in seen.statements if one.relationship == "User.posts"]
    assert len(lazy) == USERS_COUNT
    assert {one.place for one in lazy} == {None}
    fields = {(one.field.line, one.field.function) for one in lazy if one.field is not None}
    assert fields == {(line_of("posts: list[PostOut]"), "UserOut.posts")}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/page", Returned("model", 1, True, True, True)),
        ("/untyped", Returned("dict", 1, False, False, False)),
        ("/response", None),
    ],
)
def test_what_endpoints_return_is_seen(
    asked: Asked, target: str, expected: Returned | None
) -> None:
    assert trace(asked, target).returned == expected

from datetime import datetime
from enum import Enum
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    column,
    desc,
    func,
    nulls_first,
    select,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column

from unslow.fast.errors import DefinitionError
from unslow.fast.paging.ordering import Order, check_unique, order_of


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)
    nickname: Mapped[str | None] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    labels: Mapped[list[str]] = mapped_column(ARRAY(String))


class Member(Base):
    __tablename__ = "members"
    team_id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)


METADATA = MetaData()
EVENTS = Table(
    "events",
    METADATA,
    Column("day", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("code", String, nullable=False),
    Column("name", String, nullable=False),
    Column("email", String, nullable=False),
    UniqueConstraint("day", "number"),
    Index("events_code", "code", unique=True),
    Index("events_name", "name", unique=True, postgresql_where=text("day > 0")),
)
Index("events_email", func.lower(EVENTS.c.email), unique=True)


@pytest.mark.parametrize(
    ("ordering", "written"),
    [
        (User.created_at, "users.created_at"),
        (User.created_at.asc(), "users.created_at"),
        (User.created_at.desc(), "users.created_at DESC"),
        (desc(User.created_at), "users.created_at DESC"),
        (User.nickname.desc().nulls_last(), "users.nickname DESC NULLS LAST"),
        (User.nickname.desc().nulls_first(), "users.nickname DESC"),
        (nulls_first(User.nickname), "users.nickname NULLS FIRST"),
        (User.nickname.asc().nulls_last(), "users.nickname"),
        (func.lower(User.name).desc(), "lower(users.name) DESC"),
        (EVENTS.c.day.desc(), "events.day DESC"),
        (Order("u.day", type=int, nullable=False), "u.day"),
        (Order(User.name, nullable=True, nulls_first=True), "users.name NULLS FIRST"),
    ],
)
def test_an_order_says_what_was_said(ordering: Any, written: str) -> None:
    order = order_of(ordering)

    assert written == order.sql()
    assert order.is_text or written == str(order.expression())


@pytest.mark.parametrize(
    ("ordering", "is_nullable"),
    [
        (User.id.desc(), False),
        (User.nickname, True),
        (func.lower(User.name), True),
        (aliased(User).id, False),
        (select(User).subquery().c.nickname, True),
        (Order(User.id, nullable=True), True),
        (Order(func.lower(User.name), nullable=False), False),
    ],
)
def test_what_is_computed_may_be_null_and_a_column_says_itself(
    ordering: Any, *, is_nullable: bool
) -> None:
    assert is_nullable == order_of(ordering).nullable


@pytest.mark.parametrize(
    "columns",
    [
        (User.id,),
        (User.name.desc(), User.id.desc()),
        (User.email, User.name),
        (aliased(User).id,),
        (select(User).subquery().c.id,),
        (Member.user_id, Member.team_id),
        (EVENTS.c.number, EVENTS.c.day),
        (EVENTS.c.code,),
        (Order(func.lower(User.name), nullable=False, unique=True),),
    ],
)
def test_a_primary_key_or_a_unique_constraint_is_enough(columns: tuple[Any, ...]) -> None:
    check_unique([order_of(one) for one in columns])


USER, OTHER = aliased(Member), aliased(Member)


@pytest.mark.parametrize(
    "columns",
    [
        (User.name,),
        (User.nickname,),
        (Member.user_id,),
        (USER.user_id, OTHER.team_id),
        (EVENTS.c.day, EVENTS.c.name),
        (EVENTS.c.email,),
        (func.lower(User.email),),
        (table("users", column("id")).c.id,),
    ],
)
def test_columns_that_two_rows_may_share_are_refused(columns: tuple[Any, ...]) -> None:
    with pytest.raises(DefinitionError, match=r"several rows may share: .* add the primary key"):
        check_unique([order_of(one) for one in columns])


@pytest.mark.parametrize("ordering", ["id", 5, None, User, text("id")])
def test_what_is_no_order_is_refused(ordering: Any) -> None:
    with pytest.raises(DefinitionError, match=r"as order; wanted an expression of SQLAlchemy"):
        order_of(ordering)


def test_the_name_of_a_column_as_text_is_refused() -> None:
    with pytest.raises(DefinitionError, match="wanted the column itself"):
        order_of(desc("created_at"))


def test_a_direction_stands_beside_the_column_of_an_order_and_not_in_it() -> None:
    with pytest.raises(DefinitionError, match="with descending= and nulls_first= beside it"):
        order_of(Order(User.name.desc(), nullable=False))


class Colour(Enum):
    RED = 1


@pytest.mark.parametrize("kind", [dict, bytes, list, Colour, None])
def test_sql_without_a_type_that_a_cursor_carries_is_refused(kind: Any) -> None:
    with pytest.raises(DefinitionError, match="wanted one"):
        Order("settings", type=kind, nullable=False)


def test_a_column_without_a_type_that_a_cursor_carries_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"got list as type of users\.labels"):
        order_of(User.labels)


def test_a_null_that_was_denied_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"got a null in users.id, .* an outer join"):
        order_of(User.id).check(None)


def test_a_value_of_another_type_than_was_declared_is_refused() -> None:
    with pytest.raises(DefinitionError, match="got a value of str for id; wanted one of int"):
        Order("id", type=int, nullable=False).check("17")

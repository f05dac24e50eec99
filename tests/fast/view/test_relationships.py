"""Relationships of all shapes, in each make."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import Column, ForeignKey, Integer, Table, and_, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, foreign, mapped_column, relationship

from tests.fast.doors import run
from tests.fast.view.blog import opened_engine
from unslow.fast import View
from unslow.fast.view.choice import MAKES, Make


class Base(DeclarativeBase):
    """Of all tables here."""


FRIENDS = Table(
    "Friends of",
    Base.metadata,
    Column("who", ForeignKey("the shop.Person.key"), primary_key=True),
    Column("whom", ForeignKey("the shop.Person.key"), primary_key=True),
    schema="the shop",
)


class Person(Base):
    """Names that want quotes, a boss of the same table, friends of the same table."""

    __tablename__ = "Person"
    __table_args__ = ({"schema": "the shop"},)

    id: Mapped[int] = mapped_column("key", primary_key=True)
    name: Mapped[str] = mapped_column("Full name")
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("the shop.Person.key"))
    boss: Mapped[Person | None] = relationship(remote_side="Person.id", back_populates="staff")
    staff: Mapped[list[Person]] = relationship(back_populates="boss", order_by=name.desc())
    friends: Mapped[list[Person]] = relationship(
        secondary=FRIENDS,
        primaryjoin=lambda: Person.id == FRIENDS.c.who,
        secondaryjoin=lambda: Person.id == FRIENDS.c.whom,
        order_by="Person.id",
    )
    bills: Mapped[list[Bill]] = relationship(
        back_populates="buyer", foreign_keys="Bill.buyer_id", order_by="Bill.id"
    )
    open_bills: Mapped[list[Bill]] = relationship(
        primaryjoin=lambda: and_(foreign(Bill.buyer_id) == Person.id, Bill.paid.is_(False)),
        viewonly=True,
        order_by="Bill.id.desc()",
    )


class Bill(Base):
    """Two ways to a person."""

    __tablename__ = "bills"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    buyer_id: Mapped[int] = mapped_column(ForeignKey("the shop.Person.key"))
    seller_id: Mapped[int] = mapped_column(ForeignKey("the shop.Person.key"))
    paid: Mapped[bool]
    buyer: Mapped[Person] = relationship(back_populates="bills", foreign_keys=[buyer_id])
    seller: Mapped[Person] = relationship(foreign_keys=[seller_id])


class Named(BaseModel):
    id: int
    name: str


class Boss(BaseModel):
    name: str
    boss: Named | None
    staff: list[Named]


class Social(BaseModel):
    id: int
    friends: list[Boss]


class BillOut(BaseModel):
    id: int
    buyer: Named
    seller: Boss


class Buyer(BaseModel):
    name: str
    open_bills: list[BillOut]


@pytest.fixture(scope="module")
def url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with new_database() as made:
        run(fill(made))
        yield made


async def fill(url: str) -> None:
    async with opened_engine(url) as engine:
        async with engine.begin() as connection:
            await connection.execute(text('CREATE SCHEMA "the shop"'))
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            ann = Person(id=1, name="Ann", boss=None)
            bob, cy = (Person(id=n, name=name, boss=ann) for n, name in ((2, "Bob"), (3, "Cy")))
            bob.friends = [ann, cy]
            session.add_all([ann, bob, cy])
            await session.flush()
            session.add_all(
                Bill(id=n, buyer_id=2, seller_id=1 + n % 3, paid=n == 2) for n in range(1, 5)
            )
            await session.commit()


ANN = {"id": 1, "name": "Ann"}
STAFF = [{"id": 3, "name": "Cy"}, {"id": 2, "name": "Bob"}]


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize(
    ("model", "key", "expected"),
    [
        (Boss, 1, {"name": "Ann", "boss": None, "staff": STAFF}),
        (Boss, 2, {"name": "Bob", "boss": ANN, "staff": []}),
        (
            Social,
            2,
            {
                "id": 2,
                "friends": [
                    {"name": "Ann", "boss": None, "staff": STAFF},
                    {"name": "Cy", "boss": ANN, "staff": []},
                ],
            },
        ),
        (
            Buyer,
            2,
            {
                "name": "Bob",
                "open_bills": [
                    {
                        "id": number,
                        "buyer": {"id": 2, "name": "Bob"},
                        "seller": {"name": name, "boss": boss, "staff": staff},
                    }
                    for number, name, boss, staff in (
                        (4, "Bob", ANN, []),
                        (3, "Ann", None, STAFF),
                        (1, "Bob", ANN, []),
                    )
                ],
            },
        ),
    ],
    ids=["to itself, down", "to itself, up", "many to many", "by a condition of its own"],
)
def test_a_relationship_is_read_as_it_is_mapped(
    url: str, make: Make, model: Any, key: int, expected: Any
) -> None:
    async def case() -> Any:
        async with opened_engine(url) as engine:
            return await View(model, Person, engine, make=make).document(key)

    assert expected == json.loads(run(case()))

"""A small blog on a real database, for what a view promises beside equal answers."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Column, ForeignKey, Table
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """Of all tables here."""


TAGGED = Table(
    "tagged",
    Base.metadata,
    Column("post_id", ForeignKey("posts.id"), primary_key=True),
    Column("tag", ForeignKey("tags.name"), primary_key=True),
)


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    city: Mapped[str | None]
    joined: Mapped[datetime.datetime] = mapped_column(TIMESTAMP(timezone=True))
    posts: Mapped[list[Post]] = relationship(back_populates="user")

    @property
    def shout(self) -> str:
        return self.name.upper()


class Post(Base):
    __tablename__ = "posts"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str]
    is_deleted: Mapped[bool] = mapped_column(default=False)
    user: Mapped[User] = relationship(back_populates="posts")
    tags: Mapped[list[Tag]] = relationship(secondary=TAGGED, order_by="Tag.name")


class Tag(Base):
    __tablename__ = "tags"

    name: Mapped[str] = mapped_column(primary_key=True)


class Seat(Base):
    """Its key has two columns."""

    __tablename__ = "seats"

    row: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    guest: Mapped[str | None]


class TagOut(BaseModel):
    name: str


class AuthorOut(BaseModel):
    id: int
    name: str


class PostOut(BaseModel):
    id: int
    title: str
    tags: list[TagOut]


class PostWithAuthor(BaseModel):
    id: int
    title: str
    user: AuthorOut


class UserOut(BaseModel):
    id: int
    name: str
    city: str | None
    joined: datetime.datetime


class Feed(BaseModel):
    id: int
    name: str
    posts: list[PostOut]


class Shouting(BaseModel):
    id: int
    shout: str


class SeatOut(BaseModel):
    row: str
    number: int
    guest: str | None


USERS = 12
POSTS = 3


def _rows() -> list[Any]:
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    tags = [Tag(name="a"), Tag(name="b")]
    users = [
        User(
            id=number,
            name=f"user {number}",
            city=None if number % 4 == 0 else f"city {number % 3}",
            joined=start + datetime.timedelta(days=number // 2),
            posts=[
                Post(
                    id=number * 10 + place,
                    title=f"post {place} of {number}",
                    tags=tags[: place + 1],
                    is_deleted=place == 2,
                )
                for place in range(POSTS)
            ],
        )
        for number in range(1, USERS + 1)
    ]
    return [
        *users,
        Seat(row="A", number=1, guest="x"),
        Seat(row="A", number=2),
        Seat(row="B", number=1),
    ]


async def fill(url: str) -> None:
    """Makes the tables and their rows."""
    async with opened_engine(url) as engine:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            session.add_all(_rows())
            await session.commit()


@asynccontextmanager
async def opened_engine(url: str, driver: str = "asyncpg") -> AsyncIterator[AsyncEngine]:
    """An engine for as long as the block lasts."""
    engine = create_async_engine(url.replace("postgresql://", f"postgresql+{driver}://", 1))
    try:
        yield engine
    finally:
        await engine.dispose()

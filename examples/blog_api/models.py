"""The tables, as SQLAlchemy maps them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Identity, Index, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

Key = Annotated[int, mapped_column(Identity(), primary_key=True)]
Author = Annotated[int, mapped_column(ForeignKey("users.id"), index=True)]
Moment = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]


class Base(DeclarativeBase):
    """The base of all tables."""


class User(Base):
    """Somebody who writes, comments and buys."""

    __tablename__ = "users"

    id: Mapped[Key]
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)
    city: Mapped[str]
    created_at: Mapped[Moment]

    posts: Mapped[list["Post"]] = relationship(order_by="Post.id")


class Post(Base):
    """An article."""

    __tablename__ = "posts"

    id: Mapped[Key]
    user_id: Mapped[Author]
    title: Mapped[str]
    body: Mapped[str]
    created_at: Mapped[Moment]

    comments: Mapped[list["Comment"]] = relationship(order_by="Comment.id")


class Comment(Base):
    """What somebody says about a post."""

    __tablename__ = "comments"

    id: Mapped[Key]
    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id"), index=True)
    user_id: Mapped[Author]
    body: Mapped[str]
    created_at: Mapped[Moment]


class Lead(Base):
    """Somebody who asked to be called."""

    __tablename__ = "leads"

    id: Mapped[Key]
    email: Mapped[str] = mapped_column(index=True)
    company: Mapped[str]
    source: Mapped[str]
    message: Mapped[str]
    created_at: Mapped[Moment]


# The order of the list of leads: each of its pages is read from here.
Index("ix_leads_newest", Lead.created_at.desc(), Lead.id.desc())


class Order(Base):
    """What a user bought."""

    __tablename__ = "orders"

    id: Mapped[Key]
    user_id: Mapped[Author]
    status: Mapped[str]
    total_cents: Mapped[int]
    created_at: Mapped[Moment]


class Event(Base):
    """What another system told the webhook."""

    __tablename__ = "events"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)

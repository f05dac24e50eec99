"""The mapped classes of the peers with an ORM."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The models' base."""

    type_annotation_map = {str: Text, datetime: DateTime(timezone=True), dict[str, Any]: JSONB}  # noqa: RUF012  # SQLAlchemy's own name, read once


class User(Base):
    """Who writes."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    city: Mapped[str]
    created_at: Mapped[datetime]
    posts: Mapped[list[Post]] = relationship(order_by="Post.id")


class Post(Base):
    """What is written."""

    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    title: Mapped[str]
    created_at: Mapped[datetime]
    comments: Mapped[list[Comment]] = relationship(order_by="Comment.id")


class Comment(Base):
    """What is said about it."""

    __tablename__ = "comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id"), index=True)
    author: Mapped[str]
    body: Mapped[str]


class Event(Base):
    """What another system tells us."""

    __tablename__ = "events"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    key: Mapped[str | None] = mapped_column(unique=True)
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]]
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())

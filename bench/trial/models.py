"""The one schema of the trial: teams of users, who have posts and tags."""

from datetime import datetime

from sqlalchemy import DateTime, ForeignKey, Identity, func
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(AsyncAttrs, DeclarativeBase):
    """The base of all tables."""


class Team(Base):
    """A hundred users."""

    __tablename__ = "teams"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str]

    users: Mapped[list["User"]] = relationship(back_populates="team")


class User(Base):
    """Somebody who writes posts; the biography is long, and loaded when it is read."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id"), index=True)
    name: Mapped[str]
    email: Mapped[str]
    biography: Mapped[str] = mapped_column(deferred=True)

    team: Mapped[Team] = relationship(back_populates="users")
    posts: Mapped[list["Post"]] = relationship(back_populates="user", order_by="Post.id")
    tags: Mapped[list["Tag"]] = relationship(back_populates="user", order_by="Tag.id")


class Post(Base):
    """Something that a user wrote."""

    __tablename__ = "posts"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    title: Mapped[str]
    summary: Mapped[str]
    status: Mapped[str]
    words: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())

    user: Mapped[User] = relationship(back_populates="posts")


class Tag(Base):
    """A word that a user is found by."""

    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str]

    user: Mapped[User] = relationship(back_populates="tags")

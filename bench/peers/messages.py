"""The bodies of the peers on FastAPI: what they answer, and what they take."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Message(BaseModel):
    """Read from mappings and from mapped objects alike."""

    model_config = ConfigDict(from_attributes=True)


class UserOut(Message):
    """A user."""

    id: int
    name: str
    email: str
    city: str
    created_at: datetime


class CommentOut(Message):
    """A comment within a feed."""

    id: int
    author: str
    body: str


class FeedPost(Message):
    """A post within a feed."""

    id: int
    title: str
    created_at: datetime
    comments: list[CommentOut]


class Feed(Message):
    """A user with all posts and all of their comments."""

    id: int
    name: str
    posts: list[FeedPost]


class PostOut(Message):
    """A post in a list."""

    id: int
    user_id: int
    title: str
    created_at: datetime


class PostPage(Message):
    """A page of posts; `next` is where the next one begins."""

    items: list[PostOut]
    next: str | None


class EventIn(Message):
    """An event as it comes in."""

    key: str
    kind: Annotated[str, Field(max_length=50)]
    payload: dict[str, Any]


class Accepted(Message):
    """Answers an event that is committed."""

    key: str

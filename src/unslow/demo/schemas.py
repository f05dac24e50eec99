"""What the API takes and answers."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """The base of every answer that is made from a row."""

    model_config = ConfigDict(from_attributes=True)


class UserOut(Answer):
    """A user, alone."""

    id: int
    name: str
    email: str
    city: str
    created_at: datetime


class CommentOut(Answer):
    """A comment under a post."""

    id: int
    user_id: int
    body: str
    created_at: datetime


class PostOut(Answer):
    """A post with all of its comments."""

    id: int
    title: str
    body: str
    created_at: datetime
    comments: list[CommentOut]


class UserPage(Answer):
    """A user with all posts and their comments."""

    id: int
    name: str
    email: str
    city: str
    created_at: datetime
    posts: list[PostOut]


class PostSummary(Answer):
    """A post in a list, without its text."""

    id: int
    user_id: int
    title: str
    created_at: datetime


class OrderOut(Answer):
    """An order."""

    id: int
    user_id: int
    status: str
    total_cents: int
    created_at: datetime


class LeadIn(BaseModel):
    """What a visitor types into the contact form."""

    email: str = Field(max_length=200, pattern=r"^[^@\s]+@[^@\s]+$")
    company: str = Field(min_length=1, max_length=200)
    source: str = Field(default="website", max_length=40)
    message: str = Field(max_length=2000)


class LeadOut(Answer):
    """A lead as it is stored."""

    id: int
    email: str
    company: str
    source: str
    message: str
    created_at: datetime

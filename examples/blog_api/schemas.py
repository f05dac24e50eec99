"""What the API takes and what it answers."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""What an `integer` column holds: more would be an error of the database."""


class UserOut(BaseModel):
    """A user."""

    id: int
    name: str
    email: str
    city: str
    created_at: datetime


class CommentOut(BaseModel):
    """A comment below its post."""

    id: int
    user_id: int
    body: str
    created_at: datetime


class PostWithComments(BaseModel):
    """A post and what was said about it."""

    id: int
    title: str
    body: str
    created_at: datetime
    comments: list[CommentOut]


class Feed(UserOut):
    """A user with all posts and their comments."""

    posts: list[PostWithComments]


class PostSummary(BaseModel):
    """A post in a list."""

    id: int
    user_id: int
    title: str
    created_at: datetime


class PostOut(BaseModel):
    """A post with its text."""

    id: int
    user_id: int
    title: str
    body: str
    created_at: datetime


class OrderIn(BaseModel):
    """A new order."""

    user_id: Number
    status: Literal["paid", "shipped", "delivered", "cancelled"] = "paid"
    total_cents: Number


class OrderOut(BaseModel):
    """An order."""

    id: int
    user_id: int
    status: str
    total_cents: int
    created_at: datetime


class Spending(BaseModel):
    """What a customer bought in all."""

    customer_id: int
    orders: int
    total_cents: int


class Month(BaseModel):
    """The sales of a month."""

    month: datetime
    orders: int
    total_cents: int


class LeadIn(BaseModel):
    """A filled contact form."""

    email: str = Field(max_length=200, pattern=r"^[^@\s]+@[^@\s]+$")
    company: str = Field(min_length=1, max_length=200)
    source: str = Field(default="website", max_length=40)
    message: str = Field(max_length=2000)


class LeadOut(BaseModel):
    """A lead."""

    id: int
    email: str
    company: str
    source: str
    message: str
    created_at: datetime


class Score(BaseModel):
    """How promising a lead is."""

    lead_id: int
    company: str
    score: int


class EventIn(BaseModel):
    """A message of another system, with a key by which it is known when it comes again."""

    event_id: UUID
    kind: str
    at: AwareDatetime
    payload: dict[str, Any] = {}

"""What the app answers."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel

from .models import Post, User

PageSize = Annotated[int, Query(alias="n", ge=1, le=2000)]


class UserOut(BaseModel):
    """A user in a list."""

    id: int
    name: str
    email: str


class PostOut(BaseModel):
    """A post in a list."""

    id: int
    title: str
    status: str
    words: int


class UserWithTitles(UserOut):
    """A user and the titles of all posts."""

    titles: list[str]


class UserWithPosts(UserOut):
    """A user and all posts."""

    posts: list[PostOut]


class UserWithTags(UserWithPosts):
    """A user with all posts, and the names of all tags."""

    tags: list[str]


class UserWithCounts(UserOut):
    """A user and how much there is of them."""

    posts_count: int
    tags_count: int


class UserWithBiography(UserOut):
    """A user and the beginning of the biography."""

    teaser: str


class PostWithAuthor(PostOut):
    """A post and the name of its user."""

    author: str


class Member(UserOut):
    """A user and the name of the team."""

    team: str


def user_fields(user: User) -> dict[str, Any]:
    """A user as `UserOut` has it."""
    return {"id": user.id, "name": user.name, "email": user.email}


def post_fields(post: Post) -> dict[str, Any]:
    """A post as `PostOut` has it."""
    return {"id": post.id, "title": post.title, "status": post.status, "words": post.words}

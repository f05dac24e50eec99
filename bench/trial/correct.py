"""Endpoints without a fault that look like one at first sight."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, selectinload

from .database import DatabaseSession, async_engine, engine
from .models import Post, Tag, User
from .schemas import (
    Member,
    PageSize,
    UserOut,
    UserWithPosts,
    UserWithTags,
    post_fields,
    user_fields,
)

POLLS_COUNT = 3
POLL_EVERY_S = 0.02

router = APIRouter()


@router.get("/selectinload-of-1200", response_model=list[UserWithPosts])
def list_everybody_with_posts(
    session: DatabaseSession, size: PageSize = 1200
) -> list[dict[str, Any]]:
    """Users with their posts: SQLAlchemy asks for those of 500 users at a time."""
    posts = selectinload(User.posts).load_only(Post.title, Post.status, Post.words)
    page = select(User).options(posts).order_by(User.id).limit(size)
    return [
        user_fields(user) | {"posts": [post_fields(post) for post in user.posts]}
        for user in session.scalars(page)
    ]


@router.get("/keyset-export")
def export_posts(size: PageSize = 1000) -> StreamingResponse:
    """All posts as CSV, read page by page."""
    return StreamingResponse(pages_of_posts(size), media_type="text/csv")


def pages_of_posts(size: int) -> Iterator[str]:
    """Each page of posts, as lines."""
    last_id = 0
    while True:
        with Session(engine) as session:
            page = select(Post.id, Post.title, Post.words).where(Post.id > last_id)
            rows = session.execute(page.order_by(Post.id).limit(size)).all()
        yield "".join(f"{row.id},{row.title!r},{row.words}\n" for row in rows)
        if len(rows) < size:
            return
        last_id = rows[-1].id


def find_user(session: Session, user_id: int) -> User:
    """One user by key."""
    return session.scalars(select(User).where(User.id == user_id)).one()


@router.get("/two-look-ups", response_model=list[UserOut])
def compare_users(session: DatabaseSession, first: int = 1, second: int = 2) -> list[User]:
    """Two users side by side."""
    return [find_user(session, first), find_user(session, second)]


@router.get("/status-polls/{draft_id}")
async def wait_until_published(draft_id: int) -> dict[str, Any]:
    """Waits a moment for a draft to be published, and says what it is by then."""
    status = None
    for _ in range(POLLS_COUNT):
        async with AsyncSession(async_engine) as session:
            status = await session.scalar(
                text("SELECT status FROM posts WHERE id = :draft_id"), {"draft_id": draft_id}
            )
        if status == "published":
            break
        await asyncio.sleep(POLL_EVERY_S)
    return {"id": draft_id, "status": status}


@router.post("/commits-with-refresh/{post_id}")
def submit_post(post_id: int, session: DatabaseSession) -> dict[str, Any]:
    """Signs a post and hands it in: two steps, each of which stays if the next one fails."""
    post = session.get_one(Post, post_id)
    author = session.get_one(User, post.user_id)
    post.summary = f"By {author.name}."
    save(session, post, author)
    post.status = "submitted"
    save(session, post, author)
    return {"id": post.id, "status": post.status, "author": author.name}


def save(session: Session, *objects: object) -> None:
    """Commits, and reads again what the database made of it."""
    session.commit()
    for one in objects:
        session.refresh(one)


@router.get("/streamed-rows")
async def stream_posts(status: str = "published") -> StreamingResponse:
    """All posts of a status as CSV, by a cursor in the server."""
    return StreamingResponse(lines_of_posts(status), media_type="text/csv")


async def lines_of_posts(status: str) -> AsyncIterator[str]:
    """Some hundred posts at a time, as lines."""
    query = select(Post.id, Post.title, Post.words).where(Post.status == status).order_by(Post.id)
    async with AsyncSession(async_engine) as session:
        result = await session.stream(query.execution_options(yield_per=500))
        async for rows in result.partitions():
            yield "".join(f"{row.id},{row.title!r},{row.words}\n" for row in rows)


class TagIn(BaseModel):
    """A tag to add."""

    user_id: int
    name: str


@router.post("/many-inserts", status_code=201)
def import_tags(tags: Annotated[list[TagIn], Body()], session: DatabaseSession) -> dict[str, int]:
    """Adds the tags that were sent."""
    session.execute(insert(Tag), [tag.model_dump() for tag in tags])
    session.commit()
    return {"added": len(tags)}


@router.get("/three-relationships/{user_id}", response_model=UserWithTags)
def get_user(user_id: int, session: DatabaseSession) -> dict[str, Any]:
    """One user with everything."""
    user = session.get_one(User, user_id)
    return user_fields(user) | {
        "name": f"{user.name} of {user.team.name}",
        "posts": [post_fields(post) for post in user.posts],
        "tags": [tag.name for tag in user.tags],
    }


@router.get("/shared-parent/{team_id}", response_model=list[Member])
def list_members(
    team_id: int, session: DatabaseSession, size: PageSize = 100
) -> list[dict[str, Any]]:
    """The users of a team, with its name."""
    page = select(User).where(User.team_id == team_id).order_by(User.id).limit(size)
    users = session.scalars(page).all()
    return [user_fields(user) | {"team": user.team.name} for user in users]


@router.get("/plain-selectinload", response_model=list[UserWithPosts])
def list_users_with_loaded_posts(
    session: DatabaseSession, size: PageSize = 100
) -> list[dict[str, Any]]:
    """Users with their posts, in two statements."""
    users = session.scalars(
        select(User).options(selectinload(User.posts)).order_by(User.id).limit(size)
    ).all()
    return [
        user_fields(user) | {"posts": [post_fields(post) for post in user.posts]} for user in users
    ]

"""Endpoints with one fault each, as they are written every day."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, HTTPException
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import aliased, joinedload, selectinload

from .database import AsyncDatabaseSession, DatabaseSession, Pool, engine
from .models import Post, Tag, User
from .schemas import (
    PageSize,
    PostOut,
    PostWithAuthor,
    UserOut,
    UserWithBiography,
    UserWithCounts,
    UserWithPosts,
    UserWithTags,
    UserWithTitles,
    post_fields,
    user_fields,
)

MODERATION_S = 0.5

router = APIRouter()


@router.get("/lazy-collection", response_model=list[UserWithPosts])
def list_users_with_posts(session: DatabaseSession, size: PageSize = 100) -> list[dict[str, Any]]:
    """Users with their posts."""
    users = session.scalars(select(User).order_by(User.id).limit(size)).all()
    return [
        user_fields(user) | {"posts": [post_fields(post) for post in user.posts]} for user in users
    ]


@router.get("/lazy-collection-query", response_model=list[UserWithPosts])
def query_users_with_posts(session: DatabaseSession, size: PageSize = 100) -> list[dict[str, Any]]:
    """The same by the legacy `Query`."""
    answer = []
    for user in session.query(User).order_by(User.id).limit(size):
        posts = [post_fields(post) for post in user.posts]
        answer.append({**user_fields(user), "posts": posts})
    return answer


@router.get("/lazy-parent", response_model=list[PostWithAuthor])
def list_posts_with_authors(session: DatabaseSession, size: PageSize = 100) -> list[dict[str, Any]]:
    """Posts with the names of their users."""
    posts = session.scalars(select(Post).order_by(Post.id).limit(size)).all()
    return [post_fields(post) | {"author": post.user.name} for post in posts]


@router.get("/awaitable-attributes", response_model=list[UserWithPosts])
async def list_users_with_awaited_posts(
    session: AsyncDatabaseSession, size: PageSize = 100
) -> list[dict[str, Any]]:
    """Users with their posts, on the event loop."""
    users = (await session.scalars(select(User).order_by(User.id).limit(size))).all()
    answer = []
    for user in users:
        posts = await user.awaitable_attrs.posts
        answer.append(user_fields(user) | {"posts": [post_fields(post) for post in posts]})
    return answer


@router.get("/get-loop", response_model=list[PostWithAuthor])
def list_posts_and_get_authors(
    session: DatabaseSession, size: PageSize = 100
) -> list[dict[str, Any]]:
    """Posts with the names of their users, who are got by key."""
    answer = []
    for post in session.scalars(select(Post).order_by(Post.id).limit(size)):
        author = session.get(User, post.user_id)
        answer.append(post_fields(post) | {"author": author.name if author else "nobody"})
    return answer


@router.get("/text-loop", response_model=list[UserWithTitles])
def list_users_with_titles(session: DatabaseSession, size: PageSize = 100) -> list[dict[str, Any]]:
    """Users with the titles of their posts, by hand-written SQL."""
    users = session.execute(
        text("SELECT id, name, email FROM users ORDER BY id LIMIT :size"), {"size": size}
    ).mappings()
    answer = []
    for user in users.all():
        titles = session.execute(
            text("SELECT title FROM posts WHERE user_id = :user_id ORDER BY id"),
            {"user_id": user["id"]},
        ).scalars()
        answer.append({**user, "titles": titles.all()})
    return answer


@router.get("/core-loop", response_model=list[UserWithTitles])
def read_users_with_titles(size: PageSize = 100) -> list[dict[str, Any]]:
    """The same by a connection, without the ORM."""
    users, posts = User.__table__, Post.__table__
    answer = []
    with engine.connect() as connection:
        page = select(users.c.id, users.c.name, users.c.email).order_by(users.c.id).limit(size)
        for user in connection.execute(page).all():
            titles = select(posts.c.title).where(posts.c.user_id == user.id).order_by(posts.c.id)
            answer.append({**user._mapping, "titles": connection.scalars(titles).all()})
    return answer


@router.get("/literal-loop", response_model=list[UserWithTitles])
def format_users_with_titles(
    session: DatabaseSession, size: PageSize = 100
) -> list[dict[str, Any]]:
    """The same, with the values written into the text."""
    users = session.execute(text(f"SELECT id, name, email FROM users ORDER BY id LIMIT {size}"))
    answer = []
    for user in users.all():
        titles = session.execute(
            text(f"SELECT title FROM posts WHERE user_id = {user.id} ORDER BY id")
        ).scalars()
        answer.append({**user._mapping, "titles": titles.all()})
    return answer


@router.get("/deferred-column", response_model=list[UserWithBiography])
def list_users_with_teasers(session: DatabaseSession, size: PageSize = 100) -> list[dict[str, Any]]:
    """Users with the beginning of the biography, which the model defers."""
    users = session.scalars(select(User).order_by(User.id).limit(size)).all()
    return [user_fields(user) | {"teaser": user.biography[:80]} for user in users]


@router.post("/update-loop")
def publish_posts(ids: Annotated[list[int], Body()], session: DatabaseSession) -> dict[str, int]:
    """Publishes the posts whose ids were sent."""
    for post_id in ids:
        session.execute(update(Post).where(Post.id == post_id).values(status="published"))
    session.commit()
    return {"published": len(ids)}


@router.get("/asyncpg-loop", response_model=list[UserWithTitles])
async def fetch_users_with_titles(pool: Pool, size: PageSize = 100) -> list[dict[str, Any]]:
    """Users with the titles of their posts, by asyncpg."""
    answer = []
    async with pool.acquire() as connection:
        users = await connection.fetch(
            "SELECT id, name, email FROM users ORDER BY id LIMIT $1", size
        )
        for user in users:
            posts = await connection.fetch(
                "SELECT title FROM posts WHERE user_id = $1 ORDER BY id", user["id"]
            )
            answer.append({**user, "titles": [post["title"] for post in posts]})
    return answer


@router.get("/count-loop", response_model=list[UserWithCounts])
def list_users_with_counts(session: DatabaseSession, size: PageSize = 100) -> list[dict[str, Any]]:
    """Users with the numbers of their posts and tags."""
    answer = []
    for user in session.scalars(select(User).order_by(User.id).limit(size)).all():
        posts_count = session.scalar(
            select(func.count()).select_from(Post).where(Post.user_id == user.id)
        )
        tags_count = session.scalar(
            select(func.count()).select_from(Tag).where(Tag.user_id == user.id)
        )
        counts = {"posts_count": posts_count, "tags_count": tags_count}
        answer.append(user_fields(user) | counts)
    return answer


@router.get("/unused-selectinload", response_model=list[UserOut])
def list_users(session: DatabaseSession, size: PageSize = 100) -> list[dict[str, Any]]:
    """Users; an earlier version of the answer had their posts."""
    users = session.scalars(
        select(User).options(selectinload(User.posts)).order_by(User.id).limit(size)
    ).all()
    return [user_fields(user) for user in users]


@router.get("/double-joinedload", response_model=list[UserWithTags])
def list_users_with_posts_and_tags(
    session: DatabaseSession, size: PageSize = 100
) -> list[dict[str, Any]]:
    """Users with their posts and their tags."""
    page = select(User).order_by(User.id).limit(size)
    users = session.scalars(page.options(joinedload(User.posts), joinedload(User.tags)))
    return [
        user_fields(user)
        | {
            "posts": [post_fields(post) for post in user.posts],
            "tags": [tag.name for tag in user.tags],
        }
        for user in users.unique()
    ]


@router.get("/one-column-of-all")
def sum_reading_time(session: DatabaseSession, words_per_minute: int = 200) -> dict[str, int]:
    """How long it takes to read everything."""
    words = sum(post.words for post in session.scalars(select(Post)))
    return {"minutes": words // words_per_minute}


@router.post("/held-transaction/{post_id}")
async def moderate_post(post_id: int, session: AsyncDatabaseSession) -> dict[str, Any]:
    """Publishes a post once the moderation has seen it, unless it was withdrawn meanwhile."""
    post = (await session.scalars(select(Post).where(Post.id == post_id))).one()
    await ask_moderation(post.title)
    again = select(Post).where(Post.id == post_id).execution_options(populate_existing=True)
    post = (await session.scalars(again)).one()
    if post.status == "withdrawn":
        raise HTTPException(409, "Withdrawn")
    post.status = "published"
    await session.commit()
    return {"id": post.id, "status": post.status}


async def ask_moderation(_title: str) -> None:
    """Stands for a service that takes its time."""
    await asyncio.sleep(MODERATION_S)


def current_user(session: DatabaseSession, user_id: int = 1) -> User:
    """Who asks."""
    return session.scalars(select(User).where(User.id == user_id)).one()


def check_writer(session: DatabaseSession, user_id: int = 1) -> None:
    """Refuses guests."""
    user = session.scalars(select(User).where(User.id == user_id)).one()
    if user.email.startswith("guest"):
        raise HTTPException(403, "Guests do not write")


@router.get("/same-query-twice", response_model=UserOut, dependencies=[Depends(check_writer)])
def get_profile(user: Annotated[User, Depends(current_user)]) -> User:
    """Who asks, if they may write."""
    return user


@router.get("/slow-query", response_model=list[PostOut])
def list_longest_posts(session: DatabaseSession, size: PageSize = 100) -> list[dict[str, Any]]:
    """The posts that few others are longer than."""
    other = aliased(Post)
    longer = select(func.count()).where(other.words > Post.words).scalar_subquery()
    rows = session.execute(
        select(Post.id, Post.title, Post.status, Post.words).order_by(longer, Post.id).limit(size)
    )
    return [{**row._mapping} for row in rows]

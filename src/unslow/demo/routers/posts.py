"""The posts of the blog."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from sqlalchemy import select

from ..models import Post
from ..schemas import PostSummary
from ..services import AsyncDatabaseSession, OpenServices

EXPORT_POSTS = 3000

router = APIRouter(prefix="/posts", tags=["posts"])


@router.get("", response_model=list[PostSummary])
async def list_posts(
    session: AsyncDatabaseSession,
    after: int = 0,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Sequence[Any]:
    """The posts after a key, a page at a time."""
    return (
        await session.execute(
            select(Post.id, Post.user_id, Post.title, Post.created_at)
            .where(Post.id > after)
            .order_by(Post.id)
            .limit(limit)
        )
    ).all()


# Before /posts/{post_id}, which would take "export" for a key.
@router.get("/export", response_model=None)
async def export_posts(services: OpenServices) -> list[dict[str, Any]]:
    """The newest posts, whole, for another system."""
    rows = await services.pool.fetch(
        "SELECT id, user_id, title, body, created_at FROM posts ORDER BY id DESC LIMIT $1",
        EXPORT_POSTS,
    )
    return [dict(row) for row in rows]


@router.get("/{post_id}")
async def get_post(post_id: int, services: OpenServices) -> dict[str, Any]:
    """One post by key."""
    row = await services.pool.fetchrow(
        "SELECT id, user_id, title, body, created_at FROM posts WHERE id = $1", post_id
    )
    if row is None:
        raise HTTPException(404, "No such post")
    return dict(row)

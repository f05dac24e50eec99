"""Whole tables, streamed: PostgreSQL writes the lines, the app holds a few of them at a time."""

from sqlalchemy import select
from starlette.responses import Response

from unslow.fast import export

from .database import db
from .models import Post
from .schemas import Number

NEWEST_POSTS = (
    select(Post.id, Post.user_id, Post.title, Post.body, Post.created_at)
    .order_by(Post.id.desc())
    .limit(3000)
)

ORDERS = """
    SELECT id, user_id, status, total_cents, created_at FROM orders WHERE id > $1 ORDER BY id
"""


async def posts_as_json() -> Response:
    """The newest posts, as one array."""
    return export(db, NEWEST_POSTS, format="json")


async def posts_as_ndjson() -> Response:
    """The same, a post on each line."""
    return export(db, NEWEST_POSTS, format="ndjson")


async def orders_as_csv(after: Number | None = None) -> Response:
    """All orders, or those after one, for a spreadsheet."""
    return export(db, ORDERS, [after or 0], "csv", filename="orders.csv")

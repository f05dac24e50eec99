"""The peer `asyncpg`: FastAPI with `async def` endpoints, SQL and dictionaries by hand."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, FastAPI, HTTPException, Query, Request

from .messages import Accepted, EventIn, Feed, PostPage, UserOut
from .settings import POOL_SIZE, database_url


@asynccontextmanager
async def opened_pool(app: FastAPI) -> AsyncIterator[None]:
    """The pool, for as long as the app runs."""
    async with asyncpg.create_pool(
        database_url(), min_size=POOL_SIZE, max_size=POOL_SIZE
    ) as app.state.pool:
        yield


app = FastAPI(lifespan=opened_pool)


async def pool_of(request: Request) -> Any:
    """The app's pool."""
    return request.app.state.pool


Pool = Annotated[Any, Depends(pool_of)]


@app.get("/users/{user_id}", response_model=UserOut)
async def read_user(user_id: int, pool: Pool) -> dict[str, Any]:
    """A user by key."""
    user = await pool.fetchrow(
        "SELECT id, name, email, city, created_at FROM users WHERE id = $1", user_id
    )
    if user is None:
        raise HTTPException(404)
    return dict(user)


@app.get("/users/{user_id}/feed", response_model=Feed)
async def read_feed(user_id: int, pool: Pool) -> dict[str, Any]:
    """A user with posts and comments, in three statements."""
    async with pool.acquire() as connection:
        user = await connection.fetchrow("SELECT id, name FROM users WHERE id = $1", user_id)
        if user is None:
            raise HTTPException(404)
        posts = await connection.fetch(
            "SELECT id, title, created_at FROM posts WHERE user_id = $1 ORDER BY id", user_id
        )
        comments = await connection.fetch(
            "SELECT id, post_id, author, body FROM comments WHERE post_id = ANY($1) ORDER BY id",
            [post["id"] for post in posts],
        )
    of_post = defaultdict(list)
    for comment in comments:
        of_post[comment["post_id"]].append(dict(comment))
    return {**user, "posts": [{**post, "comments": of_post[post["id"]]} for post in posts]}


@app.get("/posts", response_model=PostPage)
async def list_posts(
    pool: Pool, after: int = 0, limit: Annotated[int, Query(ge=1, le=100)] = 100
) -> dict[str, Any]:
    """A page of posts."""
    posts = await pool.fetch(
        "SELECT id, user_id, title, created_at FROM posts WHERE id > $1 ORDER BY id LIMIT $2",
        after,
        limit,
    )
    return {
        "items": [dict(post) for post in posts],
        "next": str(posts[-1]["id"]) if posts else None,
    }


@app.post("/events", status_code=201, response_model=Accepted)
async def add_event(event: EventIn, pool: Pool) -> dict[str, Any]:
    """Takes an event, and answers once it is committed."""
    await pool.execute(
        "INSERT INTO events (key, kind, payload) VALUES ($1, $2, $3)",
        event.key,
        event.kind,
        json.dumps(event.payload),
    )
    return {"key": event.key}

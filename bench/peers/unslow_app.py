"""The variants `unslow-route` and `unslow-fastapi`: the blocks' own routes, and FastAPI's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_bytes
from typing import Annotated, Any

import asyncpg
from fastapi import FastAPI, Query, Response

from unslow.fast import Keyset, Page, View, bare
from unslow.fast.ingestion.declaration import ingest

from .messages import Accepted, EventIn, Feed, PostOut, UserOut
from .settings import POOL_SIZE, database_url
from .tables import Post, User

pools: list[Any] = []


@asynccontextmanager
async def opened_pool(_app: FastAPI) -> AsyncIterator[None]:
    """The pool, for as long as the app runs."""
    async with asyncpg.create_pool(database_url(), min_size=POOL_SIZE, max_size=POOL_SIZE) as pool:
        pools.append(pool)
        async with events:
            yield
        pools.clear()


def pool() -> Any:
    """The pool, once the app runs."""
    return pools[0]


users = View(UserOut, User, pool)
feeds = View(Feed, User, pool)
events = ingest(EventIn, pool, table="events")
by_id = Keyset(Post.id, secret=token_bytes(32), default_limit=100, max_limit=100)
posts = View(PostOut, Post, pool, keyset=by_id)

app = FastAPI(lifespan=opened_pool)
users.route(app, "/users/{user_id}")
feeds.route(app, "/users/{user_id}/feed")
posts.list_route(app, "/posts")
events.route(app, "/events")
application = bare(app, freeze=True)

fastapi_app = FastAPI(lifespan=opened_pool)


@fastapi_app.get("/users/{user_id}", response_model=UserOut)
async def read_user(user_id: int) -> Response:
    """A user by key."""
    return await users.respond(user_id)


@fastapi_app.get("/users/{user_id}/feed", response_model=Feed)
async def read_feed(user_id: int) -> Response:
    """A user with posts and comments."""
    return await feeds.respond(user_id)


@fastapi_app.get("/posts", response_model=Page[PostOut])
async def list_posts(
    cursor: str | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 100
) -> Response:
    """A page of posts."""
    return await posts.respond_list(cursor=cursor, limit=limit)


@fastapi_app.post("/events", status_code=201)
async def add_event(event: EventIn) -> Accepted:
    """Takes an event, and answers once it is committed."""
    await events.add(event)
    return Accepted(key=event.key)

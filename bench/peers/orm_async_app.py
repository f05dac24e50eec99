"""The peer `orm-async`: FastAPI with `async def` endpoints, SQLAlchemy's AsyncSession, asyncpg."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import selectinload

from .messages import Accepted, EventIn, Feed, PostPage, UserOut
from .settings import POOL_SIZE, engine_url
from .tables import Event, Post, User

engine = create_async_engine(engine_url("asyncpg"), pool_size=POOL_SIZE, max_overflow=0)
app = FastAPI()


async def opened_session() -> AsyncIterator[AsyncSession]:
    """A session for the length of a request."""
    async with AsyncSession(engine, expire_on_commit=False) as session:
        yield session


OpenedSession = Annotated[AsyncSession, Depends(opened_session)]


@app.get("/users/{user_id}", response_model=UserOut)
async def read_user(user_id: int, session: OpenedSession) -> User:
    """A user by key."""
    user = await session.get(User, user_id)
    if user is None:
        raise HTTPException(404)
    return user


@app.get("/users/{user_id}/feed", response_model=Feed)
async def read_feed(user_id: int, session: OpenedSession) -> User:
    """A user with posts and comments, in three statements."""
    whole = selectinload(User.posts).selectinload(Post.comments)
    user = await session.get(User, user_id, options=[whole])
    if user is None:
        raise HTTPException(404)
    return user


@app.get("/posts", response_model=PostPage)
async def list_posts(
    session: OpenedSession, after: int = 0, limit: Annotated[int, Query(ge=1, le=100)] = 100
) -> dict[str, object]:
    """A page of posts."""
    query = select(Post).where(Post.id > after).order_by(Post.id).limit(limit)
    posts = (await session.scalars(query)).all()
    return {"items": posts, "next": str(posts[-1].id) if posts else None}


@app.post("/events", status_code=201, response_model=Accepted)
async def add_event(event: EventIn, session: OpenedSession) -> EventIn:
    """Takes an event, and answers once it is committed."""
    session.add(Event(key=event.key, kind=event.kind, payload=event.payload))
    await session.commit()
    return event

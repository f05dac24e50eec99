"""The peer `orm-sync`: FastAPI with `def` endpoints, SQLAlchemy's Session, psycopg2."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, HTTPException, Query
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, selectinload

from .messages import Accepted, EventIn, Feed, PostPage, UserOut
from .settings import POOL_SIZE, engine_url
from .tables import Event, Post, User

engine = create_engine(
    engine_url("psycopg2"),
    pool_size=POOL_SIZE,
    max_overflow=0,
    # psycopg2 gives times in the session's zone; the others give them in UTC.
    connect_args={"options": "-c timezone=UTC"},
)
app = FastAPI()

# Each endpoint closes its session itself. As a dependency it would be closed after the answer is
# made, for which FastAPI wants a thread: with more requests than threads and connections, all
# threads wait for connections that wait for a thread.


@app.get("/users/{user_id}", response_model=UserOut)
def read_user(user_id: int) -> User:
    """A user by key."""
    with Session(engine) as session:
        user = session.get(User, user_id)
    if user is None:
        raise HTTPException(404)
    return user


@app.get("/users/{user_id}/feed", response_model=Feed)
def read_feed(user_id: int) -> User:
    """A user with posts and comments, in three statements."""
    whole = selectinload(User.posts).selectinload(Post.comments)
    with Session(engine) as session:
        user = session.get(User, user_id, options=[whole])
    if user is None:
        raise HTTPException(404)
    return user


@app.get("/posts", response_model=PostPage)
def list_posts(
    after: int = 0, limit: Annotated[int, Query(ge=1, le=100)] = 100
) -> dict[str, object]:
    """A page of posts."""
    query = select(Post).where(Post.id > after).order_by(Post.id).limit(limit)
    with Session(engine) as session:
        posts = session.scalars(query).all()
    return {"items": posts, "next": str(posts[-1].id) if posts else None}


@app.post("/events", status_code=201, response_model=Accepted)
def add_event(event: EventIn) -> EventIn:
    """Takes an event, and answers once it is committed."""
    with Session(engine) as session:
        session.add(Event(key=event.key, kind=event.kind, payload=event.payload))
        session.commit()
    return event

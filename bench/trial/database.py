"""The engines, the pool and the sessions of the app; the address is in TRIAL_DATABASE_URL."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, FastAPI, Request
from sqlalchemy import create_engine, make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

URL = make_url(os.environ["TRIAL_DATABASE_URL"])

engine = create_engine(URL.set(drivername="postgresql+psycopg"), pool_size=10)
async_engine = create_async_engine(URL.set(drivername="postgresql+asyncpg"), pool_size=10)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens the pool, and closes all connections at the end."""
    address = URL.render_as_string(hide_password=False)
    async with asyncpg.create_pool(address, min_size=1, max_size=10) as pool:
        app.state.pool = pool
        yield
    await async_engine.dispose()
    engine.dispose()


def get_session() -> Iterator[Session]:
    """A session for endpoints in worker threads."""
    with Session(engine) as session:
        yield session


async def get_async_session() -> AsyncIterator[AsyncSession]:
    """A session for endpoints on the event loop."""
    async with AsyncSession(async_engine, expire_on_commit=False) as session:
        yield session


def get_pool(request: Request) -> Any:
    """The pool that was opened at the start."""
    return request.app.state.pool


DatabaseSession = Annotated[Session, Depends(get_session)]
AsyncDatabaseSession = Annotated[AsyncSession, Depends(get_async_session)]
Pool = Annotated[Any, Depends(get_pool)]

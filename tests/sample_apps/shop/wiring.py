"""What the shop opens when it starts, and how the endpoints get at it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI, Request
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from ..settings import from_environment


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = from_environment()
    engine = create_async_engine(settings.sqlalchemy_url("asyncpg"), pool_size=8)
    app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
    async with httpx.AsyncClient(
        base_url=settings.stub_url, timeout=3.0, trust_env=False
    ) as warehouse:
        app.state.warehouse = warehouse
        yield
    await engine.dispose()


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.sessions() as session:
        yield session


def get_warehouse(request: Request) -> httpx.AsyncClient:
    client: httpx.AsyncClient = request.app.state.warehouse
    return client


Database = Annotated[AsyncSession, Depends(get_session)]
Warehouse = Annotated[httpx.AsyncClient, Depends(get_warehouse)]

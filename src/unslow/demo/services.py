"""The database connections and HTTP clients of the app, and the dependencies that hand them out."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import asyncpg
import httpx
import requests
from fastapi import Depends, Request
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from .config import Config

REMOTE_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that is opened when the app starts and closed when it ends."""

    engine: Engine
    async_engine: AsyncEngine
    reporting_engine: AsyncEngine
    pool: Any
    remote: httpx.AsyncClient
    shipping: requests.Session
    stub_url: str


@asynccontextmanager
async def open_services(config: Config) -> AsyncIterator[Services]:
    """Opens the engines, the pool and the clients, and closes them at the end."""
    url = make_url(config.database_url)
    async_url = url.set(drivername="postgresql+asyncpg")
    services = Services(
        engine=create_engine(
            url.set(drivername="postgresql+psycopg"), pool_size=10, max_overflow=10
        ),
        async_engine=create_async_engine(async_url, pool_size=10, max_overflow=10),
        reporting_engine=create_async_engine(async_url, pool_size=2, max_overflow=0),
        pool=await asyncpg.create_pool(config.database_url, min_size=1, max_size=10),
        # The services called are on this machine: never through a proxy of the environment.
        remote=httpx.AsyncClient(
            base_url=config.stub_url, timeout=REMOTE_TIMEOUT_S, trust_env=False
        ),
        shipping=requests.Session(),
        stub_url=config.stub_url,
    )
    services.shipping.trust_env = False
    try:
        yield services
    finally:
        services.shipping.close()
        await services.remote.aclose()
        await services.pool.close()
        await services.reporting_engine.dispose()
        await services.async_engine.dispose()
        services.engine.dispose()


def get_services(request: Request) -> Services:
    """What was opened at start-up."""
    services: Services = request.app.state.services
    return services


OpenServices = Annotated[Services, Depends(get_services)]


def get_session(services: OpenServices) -> Iterator[Session]:
    """A session for endpoints in worker threads."""
    with Session(services.engine) as session:
        yield session


async def get_async_session(services: OpenServices) -> AsyncIterator[AsyncSession]:
    """A session for endpoints on the event loop."""
    async with AsyncSession(services.async_engine, expire_on_commit=False) as session:
        yield session


async def get_reporting_session(services: OpenServices) -> AsyncIterator[AsyncSession]:
    """A session for reports, which have a small pool so that they never crowd out the rest."""
    async with AsyncSession(services.reporting_engine) as session:
        yield session


DatabaseSession = Annotated[Session, Depends(get_session)]
AsyncDatabaseSession = Annotated[AsyncSession, Depends(get_async_session)]
ReportingSession = Annotated[AsyncSession, Depends(get_reporting_session)]

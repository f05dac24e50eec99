"""The bank's engines: every department has one of its own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import asyncpg
import redis.asyncio
import requests
from fastapi import Depends, FastAPI, Request
from requests.adapters import HTTPAdapter
from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from ..settings import Settings, from_environment


@dataclass(frozen=True, slots=True)
class Bank:
    """Everything that is open while the API runs."""

    settings: Settings
    counter: AsyncEngine
    counter_pool: AsyncEngine
    vault: Engine
    archive: Engine
    recycled: AsyncEngine
    receipts: Engine
    branches: AsyncEngine
    hours: Any
    redis: "redis.asyncio.Redis"
    fraud: requests.Session


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = from_environment()
    url, async_url = settings.sqlalchemy_url("psycopg"), settings.sqlalchemy_url("asyncpg")
    async with AsyncExitStack() as stack:
        fraud = stack.enter_context(requests.Session())
        fraud.trust_env = False
        fraud.mount("http://", HTTPAdapter(pool_connections=4, pool_maxsize=40))
        bank = Bank(
            settings,
            counter=create_async_engine(async_url, pool_size=2, max_overflow=0),
            counter_pool=create_async_engine(async_url, pool_size=16),
            vault=create_engine(url, pool_size=2, max_overflow=0),
            archive=create_engine(url, pool_size=1, max_overflow=20),
            recycled=create_async_engine(async_url, pool_size=16, pool_recycle=0),
            receipts=create_engine(url, pool_size=16, max_overflow=0),
            branches=create_async_engine(async_url, poolclass=NullPool),
            hours=await stack.enter_async_context(
                asyncpg.create_pool(settings.database_url, min_size=0, max_size=4)
            ),
            redis=redis.asyncio.Redis.from_url(settings.redis_url),
            fraud=fraud,
        )
        stack.push_async_callback(bank.redis.aclose)
        for engine in (bank.vault, bank.archive, bank.receipts):
            stack.callback(engine.dispose)
        for async_engine in (bank.counter, bank.counter_pool, bank.recycled, bank.branches):
            stack.push_async_callback(async_engine.dispose)
        app.state.bank = bank
        yield


def get_bank(request: Request) -> Bank:
    bank: Bank = request.app.state.bank
    return bank


TheBank = Annotated[Bank, Depends(get_bank)]


def cash_engine(bank: TheBank) -> Iterator[Engine]:
    engine = create_engine(bank.settings.sqlalchemy_url("psycopg"))
    yield engine
    engine.dispose()


def cash_session(engine: Annotated[Engine, Depends(cash_engine)]) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


CashSession = Annotated[Session, Depends(cash_session)]


async def branch_session(bank: TheBank) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(bank.branches) as session:
        yield session


BranchSession = Annotated[AsyncSession, Depends(branch_session)]

"""The newspaper's database, and the index that it keeps in memory."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
from fastapi import Depends, FastAPI, Request
from sqlalchemy import Connection, MetaData, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from ..settings import from_environment
from .data import SECTIONS

# asyncpg carries no types.
Pool = Any
Index = dict[str, list[dict[str, Any]]]


class Record(DeclarativeBase):
    metadata = MetaData(schema="newsroom")


class Author(Record):
    __tablename__ = "authors"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    city: Mapped[str]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = from_environment()
    engine = create_engine(settings.sqlalchemy_url("psycopg"), pool_size=6)
    async_engine = create_async_engine(settings.sqlalchemy_url("asyncpg"), pool_size=6)
    app.state.engine = engine
    app.state.sessions = async_sessionmaker(async_engine)
    app.state.index = {section: list(index_of(section)) for section in SECTIONS}
    async with asyncpg.create_pool(
        settings.database_url,
        min_size=2,
        max_size=6,
        server_settings={"search_path": "newsroom"},
    ) as app.state.pool:
        yield
    engine.dispose()
    await async_engine.dispose()


def index_of(section: str) -> Iterator[dict[str, Any]]:
    """The paper's old volumes, as the archive delivers them."""
    for number in range(7000):
        yield {
            "number": number,
            "section": section,
            "volume": 1950 + number // 100,
            "headline": f"The {section} of day {number}, seen by those who were there then",
            "keywords": ["archive", section, f"day-{number % 365}"],
        }


def get_pool(request: Request) -> Pool:
    return request.app.state.pool


def get_index(request: Request) -> Index:
    index: Index = request.app.state.index
    return index


def get_connection(request: Request) -> Iterator[Connection]:
    with request.app.state.engine.connect() as connection:
        yield connection


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.sessions() as session:
        yield session


ThePool = Annotated[Pool, Depends(get_pool)]
TheIndex = Annotated[Index, Depends(get_index)]
SyncConnection = Annotated[Connection, Depends(get_connection)]
Database = Annotated[AsyncSession, Depends(get_session)]

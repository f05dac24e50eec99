"""The library's pools, and how the endpoints get at them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from psycopg import AsyncConnection, Connection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy import Engine, create_engine

from ..settings import from_environment

SCHEMA = "-c search_path=library"

Desk = ConnectionPool[Connection[DictRow]]
AsyncDesk = AsyncConnectionPool[AsyncConnection[DictRow]]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = from_environment()
    arguments: dict[str, Any] = {"options": SCHEMA, "row_factory": dict_row}
    engine = create_engine(
        settings.sqlalchemy_url("psycopg"), pool_size=6, connect_args={"options": SCHEMA}
    )
    app.state.database_url = settings.database_url
    app.state.engine = engine
    with ConnectionPool(
        settings.database_url,
        connection_class=Connection[DictRow],
        kwargs=arguments,
        min_size=2,
        max_size=6,
    ) as app.state.desk:
        async with AsyncConnectionPool(
            settings.database_url,
            connection_class=AsyncConnection[DictRow],
            kwargs=arguments,
            min_size=2,
            max_size=6,
        ) as app.state.async_desk:
            yield
    engine.dispose()


def get_engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


def get_desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def get_async_desk(request: Request) -> AsyncDesk:
    desk: AsyncDesk = request.app.state.async_desk
    return desk


TheEngine = Annotated[Engine, Depends(get_engine)]
TheDesk = Annotated[Desk, Depends(get_desk)]
TheAsyncDesk = Annotated[AsyncDesk, Depends(get_async_desk)]

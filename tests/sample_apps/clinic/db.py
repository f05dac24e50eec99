"""The clinic's database."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from ..settings import from_environment


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.settings = from_environment()
    engine = create_engine(app.state.settings.sqlalchemy_url("psycopg"), pool_size=8)
    app.state.make_session = sessionmaker(engine)
    yield
    engine.dispose()


def get_db(request: Request) -> Iterator[Session]:
    with request.app.state.make_session() as db:
        yield db


Db = Annotated[Session, Depends(get_db)]

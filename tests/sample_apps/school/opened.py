"""What the school's site opens when it starts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from starlette.applications import Starlette
from starlette.requests import Request

from ..settings import from_environment


class Opened(TypedDict):
    """What each request finds in its state."""

    engine: Engine
    async_engine: AsyncEngine
    vocabulary: dict[str, list[tuple[str, str]]]


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[Opened]:
    settings = from_environment()
    engine = create_engine(settings.sqlalchemy_url("psycopg"), pool_size=8)
    async_engine = create_async_engine(settings.sqlalchemy_url("asyncpg"), pool_size=8)
    languages = ("french", "latin", "spanish")
    vocabulary = {name: list(words(name)) for name in languages}
    yield {"engine": engine, "async_engine": async_engine, "vocabulary": vocabulary}
    engine.dispose()
    await async_engine.dispose()


def words(language: str) -> list[tuple[str, str]]:
    """The words of a language, as the publisher sends them."""
    return [
        (f"{language} word number {number}", f"what word number {number} means in {language}")
        for number in range(18_000)
    ]


def engine_of(request: Request) -> Engine:
    engine: Engine = request.state.engine
    return engine


def async_engine_of(request: Request) -> AsyncEngine:
    engine: AsyncEngine = request.state.async_engine
    return engine


def limit_of(request: Request, usual: int = 20, most: int = 60) -> int:
    """How many things a request asks for."""
    return min(int(request.query_params.get("limit", usual)), most)

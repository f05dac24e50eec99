"""Whatever a model and its tables are: each make gives the answer that FastAPI gives.

500 drawn cases (100 schemas with 5 rows each) by default; `UNSLOW_VIEW_CASES=5000` for more.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import ValidationError
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import selectinload

from tests.fast.view.generated import ROWS, Case, canonical, cases
from unslow.fast import View
from unslow.fast.view.choice import MAKES

SCHEMAS = int(os.environ.get("UNSLOW_VIEW_CASES", "500")) // ROWS
KEYS = range(1, ROWS + 1)
FAILED = "failed"


class Ground:
    """An engine per driver on one event loop, kept over all cases."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.json_count = 0
        """How many schemas PostgreSQL made the JSON of."""
        self.engines = {
            driver: create_async_engine(
                url.replace("postgresql://", f"postgresql+{driver}://", 1),
                pool_size=2,
            )
            for driver in ("asyncpg", "psycopg")
        }

    def close(self) -> None:
        for engine in self.engines.values():
            self.runner.run(engine.dispose())
        self.runner.close()


@pytest.fixture(scope="module")
def ground(empty_url: str) -> Iterator[Ground]:
    ground = Ground(empty_url)
    yield ground
    ground.close()
    # Else the quickest make was hardly held against anything.
    assert ground.json_count > SCHEMAS // 3


@settings(
    max_examples=SCHEMAS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # What fails is drawn again from the seed that is printed; to shrink it takes minutes.
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
)
@given(case=cases())
def test_each_make_answers_as_fastapi_does(ground: Ground, case: Case) -> None:
    async def compared() -> None:
        async with Filled(ground.engines["asyncpg"], case):
            for engine in ground.engines.values():
                expected = await by_fastapi(engine, case)
                answers = await by_view(engine, case)
                ground.json_count += "json" in answers
                for make, found in answers.items():
                    assert expected == found, f"{make} on {engine.dialect.driver}"

    ground.runner.run(compared())


class Filled:
    """The tables of a case with its rows, for as long as the block lasts."""

    def __init__(self, engine: AsyncEngine, case: Case) -> None:
        self.engine = engine
        self.case = case

    async def __aenter__(self) -> None:
        async with self.engine.begin() as connection:
            await connection.run_sync(self.case.base.metadata.create_all)
        try:
            async with AsyncSession(self.engine) as session:
                session.add_all(self.case.rows)
                await session.commit()
                for update in self.case.updates:
                    await session.execute(text(update))
                await session.commit()
        except BaseException:
            await self.__aexit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        async with self.engine.begin() as connection:
            await connection.run_sync(self.case.base.metadata.drop_all)


async def by_fastapi(engine: AsyncEngine, case: Case) -> Any:
    """The answers of an endpoint that loads the object and leaves the rest to FastAPI."""
    app = FastAPI()

    @app.get("/{key}", response_model=case.model)
    async def read(key: int) -> Any:
        async with AsyncSession(engine) as session:
            options = [selectinload(case.entity.items), selectinload(case.entity.one)]
            found = select(case.entity).where(case.entity.id == key).options(*options)
            return (await session.scalars(found)).one()

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answers = [await client.get(f"/{key}") for key in KEYS]
    return [canonical(one.content) if one.status_code == 200 else FAILED for one in answers]


async def by_view(engine: AsyncEngine, case: Case) -> dict[str, list[Any]]:
    """The answers of all makes that are said to be sure."""
    chosen = View(case.model, case.entity, engine)._chosen(engine.dialect.driver).make
    found: dict[str, list[Any]] = {}
    for make in MAKES[MAKES.index(chosen) :]:
        view = View(case.model, case.entity, engine, make=make)
        bodies = await asyncio.gather(*map(view.document, KEYS), return_exceptions=True)
        found[make] = [answered(one) for one in bodies]
    return found


def answered(body: bytes | BaseException | None) -> Any:
    """The answer, or that it failed as FastAPI's would."""
    if isinstance(body, bytes):
        return canonical(body)
    if isinstance(body, ValidationError | DBAPIError | ValueError | psycopg.DataError):
        return FAILED
    raise AssertionError(body) from (body if isinstance(body, BaseException) else None)

"""The app whose requests `bench/overhead.py` weighs."""

from typing import Any

import asyncpg
import fastapi
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The models' base."""


class Item(Base):
    """What the statements ask for."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def make_app(database_url: str, *, native_telemetry: bool) -> tuple[fastapi.FastAPI, AsyncEngine]:
    """The app and its engine; FastAPI's own telemetry is off unless it is what is measured."""
    engine = create_async_engine(
        database_url.replace("postgresql://", "postgresql+asyncpg://"), pool_size=2
    )
    arguments: dict[str, Any] = {}
    if not native_telemetry:
        arguments["telemetry"] = {"tracing": False, "metrics": False, "logs": False}
    app = fastapi.FastAPI(**arguments)
    pools: list[Any] = []

    @app.get("/bare")
    async def bare() -> dict[str, int]:
        return {"answer": 42}

    @app.get("/orm")
    async def orm(statements: int) -> dict[str, str]:
        names = []
        async with AsyncSession(engine) as session:
            for number in range(statements):
                item = await session.scalar(select(Item).where(Item.id == number + 1))
                names.append("" if item is None else item.name)
        return {"name": names[-1]}

    @app.get("/core")
    async def core(statements: int) -> dict[str, str]:
        names = []
        async with engine.connect() as connection:
            for number in range(statements):
                query = select(Item.name).where(Item.id == number + 1)
                names.append((await connection.execute(query)).scalar_one())
        return {"name": names[-1]}

    @app.get("/driver")
    async def driver(statements: int) -> dict[str, str]:
        if not pools:
            pools.append(await asyncpg.create_pool(database_url, min_size=1, max_size=2))
        names = []
        async with pools[0].acquire() as connection:
            for number in range(statements):
                query = "SELECT name FROM items WHERE id = $1"
                names.append(await connection.fetchval(query, number + 1))
        return {"name": names[-1]}

    return app, engine

"""What the carrier's API opens when it starts."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import asyncpg
import httpx
import redis
from fastapi import Depends, FastAPI, Request
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from ..settings import from_environment
from .gateways.customs import Customs
from .gateways.routing import Partners, RoutePlanner
from .gateways.weather import WeatherService

TARIFF_YEARS = tuple(range(2022, 2026))
TARIFF_LINE = b"zone;weight;price;valid-from;valid-until;note-for-the-desk\n"


@dataclass(frozen=True, slots=True)
class Opened:
    """Everything that is open while the API runs."""

    address: str
    pool: Any
    sessions: sessionmaker[Session]
    async_sessions: async_sessionmaker[AsyncSession]
    customs: Customs
    planner: RoutePlanner
    partners: Partners
    weather: WeatherService
    redis: "redis.Redis"
    tariffs: Path


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = from_environment()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        endless = httpx.AsyncClient(
            base_url=settings.stub_url,
            timeout=None,  # noqa: S113 - the mistake of the route planner's calls
            trust_env=False,
        )
        patient = httpx.AsyncClient(base_url=settings.stub_url, trust_env=False)
        unhurried = aiohttp.ClientTimeout(total=None)
        session = aiohttp.ClientSession(settings.stub_url, timeout=unhurried)
        engine = create_engine(settings.sqlalchemy_url("psycopg"))
        async_engine = create_async_engine(settings.sqlalchemy_url("asyncpg"))
        stack.callback(engine.dispose)
        stack.push_async_callback(async_engine.dispose)
        customs = Customs(settings.stub_url)
        stack.callback(customs.session.close)
        app.state.opened = Opened(
            settings.stub_url,
            await enter(asyncpg.create_pool(settings.database_url, min_size=1, max_size=6)),
            sessionmaker(engine),
            async_sessionmaker(async_engine),
            customs,
            RoutePlanner(await enter(endless)),
            Partners(await enter(patient)),
            WeatherService(await enter(session)),
            stack.enter_context(redis.Redis.from_url(settings.redis_url)),
            write_tariffs(Path(stack.enter_context(tempfile.TemporaryDirectory()))),
        )
        yield


def write_tariffs(folder: Path) -> Path:
    """The price lists of some years, as the head office sends them."""
    for year in TARIFF_YEARS:
        (folder / f"{year}.csv").write_bytes(TARIFF_LINE * (300_000 + year))
    (folder / "about.ini").write_text("name = Carrier\nversion = 7\n")
    return folder


def get_opened(request: Request) -> Opened:
    opened: Opened = request.app.state.opened
    return opened


Open = Annotated[Opened, Depends(get_opened)]

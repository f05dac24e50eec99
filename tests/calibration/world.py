"""What the calibration app speaks to: pools, clients, engines, opened once per event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import httpx
import psycopg
import requests
import requests.adapters
from psycopg_pool import ConnectionPool
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from sqlalchemy import Engine, NullPool, create_engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests.calibration.stubs import Stubs
from tests.calibration.truth import note, spent

USERS = 10
OBJECTS = 5
LOAD_MS = 4.0
"""What loading one object takes: 5 of them make 20 ms."""


class Base(DeclarativeBase):
    """The tables of the calibration app."""


class Item(Base):
    """A row that takes a known time to become an object."""

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Plain(Base):
    """A row like any other."""

    __tablename__ = "plain"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def spin(milliseconds: float) -> None:
    """Computes for a time."""
    end = perf_counter_ns() + int(milliseconds * 1e6)
    while perf_counter_ns() < end:
        pass


@event.listens_for(Item, "load")
def _spin_at_load(*_: Any) -> None:
    with spent("hydration"):
        spin(LOAD_MS)


def _time_statements(engine: Engine) -> None:
    """The app's own stop watch at the cursor."""
    started: dict[int, int] = {}

    @event.listens_for(engine, "before_cursor_execute")
    def before(_connection: Any, cursor: Any, *_: Any) -> None:
        started[id(cursor)] = perf_counter_ns()

    @event.listens_for(engine, "after_cursor_execute")
    def after(_connection: Any, cursor: Any, *_: Any) -> None:
        note("sql", started.pop(id(cursor)))

    rollback = engine.dialect.do_rollback

    def timed_rollback(connection: Any) -> None:
        with spent("sql"):
            rollback(connection)

    engine.dialect.do_rollback = timed_rollback  # type: ignore[method-assign, assignment]  # there is no event


def _time_connects(engine: Engine) -> None:
    """The same where it connects."""

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _: Any, arguments: Any, options: Any) -> Any:
        with spent("connect"):
            return dialect.connect(*arguments, **options)


@dataclass
class World:
    """All that the deeds use."""

    url: str
    """The database, `postgresql://...`."""
    slow_url: str
    """The same, behind the door that lets new connections wait."""
    remote_url: str
    asyncpg_pool: asyncpg.Pool
    narrow_asyncpg_pool: asyncpg.Pool
    psycopg_pool: ConnectionPool[psycopg.Connection]
    narrow_psycopg_pool: ConnectionPool[psycopg.Connection]
    engine: Engine
    narrow_engine: Engine
    slow_engine: Engine
    async_engine: AsyncEngine
    narrow_async_engine: AsyncEngine
    slow_async_engine: AsyncEngine
    redis: Redis
    async_redis: AsyncRedis
    httpx_client: httpx.Client
    async_httpx_client: httpx.AsyncClient
    aiohttp_session: aiohttp.ClientSession
    requests_session: requests.Session
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    rung_at_ns: int = 0
    stop: threading.Event = field(default_factory=threading.Event)


class TimedTransport(httpx.HTTPTransport):
    """The app's own stop watch at a client's door to the network."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with spent("remote"):
            return super().handle_request(request)


class TimedAsyncTransport(httpx.AsyncHTTPTransport):
    """The same for an awaiting client."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with spent("remote"):
            return await super().handle_async_request(request)


class TimedAdapter(requests.adapters.HTTPAdapter):
    """The same for requests."""

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        with spent("remote"):
            return super().send(*arguments, **options)


def _timed_session() -> requests.Session:
    session = requests.Session()
    session.mount("http://", TimedAdapter())
    return session


def _host(url: str, port: int) -> str:
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()


def _engines(url: str, slow_url: str) -> dict[str, Any]:
    def dialect(name: str, one: str) -> str:
        return one.replace("postgresql://", f"postgresql+{name}://", 1)

    wide = {"pool_size": USERS, "max_overflow": 0}
    narrow = {"pool_size": 1, "max_overflow": 0}
    return {
        "engine": create_engine(dialect("psycopg", url), **wide),
        "narrow_engine": create_engine(dialect("psycopg", url), **narrow),
        "slow_engine": create_engine(dialect("psycopg", slow_url), poolclass=NullPool),
        "async_engine": create_async_engine(dialect("asyncpg", url), **wide),
        "narrow_async_engine": create_async_engine(dialect("asyncpg", url), **narrow),
        "slow_async_engine": create_async_engine(dialect("asyncpg", slow_url), poolclass=NullPool),
    }


def fill(url: str) -> None:
    """Makes the tables and their rows."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Item(id=number, name="item") for number in range(OBJECTS)])
        session.execute(text("INSERT INTO plain SELECT i, 'plain' FROM generate_series(1, 3000) i"))
        session.commit()
    engine.dispose()


@asynccontextmanager
async def opened_world(url: str, stubs: Stubs) -> AsyncIterator[World]:
    """Opens everything on the running loop, and closes it."""
    slow_url = _host(url, stubs.postgres_port)
    redis_address: dict[str, Any] = {"host": "127.0.0.1", "port": stubs.redis_port, "protocol": 2}
    engines = _engines(url, slow_url)
    async with AsyncExitStack() as stack:
        world = World(
            url=url,
            slow_url=slow_url,
            remote_url=f"http://127.0.0.1:{stubs.http_port}/after",
            asyncpg_pool=await stack.enter_async_context(
                asyncpg.create_pool(url, min_size=USERS, max_size=USERS)
            ),
            narrow_asyncpg_pool=await stack.enter_async_context(
                asyncpg.create_pool(url, min_size=1, max_size=1)
            ),
            psycopg_pool=stack.enter_context(
                ConnectionPool(url, min_size=USERS, max_size=USERS, open=True)
            ),
            narrow_psycopg_pool=stack.enter_context(
                ConnectionPool(url, min_size=1, max_size=1, open=True)
            ),
            redis=Redis(**redis_address),
            async_redis=AsyncRedis(**redis_address),
            httpx_client=stack.enter_context(httpx.Client(transport=TimedTransport())),
            async_httpx_client=await stack.enter_async_context(
                httpx.AsyncClient(transport=TimedAsyncTransport())
            ),
            aiohttp_session=await stack.enter_async_context(aiohttp.ClientSession()),
            requests_session=stack.enter_context(_timed_session()),
            **engines,
        )
        world.psycopg_pool.wait()
        world.narrow_psycopg_pool.wait()
        for name, engine in engines.items():
            plain = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
            _time_statements(plain)
            _time_connects(plain)
            close = engine.dispose
            if name.endswith("async_engine"):
                stack.push_async_callback(close)
            else:
                stack.callback(close)
        stack.push_async_callback(world.async_redis.aclose)
        stack.callback(world.redis.close)
        yield world

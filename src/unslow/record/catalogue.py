"""The probes, by name."""

from __future__ import annotations

from typing import Final

from .probe import Probe

PROBES: Final = (
    Probe("aiohttp", ("aiohttp.client",)),
    Probe("asyncpg", ("asyncpg",)),
    Probe("blocking", ("time", "subprocess", "pathlib")),
    Probe("fastapi", ("fastapi.routing",)),
    Probe("garbage", ("gc",)),
    Probe("httpx", ("httpx", "httpx2")),
    Probe("psycopg", ("psycopg", "psycopg_pool")),
    Probe("redis", ("redis", "redis.asyncio")),
    Probe(
        "servers",
        (
            "uvicorn.config",
            "uvicorn.server",
            "hypercorn.app_wrappers",
            "granian.server.embed",
            "granian.server.mp",
            "granian.server.mt",
            "gunicorn.workers.gasgi",
        ),
    ),
    Probe("sqlalchemy", ("sqlalchemy.engine", "sqlalchemy.pool", "sqlalchemy.orm")),
    Probe("starlette", ("starlette.applications", "starlette.middleware.base")),
    Probe("threads", ("asyncio.events", "concurrent.futures.thread", "anyio.to_thread")),
    Probe("urllib3", ("requests", "urllib3")),
)

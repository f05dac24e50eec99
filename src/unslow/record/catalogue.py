"""The probes, by name."""

from __future__ import annotations

from typing import Final

from .probe import Probe

PROBES: Final = (
    Probe("aiohttp", ("aiohttp.client",)),
    Probe("asyncpg", ("asyncpg",)),
    Probe("blocking", ("builtins", "os", "pathlib", "subprocess", "time")),
    Probe("fast", ("unslow.fast.gathering", "unslow.fast.ingestion.group_commit")),
    Probe("fastapi", ("fastapi.applications", "fastapi.routing")),
    # Loaded in every process, as the collector is; few apps import `gc`.
    Probe("garbage", ("sys",)),
    Probe("httpx", ("httpx", "httpx2", "httpcore", "httpcore2")),
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
    Probe("smtplib", ("smtplib",)),
    Probe("sqlalchemy", ("sqlalchemy", "sqlalchemy.orm", "sqlalchemy.ext.asyncio")),
    Probe(
        "starlette",
        (
            "starlette.applications",
            "starlette.background",
            "starlette.endpoints",
            "starlette.middleware.base",
            "starlette.requests",
            "starlette.responses",
            "starlette.routing",
            "starlette.templating",
        ),
    ),
    Probe("threads", ("anyio._backends._asyncio", "concurrent.futures.thread", "threading")),
    Probe("urllib3", ("requests", "urllib3")),
)

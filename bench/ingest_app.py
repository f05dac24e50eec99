"""The app that `bench/ingest_faults.py` kills: events with a key, and events without."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import fastapi
from pydantic import BaseModel

from unslow.fast.ingestion.declaration import ingest

DATABASE_VARIABLE = "INGEST_DATABASE"


class Event(BaseModel):
    """What clients send."""

    event_id: str
    kind: str
    amount: int


@asynccontextmanager
async def lifespan(app: fastapi.FastAPI) -> AsyncIterator[None]:
    """Holds the pool for as long as the app runs."""
    url = os.environ[DATABASE_VARIABLE]
    async with asyncpg.create_pool(url, min_size=0, max_size=4) as app.state.pool, keyed, plain:
        yield


def pool() -> Any:
    """The pool of the running app."""
    return app.state.pool


app = fastapi.FastAPI(lifespan=lifespan)
keyed = ingest(Event, pool, table="keyed", key="event_id")
plain = ingest(Event, pool, table="plain")
keyed.route(app, "/keyed")
plain.route(app, "/plain")

"""The forum's pools and its client."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

import asyncpg
import httpx
from fastapi import Depends, FastAPI, Request

from ..settings import from_environment

# asyncpg carries no types.
Pool = Any
Connection = Any

SEARCH_PATH = {"search_path": "forum"}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = from_environment()
    app.state.database_url = settings.database_url
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        url = settings.database_url
        app.state.pool = await enter(
            asyncpg.create_pool(url, min_size=16, max_size=16, server_settings=SEARCH_PATH)
        )
        app.state.preview_pool = await enter(
            asyncpg.create_pool(url, min_size=2, max_size=2, server_settings=SEARCH_PATH)
        )
        app.state.translator = await enter(
            httpx.AsyncClient(base_url=settings.stub_url, timeout=4, trust_env=False)
        )
        yield


def get_pool(request: Request) -> Pool:
    return request.app.state.pool


def get_preview_pool(request: Request) -> Pool:
    return request.app.state.preview_pool


def get_translator(request: Request) -> httpx.AsyncClient:
    client: httpx.AsyncClient = request.app.state.translator
    return client


ThePool = Annotated[Pool, Depends(get_pool)]
ThePreviewPool = Annotated[Pool, Depends(get_preview_pool)]
Translator = Annotated[httpx.AsyncClient, Depends(get_translator)]

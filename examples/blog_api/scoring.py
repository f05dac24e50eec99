"""The service that rates leads: one client for all requests, with a limit of time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, HTTPException, Request

from .settings import settings

TIMEOUT_S = 5.0


@asynccontextmanager
async def opened_client(app: FastAPI) -> AsyncIterator[None]:
    """Has the client in the app's state for as long as the app runs."""
    url = settings.scoring_url or ""
    # The service is in our own network: never through a proxy of the environment.
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_S, trust_env=False) as client:
        app.state.scoring = client
        yield


async def score_of(lead_id: int, request: Request) -> int:
    """The score of a lead; 503 or 502 where the service is not there or does not answer."""
    if settings.scoring_url is None:
        raise HTTPException(503, "There is no scoring service: SCORING_URL is not set")
    client: httpx.AsyncClient = request.app.state.scoring
    try:
        answer = await client.get(f"/score/{lead_id}")
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise HTTPException(502, "The scoring service does not answer") from error
    score: int = answer.json()["value"]
    return score

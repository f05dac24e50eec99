"""Who may use what is not public."""

from secrets import compare_digest
from typing import Annotated

from fastapi import HTTPException, Security
from fastapi.security import APIKeyHeader

from .settings import settings

API_KEY = APIKeyHeader(name="x-api-key")


async def signed_in(key: Annotated[str, Security(API_KEY)]) -> None:
    """Lets a request through that knows the key; others get 401."""
    if not compare_digest(key.encode(), settings.api_key.encode()):
        raise HTTPException(401, "This is not the API key")

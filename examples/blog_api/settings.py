"""What the app reads from its environment, once, when it is imported."""

import os
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Settings:
    """Addresses and secrets; the secrets are not shown when it is printed."""

    database_url: str = field(repr=False)
    cursor_secret: str = field(repr=False)
    """Signs the cursors of lists: at least 16 bytes, the same in all processes."""
    api_key: str = field(repr=False)
    """What a client sends as `x-api-key` to the routes that are not public."""
    scoring_url: str | None
    """A service that rates leads; without it that one route answers 503."""


def from_environment() -> Settings:
    """Reads DATABASE_URL, CURSOR_SECRET, API_KEY and, if there, SCORING_URL."""
    return Settings(
        database_url=_required("DATABASE_URL"),
        cursor_secret=_required("CURSOR_SECRET"),
        api_key=_required("API_KEY"),
        scoring_url=os.environ.get("SCORING_URL"),
    )


def _required(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(
            f"{name} is not set; `python -m examples.blog_api` sets all that is needed"
        )
    return value


settings = from_environment()

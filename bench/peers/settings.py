"""What every peer is told by its environment; the same for all stacks."""

from __future__ import annotations

import os

from sqlalchemy import URL, make_url

POOL_SIZE = int(os.environ.get("POOL_SIZE", "20"))
"""The most connections of a peer."""


def database_url() -> str:
    """Where the data is."""
    return os.environ["DATABASE_URL"]


def engine_url(driver: str) -> URL:
    """The same for an engine of SQLAlchemy."""
    return make_url(database_url()).set(drivername=f"postgresql+{driver}")

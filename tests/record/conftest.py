"""Fixtures for tests of what looks at all that a process has."""

import gc
from collections.abc import Iterator
from typing import Any

import asyncpg
import psycopg_pool
import pytest

from unslow.record import connecting

KINDS = (asyncpg.Pool, psycopg_pool.ConnectionPool, psycopg_pool.AsyncConnectionPool)


@pytest.fixture
def own_pools_only(
    monkeypatch: pytest.MonkeyPatch, older_objects_set_aside: None
) -> Iterator[None]:
    """The pools that apps of other tests have open at this moment count as closed."""
    before: list[Any] = [one for one in gc.get_objects() if type(one) in KINDS]
    is_closed = connecting._is_closed
    monkeypatch.setattr(
        connecting,
        "_is_closed",
        lambda pool: any(pool is one for one in before) or is_closed(pool),
    )
    yield
    before.clear()

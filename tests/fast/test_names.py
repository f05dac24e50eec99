"""What stands in `unslow.fast`, and what asking for it loads."""

from __future__ import annotations

import json
import subprocess
import sys
from types import ModuleType

import pytest

import unslow.fast
from unslow.fast import __all__ as names

NEEDED = {
    "coalesce": set(),
    "Rows": set(),
    "bare": set(),
    "cached": set(),
    "single_flight": set(),
    "MemoryStore": set(),
    "RedisStore": set(),
    "pool": set(),
    "engine_settings": set(),
    "Keyset": set(),
    "Page": {"pydantic"},
    "ingest": {"pydantic"},
    "export": {"starlette"},
    "health": {"starlette"},
    "View": {"pydantic", "sqlalchemy"},
}
"""By name which of the libraries below it loads."""
LIBRARIES = (
    "aiohttp",
    "asyncpg",
    "fastapi",
    "prometheus_client",
    "psycopg",
    "psycopg_pool",
    "pydantic",
    "redis",
    "sqlalchemy",
    "starlette",
    "unslow.record",
)


@pytest.mark.parametrize("name", names)
def test_each_name_is_there_and_is_no_module(name: str) -> None:
    for _ in range(2):
        # A module of that name would take its place once it is imported.
        assert not isinstance(getattr(unslow.fast, name), ModuleType)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = unslow.fast.nothing


@pytest.mark.parametrize("name", NEEDED)
def test_asking_for_one_loads_what_it_needs_and_nothing_more(name: str) -> None:
    code = (
        "import json, sys, threading\n"
        f"from unslow.fast import {name}\n"
        f"loaded = [one for one in {LIBRARIES!r} if one in sys.modules]\n"
        "print(json.dumps([loaded, threading.active_count()]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    loaded, thread_count = json.loads(done.stdout)

    assert NEEDED[name] == set(loaded)
    assert 1 == thread_count

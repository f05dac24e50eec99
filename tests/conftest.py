"""Fixtures that every test may ask for."""

import gc
import os
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from unslow.errors import EmbeddedPostgresMissingError
from unslow.postgres.server import embedded_server


@pytest.fixture(scope="session", autouse=True)
def heeded_signals() -> Iterator[None]:
    """Under `nohup`, or behind `&` of a script, all that is started ignores these signals.

    What is tested here would too, and servers that a test stops would stay.
    """
    heeded: dict[signal.Signals, Any] = {
        signal.SIGHUP: signal.SIG_DFL,
        signal.SIGINT: signal.default_int_handler,
        signal.SIGQUIT: signal.SIG_DFL,
    }
    ignored = [one for one in heeded if signal.getsignal(one) is signal.SIG_IGN]
    for one in ignored:
        signal.signal(one, heeded[one])
    yield
    for one in ignored:
        signal.signal(one, signal.SIG_IGN)


@pytest.fixture(scope="module")
def older_objects_set_aside() -> Iterator[None]:
    """For tests of what looks through all objects of a process: it sees those of the module alone.

    By the end of a long run there are millions of others, and each look goes through all of them.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def database_server_url() -> Iterator[str]:
    """A real PostgreSQL: the one in UNSLOW_TEST_DATABASE_URL, or one of our own."""
    if url := os.environ.get("UNSLOW_TEST_DATABASE_URL"):
        yield url
        return
    try:
        with embedded_server() as server:
            yield server.url()
    except EmbeddedPostgresMissingError as error:
        pytest.skip(f"missing server: PostgreSQL. {error}")


@contextmanager
def _new_database(server_url: str) -> Iterator[str]:
    name = f"unslow_test_{secrets.token_hex(8)}"
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture(scope="session")
def new_database(database_server_url: str) -> Callable[[], AbstractContextManager[str]]:
    """For fixtures of a wider scope: `with new_database() as url` is an empty database."""
    return partial(_new_database, database_server_url)


@pytest.fixture
def database_url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """The address of an empty database that only this test sees."""
    with new_database() as url:
        yield url

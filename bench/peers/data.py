"""The database that all peers share: made for one run, and dropped after it."""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg

from unslow.postgres.server import embedded_server

from .schema import fill

SERVER_VARIABLE: Final = "UNSLOW_TEST_DATABASE_URL"
SHOWN: Final = ("server_version", "fsync", "synchronous_commit", "wal_sync_method")
_SYNC_S: Final = 1.0
_SYNC_BYTES: Final = 8_192

# An insert is measured up to the disk; the rest of the embedded server is as it comes.
_DURABLE: Final = {"fsync": "on", "full_page_writes": "on", "max_connections": "100"}


@contextmanager
def filled_database(server_url: str | None) -> Iterator[str]:
    """A database of our own on a server: the one given, the one in the variable, or the embedded.

    Args:
        server_url: Any database of a server on which we may create another one.
    """
    with ExitStack() as stack:
        url = server_url or os.environ.get(SERVER_VARIABLE)
        if url is None:
            url = stack.enter_context(embedded_server(settings=_DURABLE)).url()
        name = f"unslow_bench_{secrets.token_hex(4)}"
        server = stack.enter_context(psycopg.connect(url, autocommit=True))
        server.execute(f'CREATE DATABASE "{name}"'.encode())
        stack.callback(server.execute, f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
        own = urlsplit(url)._replace(path=f"/{name}").geturl()
        fill(own)
        yield own


def emptied_events(connection: Any) -> None:
    """Brings every turn of inserts to the same start: no rows, and no checkpoint soon."""
    connection.execute("TRUNCATE events")
    try:
        connection.execute("CHECKPOINT")
    except psycopg.errors.InsufficientPrivilege:
        return


def event_count(connection: Any) -> int:
    """How many events are there."""
    return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])


def settings(connection: Any) -> dict[str, str]:
    """What the server says of how durable a commit is."""
    return {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in SHOWN}


def sync_rate(connection: Any) -> tuple[float, str]:
    """Syncs per second of the server's disk, by writes of 8 kB, and where they were made.

    They are made in the server's data directory when it is on this machine and we may write there,
    else in the current folder. The file has no name and is gone when it is closed.
    """
    try:
        folder = Path(connection.execute("SHOW data_directory").fetchone()[0])
        return _syncs_per_s(folder), "the server's data directory"
    except (psycopg.errors.InsufficientPrivilege, OSError):
        return _syncs_per_s(Path.cwd()), "the current folder"


def _syncs_per_s(folder: Path) -> float:
    block, count = os.urandom(_SYNC_BYTES), 0
    with tempfile.TemporaryFile(dir=folder) as file:
        os.pwrite(file.fileno(), block, 0)
        os.fsync(file.fileno())
        begin = time.perf_counter()
        while (took_s := time.perf_counter() - begin) < _SYNC_S:
            os.pwrite(file.fileno(), block, 0)
            os.fdatasync(file.fileno())
            count += 1
    return count / took_s

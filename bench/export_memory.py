"""How much memory and time an export of a million rows takes: `python -m bench.export_memory`.

An app is served by uvicorn in a process of its own, once for each way to the database. It exports
the same table in each format, once through COPY or whatever is best without parameters, and once
with a parameter. Its memory is read from the system: what it had when it was idle, after exports of
a few rows, and the most that it had since (`VmHWM`, set back before each export).

    python -m bench.export_memory [--quick] [--json] [--database URL]

The rows are 1,000,000, with `--quick` 100,000, of about 170 bytes of JSON each. Without an address
of a server it runs one of its own. Ends with 1 where an export takes more than 60 MB above idle.
Linux only.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg

from unslow.cli.app_process import free_port
from unslow.postgres.server import embedded_server

ROWS: Final = 1_000_000
QUICK_ROWS: Final = 100_000
MOST_MB: Final = 60.0
DOORS: Final = ("asyncpg", "psycopg", "engine-asyncpg", "engine-psycopg")
FORMATS: Final = ("ndjson", "json", "csv")
HOST: Final = "127.0.0.1"

TABLE: Final = """
    CREATE UNLOGGED TABLE exported AS
    SELECT g AS id, 'user ' || g AS name, 'user' || g || '@example.org' AS email,
           (g % 10000) / 100.0 AS amount,
           timestamptz '2026-01-01 00:00+00' + g * interval '1 s' AS at,
           CASE WHEN g % 7 = 0 THEN NULL ELSE repeat('note ', 1 + g % 9) END AS note
      FROM generate_series(1, {rows}) AS g
"""
QUERY: Final = "SELECT * FROM exported WHERE id <= "


@dataclass(frozen=True, slots=True)
class Measured:
    """One export."""

    door: str
    format: str
    parameters: bool
    rows: int
    megabytes: float
    """Of the answer."""
    rows_per_s: float
    idle_mb: float
    above_idle_mb: float


@asynccontextmanager
async def opened(door: str, url: str) -> AsyncIterator[Any]:
    """The pool or the engine of the app."""
    if door == "asyncpg":
        import asyncpg

        async with asyncpg.create_pool(url, min_size=1, max_size=2) as source:
            yield source
    elif door == "psycopg":
        from psycopg_pool import AsyncConnectionPool

        async with AsyncConnectionPool(url, min_size=1, max_size=2, open=False) as source:
            yield source
    else:
        from sqlalchemy.ext.asyncio import create_async_engine

        driver = door.removeprefix("engine-")
        engine = create_async_engine(url.replace("postgresql://", f"postgresql+{driver}://", 1))
        try:
            yield engine
        finally:
            await engine.dispose()


def serve(door: str, url: str, port: int) -> None:
    """The app, for as long as its process lives."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from unslow.fast.exporting.exports import export

    sources: list[Any] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with opened(door, url) as source:
            sources.append(source)
            yield

    async def endpoint(request: Request) -> Response:
        asked = request.query_params
        most = int(asked["rows"])
        name: Any = asked["format"]
        if asked["parameters"] == "True":
            return export(sources[0], f"{QUERY}$1::int", [most], name)
        return export(sources[0], f"{QUERY}{most}", format=name)

    app = Starlette(routes=[Route("/", endpoint)], lifespan=lifespan)
    uvicorn.run(app, host=HOST, port=port, log_level="warning")


@contextmanager
def served(door: str, url: str) -> Iterator[tuple[int, int]]:
    """The port and the process id of the app."""
    port = free_port(HOST)
    command = [sys.executable, "-m", "bench.export_memory", "--serve", door, str(port)]
    environment = {**os.environ, "EXPORT_DATABASE": url}
    process = subprocess.Popen(command, env=environment)
    try:
        _wait_until_it_answers(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_until_it_answers(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, "the app ended"
        try:
            taken(port, "ndjson", parameters=False, rows=1)
        except OSError:
            assert time.monotonic() < deadline, "the app did not answer"
            time.sleep(0.05)
        else:
            return


def taken(port: int, name: str, *, parameters: bool, rows: int) -> tuple[int, int]:
    """The bytes and the line ends of an export."""
    connection = http.client.HTTPConnection(HOST, port, timeout=600)
    connection.request("GET", f"/?format={name}&parameters={parameters}&rows={rows}")
    answer = connection.getresponse()
    assert answer.status == http.client.OK, answer.status
    size = lines = 0
    while piece := answer.read(1 << 20):
        size += len(piece)
        lines += piece.count(b"\n")
    connection.close()
    return size, lines


def memory_mb(pid: int, field: str) -> float:
    """A field of `/proc/PID/status`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no {field} of the process {pid}")


def measured(door: str, port: int, pid: int, name: str, parameters: bool, rows: int) -> Measured:
    """One export, after a small one of its kind."""
    taken(port, name, parameters=parameters, rows=100)
    # 5 sets the most memory back to what there is (Linux, `proc_pid_clear_refs(5)`).
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    idle_mb = memory_mb(pid, "VmRSS")
    began = time.perf_counter()
    size, lines = taken(port, name, parameters=parameters, rows=rows)
    took_s = time.perf_counter() - began
    # An array has no line end after its last row; CSV has one after its header.
    assert lines == rows + {"ndjson": 0, "json": -1, "csv": 1}[name], lines
    above_mb = memory_mb(pid, "VmHWM") - idle_mb
    return Measured(door, name, parameters, rows, size / 1e6, rows / took_s, idle_mb, above_mb)


@contextmanager
def filled(server_url: str, rows: int) -> Iterator[str]:
    """A database of our own with the table."""
    name = f"unslow_export_{secrets.token_hex(4)}"
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            url = urlsplit(server_url)._replace(path=f"/{name}").geturl()
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(TABLE.format(rows=rows).encode())
                connection.execute("VACUUM ANALYZE exported")
            yield url
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@contextmanager
def server_url(given: str | None) -> Iterator[str]:
    """The address of the server: the given one, or one of our own."""
    if given is not None:
        yield given
        return
    with embedded_server() as server:
        yield server.url()


def all_measured(url: str, rows: int) -> Iterator[Measured]:
    """Each format through each door, without parameters and with them."""
    for door in DOORS:
        with served(door, url) as (port, pid):
            for name in FORMATS:
                for parameters in (False, True):
                    yield measured(door, port, pid, name, parameters, rows)


def show(one: Measured) -> None:
    """One line of the table."""
    kind = f"{one.format}{' $1' if one.parameters else ''}"
    print(
        f"{one.door:15} {kind:10} {one.megabytes:7.1f} MB {one.rows_per_s:10,.0f} rows/s  "
        f"idle {one.idle_mb:5.1f} MB  above idle {one.above_idle_mb:5.1f} MB",
        flush=True,
    )


def main() -> int:
    """Measures, prints, and says whether memory stays within bounds."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROWS:,} rows")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--database", metavar="URL", help="of a server; one of our own if not given"
    )
    parser.add_argument("--serve", nargs=2, metavar=("DOOR", "PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve[0], os.environ["EXPORT_DATABASE"], int(options.serve[1]))
        return 0
    rows = QUICK_ROWS if options.quick else ROWS
    found: list[Measured] = []
    with server_url(options.database) as server, filled(server, rows) as url:
        for one in all_measured(url, rows):
            found.append(one)
            if not options.json:
                show(one)
    most = max(one.above_idle_mb for one in found)
    if options.json:
        print(json.dumps([asdict(one) for one in found], indent=1))
    else:
        print(f"most above idle: {most:.1f} MB; bound: {MOST_MB:g} MB")
    return int(most > MOST_MB)


if __name__ == "__main__":
    sys.exit(main())

"""The peers: how each is made ready, and how it is run as one process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

from unslow.cli.app_process import Words, app_process, free_port

HERE: Final = Path(__file__).parent
_HOST: Final = "127.0.0.1"
_ROOT: Final = HERE.parent.parent
_GO_PATH: Final = Path("/usr/share/gocode")
"""Where Debian puts the sources of Go's libraries."""


class NotMeasuredError(Exception):
    """A peer cannot run here."""


class Variant(NamedTuple):
    """One stack."""

    name: str
    what: str
    prepare: Callable[[Path], Sequence[str]]
    """Given a folder to work in, returns the command that serves on the port in PORT."""
    cases: Sequence[str] = ("point-read", "nested-read", "list-page", "insert")


class Served(NamedTuple):
    """A running peer."""

    address: str
    process_id: int


def _uvicorn(
    app: str,
    modules: Sequence[str],
    _folder: Path,
    lifespan: str = "on",
    http: str = "httptools",
) -> list[str]:
    module = app.partition(":")[0]
    if find_spec(f"bench.peers.{module}") is None:
        raise NotMeasuredError(f"bench/peers/{module}.py is not there")
    for one in (*modules, "uvloop", "httptools"):
        if find_spec(one) is None:
            raise NotMeasuredError(f"{one} is not installed")
    command = [sys.executable, "-m", "uvicorn", f"bench.peers.{app}", "--host", _HOST]
    command += ["--loop", "uvloop", "--http", http, "--lifespan", lifespan]
    return [*command, "--no-access-log", "--log-level", "warning"]


def _go(mode: str, folder: Path) -> list[str]:
    if shutil.which("go") is None:
        raise NotMeasuredError("go is not installed")
    if not (_GO_PATH / "src/github.com/jackc/pgx/v4").is_dir():
        raise NotMeasuredError("pgx is not installed (golang-github-jackc-pgx-v4-dev)")
    peer = folder / "go-peer"
    if not peer.exists():
        environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(_GO_PATH)}
        _run("go build", ["go", "build", "-o", str(peer), str(HERE / "go/main.go")], environment)
    return [str(peer), mode]


def _node(folder: Path) -> list[str]:
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            raise NotMeasuredError(f"{tool} is not installed")
    place = folder / "node-peer"
    shutil.copytree(HERE / "node", place)
    install = ["npm", "install", "--no-audit", "--no-fund", "--prefer-offline"]
    _run("npm install", [*install, "--prefix", str(place)], dict(os.environ))
    return ["node", str(place / "server.mjs")]


def _run(what: str, command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise NotMeasuredError(f"{what} failed: {' / '.join(lines[-3:])}")


_FASTAPI: Final = "fastapi"

VARIANTS: Final = (
    Variant(
        "orm-sync",
        "FastAPI, def; SQLAlchemy Session, selectinload; psycopg2",
        partial(_uvicorn, "orm_sync_app:app", (_FASTAPI, "sqlalchemy", "psycopg2")),
    ),
    Variant(
        "orm-async",
        "FastAPI, async def; SQLAlchemy AsyncSession, selectinload; asyncpg",
        partial(_uvicorn, "orm_async_app:app", (_FASTAPI, "sqlalchemy", "asyncpg")),
    ),
    Variant(
        "asyncpg",
        "FastAPI, async def; SQL and dictionaries by hand; asyncpg",
        partial(_uvicorn, "asyncpg_app:app", (_FASTAPI, "asyncpg")),
    ),
    Variant(
        "unslow-fastapi",
        "FastAPI, async def; the blocks; asyncpg",
        partial(_uvicorn, "unslow_app:fastapi_app", (_FASTAPI, "sqlalchemy", "asyncpg")),
    ),
    Variant(
        "unslow-route",
        "FastAPI, the blocks' own routes in front of it, frozen, in one write; asyncpg",
        partial(
            _uvicorn,
            "unslow_app:application",
            (_FASTAPI, "sqlalchemy", "asyncpg"),
            http="unslow.fast.uvicorn_http:HttpProtocol",
        ),
    ),
    Variant("go", "net/http, encoding/json; pgx, statement by statement", partial(_go, "plain")),
    Variant("go-batched", "the same, reads and inserts gathered", partial(_go, "batched")),
    Variant("node", "fastify; pg", _node),
    Variant(
        "empty-asgi",
        "a route that does nothing, under the same server",
        partial(_uvicorn, "empty_app:app", (), lifespan="off"),
        ("empty",),
    ),
)
FLOORS: Final = ("empty-asgi", "pgbench")
VARIANT_NAMES: Final = (*(variant.name for variant in VARIANTS), "pgbench")


@contextmanager
def serving(command: Sequence[str], name: str, url: str, pool_size: int) -> Iterator[Served]:
    """Runs a peer for the length of the block."""
    port = free_port(_HOST)
    address = f"http://{_HOST}:{port}"
    environment = {
        **os.environ,
        "DATABASE_URL": url,
        "POOL_SIZE": str(pool_size),
        "PORT": str(port),
        "UVICORN_PORT": str(port),
        "PYTHONPATH": str(_ROOT),
        # Some drivers ask for TLS when the server has it, others do not.
        "PGSSLMODE": "disable",
        "NODE_ENV": "production",
    }
    with app_process(command, environment, address, Words(name)) as process:
        process.wait_until_it_answers(30)
        _wait_for_an_answer(address)
        yield Served(address, process.process_id)


def _wait_for_an_answer(address: str) -> None:
    """Asks once, so that the first connection to the database is there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with urlopen(f"{address}/users/1", timeout=30):  # noqa: S310  # our own http address
                return
        except HTTPError as error:
            sys.exit(f"{address}/users/1 answered {error.code}: {error.read()[:300]!r}")
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{address} took connections, but answered nothing in 30 s")

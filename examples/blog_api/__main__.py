"""Runs the app: `python -m examples.blog_api`, on a PostgreSQL of its own unless one is given."""

import argparse
import asyncio
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from secrets import token_urlsafe

import uvicorn

from unslow.postgres.server import embedded_server

from .data import prepare

HOST = "127.0.0.1"

TRY = """
Serving at {at} until Ctrl-C. Try:

  curl '{at}/users/1'
  curl '{at}/users/1/feed?fields=name,posts.title'
  curl '{at}/posts?user_id=1&limit=2'
  curl '{at}/reports/sales'
  curl '{at}/leads' --json '{{"email": "me@example.com", "company": "Mine", "message": "Hello"}}'
  curl '{at}/leads?limit=2' -H 'x-api-key: {key}'
  curl '{at}/exports/posts.ndjson'
  curl '{at}/exports/orders.csv' -H 'x-api-key: {key}'
  curl '{at}/health'

All routes: {at}/docs
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Prepares the database and serves until Ctrl-C."""
    asked = _parser().parse_args(arguments)
    with suppress(KeyboardInterrupt), database(asked.database) as url:
        os.environ["DATABASE_URL"] = url
        os.environ.setdefault("CURSOR_SECRET", token_urlsafe(32))
        key = os.environ.setdefault("API_KEY", token_urlsafe(16))
        asyncio.run(prepare(url))
        with socket.create_server((HOST, asked.port)) as listening:
            at = f"http://{HOST}:{listening.getsockname()[1]}"
            print(TRY.format(at=at, key=key), flush=True)  # noqa: T201  # what the user waits for
            server = uvicorn.Server(
                uvicorn.Config("examples.blog_api.app:application", log_level="warning")
            )
            server.run(sockets=[listening])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.blog_api", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="the port; a free one if not given")
    parser.add_argument(
        "--database",
        metavar="URL",
        help="a PostgreSQL database to use, postgresql://...; tables that are missing are made "
        "there, and filled if there are no users",
    )
    return parser


@contextmanager
def database(url: str | None) -> Iterator[str]:
    """The address of the given database, or of one that ends with us."""
    if url is not None:
        yield url
        return
    with embedded_server() as server:
        yield server.create_database("blog")


if __name__ == "__main__":
    main()

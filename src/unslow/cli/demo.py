"""`unslow demo`: a real PostgreSQL, a sample API with the classic mistakes, traffic, receipts."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

import click

from ..errors import CommandLineMissingError, DemoError, UnslowError
from ..report.progress import progress
from ..settings import Settings, load
from ..store import StoreDamagedError, StoreFormatError, StoreMissingError, StoreUnusableError
from .demo_app import TARGET, DemoApp, serving
from .ending import Ended, Ending
from .recording import Recording
from .reporting import requests_kept, show_report

_NEEDED: Final = ("asyncpg", "fastapi", "httpx", "psycopg", "requests", "sqlalchemy", "uvicorn")
_EXAMPLE: Final = "postgresql://USER:PASSWORD@HOST:5432/DATABASE"
_CONNECTS_WITHIN_S: Final = 5
_LOOK_EVERY_S: Final = 0.2
_SECRET: Final = re.compile(r"(?<=:)[^:/@\s]+(?=@)|(?<=password=)\S+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the demo was asked for."""

    database: str | None
    keep: bool
    scale: float
    """Rows, as a share of the whole demo."""
    traffic: float
    """Requests, as a share of the whole demo."""


@click.command()
@click.option(
    "--database",
    metavar="URL",
    help="An empty PostgreSQL database to use instead of one of its own; the demo's tables are"
    " dropped at the end.",
)
@click.option("--keep", is_flag=True, help="Leave the app and its database running until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--all", "everything", is_flag=True, help="Leave out no endpoint and no line.")
@click.option(
    "--folder", type=click.Path(file_okay=False), help="Folder of the store.  [default: .unslow]"
)
@click.option("--scale", type=click.FloatRange(0, 1), default=1.0, hidden=True)
@click.option("--traffic", type=click.FloatRange(0, 1), default=1.0, hidden=True)
@click.pass_context
def demo(
    ctx: click.Context,
    database: str | None,
    keep: bool,
    as_json: bool,
    everything: bool,
    folder: str | None,
    scale: float,
    traffic: float,
) -> None:
    """Show what unslow sees in a sample API with the classic mistakes.

    Starts a PostgreSQL of its own and fills it, serves the API, asks each endpoint alone and then
    with 20 users at once, and prints where every millisecond went. Takes about a minute. Nothing
    has to be set up before, and nothing stays behind but the traces, for `unslow report`.
    """
    _check_installed()
    settings = load()
    settings = replace(settings, folder=folder or settings.folder)
    plan = _Plan(None if database is None else _checked_address(database), keep, scale, traffic)
    with Ending() as ending, ExitStack() as kept:
        recording, is_kept = _recording(kept, settings)
        try:
            ended, failed = _run(plan, recording, ending)
            show_report(
                recording.folder,
                recording.run,
                target=TARGET,
                as_json=as_json,
                on_stdout=True,
                everything=everything,
            )
        except Ended as stopped:
            _say_what_is_kept(recording, is_kept)
            ctx.exit(stopped.exit_code)
        except UnslowError:
            _say_what_is_kept(recording, is_kept)
            raise
        if failed:
            raise DemoError(failed)
        if ended is not None:
            ctx.exit(ended.exit_code)
        if not as_json:
            _say_what_is_next(recording, is_kept)


def _check_installed() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise CommandLineMissingError(
            f"The demo needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not"
            " installed. Install what it needs: pip install 'unslow[demo]'"
        )


def _checked_address(text: str) -> str:
    """The address as every driver understands it.

    Raises:
        DemoError: it is none.
    """
    shown = _SECRET.sub("***", text)
    try:
        parts = urlsplit(text)
        scheme = parts.scheme.partition("+")[0]
        is_whole = bool(parts.hostname and parts.path.strip("/")) and parts.port != 0
    except ValueError:
        scheme, is_whole = "", False
    if scheme not in {"postgresql", "postgres"} or not is_whole:
        raise DemoError(f"--database is {shown!r}, which is no address such as {_EXAMPLE}")
    if parts.query or parts.fragment:
        raise DemoError(
            f"--database is {shown!r}: leave out what stands behind the database's name. TLS is"
            " used where the server offers it."
        )
    return parts._replace(scheme="postgresql").geturl()


def _recording(kept: ExitStack, settings: Settings) -> tuple[Recording, bool]:
    """Records into the usual folder, or into one that goes where that cannot be written."""
    try:
        return Recording(settings), True
    except (StoreUnusableError, StoreFormatError) as error:
        click.echo(f"unslow: {error}", err=True)
        click.echo("unslow: the demo goes on, and its traces are not kept", err=True)
        folder = kept.enter_context(tempfile.TemporaryDirectory(prefix="unslow-demo-"))
        return Recording(replace(settings, folder=folder)), False


def _run(plan: _Plan, recording: Recording, ending: Ending) -> tuple[Ended | None, str]:
    """Starts everything, sends the traffic, and ends everything.

    Returns:
        The Ctrl-C that ended what was to be kept, and what failed on the way.
    """
    ended: Ended | None = None
    with ExitStack() as stack:
        try:
            stack.enter_context(recording)
            url = stack.enter_context(_database(plan))
            app = stack.enter_context(_served(url, recording))
            failed = _send_traffic(url, app, plan.traffic)
            if plan.keep:
                ended = _keep(app, url, plan)
        finally:
            ending.hold()
    ending.release()
    return ended, failed


@contextmanager
def _database(plan: _Plan) -> Iterator[str]:
    """A filled database: one of our own, or the one that was given, which is emptied again."""
    from ..demo.data import clear, fill

    with ExitStack() as stack:
        if plan.database is None:
            url = stack.enter_context(_own_database())
        else:
            url = plan.database
            _check_reachable(url)
        with progress("Filling 1,000 users, 50,000 posts, 500,000 comments") as update:
            fill(url, lambda _, part: update(part), scale=plan.scale)
        try:
            yield url
        finally:
            if plan.database is not None:
                _try_to_clear(url, clear)


@contextmanager
def _own_database() -> Iterator[str]:
    from ..postgres.server import embedded_server

    with ExitStack() as stack:
        with progress("Starting PostgreSQL"):
            server = stack.enter_context(embedded_server())
            url = server.create_database("blog")
        yield url

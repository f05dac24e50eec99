"""`unslow demo`: a real PostgreSQL, a sample API with the classic mistakes, traffic, receipts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import IO

import click

from ..errors import CommandLineMissingError, DemoError
from ..report.progress import progress
from ..settings import Settings, load
from ..store import StoreUnusableError
from .recording import Recording
from .reporting import show_report

_NEEDED = ("fastapi", "sqlalchemy", "asyncpg", "psycopg", "requests", "httpx", "uvicorn")
_APP = "unslow.demo.app:app"
_HOST = "127.0.0.1"
_STARTS_WITHIN_S = 20.0
_ENDS_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.05
_LAST_LINES = 15


@click.command()
@click.option("--database", metavar="URL", help="An empty PostgreSQL database instead of our own.")
@click.option("--keep", is_flag=True, help="Leave the app and its database running until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--folder", type=click.Path(file_okay=False), help="Folder of the store.")
def demo(database: str | None, keep: bool, as_json: bool, folder: str | None) -> None:
    """Show what unslow sees in a sample API with the classic mistakes.

    Starts a PostgreSQL of its own and fills it, serves the API, asks each endpoint alone and then
    with 20 users at once, and prints where every millisecond went. Takes about a minute.
    """
    _check_installed()
    settings = load()
    settings = replace(settings, folder=folder or settings.folder)
    with ExitStack() as stack:
        url = database or stack.enter_context(_own_database())
        _fill(url)
        recording = stack.enter_context(_recording(stack, settings))
        base = stack.enter_context(_served(url, recording))
        _send_traffic(url, base)
        if keep:
            click.echo(f"unslow: the demo is at {base}, its database at {url}", err=True)
            click.echo("unslow: Ctrl-C ends both and prints the report", err=True)
            _wait_for_interrupt()
    show_report(recording.folder, recording.run, target=_APP, as_json=as_json, on_stdout=True)


def _check_installed() -> None:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise CommandLineMissingError(
            f"The demo needs {', '.join(missing)}, which is not installed."
            " Install what it needs: pip install 'unslow[demo]'"
        )


@contextmanager
def _own_database() -> Iterator[str]:
    from ..postgres.server import embedded_server

    with progress("Starting PostgreSQL"), ExitStack() as stack:
        server = stack.enter_context(embedded_server())
        url = server.create_database("blog")
        stack_kept = stack.pop_all()
    with stack_kept:
        yield url


def _fill(url: str) -> None:
    from ..demo.data import fill

    with progress("Filling 1,000 users, 50,000 posts, 500,000 comments") as update:
        fill(url, lambda _, part: update(part))


def _recording(stack: ExitStack, settings: Settings) -> Recording:
    """Records into the usual folder, or into one that goes where that cannot be written."""
    try:
        return Recording(settings)
    except StoreUnusableError as error:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="unslow-demo-"))
        click.echo(f"unslow: {error} The demo goes on without keeping its traces.", err=True)
        return Recording(replace(settings, folder=folder))


@contextmanager
def _served(url: str, recording: Recording) -> Iterator[str]:
    """The demo's app in a process of its own, as `unslow run` would start it."""
    from ..demo.stub import start_stub

    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", _APP, "--host", _HOST, "--port", str(port)]
    with start_stub() as stub, tempfile.TemporaryFile() as log:
        environment = {
            **recording.environment(os.environ),
            "UNSLOW_DEMO_DATABASE_URL": url,
            "UNSLOW_DEMO_STUB_URL": stub,
        }
        process = _start([*command, "--log-level", "warning", "--no-access-log"], environment, log)
        try:
            with progress("Starting the app"):
                _wait_until_it_answers(process, port, log)
            yield f"http://{_HOST}:{port}"
        finally:
            process.terminate()
            try:
                process.wait(_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _start(
    command: list[str], environment: Mapping[str, str], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches us, and we end the app when its traces are written.
    return subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoError(
                f"The demo's app ended with exit code {process.returncode} before it served. Its"
                f" last lines:\n{_last_lines(log)}"
            )
        try:
            socket.create_connection((_HOST, port), timeout=1).close()
        except OSError:
            time.sleep(_LOOK_EVERY_S)
        else:
            return
    raise DemoError(
        f"The demo's app did not answer within {_STARTS_WITHIN_S:.0f} s. Its last lines:\n"
        f"{_last_lines(log)}"
    )


def _last_lines(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").splitlines()[-_LAST_LINES:]
    return "\n".join(lines) or "(none)"


def _send_traffic(database_url: str, base: str) -> None:
    from ..demo.traffic import USERS_TOGETHER, plan, send

    for users, words in ((1, "alone"), (USERS_TOGETHER, f"with {USERS_TOGETHER} users")):
        with progress(f"Asking each endpoint, {words}") as update:
            requests = plan(database_url, users)
            sent = send(base, requests, users, lambda _, part: update(part))
        wrong = {status: count for status, count in sent.statuses if status >= 400}
        if wrong or sent.errors:
            click.echo(
                f"unslow: not all of the demo's requests were answered: {wrong} {sent.errors}",
                err=True,
            )


def _wait_for_interrupt() -> None:
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        click.echo(err=True)

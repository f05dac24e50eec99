"""Serves the app, sends it the cases' requests over a real socket, and ends it as Ctrl-C does."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .cases import Case, Request

ROOT: Final = Path(__file__).parents[2]
START_PATIENCE_S: Final = 60.0
STOP_PATIENCE_S: Final = 60.0
ANSWER_PATIENCE_S: Final = 30.0
_LAST_CHARACTERS: Final = 3000


class TrialError(Exception):
    """A part of the trial itself failed: it says nothing about the tools."""


def serve_and_ask(
    command: Sequence[str],
    environment: Mapping[str, str],
    port: int,
    cases: Sequence[Case],
    *,
    requests_each: int,
    folder: Path,
) -> str:
    """Lets a command serve, sends each case's requests alone, and ends it; what it printed.

    Raises:
        TrialError: it does not start, answer or end.
    """
    output, log = folder / "output", folder / "log"
    with output.open("wb") as out, log.open("wb") as err:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            # Apart from us, so that a signal to the whole group ends what we started and no more.
            start_new_session=True,
        )
    with _said_on_error(log), _ended(process):
        _wait_until_it_listens(process, port)
        for case in cases:
            _ask(case, port, requests_each)
        _stop(process)
    return output.read_text()


@contextmanager
def _said_on_error(log: Path) -> Iterator[None]:
    try:
        yield
    except TrialError as error:
        tail = log.read_text(errors="replace")[-_LAST_CHARACTERS:]
        raise TrialError(f"{error}\nThe end of the server's log:\n{tail}") from error


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise TrialError(f"the server ended with exit code {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TrialError(f"the server did not listen within {START_PATIENCE_S:.0f} s")


def _ask(case: Case, port: int, requests_each: int) -> None:
    """Sends a case's requests one after the other."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_PATIENCE_S)
    with contextlib.closing(client):
        for number in range(requests_each):
            _send(client, case.request(number))


def _send(client: http.client.HTTPConnection, request: Request) -> None:
    headers = {} if request.body is None else {"content-type": "application/json"}
    try:
        client.request(request.method, request.path, request.body, headers)
        response = client.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise TrialError(f"{request.method} {request.path}: {error!r}") from error
    if not 200 <= response.status < 300:
        raise TrialError(f"{request.method} {request.path}: {response.status} {text[:300]!r}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_PATIENCE_S)
    except subprocess.TimeoutExpired as error:
        raise TrialError(f"the server goes on {STOP_PATIENCE_S:.0f} s after SIGINT") from error

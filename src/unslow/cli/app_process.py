"""An app in a process of its own, that ends when we end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Final
from urllib.parse import urlsplit

from ..errors import CommandError, StartUpError, UnslowError
from .child import why_not_started

_ENDS_WITHIN_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.02
_LAST_LINES: Final = 15
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Words:
    """How an app is called in messages, and which error says that it failed."""

    name: str
    error: type[UnslowError] = StartUpError
    again: str = "start again"


class AppProcess:
    """A running app, with what it wrote."""

    def __init__(
        self, process: subprocess.Popen[bytes], address: str, log: IO[bytes], words: Words
    ) -> None:
        self.address = address
        self.process_id = process.pid
        self._process = process
        self._log = log
        self._words = words

    def check(self) -> None:
        """Checks that it still runs.

        Raises:
            UnslowError: it has ended.
        """
        if self._process.poll() is not None:
            raise self._words.error(
                f"{self._words.name} {_how_it_ended(self._process.returncode)} while it was asked."
                f" {self._advice()}"
            )

    def wait_until_it_answers(self, within_s: float) -> None:
        """Waits until it takes connections.

        Raises:
            UnslowError: it ended before, or did not come up in time.
        """
        host, port = _host_and_port(self.address)
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise self._words.error(
                    f"{self._words.name} {_how_it_ended(self._process.returncode)} before it"
                    f" served. {self._advice()}"
                )
            try:
                socket.create_connection((host, port), timeout=1).close()
            except OSError:
                time.sleep(_LOOK_EVERY_S)
            else:
                return
        raise self._words.error(
            f"{self._words.name} did not answer at {self.address} within {within_s:.0f} s."
            f" {self._advice()}"
        )

    def last_lines(self, count: int = _LAST_LINES) -> list[str]:
        """What it wrote last."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace").splitlines()[-count:]

    def _advice(self) -> str:
        lines = self.last_lines()
        if not lines:
            return f"It wrote nothing; {self._words.again}."
        return "\n  ".join([f"Mend what its last lines name, and {self._words.again}:", *lines])

    def end(self) -> None:
        """Ends it and what came of it: asked first, then without asking."""
        _signal(self._process, signal.SIGTERM)
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            _signal(self._process, signal.SIGKILL)
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


@contextmanager
def app_process(
    command: Sequence[str],
    environment: Mapping[str, str],
    address: str,
    words: Words,
    pass_files: Sequence[int] = (),
) -> Iterator[AppProcess]:
    """Runs a command for the length of the block.

    Args:
        command: What to run.
        environment: Its environment, whole.
        address: Where the app will answer, such as `http://127.0.0.1:8000`.
        words: How to speak of it.
        pass_files: Open files that it inherits.

    Raises:
        CommandError: there is no such command.
    """
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                list(command),
                env=dict(environment),
                # It closes when we are gone, also after a SIGKILL.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=list(pass_files),
                # A session of its own: Ctrl-C reaches us, and we end it once its traces are there.
                start_new_session=True,
            )
        except OSError as error:
            raise CommandError(why_not_started(command[0], error)) from error
        app = AppProcess(process, address, log, words)
        try:
            yield app
        finally:
            app.end()


def free_port(host: str) -> int:
    """A port that nobody listens at just now."""
    with socket.socket() as bound:
        bound.bind((host, 0))
        port: int = bound.getsockname()[1]
    return port


def _host_and_port(address: str) -> tuple[str, int]:
    parts = urlsplit(address)
    return parts.hostname or "127.0.0.1", parts.port or _DEFAULT_PORTS.get(parts.scheme, 80)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To the whole session: a shell does not hand on what ends it."""
    if process.poll() is not None:
        return
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        process.send_signal(number)


def _how_it_ended(exit_code: int) -> str:
    if exit_code < 0:
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"

"""An app in a process of its own, that ends when we end, however that is.

Beside it runs a keeper, which ends the app's whole session as soon as its own standard input
closes: because we are done, or are gone ourselves.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, Final
from urllib.parse import urlsplit

from ..errors import CommandError, PortError, StartUpError, UnslowError
from ..wire import ADDRESS_VARIABLE
from . import session_keeper
from .child import why_not_started

_ENDS_WITHIN_S: Final = 5.0
_KEEPER_PATIENCE_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.02
_LAST_LINES: Final = 15
_LAST_BYTES: Final = 64 * 1024
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
        self,
        process: subprocess.Popen[bytes],
        keeper: subprocess.Popen[bytes],
        address: str,
        log: IO[bytes],
        words: Words,
    ) -> None:
        self.address = address
        self.process_id = process.pid
        self._process = process
        self._keeper = keeper
        self._log = log
        self._words = words

    def check(self, within_s: float = 0.0) -> None:
        """Checks that it still runs.

        Args:
            within_s: How long is waited for an end that may be under way.

        Raises:
            UnslowError: it has ended.
        """
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)
        if self._process.returncode is not None:
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
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _LAST_BYTES))
        return self._log.read().decode(errors="replace").splitlines()[-count:]

    def _advice(self) -> str:
        lines = self.last_lines()
        if not lines:
            return f"It wrote nothing; {self._words.again}."
        return "\n  ".join([f"Mend what its last lines name, and {self._words.again}:", *lines])

    def end(self) -> None:
        """Ends it and all that came of it: asked first, then without asking."""
        _close(self._keeper)
        try:
            self._process.wait(_ENDS_WITHIN_S + _KEEPER_PATIENCE_S)
            self._keeper.wait(_ENDS_WITHIN_S + _KEEPER_PATIENCE_S)
        except subprocess.TimeoutExpired:
            # Somebody has ended the keeper, or holds it.
            _kill(self._process)
            self._keeper.kill()
            self._keeper.wait()
        _close(self._process)


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
    with tempfile.TemporaryFile() as log, _keeper() as keeper:
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
        app = AppProcess(process, keeper, address, log, words)
        try:
            _tell(keeper, process.pid, environment.get(ADDRESS_VARIABLE))
            yield app
        finally:
            app.end()


@contextmanager
def _keeper() -> Iterator[subprocess.Popen[bytes]]:
    # In a session of its own: it must outlive us.
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", session_keeper.__file__, str(_ENDS_WITHIN_S)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield keeper
    finally:
        _close(keeper)
        keeper.wait()


def _tell(keeper: subprocess.Popen[bytes], session: int, wire: str | None) -> None:
    """Which session it keeps; all that came of it was started with the address of our wire."""
    # Without it, what the app leaves behind when we are killed stays; the check itself goes on.
    with suppress(OSError):
        if keeper.stdin is not None:
            mark = f"{ADDRESS_VARIABLE}={wire}" if wire else ""
            keeper.stdin.write(f"{session} {mark}\n".encode())
            keeper.stdin.flush()


def _close(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()


def refuse_taken(address: str) -> None:
    """Checks that nothing answers at an address before something is started that is to.

    Raises:
        PortError: something does.
    """
    try:
        socket.create_connection(_host_and_port(address), timeout=1).close()
    except OSError:
        return
    raise PortError(
        f"Something answers at {address} already, so the command was not started. End that, or give"
        " the address that the command serves at: --url"
    )


def free_port(host: str) -> int:
    """A port that nobody listens at just now."""
    with socket.socket() as bound:
        bound.bind((host, 0))
        port: int = bound.getsockname()[1]
    return port


def _host_and_port(address: str) -> tuple[str, int]:
    parts = urlsplit(address)
    return parts.hostname or "127.0.0.1", parts.port or _DEFAULT_PORTS.get(parts.scheme, 80)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Its whole session, as far as that is one group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _how_it_ended(exit_code: int) -> str:
    if exit_code < 0:
        names = {int(one): one.name for one in signal.Signals}
        return f"was ended by {names.get(-exit_code, f'signal {-exit_code}')}"
    return f"ended with exit code {exit_code}"

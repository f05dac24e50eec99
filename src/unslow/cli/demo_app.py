"""The demo's app in a process of its own, that ends with us however we end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Final

from ..errors import DemoError

TARGET: Final = "unslow.demo.app:app"
_HOST: Final = "127.0.0.1"
_STARTS_WITHIN_S: Final = 20.0
_ENDS_WITHIN_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.02
_LAST_LINES: Final = 15

# It listens at a socket that it is given, so nobody can take the port in between. Its standard
# input closes when we are gone, also after a SIGKILL.
_PROGRAM: Final = """
import os, signal, socket, sys, threading, uvicorn

def end_with_parent():
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=end_with_parent, daemon=True).start()
server = uvicorn.Server(uvicorn.Config(sys.argv[1], log_level="warning", access_log=False))
server.run(sockets=[socket.socket(fileno=int(sys.argv[2]))])
sys.exit(0 if server.started else 3)
"""


class DemoApp:
    """The running app."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
        self.address = f"http://{_HOST}:{port}"
        self.process_id = process.pid
        self._process = process
        self._port = port
        self._log = log

    def check(self) -> None:
        """Checks that it still runs.

        Raises:
            DemoError: it has ended.
        """
        if self._process.poll() is not None:
            raise DemoError(
                f"The demo's app {_how_it_ended(self._process.returncode)} while it was asked."
                f" {self._advice()}"
            )

    def wait_until_it_answers(self) -> None:
        """Waits until it takes connections.

        Raises:
            DemoError: it ended before, or did not come up in time.
        """
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise DemoError(
                    f"The demo's app {_how_it_ended(self._process.returncode)} before it served."
                    f" {self._advice()}"
                )
            try:
                socket.create_connection((_HOST, self._port), timeout=1).close()
            except OSError:
                time.sleep(_LOOK_EVERY_S)
            else:
                return
        raise DemoError(
            f"The demo's app did not answer within {_STARTS_WITHIN_S:.0f} s. {self._advice()}"
        )

    def last_lines(self, count: int = _LAST_LINES) -> list[str]:
        """What it wrote last."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace").splitlines()[-count:]

    def _advice(self) -> str:
        lines = self.last_lines()
        if not lines:
            return "It wrote nothing; start the demo again."
        return "\n  ".join(["Mend what its last lines name, and start the demo again:", *lines])

    def end(self) -> None:
        """Ends it: asked first, then without asking."""
        self._process.terminate()
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


@contextmanager
def serving(environment: Mapping[str, str]) -> Iterator[DemoApp]:
    """Serves the app for the length of the block.

    Raises:
        DemoError: it does not start.
    """
    with tempfile.TemporaryFile() as log:
        # Bound and not yet listening: connections are refused until the app serves.
        with socket.socket() as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((_HOST, 0))
            port: int = bound.getsockname()[1]
            process = _start(environment, bound, log)
        app = DemoApp(process, port, log)
        try:
            yield app
        finally:
            app.end()


def _start(
    environment: Mapping[str, str], bound: socket.socket, log: IO[bytes]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        # `-P`: what lies in the current folder does not hide what the app imports.
        [sys.executable, "-P", "-c", _PROGRAM, TARGET, str(bound.fileno())],
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        pass_fds=[bound.fileno()],
        # A session of its own: Ctrl-C reaches us, and we end the app when its traces are written.
        start_new_session=True,
    )


def _how_it_ended(exit_code: int) -> str:
    if exit_code < 0:
        return f"was ended by {signal.Signals(-exit_code).name}"
    return f"ended with exit code {exit_code}"

"""A redis-server of our own that can hang, die and come back at the same address."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_ATTEMPTS = 5


class RedisProcess:
    """One server, with nothing kept on disk."""

    def __init__(self, folder: Path) -> None:
        binary = shutil.which("redis-server")
        if binary is None:
            pytest.skip("missing server: redis-server")
        self._binary = binary
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it, the second time at the same address."""
        for _ in range(_ATTEMPTS):
            port = self.port or _free_port()
            self._process = subprocess.Popen(
                [self._binary, "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
                cwd=self._folder,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert self._process.stdout is not None
            # Its output ends when it cannot start.
            if any("Ready to accept connections" in line for line in self._process.stdout):
                self.port = port
                return
            self.kill()
        pytest.fail("redis-server did not start")

    def hang(self) -> None:
        """It takes connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """It refuses connections, and has forgotten all."""
        if self._process is not None:
            with self._process as process:
                process.kill()
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


@contextmanager
def running_redis(folder: Path) -> Iterator[RedisProcess]:
    """A server until the end of the block; skips where none is installed."""
    server = RedisProcess(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()

"""A real redis-server of our own, on a free port, with nothing kept on disk."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_ATTEMPTS = 5


@contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[str]:
    """Starts a server and gives its address, `redis://127.0.0.1:PORT`; skips where none is."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("missing server: redis-server")
    for _ in range(_ATTEMPTS):
        port = _free_port()
        process = subprocess.Popen(
            [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", *options],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                if _is_ready(process):
                    yield f"redis://127.0.0.1:{port}"
                    return
            finally:
                process.terminate()
    pytest.fail("redis-server did not start")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def _is_ready(process: subprocess.Popen[str]) -> bool:
    """Reads what the server says until it serves; its output ends when it cannot."""
    assert process.stdout is not None
    return any("Ready to accept connections" in line for line in process.stdout)

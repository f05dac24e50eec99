"""`unslow run` as a process of its own, watched from outside."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from unslow.model.trace import Coverage, Trace
from unslow.store import FILE, Recorded, reading

PATIENCE_S = 30
_pause = threading.Event()

STARLETTE_APP = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

async def item(request):
    return PlainTextResponse(request.path_params["n"])

inner = Starlette(routes=[Route("/deep/{n}", item)])
app = Starlette(routes=[Route("/items/{n}", item), Mount("/inner", app=inner)])

def create_app():
    return app
"""

PLAIN_APP = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"plain"})
"""


def until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Waits until a condition holds; fails when it does not in time."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        _pause.wait(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean_environment(**more: str) -> dict[str, str]:
    """Ours, without what steers unslow."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UNSLOW_")}
    return {**kept, **more}


class Run:
    """`unslow run ARGUMENTS` in a folder; killed at the end of the `with` if it still runs."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        port: int = 0,
    ) -> None:
        self.folder = folder
        self.port = port
        # A short path, for sockets, that goes also when unslow is killed.
        self._temporary = tempfile.TemporaryDirectory(prefix="run-")
        self._out = folder / f"out-{id(self)}"
        self._err = folder / f"err-{id(self)}"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "unslow", "run", *arguments],
                cwd=folder,
                env=clean_environment(TMPDIR=self._temporary.name, **(environment or {})),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # It leads its own session: nothing but what it started stands in its group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._temporary.cleanup()

    @property
    def out(self) -> str:
        return self._out.read_text(errors="replace")

    @property
    def err(self) -> str:
        return self._err.read_text(errors="replace")

    @property
    def said(self) -> list[str]:
        """The sentences that are ours."""
        return [line for line in self.err.splitlines() if line.startswith("unslow: ")]

    def get(self, path: str) -> str:
        """The body of an answer of the app."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def wait_until_served(self) -> None:
        """Waits until the port is listened at; fails when the command ends before."""

        def served() -> bool:
            assert self.process.poll() is None, self.err
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        until(served)

    def wait_until_printed(self, text: str) -> None:
        """Waits until the command has printed something."""
        until(lambda: text in self.out or text in self.err)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal to unslow alone, and waits for its end; the exit code."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        return self.process.wait(PATIENCE_S)

    def recorded(self) -> tuple[Recorded, ...]:
        """What the processes of the newest run wrote."""
        store = self.folder / ".unslow"
        if not (store / FILE).exists():
            return ()
        with reading(store) as reader:
            runs = reader.runs()
            return reader.run(runs[-1]) if runs else ()

    def traces(self) -> list[Trace]:
        return [trace for one in self.recorded() for trace in one.traces]

    def coverage(self) -> set[Coverage]:
        return {part for one in self.recorded() for part in one.process.coverage}

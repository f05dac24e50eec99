"""A PostgreSQL that can be stopped in the middle of its work, and started again."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from unslow.postgres import keeper, server

_ENDS_WITHIN_S: Final = 30.0


class _Patience:
    """Stands where the keeper of the embedded server has its owner: waits, and never goes away."""

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


class StoppableServer:
    """The embedded server without its keeper, which would delete the folder of one that ended."""

    def __init__(self, order: keeper.Order, folder: Path, log: IO[bytes]) -> None:
        patience: Any = _Patience()
        self._server = keeper.Server(order, patience, folder, log)
        # Of one and the same thread: the server ends with the one that started it.
        self._thread = ThreadPoolExecutor(1)
        started = self._thread.submit(self._server.start).result()
        self._port, self._process_id = started.port, started.process_id
        access = f"{order.user}:{order.password}@127.0.0.1:{started.port}"
        self.url = f"postgresql://{access}/postgres"

    async def stop_at_once(self) -> None:
        """Ends it without a checkpoint and without a word to its clients (SIGQUIT)."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._stop)

    async def start_again(self) -> None:
        """Starts it on the same port; it recovers what was committed from its log."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._start)

    def _stop(self) -> None:
        process: Any = self._server._process
        os.kill(self._process_id, signal.SIGQUIT)
        process.wait(_ENDS_WITHIN_S)

    def _start(self) -> None:
        process = self._server._spawn("postgres", *self._server._server_options(self._port))
        self._server._process, self._process_id = process, process.pid
        self._server._deadline = time.monotonic() + keeper.START_SECONDS
        assert self._server._is_ready(process), "the server did not start again"

    def end(self) -> None:
        """Ends it for good."""
        self._server.end()
        self._thread.shutdown()


@contextmanager
def stoppable_server() -> Iterator[StoppableServer]:
    """Runs such a server for the length of the block."""
    site, install = server._find_install(18)
    order = keeper.Order(
        site=str(site),
        install=install,
        parts=server._parts(site, install),
        parents=server._parent_folders(None),
        account=server._account(),
        initdb=server._initdb_options(18),
        user=server.SUPERUSER,
        password=secrets.token_hex(16),
        settings=server._settings({}),
    )
    folder = keeper.make_folder(order)
    try:
        with open(folder / "server.log", "a+b", buffering=0) as log:
            running = StoppableServer(order, folder, log)
            try:
                yield running
            finally:
                running.end()
    finally:
        keeper.delete_folder(folder)

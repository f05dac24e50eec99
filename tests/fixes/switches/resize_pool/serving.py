"""An event loop in a thread of its own, as an app has one, and ways to wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import psycopg

from unslow.current import OpenArm
from unslow.fixes.switches import Tools, Undo, switch_of

PATIENCE_S: Final = 20.0
_TICK_S: Final = 0.005

_Result = TypeVar("_Result")


class Loop:
    """A running event loop, for a test that stands where the wire's thread does."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def run(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        return self.start(coroutine).result(PATIENCE_S)

    def start(self, coroutine: Coroutine[Any, Any, _Result]) -> Future[_Result]:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)


@contextmanager
def served(
    make: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> Iterator[Loop]:
    loop = make()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield Loop(loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def until(is_so: Callable[[], bool]) -> None:
    """Waits for what another thread, or the server, is about to do."""
    waiting = threading.Event()
    for _ in range(int(PATIENCE_S / _TICK_S)):
        if is_so():
            return
        waiting.wait(_TICK_S)
    raise AssertionError("it did not come to be")


def connections_of(url: str) -> int:
    """How many there are to a database, as the server sees it."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def switch_on(arm: OpenArm, **parameters: object) -> Undo:
    return switch_of("resize-pool")(arm, parameters, Tools(lambda: None))

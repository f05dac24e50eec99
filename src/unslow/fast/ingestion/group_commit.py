"""Group commit: rows of concurrent calls go in one statement, and each call returns after it.

The statement commits by itself, so that one wait for the disk serves all that are in it. What an
error means is decided here: who fails, what is sent again, and what nobody can know.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Any, Final

from pydantic import BaseModel

from ..database import Connection, Source, database, is_lost
from ..errors import NotOpenError, OutcomeUnknownError, OverloadedError
from ..loops import RunningLoop
from ..workers import TURNS, Workers
from .batches import Added, Part, Request
from .insertion import Insertion

MAX_TEXT_CHARACTERS: Final = 16_000_000
"""Of one statement, unless one call has more; PostgreSQL itself takes 1 GB."""
ATTEMPTS: Final = 3
RETRY_AFTER_S: Final = (1.0, 60.0)
LATEST_WEIGHT: Final = 0.2
"""Of the last statement in how long a row takes lately."""

_AGAIN: Final = ("40001", "40P01")
"""A serialization failure and a deadlock: nothing is wrong with the rows (appendix A)."""
_OF_ONE_ROW: Final = ("21", "22", "23", "42501", "42804", "44", "P0")
"""How the codes begin of errors that one row among many can cause, triggers and policies too."""
_OF_ONE_VALUE: Final = (ValueError, TypeError, AttributeError, ArithmeticError)
"""What a value raises that cannot be written."""


class _LostError(Exception):
    """The connection is gone; what is left goes on another one."""


class _TooLongError(ValueError):
    """The text of several requests is longer than one statement should be."""


class GroupCommit:
    """Stores rows of many calls at once, in the order in which they came.

    It belongs to the event loop that it is awaited on; a loop that ended takes what waited there
    with it.
    """

    def __init__(
        self,
        source: Source,
        insertion: Insertion,
        *,
        max_batch: int,
        workers: int,
        max_waiting: int,
        timeout_s: float | None,
    ) -> None:
        self._database = database(source)
        self.insertion = insertion
        self._max_batch = max_batch
        self._max_workers = workers
        self._max_waiting = max_waiting
        self._timeout_s = timeout_s
        self._running = RunningLoop()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: OrderedDict[Request, None] = OrderedDict()
        self._waiting_count = 0
        self._workers = Workers()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        # What stores for many belongs to none of them: not to the trace of one, nor to its tenant.
        self._context = contextvars.Context()
        self._row_s = 0.0
        """How long a row takes lately, in seconds."""
        self.statement_count = 0
        self.row_count = 0

    async def open(self) -> None:
        """Takes rows, and looks whether the table is as they need it."""
        self._is_closed = False
        async with self._database.connect(self._timeout_s) as connection:
            await self.insertion.prepare(connection)

    async def close(self) -> None:
        """Takes no more rows, and returns once all that came are stored or have failed."""
        self._is_closed = True
        while self._tasks and self._loop is asyncio.get_running_loop():
            await asyncio.wait(self._tasks)

    async def store(self, rows: Sequence[BaseModel]) -> list[Added]:
        """Stores rows, all or none, and returns after the commit that holds them."""
        request = self._arrive(rows)
        try:
            return await request.future
        except asyncio.CancelledError:
            # What waits is taken out; what is on its way stays there.
            if request in self._waiting:
                del self._waiting[request]
                self._waiting_count -= len(rows)
            raise

    def _arrive(self, rows: Sequence[BaseModel]) -> Request:
        loop = self._running.get()
        if loop is not self._loop:
            self._loop, self._waiting, self._waiting_count = loop, OrderedDict(), 0
            self._workers, self._tasks = Workers(), set()
        self._check_room()
        request = Request(rows, loop.create_future())
        self._waiting[request] = None
        self._waiting_count += len(rows)
        self.row_count += len(rows)
        if self._workers.call(self._max_workers):
            task = loop.create_task(self._work(), context=self._context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return request

    def _check_room(self) -> None:
        if self._is_closed:
            raise NotOpenError("it was closed, since the app shuts down: send the event again")
        if self._waiting_count >= self._max_waiting:
            least, most = RETRY_AFTER_S
            wait_s = self._waiting_count * self._row_s / self._max_workers
            raise OverloadedError(
                f"{self._waiting_count} events wait already, and max_waiting is "
                f"{self._max_waiting}: the database does not keep up",
                min(most, max(least, wait_s)),
            )

    def _take(self) -> list[Part]:
        """What waits, as a part to send; empty if nothing waits."""
        requests: list[Request] = []
        count = 0
        while self._waiting:
            request = next(iter(self._waiting))
            if requests and count + len(request.rows) > self._max_batch:
                break
            del self._waiting[request]
            requests.append(request)
            count += len(request.rows)
        self._waiting_count -= count
        return [Part(requests)] if requests else []

    async def _work(self) -> None:
        """Stores batch after batch until none waits."""
        workers = self._workers
        workers.begin()
        parts: list[Part] = []
        """Of which the last goes first."""
        try:
            # More may have come while the connection went back.
            while parts := parts or self._take():
                await self._work_on_one_connection(parts, workers)
        finally:
            workers.end()

    async def _work_on_one_connection(self, parts: list[Part], workers: Workers) -> None:
        """Leaves in the list what is to go on another one."""
        try:
            async with self._database.connect(self._timeout_s) as connection:
                for _ in range(TURNS):
                    await self._send_all(parts, connection)
                    parts += self._take()
                    if not parts and await workers.linger():
                        parts += self._take()
                    if not parts:
                        break
        except _LostError:
            return
        except (Exception, asyncio.CancelledError) as error:
            # It could not be opened or given back; or the loop ends.
            while parts:
                self._fail(parts.pop(), error)
            if isinstance(error, asyncio.CancelledError):
                raise

    async def _send_all(self, parts: list[Part], connection: Connection) -> None:
        while parts:
            part = parts[-1]
            rows = part.begin()
            if not rows:
                parts.pop()
                continue
            try:
                new = await self._send(part, rows, connection)
            except Exception as error:
                self._judge(error, parts, connection)
            else:
                parts.pop().give(new, is_all_new=self.insertion.is_all_new)

    async def _send(
        self, part: Part, rows: Sequence[BaseModel], connection: Connection
    ) -> Collection[int] | None:
        if not self.insertion.is_prepared:
            await self.insertion.prepare(connection)
        text = self.insertion.text(rows)
        if len(text) > MAX_TEXT_CHARACTERS and len(part.requests) > 1:
            raise _TooLongError
        if _is_closed(connection.raw):
            raise ConnectionResetError("the pool gave a connection that is closed")
        part.is_sent = True
        self.statement_count += 1
        started_s = asyncio.get_running_loop().time()
        new = await self.insertion.insert(connection, text)
        row_s = (asyncio.get_running_loop().time() - started_s) / len(rows)
        self._row_s += LATEST_WEIGHT * (row_s - self._row_s)
        return new

    def _judge(self, error: Exception, parts: list[Part], connection: Connection) -> None:
        """Decides whether the last part fails, goes again, or goes in halves.

        Raises:
            _LostError: The connection is of no use any more.
        """
        part = parts[-1]
        part.attempt_count += 1
        may_go_again = part.attempt_count < ATTEMPTS
        if is_lost(error) or _is_closed(connection.raw):
            part.is_doubtful |= part.is_sent
            if not may_go_again or (part.is_doubtful and not self.insertion.has_key):
                self._fail(parts.pop(), error)
            raise _LostError from error
        if may_go_again and getattr(error, "sqlstate", None) in _AGAIN:
            return
        parts.pop()
        if len(part.requests) > 1 and _is_of_one_row(error):
            # One bad row fails alone: the halves without it are stored.
            parts.extend(part.halves())
            return
        # Where the driver gave up waiting, the server may yet have stored it.
        part.is_sent = part.is_sent and isinstance(error, TimeoutError)
        self._fail(part, error)

    def _fail(self, part: Part, error: BaseException) -> None:
        if not part.is_sent and not part.is_doubtful:
            part.fail(error)
            return
        advice = "look for it before you send it again, or declare a key"
        if self.insertion.has_key:
            advice = "it has a key, so send it again: it is not stored twice"
        unknown = OutcomeUnknownError(
            f"the connection was lost ({type(error).__name__}) while the event was on its way: "
            f"it is stored, or it is not; {advice}",
            is_safe_to_repeat=self.insertion.has_key,
        )
        unknown.__cause__ = error
        part.fail(unknown)


def _is_of_one_row(error: Exception) -> bool:
    state = getattr(error, "sqlstate", None)
    return str(state).startswith(_OF_ONE_ROW) if state else isinstance(error, _OF_ONE_VALUE)


def _is_closed(raw: Any) -> bool:
    """Whether the driver knows that its connection is gone."""
    closed = raw.is_closed() if hasattr(raw, "is_closed") else raw.closed
    return bool(closed)

"""Gathered reads: concurrent look-ups of one shape become one statement.

A look-up that comes while others are on their way waits for a turn, and all that wait then go
together. Nobody waits for company: a look-up that is alone is sent at once. The gain is the
batching, which any language can do: one statement for 30 keys costs the server and the driver
about as much as one for 2 (`bench/blocks.py`).
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from time import perf_counter
from typing import Any, Final, Generic, TypeAlias, TypeVar, overload

from .database import Row, Source, database, is_lost
from .errors import DefinitionError, OverloadedError
from .failures import copied
from .loops import RunningLoop
from .workers import TURNS, Workers

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

Read: TypeAlias = Callable[[list[Key], Any], Awaitable[Mapping[Key, Value]]]
"""Keys and the caller to the values that there are."""

MAX_KEYS: Final = 500
BATCH_S: Final = 0.03
"""A batch has no more keys than are read in about this time: its first waits for its last."""
WORKERS: Final = 2
"""One statement is with the server while the answers of another are given out."""
MAX_WORKERS: Final = 10
"""So many are there at once when more waits than a batch holds."""
MAX_WAITING: Final = 10_000
RETRY_AFTER_S: Final = 1.0

_OF_ONE_KEY: Final = ("22", "42804", "42883")
"""How the codes begin of errors that one value among many can cause (PostgreSQL, appendix A)."""


class _Batch(Generic[Key]):
    """Look-ups that go together."""

    __slots__ = ("__weakref__", "is_retried", "left_count", "task", "waiter_count", "waiters")

    def __init__(self) -> None:
        self.waiters: dict[Key, list[asyncio.Future[Any]]] = {}
        self.waiter_count = 0
        self.left_count = 0
        """How many of them were cancelled."""
        self.is_retried = False
        self.task: asyncio.Task[None] | None = None
        """Who reads for it, once it is on its way."""

    def add(self, key: Key, future: asyncio.Future[Any]) -> None:
        self.waiters.setdefault(key, []).append(future)
        self.waiter_count += 1

    def leave(self) -> None:
        """One of those who wait was cancelled; what nobody waits for is not read."""
        self.left_count += 1
        if self.left_count == self.waiter_count and self.task is not None:
            self.task.cancel()

    def give(self, found: Mapping[Key, Any], missing: Any) -> None:
        """Everyone's value, also if it is that there is none."""
        for key, futures in self.waiters.items():
            value = found.get(key, missing)
            for future in futures:
                if not future.done():
                    future.set_result(value)

    def fail(self, error: BaseException) -> None:
        """The error for everyone who has nothing yet."""
        for futures in self.waiters.values():
            for future in futures:
                if not future.done():
                    future.set_exception(copied(error))

    def halves(self) -> tuple[_Batch[Key], _Batch[Key]]:
        """The same look-ups in two batches."""
        both: tuple[_Batch[Key], _Batch[Key]] = (_Batch(), _Batch())
        for number, (key, futures) in enumerate(self.waiters.items()):
            for future in futures:
                both[number % 2].add(key, future)
        return both


def _is_of_one_key(error: BaseException) -> bool:
    state = getattr(error, "sqlstate", None)
    if state:
        return str(state).startswith(_OF_ONE_KEY)
    # A driver refuses a value before it sends it, or one that came: asyncpg's DataError is a
    # ValueError, psycopg's is none.
    if type(error).__name__ == "DataError":
        return True
    return isinstance(error, ValueError | OverflowError | KeyError)


class _Lane(Generic[Key]):
    """The look-ups of one caller: they never share a statement with those of another."""

    __slots__ = ("batches", "caller", "workers")

    def __init__(self, caller: Hashable) -> None:
        self.caller = caller
        self.batches: deque[_Batch[Key]] = deque()
        self.workers = Workers()


class Coalesced(Generic[Key, Value]):
    """A look-up by key that reads for many callers at once; made by `coalesce`.

    Its look-ups belong to the event loop they are awaited on; a loop that ended takes what waited
    there with it.
    """

    def __init__(
        self,
        opened: Callable[[], AbstractAsyncContextManager[Read[Key, Value]]],
        *,
        max_keys: int = MAX_KEYS,
        max_workers: int = MAX_WORKERS,
        max_waiting: int = MAX_WAITING,
        missing: Any = None,
        text: Callable[[Any], str] | None = None,
    ) -> None:
        self._opened = opened
        self._text = text
        self._max_keys = max_keys
        self._key_s = 0.0
        """How long a key took lately, in seconds."""
        self._workers = min(WORKERS, max_workers)
        self._max_workers = max_workers
        self._max_waiting = max_waiting
        self._missing = missing
        self._lanes: dict[Hashable, _Lane[Key]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = RunningLoop()
        self._waiting_count = 0
        # What reads for many belongs to none of them: not to the trace of one, nor to its tenant.
        self._context = contextvars.Context()
        self.statement_count = 0
        """How many batches were read."""
        self.lookup_count = 0
        """How many look-ups came; divided by the batches, how many went together."""

    async def __call__(self, key: Key, *, caller: Hashable = None) -> Value | None:
        """The value of a key, read after this call; `None` if there is none.

        Args:
            key: What to look up.
            caller: What sets callers apart, such as a role or a tenant: look-ups of different
                callers never share a statement, and what reads is told whose they are.

        Raises:
            OverloadedError: Too many look-ups wait.
            PoolTimeoutError: No connection became free in time.
        """
        batch, future = self._arrive(key, caller)
        try:
            value: Value | None = await future
        except asyncio.CancelledError:
            batch.leave()
            raise
        return value

    def text(self, caller: Any) -> str:
        """The statement that reads for a caller; empty where the app's own function does."""
        return "" if self._text is None else self._text(caller)

    def _arrive(self, key: Key, caller: Hashable) -> tuple[_Batch[Key], asyncio.Future[Any]]:
        loop = self._running.get()
        if loop is not self._loop:
            self._loop, self._lanes, self._waiting_count = loop, {}, 0
        if self._waiting_count >= self._max_waiting:
            raise OverloadedError(
                f"{self._waiting_count} look-ups wait already, and max_waiting is "
                f"{self._max_waiting}: the database does not keep up",
                RETRY_AFTER_S,
            )
        lane = self._lanes.get(caller)
        if lane is None:
            lane = self._lanes[caller] = _Lane(caller)
        batches = lane.batches
        if batches and len(batches[-1].waiters) < self._keys_at_once():
            batch = batches[-1]
        else:
            batch = _Batch()
            batches.append(batch)
        future: asyncio.Future[Any] = loop.create_future()
        batch.add(key, future)
        self._waiting_count += 1
        self.lookup_count += 1
        if lane.workers.call(self._workers if len(batches) == 1 else self._max_workers):
            task = loop.create_task(self._work(lane), context=self._context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return batch, future

    def _keys_at_once(self) -> int:
        if self._key_s * self._max_keys <= BATCH_S:
            return self._max_keys
        return max(1, int(BATCH_S / self._key_s))

    def _take(self, lane: _Lane[Key]) -> _Batch[Key] | None:
        while lane.batches:
            batch = lane.batches.popleft()
            self._waiting_count -= batch.waiter_count
            if batch.left_count < batch.waiter_count:
                batch.task = asyncio.current_task()
                return batch
        return None

    async def _work(self, lane: _Lane[Key]) -> None:
        """Reads batch after batch until none waits."""
        lane.workers.begin()
        batch: _Batch[Key] | None = None
        try:
            # More may have come while the connection went back.
            while batch := batch or self._take(lane):
                batch = await self._work_on_one_connection(lane, batch)
        finally:
            lane.workers.end()
            if not lane.workers.count and not lane.batches and self._lanes.get(lane.caller) is lane:
                del self._lanes[lane.caller]

    async def _work_on_one_connection(
        self, lane: _Lane[Key], batch: _Batch[Key]
    ) -> _Batch[Key] | None:
        """Returns the batch that is to be read on another connection, if there is one."""
        current: _Batch[Key] | None = batch
        try:
            async with self._opened() as read:
                for _ in range(TURNS):
                    if current is None:
                        break
                    await self._serve(current, lane.caller, read)
                    current.task = None
                    current = self._take(lane)
                    if current is None and await lane.workers.linger():
                        current = self._take(lane)
        except (Exception, asyncio.CancelledError) as error:
            # It could not be opened, it was lost, or nobody waits any more.
            if current is not None:
                if is_lost(error) and not current.is_retried:
                    current.is_retried = True
                    return current
                current.fail(error)
            return None
        return current

    async def _serve(self, batch: _Batch[Key], caller: Hashable, read: Read[Key, Value]) -> None:
        self.statement_count += 1
        start = perf_counter()
        try:
            found = await read(list(batch.waiters), caller)
            took_s = (perf_counter() - start) / len(batch.waiters)
            # Whatever else was at work is in it too, so the least counts, and rises slowly.
            self._key_s = min(took_s, self._key_s + (took_s - self._key_s) / 32)
        except Exception as error:
            if is_lost(error):
                raise
            if len(batch.waiters) == 1 or not _is_of_one_key(error):
                batch.fail(error)
                return
        else:
            batch.give(found, self._missing)
            return
        # One bad value fails alone: the halves without it are read well.
        for half in batch.halves():
            await self._serve(half, caller, read)


@overload
def coalesce(
    read: Rows, *, max_keys: int = ..., max_workers: int = ..., max_waiting: int = ...
) -> Coalesced[Any, Any]: ...


@overload
def coalesce(
    read: Callable[..., Awaitable[Mapping[Key, Value]]],
    *,
    max_keys: int = ...,
    max_workers: int = ...,
    max_waiting: int = ...,
) -> Coalesced[Key, Value]: ...


def coalesce(
    read: Callable[..., Awaitable[Mapping[Any, Any]]] | Rows,
    *,
    max_keys: int = MAX_KEYS,
    max_workers: int = MAX_WORKERS,
    max_waiting: int = MAX_WAITING,
) -> Coalesced[Any, Any]:
    """Makes a look-up by key out of a function, or of a statement, that reads many keys at once.

    Look-ups that fail share nothing: a value that the database refuses fails alone, a lost
    connection is replaced once, and who is cancelled or times out leaves the rest
    as they are.

    Args:
        read: An async function of a list of keys (and of the caller, if it takes a second
            parameter) that returns the values by key; or a `Rows`.
        max_keys: The most keys in one statement.
        max_workers: The most statements on their way at once, per caller; so many connections are
            taken from the pool at most. As long as one batch holds what waits, it is two.
        max_waiting: The most look-ups that wait; one more raises `OverloadedError`.
    """
    if isinstance(read, Rows):
        opened: Any = read.opened
        missing: Any = () if read.many else None
        text = read.text
    else:
        opened, missing, text = partial(_always, _of_two(read)), None, None
    return Coalesced(
        opened,
        max_keys=max_keys,
        max_workers=max_workers,
        max_waiting=max_waiting,
        missing=missing,
        text=text,
    )


def _of_two(read: Callable[..., Any]) -> Callable[[list[Any], Any], Any]:
    """The function with the caller as its second argument, also where it wants none."""
    wanted = [
        one
        for one in inspect.signature(read).parameters.values()
        if one.kind in {one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD, one.VAR_POSITIONAL}
    ]
    takes_caller = len(wanted) > 1 or any(one.kind is one.VAR_POSITIONAL for one in wanted)
    if not wanted:
        raise DefinitionError(
            f"{getattr(read, '__qualname__', read)} takes no argument; wanted a function of a list "
            "of keys, and of the caller if callers differ"
        )
    return read if takes_caller else lambda keys, _caller: read(keys)


@asynccontextmanager
async def _always(read: Any) -> AsyncIterator[Any]:
    yield read


class Rows:
    """A statement that reads rows by many keys: the source of a `coalesce`."""

    def __init__(
        self,
        source: Source,
        sql: str,
        *,
        key: int = 0,
        many: bool = False,
        timeout_s: float | None = None,
    ) -> None:
        """Declares what is read; the pool is asked for nothing yet.

        Args:
            source: The pool or engine.
            sql: The statement, with the keys as `$1` (`WHERE id = ANY($1::int[])`), and with the
                caller as `$2` if it has one.
            key: The place of the key among the columns.
            many: Whether a key may have several rows: its value is then a list of them, empty if
                there is none.
            timeout_s: How long to wait for a free connection, in seconds.

        Raises:
            DefinitionError: The statement has no place for the keys.
        """
        if "$1" not in sql:
            raise DefinitionError(
                f"got {sql!r}, which has no $1; wanted a statement of many keys: "
                "... WHERE id = ANY($1::int[])"
            )
        self._database = database(source)
        self._sql = sql
        self._takes_caller = "$2" in sql
        self._key = key
        self._timeout_s = timeout_s
        self.many = many

    def text(self, _caller: Any) -> str:
        """The statement."""
        return self._sql

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Read[Any, Any]]:
        """Reads on one connection for as long as the block lasts."""
        async with self._database.connect(self._timeout_s) as connection:

            async def read(keys: list[Any], caller: Any) -> Mapping[Any, Any]:
                arguments = (keys, caller) if self._takes_caller else (keys,)
                return self._by_key(await connection.fetch(self._sql, arguments))

            yield read

    def _by_key(self, rows: Sequence[Row]) -> Mapping[Any, Any]:
        place = self._key
        if not self.many:
            return {row[place]: row for row in rows}
        found: dict[Any, list[Row]] = {}
        for row in rows:
            found.setdefault(row[place], []).append(row)
        return found

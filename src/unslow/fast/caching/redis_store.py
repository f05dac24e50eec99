"""Answers in Redis, shared by processes, and never waited for long.

redis-py is used directly (`docs/decisions.md` says why not a cache library). What stands there is
made of JSON or plain bytes: who can write to Redis can lie to the app, but runs no code in it.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import Context
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from ..errors import DefinitionError, MissingLibraryError
from .circuit_breaker import CircuitBreaker
from .redis_scripts import ABANDON, BEGIN, WRITE
from .stores import Entry, Store, Ticket, UnavailableError
from .time_limit import within

if TYPE_CHECKING:
    from redis.asyncio import Redis

Answer = TypeVar("Answer")

RedisSource: TypeAlias = "str | Redis | Callable[[], Redis]"
"""An address (`redis://...`), a client of `redis.asyncio`, or a function that returns one."""

TIMEOUT_S: Final = 0.05
WAIT_S: Final = 1.0
LOCK_S: Final = 10.0
FAILURES: Final = 3
PAUSE_S: Final = 5.0
MAX_CONNECTIONS: Final = 16

_MARK_S: Final = 600.0
"""How long a computation may take whose answer is still kept, beyond the answer's own life."""
_LONGEST_KEY: Final = 200
_MOST_OWED: Final = 10_000
_PAID_AT_ONCE: Final = 500

_FORM: Final = b"unslow-1"
"""How an answer of this form begins; what begins otherwise is none of ours."""

_LOG: Final = logging.getLogger("unslow.fast")


class RedisStore(Store):
    """Answers in one Redis (or Valkey) server, for all processes that use it.

    An operation that fails or is late counts as "nothing there": the function is called. After
    some failures in a row Redis is left alone for a while. An invalidation that could not be
    delivered is delivered before this process reads there again.

    A tag is a random mark in Redis, stored with each answer and taken away by an invalidation: an
    answer whose marks are not all there any more is a miss. So marks that Redis itself evicts
    cost a computation, and never bring an old answer back.
    """

    def __init__(
        self,
        source: RedisSource,
        *,
        prefix: str = "unslow",
        timeout_s: float = TIMEOUT_S,
        wait_s: float = WAIT_S,
        lock_s: float = LOCK_S,
        failures: int = FAILURES,
        pause_s: float = PAUSE_S,
        max_connections: int = MAX_CONNECTIONS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Declares the store; nothing is connected yet.

        Args:
            source: An address, a client of `redis.asyncio`, or a function that returns one. The
                connections of an address are made per event loop and closed by `close`.
            prefix: How all its keys begin.
            timeout_s: For how long one operation is waited for, in seconds, connecting included.
            wait_s: For how long to wait for another process that computes the same, in seconds.
            lock_s: After how long a process that computes is taken for dead, in seconds.
            failures: After how many failures in a row Redis is left alone.
            pause_s: For how long, in seconds.
            max_connections: The most connections, where an address is given.
            clock: What tells the time, in seconds; hosts that share the store share it.

        Raises:
            DefinitionError: The source is none of these.
            MissingLibraryError: An address is given, and redis-py is not installed.
        """
        super().__init__(clock)
        self._source = _checked(source)
        self._prefix = prefix
        self._timeout_s = timeout_s
        self.wait_s = wait_s
        self._lock_ms = _ms(lock_s)
        self._breaker = CircuitBreaker(failures, pause_s)
        self._max_connections = max_connections
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Redis] = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._owed: dict[bytes, object] = {}
        """Keys that were to be taken away while Redis was down."""

    async def __aenter__(self) -> RedisStore:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections that were made on this loop for an address."""
        here = asyncio.get_running_loop()
        await asyncio.gather(*(one for one in self._tasks if one.get_loop() is here))
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    async def read(self, key: str, tags: tuple[str, ...]) -> Entry | None:
        keys = self._keys(key, tags)
        found = await self._ask(lambda client: client.mget([keys[0], *keys[3:]]))
        return _entry(found[0], found[1:])

    async def begin(self, key: str, tags: tuple[str, ...], life_s: float) -> Ticket:
        token = secrets.token_hex(8)
        keys = self._keys(key, tags)
        values = (token, self._lock_ms, _ms(life_s + _MARK_S))
        try:
            taken, (value, _, *marks) = await self._run(BEGIN, keys, values)
        except BaseException as error:
            # Who was cancelled or was late may have taken the lock all the same.
            if not isinstance(error, UnavailableError) or error.was_asked:
                self._give_back(keys[1], token)
            raise
        return Ticket(
            key,
            tags,
            is_ours=bool(taken),
            entry=_entry(value, marks[1:]),
            token=token,
            marks=tuple(marks),
        )

    async def write(self, ticket: Ticket, entry: Entry, life_s: float) -> None:
        value = _header(entry, ticket.marks[1:]) + entry.value
        keys = self._keys(ticket.key, ticket.tags)
        await self._run(WRITE, keys, (ticket.token, value, _ms(life_s), *ticket.marks))

    async def abandon(self, ticket: Ticket) -> None:
        if ticket.is_ours:
            lock = self._keys(ticket.key, ())[1]
            await self._run(ABANDON, [lock], (ticket.token,))

    def _give_back(self, lock: bytes, token: str) -> None:
        async def give_back() -> None:
            # If it cannot be, the lock ends by itself.
            with suppress(UnavailableError):
                await self._run(ABANDON, [lock], (token,))

        task = asyncio.get_running_loop().create_task(give_back(), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def forget(self, key: str) -> bool:
        # Without its mark a computation that is on its way cannot bring its answer.
        return await self._forget(self._keys(key, ()))

    async def forget_tag(self, tag: str) -> bool:
        return await self._forget([self._key("tag", tag)])

    async def _forget(self, keys: Iterable[bytes]) -> bool:
        mark = object()
        self._owed.update(dict.fromkeys(keys, mark))
        while len(self._owed) > _MOST_OWED:
            del self._owed[next(iter(self._owed))]
        try:
            # What is owed is paid before anything else.
            await self._ask(_nothing)
        except UnavailableError:
            return False
        return True

    def _keys(self, key: str, tags: tuple[str, ...]) -> list[bytes]:
        """Of value, lock, mark of the key, and marks of the tags."""
        return [
            *(self._key(kind, key) for kind in ("value", "lock", "mark")),
            *(self._key("tag", tag) for tag in tags),
        ]

    def _key(self, kind: str, text: str) -> bytes:
        written = text.encode("utf-8", "surrogatepass")
        if len(written) > _LONGEST_KEY:
            return f"{self._prefix}:{kind}#{hashlib.sha256(written).hexdigest()}".encode()
        return f"{self._prefix}:{kind}:".encode() + written

    async def _run(self, script: str, keys: Sequence[bytes], values: Sequence[Any]) -> Any:
        return await self._ask(lambda client: client.eval(script, len(keys), *keys, *values))

    async def _ask(self, operation: Callable[[Any], Awaitable[Answer]]) -> Answer:
        """What Redis answers in time.

        Raises:
            UnavailableError: It does not.
        """
        client = self._client()
        if not self._breaker.allows():
            raise UnavailableError(was_asked=False)
        try:
            answer = await within(self._timeout_s, self._paid(client, operation))
        except Exception as error:
            if self._breaker.fail():
                # Its text may quote what was sent.
                _LOG.warning("Redis fails (%s): it is left alone for a while", type(error).__name__)
            raise UnavailableError(was_asked=True) from error
        self._breaker.succeed()
        return answer

    async def _paid(self, client: Any, operation: Callable[[Any], Awaitable[Answer]]) -> Answer:
        # Some at a time: what was paid stays paid when the time is up in the middle.
        while owed := list(islice(self._owed.items(), _PAID_AT_ONCE)):
            await client.delete(*(key for key, _ in owed))
            for key, mark in owed:
                # It may be owed once more since.
                if self._owed.get(key) is mark:
                    del self._owed[key]
        return await operation(client)

    def _client(self) -> Any:
        if not isinstance(self._source, str):
            return _checked_client(self._source() if callable(self._source) else self._source)
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = self._opened(self._source)
        return client

    def _opened(self, url: str) -> Any:
        from redis.asyncio import BlockingConnectionPool, Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=self._max_connections,
            # Each operation has a time limit around it: one more inside costs a task.
            timeout=None,
            socket_timeout=None,
            socket_connect_timeout=None,
            # One more try, for connections that died while nobody used them.
            retry=Retry(NoBackoff(), 1),
        )
        return _checked_client(Redis.from_pool(pool))


def _checked(source: Any) -> Any:
    if isinstance(source, str):
        try:
            import redis.asyncio  # noqa: F401  # only whether it is there
        except ImportError as error:
            raise MissingLibraryError(
                "RedisStore needs redis-py, which is not installed: pip install redis"
            ) from error
        return source
    return source if callable(source) else _checked_client(source)


def _checked_client(client: Any) -> Any:
    pool = getattr(client, "connection_pool", None)
    if pool is None or not inspect.iscoroutinefunction(getattr(client, "execute_command", None)):
        raise DefinitionError(
            f"got {type(client).__module__}.{type(client).__qualname__} as Redis; wanted an "
            "address such as redis://localhost:6379/0, a redis.asyncio.Redis (no cluster), or a "
            "function that returns one"
        )
    if pool.connection_kwargs.get("decode_responses"):
        raise DefinitionError(
            "the client of Redis has decode_responses=True, and answers are bytes; wanted one "
            "without: give the address, or a client of its own"
        )
    return client


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _header(entry: Entry, marks: Sequence[bytes]) -> bytes:
    """The first line of what is stored: form, when it was made, how long that took, its marks."""
    times = f"{entry.made_at!r} {entry.took_s!r}".encode()
    return b" ".join((_FORM, times, *marks)) + b"\n"


def _entry(stored: bytes | None, marks: Sequence[bytes | None]) -> Entry | None:
    """What is stored, unless one of the marks of its tags is gone or new."""
    if stored is None:
        return None
    header, _, value = stored.partition(b"\n")
    form, *parts = header.split(b" ")
    if form != _FORM or parts[2:] != list(marks):
        return None
    try:
        return Entry(value, float(parts[0]), float(parts[1]))
    except (ValueError, IndexError):
        return None


async def _nothing(_client: Any) -> None:
    """For what is owed alone."""

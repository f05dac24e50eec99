"""An async function whose answers are kept: reads, computes once, refreshes and invalidates."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial, update_wrapper
from types import MethodType
from typing import Any, Final, Generic, ParamSpec, TypeVar

from .answer_codec import AnswerCodec
from .call_keys import CallKey, CallTags, Signature
from .flights import Flight, Flights, Statistics
from .lifetime import Lifetime
from .stores import Entry, MemoryStore, Store, Ticket, UnavailableError

Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")
Answer = TypeVar("Answer")

_FIRST_LOOK_S: Final = 0.005
_LONGEST_LOOK_S: Final = 0.1

_LOG: Final = logging.getLogger("unslow.fast")


@dataclass(frozen=True, slots=True)
class _Call:
    key: str
    tags: tuple[str, ...]
    arguments: tuple[Any, ...]
    named: Mapping[str, Any]


class Cached(Generic[Parameters, Value]):
    """An async function whose answers are kept; made by `cached`."""

    def __init__(
        self,
        function: Callable[Parameters, Awaitable[Value]],
        lifetime: Lifetime,
        *,
        store: Store,
        key: Callable[..., Any] | None,
        tags: Callable[..., Iterable[str]] | Iterable[str],
        prefix: str,
        codec: AnswerCodec | None,
    ) -> None:
        self._function = function
        self._lifetime = lifetime
        self._store = store
        self._memory = store if isinstance(store, MemoryStore) else None
        self._codec = codec
        self._signature = Signature(function)
        self._key = CallKey(self._signature, key, prefix)
        self._tags = CallTags(self._signature, tags)
        self._reads: Flights[Value] = Flights()
        self._computations: Flights[Value] = Flights()
        store.follow(self._reads)
        store.follow(self._computations)
        self.statistics = Statistics()
        """How the calls were answered."""
        update_wrapper(self, function)

    async def __call__(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Value:
        values = self._signature.values(args, kwargs)
        call = _Call(self._key(values), self._tags(values), args, kwargs)
        if self._memory is not None:
            found = self._usable(call, self._memory.find(call.key))
            return await self._computed_once(call) if found is None else found.value
        flight = self._reads.find(call.key)
        if flight is None:
            flight = self._reads.start(call.key, partial(self._answer, call), tags=call.tags)
        else:
            self.statistics.waits += 1
        return await flight.wait()

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else MethodType(self, instance)

    async def invalidate(self, *args: Parameters.args, **kwargs: Parameters.kwargs) -> bool:
        """Forgets the answer to a call with the same arguments.

        A call after this one gets an answer that was computed after it began. An answer that is
        being computed meanwhile is not kept.

        Returns:
            Whether it is certain. It is not while Redis is down: then this process delivers it
            before it reads there again, and others may give the old answer until its end.
        """
        is_certain = await self._store.invalidate(self._key(self._signature.values(args, kwargs)))
        self.statistics.store_failures += not is_certain
        return is_certain

    async def drain(self) -> None:
        """Waits until nothing is computed, refreshed or stored any more on this event loop."""
        await self._reads.drain()
        await self._computations.drain()

    async def _answer(self, call: _Call, _flight: Flight[Value]) -> Value:
        """From the shared store, or computed."""
        if self._codec is not None:
            self._codec.check()
        try:
            entry = self._read_back(await self._store.read(call.key, call.tags))
        except UnavailableError as error:
            # What is down is asked once per call, not for each step.
            self.statistics.store_failures += error.was_asked
            return await self._computed_once(call, is_kept=False)
        found = self._usable(call, entry)
        return await self._computed_once(call) if found is None else found.value

    def _usable(self, call: _Call, entry: Entry | None) -> Entry | None:
        """The entry if it may be given; sees to a new one when it is time."""
        if entry is None or (age_s := self._age_s(entry)) >= self._lifetime.whole_s:
            return None
        if age_s >= self._lifetime.ttl_s:
            self.statistics.stale += 1
            self._refresh(call, entry)
        else:
            self.statistics.hits += 1
            if self._lifetime.is_early(age_s, entry.took_s):
                self._refresh(call, entry)
        return entry

    def _age_s(self, entry: Entry) -> float:
        return self._store.clock() - entry.made_at

    def _refresh(self, call: _Call, seen: Entry) -> None:
        if self._computations.find(call.key) is None:
            work = partial(self._refreshed, call, seen)
            self._computations.start(call.key, work, tags=call.tags, is_kept=True)

    async def _computed_once(self, call: _Call, *, is_kept: bool = True) -> Value:
        flight = self._computations.find(call.key)
        if flight is None:
            work = partial(self._missed if is_kept else self._passed, call)
            flight = self._computations.start(call.key, work, tags=call.tags)
        else:
            self.statistics.waits += 1
        return await flight.wait()

    async def _missed(self, call: _Call, flight: Flight[Value]) -> Value:
        """Computed, unless another process did it meanwhile."""
        ticket, entry = await self._begun(call)
        if entry is not None:
            self.statistics.waits += 1
            await self._abandon(ticket)
            value: Value = entry.value
            return value
        self.statistics.misses += 1
        return await self._computed(call, ticket, flight)

    async def _passed(self, call: _Call, flight: Flight[Value]) -> Value:
        """Computed and not kept."""
        self.statistics.misses += 1
        return await self._computed(call, None, flight)

    async def _refreshed(self, call: _Call, seen: Entry, flight: Flight[Value]) -> Value:
        """Computed while the old answer is given, unless another process does."""
        ticket = await self._asked(self._store.begin(call.key, call.tags, self._lifetime.whole_s))
        entry = seen
        if ticket is not None and ticket.is_ours:
            entry = self._read_back(ticket.entry) or seen
            if entry.made_at == seen.made_at:
                self.statistics.refreshes += 1
                try:
                    return await self._computed(call, ticket, flight)
                except Exception as error:
                    kind = type(error).__name__
                    _LOG.warning("a refresh of %s failed (%s)", self._signature.name, kind)
                    raise
            await self._abandon(ticket)
        value: Value = entry.value
        return value

    async def _begun(self, call: _Call) -> tuple[Ticket | None, Entry | None]:
        """A ticket, and the answer if another process brought it while it was waited for."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._store.wait_s
        pause_s = _FIRST_LOOK_S
        while True:
            begin = self._store.begin(call.key, call.tags, self._lifetime.whole_s)
            ticket = await self._asked(begin)
            if ticket is None:
                return None, None
            entry = self._read_back(ticket.entry)
            if entry is not None and self._age_s(entry) < self._lifetime.whole_s:
                return ticket, entry
            if ticket.is_ours or loop.time() >= until:
                return ticket, None
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_LOOK_S)

    async def _computed(self, call: _Call, ticket: Ticket | None, flight: Flight[Value]) -> Value:
        clock = self._store.clock
        began_at = clock()
        try:
            value = await self._function(*call.arguments, **call.named)
        except BaseException as error:
            self.statistics.errors += isinstance(error, Exception)
            await self._abandon(ticket)
            raise
        made_at = clock()
        # Nobody waits for the store.
        flight.give(value)
        if ticket is not None:
            await self._keep(ticket, Entry(value, made_at, max(0.0, made_at - began_at)), flight)
        return value

    async def _keep(self, ticket: Ticket, entry: Entry, flight: Flight[Value]) -> None:
        written = None if flight.is_detached else self._written(entry)
        if written is None:
            await self._abandon(ticket)
            return
        await self._asked(self._store.write(ticket, written, self._lifetime.whole_s))
        if self._memory is not None and flight.is_detached:
            # By another thread, between the look and the write.
            self._memory.take(ticket.key)

    async def _abandon(self, ticket: Ticket | None) -> None:
        if ticket is not None:
            await self._asked(self._store.abandon(ticket))

    async def _asked(self, operation: Awaitable[Answer]) -> Answer | None:
        try:
            return await operation
        except UnavailableError as error:
            self.statistics.store_failures += error.was_asked
            return None

    def _written(self, entry: Entry) -> Entry | None:
        """The entry as the store takes it, unless it would not come back the same."""
        if self._codec is None:
            return entry
        try:
            return replace(entry, value=self._codec.encode(entry.value))
        except Exception as error:
            self.statistics.store_failures += 1
            _LOG.warning(
                "an answer of %s cannot be kept (%s): it is not of the declared type, or JSON "
                "would change it",
                self._signature.name,
                type(error).__name__,
            )
            return None

    def _read_back(self, entry: Entry | None) -> Entry | None:
        """The entry with its answer, unless it was written for another type."""
        if entry is None or self._codec is None:
            return entry
        try:
            return replace(entry, value=self._codec.decode(entry.value))
        except ValueError:
            self.statistics.store_failures += 1
            return None

"""Where answers are kept: in the process, or in a store that several processes share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from ..errors import DefinitionError

if TYPE_CHECKING:
    from .flights import Flights

MAX_ENTRIES: Final = 10_000


class UnavailableError(Exception):
    """A store did not do what it was asked for; the function is called instead."""

    def __init__(self, *, was_asked: bool) -> None:
        super().__init__()
        self.was_asked = was_asked
        """Whether it failed now, or is known to be down and was spared."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer that is kept."""

    value: Any
    """In a shared store its bytes."""
    made_at: float
    """When it was ready, by the store's clock, in seconds."""
    took_s: float


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a computation shows when it brings its answer: that nothing was invalidated since."""

    key: str
    tags: tuple[str, ...]
    is_ours: bool = True
    """Whether no other process computes the same."""
    entry: Entry | None = None
    """What was kept when it began."""
    token: str = ""
    marks: tuple[bytes, ...] = ()


class Store(ABC):
    """What a cached function asks of a store."""

    wait_s: float = 0.0
    """How long to wait for another process that computes the same, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._followers: WeakSet[Flights[Any]] = WeakSet()

    def follow(self, flights: Flights[Any]) -> None:
        """Lets go of these flights too, when what they are about is invalidated."""
        self._followers.add(flights)

    async def invalidate(self, key: str) -> bool:
        """Forgets one answer, for all who ask after this call; returns whether that is certain."""
        self._detach(key)
        try:
            return await self.forget(key)
        finally:
            # What began to read meanwhile may have read what is forgotten now.
            self._detach(key)

    async def invalidate_tag(self, tag: str) -> bool:
        """Forgets all answers with a tag, like `invalidate`."""
        self._detach_tag(tag)
        try:
            return await self.forget_tag(tag)
        finally:
            self._detach_tag(tag)

    def _detach(self, key: str) -> None:
        for flights in self._followers:
            flights.detach(key)

    def _detach_tag(self, tag: str) -> None:
        for flights in self._followers:
            flights.detach_tag(tag)

    @abstractmethod
    async def read(self, key: str, tags: tuple[str, ...]) -> Entry | None:
        """The answer that is kept, if there is one and nothing of it was invalidated."""

    @abstractmethod
    async def begin(self, key: str, tags: tuple[str, ...], life_s: float) -> Ticket:
        """Announces a computation."""

    @abstractmethod
    async def write(self, ticket: Ticket, entry: Entry, life_s: float) -> None:
        """Keeps an answer, unless something was invalidated since the computation began."""

    @abstractmethod
    async def abandon(self, ticket: Ticket) -> None:
        """Ends a computation without an answer."""

    @abstractmethod
    async def forget(self, key: str) -> bool:
        """Takes one answer out."""

    @abstractmethod
    async def forget_tag(self, tag: str) -> bool:
        """Takes all answers with a tag out."""


@dataclass(frozen=True, slots=True)
class _Kept:
    entry: Entry
    tags: tuple[str, ...]
    until: float


class MemoryStore(Store):
    """Answers in this process, the least recently used ones dropped first.

    Everybody gets the very object that the function returned: treat it as read-only.
    """

    def __init__(
        self, max_entries: int = MAX_ENTRIES, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begins empty.

        Args:
            max_entries: The most answers that are kept.
            clock: What tells the time, in seconds.

        Raises:
            DefinitionError: There is room for none.
        """
        super().__init__(clock)
        if max_entries < 1:
            raise DefinitionError(f"got max_entries={max_entries}; wanted 1 or more")
        self._max_entries = max_entries
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._keys_by_tag: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: str) -> Entry | None:
        """What `read` returns, without an await."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if kept.until <= self.clock():
            self.take(key)
            return None
        self._kept.move_to_end(key)
        return kept.entry

    async def read(self, key: str, tags: tuple[str, ...]) -> Entry | None:  # noqa: ARG002  # the shared stores need them
        return self.find(key)

    async def begin(self, key: str, tags: tuple[str, ...], life_s: float) -> Ticket:  # noqa: ARG002  # the same
        # Who computes the same is in this process, and waits in one flight.
        return Ticket(key, tags, entry=self.find(key))

    async def write(self, ticket: Ticket, entry: Entry, life_s: float) -> None:
        self.take(ticket.key)
        for tag in ticket.tags:
            self._keys_by_tag.setdefault(tag, set()).add(ticket.key)
        self._kept[ticket.key] = _Kept(entry, ticket.tags, entry.made_at + life_s)
        while len(self._kept) > self._max_entries:
            self.take(next(iter(self._kept)))

    async def abandon(self, ticket: Ticket) -> None:
        """There is nothing to end."""

    async def forget(self, key: str) -> bool:
        self.take(key)
        return True

    async def forget_tag(self, tag: str) -> bool:
        for key in list(self._keys_by_tag.get(tag, ())):
            self.take(key)
        return True

    def take(self, key: str) -> None:
        """Takes one answer out, and what its tags know of it."""
        kept = self._kept.pop(key, None)
        for tag in () if kept is None else kept.tags:
            keys = self._keys_by_tag[tag]
            keys.discard(key)
            if not keys:
                del self._keys_by_tag[tag]

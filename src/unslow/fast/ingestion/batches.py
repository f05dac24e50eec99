"""The events of one statement: whose they are, and what each call is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from ..failures import copied


@dataclass(frozen=True, slots=True)
class Added:
    """What became of an event that is stored."""

    is_new: bool | None
    """`False`: its key was there before. `None`: not known, since conflicts are left out without a
    key, or since the connection was lost and an earlier attempt may have stored it."""


_NEW: Final = Added(is_new=True)
_REPEATED: Final = Added(is_new=False)
_UNKNOWN: Final = Added(is_new=None)


class Request:
    """The rows of one call: stored all or none."""

    __slots__ = ("__weakref__", "future", "rows")

    def __init__(self, rows: Sequence[BaseModel], future: asyncio.Future[list[Added]]) -> None:
        self.rows = rows
        self.future = future


class Part:
    """Requests that go in one statement."""

    __slots__ = ("attempt_count", "is_doubtful", "is_sent", "requests")

    def __init__(self, requests: Sequence[Request], *, is_doubtful: bool = False) -> None:
        self.requests = requests
        self.attempt_count = 0
        self.is_sent = False
        """Whether this attempt has gone so far that the server may have it."""
        self.is_doubtful = is_doubtful
        """Whether it was sent once and no answer came: it may be stored."""

    def begin(self) -> Sequence[BaseModel]:
        """The rows to send: those of cancelled calls only if they may be stored already."""
        self.is_sent = False
        if not self.is_doubtful:
            self.requests = [one for one in self.requests if not one.future.cancelled()]
        return [row for one in self.requests for row in one.rows]

    def halves(self) -> tuple[Part, Part]:
        """The second and the first half."""
        middle = len(self.requests) // 2
        second, first = self.requests[middle:], self.requests[:middle]
        return Part(second, is_doubtful=self.is_doubtful), Part(first, is_doubtful=self.is_doubtful)

    def give(self, new: Collection[int] | None, *, is_all_new: bool) -> None:
        """Acknowledges all; the numbers, from 1, say which rows are new."""
        place = 0
        for one in self.requests:
            added = []
            for _ in one.rows:
                place += 1
                added.append(self._added(None if new is None else place in new, is_all_new))
            if not one.future.done():
                one.future.set_result(added)

    def _added(self, is_new: bool | None, is_all_new: bool) -> Added:
        if is_new or is_all_new:
            return _NEW
        return _UNKNOWN if is_new is None or self.is_doubtful else _REPEATED

    def fail(self, error: BaseException) -> None:
        """The error for everyone who waits."""
        for one in self.requests:
            if not one.future.done():
                one.future.set_exception(copied(error))

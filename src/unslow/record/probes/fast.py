"""What a request waits for in the blocks of `unslow.fast` that send one statement for many.

The statement is sent by a task that belongs to no request, so its driver's probe sees it in none.
Here each request that waits for one has it, from its call to its answer: the wait for the statement
before it included.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Any, Final
from weakref import WeakKeyDictionary

from ...current import LANE, Lane, clock
from ...model.trace import SQL
from ..place import caller_place
from ..probe import Installation, require
from ..sending import new_statement

DRIVER: Final = "unslow.fast"


def install(installation: Installation, module: str) -> None:
    """Replaces the calls that wait."""
    if module == "unslow.fast.gathering":
        from ...fast.gathering import Coalesced

        require(Coalesced, "_arrive", "self", "key", "caller")
        reads = _Reads(installation)
        installation.patches.replace(Coalesced, "_arrive", reads.arriving)
        installation.patches.replace(Coalesced, "__call__", reads.reading)
        installation.cover("unslow.fast gathered reads")
        return
    from ...fast.ingestion.group_commit import GroupCommit

    installation.patches.replace(GroupCommit, "store", _Events(installation).storing)
    installation.cover("unslow.fast ingest")


class _Waits:
    """Keeps what a lane waited for."""

    def __init__(self, installation: Installation) -> None:
        self._broke = installation.broke

    def keep(self, lane: Lane, start_ns: int, text: str, parameters: Sequence[Any] | None) -> None:
        """A wait for a statement, which this request has not waited for yet."""
        end_ns = clock()
        try:
            place = caller_place()
            statement = new_statement(lane, text, DRIVER, place, parameters)
            lane.add(SQL, start_ns, end_ns, statement.index)
        except Exception as error:
            self._broke(error)

    def keep_shared(self, lane: Lane, start_ns: int) -> None:
        """The same for one that another lane of this request waits for too."""
        end_ns = clock()
        try:
            lane.add(SQL, start_ns, end_ns, None, caller_place())
        except Exception as error:
            self._broke(error)


class _Waiting:
    """A look-up, and the batch that it went with."""

    __slots__ = ("batch",)

    def __init__(self) -> None:
        self.batch: Any = None


class _Reads(_Waits):
    def __init__(self, installation: Installation) -> None:
        super().__init__(installation)
        self._traces: WeakKeyDictionary[Any, set[int]] = WeakKeyDictionary()
        """The numbers of the traces that wait for a batch."""

    def arriving(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def arrive(coalesced: Any, key: Any, caller: Any) -> Any:
            found = original(coalesced, key, caller)
            lane = LANE.get()
            if lane is not None and lane.extra.__class__ is _Waiting:
                lane.extra.batch = found[0]
            return found

        return arrive

    def reading(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(original)
        async def read(coalesced: Any, key: Any, *, caller: Any = None) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return await original(coalesced, key, caller=caller)
            # What is outside of it may be another probe's.
            outer, lane.extra = lane.extra, _Waiting()
            waiting = lane.extra
            start = clock()
            try:
                return await original(coalesced, key, caller=caller)
            finally:
                lane.extra = outer
                self._waited(lane, start, waiting.batch, coalesced.text(caller), key)

        return read

    def _waited(self, lane: Lane, start_ns: int, batch: Any, text: str, key: Any) -> None:
        # Without a text it is the app's own function that reads, and not always SQL.
        if batch is None or not text:
            return
        traces = self._traces.setdefault(batch, set())
        if lane.trace.number in traces:
            self.keep_shared(lane, start_ns)
            return
        traces.add(lane.trace.number)
        self.keep(lane, start_ns, text, (key,))


class _Events(_Waits):
    def storing(self, original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(original)
        async def store(commit: Any, rows: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return await original(commit, rows)
            start = clock()
            try:
                return await original(commit, rows)
            finally:
                self.keep(lane, start, commit.insertion.sql, None)

        return store

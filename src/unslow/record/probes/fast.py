"""What a request waits for in the blocks of `unslow.fast` that send one statement for many.

The statement is sent by a task that belongs to no request, so its driver's probe sees it in none.
Here each request that waits for one has it, from its call to its answer: the wait for the statement
before it included.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial, wraps
from typing import Any, Final
from weakref import WeakKeyDictionary

from ...current import LANE, Lane, clock
from ...model.trace import SQL
from ..place import caller_place
from ..probe import Installation, require
from ..sending import new_statement

DRIVER: Final = "unslow.fast"

Call = Callable[..., Awaitable[Any]]


def install(installation: Installation, module: str) -> None:
    """Replaces the calls that wait, and those in which they come to what they wait for."""
    waits = _Waits(installation)
    replace = installation.patches.replace
    if module == "unslow.fast.gathering":
        from ...fast.gathering import Coalesced

        require(Coalesced, "_arrive", "self", "key", "caller")
        replace(Coalesced, "_arrive", partial(waits.arriving, lambda found: found[0]))
        replace(Coalesced, "__call__", waits.reading)
        installation.cover("unslow.fast gathered reads")
        return
    from ...fast.ingestion.group_commit import GroupCommit

    require(GroupCommit, "_arrive", "self", "rows")
    replace(GroupCommit, "_arrive", partial(waits.arriving, lambda found: found))
    replace(GroupCommit, "store", waits.storing)
    installation.cover("unslow.fast ingest")


class _Waiting:
    """One that waits, and what it waits for: a batch of look-ups, or its place among events."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on: Any = None


class _Waits:
    """The replacements: each public method takes an original and returns what replaces it."""

    def __init__(self, installation: Installation) -> None:
        self._broke = installation.broke
        self._traces: WeakKeyDictionary[Any, set[int]] = WeakKeyDictionary()
        """The numbers of the traces that wait for a batch."""

    def arriving(
        self, waited_for: Callable[[Any], Any], original: Callable[..., Any]
    ) -> Callable[..., Any]:
        @wraps(original)
        def arrive(*args: Any) -> Any:
            found = original(*args)
            lane = LANE.get()
            if lane is not None and lane.extra.__class__ is _Waiting:
                lane.extra.on = waited_for(found)
            return found

        return arrive

    def reading(self, original: Call) -> Call:
        @wraps(original)
        async def read(coalesced: Any, key: Any, *, caller: Any = None) -> Any:
            lane = LANE.get()
            running = original(coalesced, key, caller=caller)
            if lane is None or lane.inside_sql:
                return await running
            return await self._waited(lane, running, lambda: coalesced.text(caller), (key,))

        return read

    def storing(self, original: Call) -> Call:
        @wraps(original)
        async def store(commit: Any, rows: Any) -> Any:
            lane = LANE.get()
            running = original(commit, rows)
            if lane is None or lane.inside_sql:
                return await running
            return await self._waited(lane, running, lambda: commit.insertion.sql, None)

        return store

    async def _waited(
        self,
        lane: Lane,
        running: Awaitable[Any],
        text: Callable[[], str],
        parameters: Sequence[Any] | None,
    ) -> Any:
        # What is outside of it may be another probe's.
        outer, waiting = lane.extra, _Waiting()
        lane.extra = waiting
        start = clock()
        try:
            return await running
        finally:
            lane.extra = outer
            self._keep(lane, start, waiting.on, text, parameters)

    def _keep(
        self,
        lane: Lane,
        start_ns: int,
        waited_for: Any,
        text: Callable[[], str],
        parameters: Sequence[Any] | None,
    ) -> None:
        end_ns = clock()
        try:
            # Refused at once it waited for nothing; and without a text it is the app's own function
            # that reads, which may be anything.
            if waited_for is None or not (sql := text()):
                return
            place = caller_place()
            traces = self._traces.setdefault(waited_for, set())
            if lane.trace.number in traces:
                # The statement is there already: another lane of the request waits for it too.
                lane.add(SQL, start_ns, end_ns, None, place)
                return
            traces.add(lane.trace.number)
            statement = new_statement(lane, sql, DRIVER, place, parameters)
            lane.add(SQL, start_ns, end_ns, statement.index)
        except Exception as error:
            self._broke(error)

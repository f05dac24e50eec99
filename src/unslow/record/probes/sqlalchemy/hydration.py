"""Objects, where the ORM builds them from rows.

A result of objects builds them when it is first read, a session of asyncio already when it makes
the result; eager loads are sent from in there, so that their slices nest by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Final

from ....current import LANE, Lane, OpenStatement, clock
from ....model.trace import HYDRATION
from ...probe import Installation
from . import options, private
from .lineage import note
from .statements import Make, statement_of

_SHORTEST_NS: Final = 5_000
"""Below this objects were only handed on that had been built before."""


def install(installation: Installation) -> None:
    """Replaces the function that makes a result of objects, and that result's fetches."""
    missing = private.unknown(*private.HYDRATION)
    if missing:
        installation.cover("sqlalchemy hydration", "off", missing)
        options.install(installation)
        return
    replace = installation.patches.replace
    replace(*private.locate(private.INSTANCES), _instances(installation))
    replace(*private.locate(private.NEW_RUN), _new_run)
    replace(*private.locate(private.BUILD_ALL), _all)
    replace(*private.locate(private.BUILD_ONE), _one)
    replace(*private.locate(private.BUILD_MANY), _many)
    replace(*private.locate(private.BUILD_EACH), _each)


def _instances(installation: Installation) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def instances(cursor: Any, context: Any) -> Any:
            lane = LANE.get()
            if lane is None:
                return original(cursor, context)
            statement = statement_of(getattr(cursor, "context", None))
            if statement is None:
                return original(cursor, context)
            outer = lane.statement
            try:
                if lane.trace.left > 0:
                    note(lane.trace.lineage, statement, context, outer)
            except Exception as error:
                installation.broke(error)
            lane.statement = statement
            start = clock()
            try:
                return original(cursor, context)
            finally:
                lane.add(HYDRATION, start, clock(), statement.index)
                lane.statement = outer

        return instances

    return make


def _new_run(original: Callable[[], int]) -> Callable[[], int]:
    """Each run reads one statement, and an object keeps the number of the run that loaded it."""

    def new_run() -> int:
        run = original()
        lane = LANE.get()
        if lane is not None and lane.statement is not None and lane.trace.left > 0:
            lane.trace.lineage[run] = lane.statement
        return run

    return new_run


def _all(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def fetch(self: Any) -> Any:
        lane = LANE.get()
        statement = None if lane is None else _statement_of(self)
        if lane is None or statement is None:
            return original(self)
        outer = lane.statement
        lane.statement = statement
        start = clock()
        try:
            return original(self)
        finally:
            _built(lane, start, statement, outer)

    return fetch


def _one(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def fetch(self: Any, hard_close: bool = False) -> Any:
        lane = LANE.get()
        statement = None if lane is None else _statement_of(self)
        if lane is None or statement is None:
            return original(self, hard_close)
        outer = lane.statement
        lane.statement = statement
        start = clock()
        try:
            return original(self, hard_close)
        finally:
            _built(lane, start, statement, outer)

    return fetch


def _many(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def fetch(self: Any, size: int | None = None) -> Any:
        lane = LANE.get()
        statement = None if lane is None else _statement_of(self)
        if lane is None or statement is None:
            return original(self, size)
        outer = lane.statement
        lane.statement = statement
        start = clock()
        try:
            return original(self, size)
        finally:
            _built(lane, start, statement, outer)

    return fetch


def _built(
    lane: Lane, start_ns: int, statement: OpenStatement, outer: OpenStatement | None
) -> None:
    end = clock()
    lane.statement = outer
    if end - start_ns >= _SHORTEST_NS:
        lane.add(HYDRATION, start_ns, end, statement.index)


def _each(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def fetch(self: Any) -> Iterator[Any]:
        objects: Iterator[Any] = original(self)
        statement = None if LANE.get() is None else _statement_of(self)
        if statement is None:
            return objects
        return _timed(objects, statement, whole=self._yield_per is None)

    return fetch


def _timed(objects: Iterator[Any], statement: OpenStatement, whole: bool) -> Iterator[Any]:
    """The same objects, with the time that was spent on building some before one was given.

    Args:
        objects: What a result iterates over.
        statement: The one that the result reads.
        whole: Whether all are built before the first is given, and not some now and then.
    """
    while True:
        lane = LANE.get()
        if lane is None:
            break
        outer = lane.statement
        lane.statement = statement
        start = clock()
        try:
            built = next(objects)
        except StopIteration:
            return
        finally:
            end = clock()
            lane.statement = outer
            if end - start >= _SHORTEST_NS:
                lane.add(HYDRATION, start, end, statement.index)
        yield built
        if whole:
            break
    yield from objects


def _statement_of(result: Any) -> OpenStatement | None:
    """The statement that a result of objects reads, if it was sent by a request."""
    # Written out, not `statement_of`: of each result several fetches are called.
    sent: OpenStatement | None = getattr(
        getattr(result.raw, "context", None), "unslow_statement", None
    )
    return sent

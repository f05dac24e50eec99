"""Objects, where the ORM builds them from rows; and which statement each statement comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from itertools import chain
from typing import Any

from ....current import LANE, OpenStatement, OpenTrace, clock
from ....model.trace import HYDRATION
from ...probe import Installation
from . import private
from .lineage import note


def install(installation: Installation) -> None:
    """Replaces the function that makes a result of objects out of a cursor."""
    missing = private.unknown(private.HYDRATION)
    if missing:
        installation.cover("sqlalchemy hydration", "off", missing)
        return
    replace = installation.patches.replace
    replace(*private.locate(private.INSTANCES), _instances(installation))
    replace(*private.locate(private.NEW_RUN), _new_run)


def _instances(installation: Installation) -> Callable[[Any], Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def instances(cursor: Any, context: Any) -> Any:
            lane = LANE.get()
            if lane is None:
                return original(cursor, context)
            outer = lane.statement
            statement: OpenStatement | None = getattr(cursor.context, "unslow_statement", None)
            if statement is None:
                return original(cursor, context)
            try:
                note(lane.trace.lineage, statement, context, outer)
            except Exception as error:
                installation.broke(error)
            lane.statement = statement
            start = clock()
            try:
                # An async session has all objects built in here.
                result = original(cursor, context)
            finally:
                lane.add(HYDRATION, start, clock(), statement.index)
                lane.statement = outer
            try:
                result.chunks = chunks = _Chunks(result.chunks, lane.trace, statement)
                result.iterator = chain.from_iterable(chunks(result._yield_per))
            except Exception as error:
                installation.broke(error)
            return result

        return instances

    return make


def _new_run(original: Callable[[], int]) -> Callable[[], int]:
    """Every object keeps the number of the run that loaded it; a run reads one statement."""

    def new_run() -> int:
        run = original()
        lane = LANE.get()
        if lane is not None and lane.statement is not None:
            lane.trace.lineage[run] = lane.statement
        return run

    return new_run


class _Chunks:
    """What a result of objects calls for its lists of objects, timed."""

    __slots__ = ("chunks", "statement", "trace")

    def __init__(
        self, chunks: Callable[[Any], Iterator[Any]], trace: OpenTrace, statement: OpenStatement
    ) -> None:
        self.chunks = chunks
        self.trace = trace
        self.statement = statement

    def __call__(self, size: int | None) -> Iterator[Any]:
        return _Hydration(iter(self.chunks(size)), self.trace, self.statement)


class _Hydration(Iterator[Any]):
    __slots__ = ("chunks", "statement", "trace")

    def __init__(self, chunks: Iterator[Any], trace: OpenTrace, statement: OpenStatement) -> None:
        self.chunks = chunks
        self.trace = trace
        self.statement = statement

    def __next__(self) -> Any:
        lane = LANE.get()
        if lane is None or lane.trace is not self.trace:
            return next(self.chunks)
        outer = lane.statement
        lane.statement = statement = self.statement
        start = clock()
        try:
            objects = next(self.chunks)
        except StopIteration:
            raise
        except BaseException:
            lane.add(HYDRATION, start, clock(), statement.index)
            raise
        else:
            lane.add(HYDRATION, start, clock(), statement.index)
            return objects
        finally:
            lane.statement = outer

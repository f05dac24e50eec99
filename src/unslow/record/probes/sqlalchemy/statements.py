"""Statements, where SQLAlchemy hands them to a driver.

Recorded at the methods that every dialect has for its driver, not at the cursor events: those cost
twice as much, make SQLAlchemy fire four more, and leave a slice open when the driver raises.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any

from ....current import LANE, Lane, OpenStatement, clock
from ....model.trace import CONNECT, SQL
from ...place import caller_place
from ...probe import Installation

STATEMENT = "unslow_statement"
"""The attribute of an execution context under which its statement stands."""


class Dialects:
    """The classes of dialects whose driver calls are recorded."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._makers: dict[str, Callable[[Any], Any]] = {
            "do_execute": _execute(installation, several=False),
            "do_executemany": _execute(installation, several=True),
            "do_execute_no_params": _execute_no_params(installation),
            "do_commit": _end("COMMIT"),
            "do_rollback": _end("ROLLBACK"),
            "do_ping": _ping,
        }
        self._adopted: set[type] = set()
        self._adopting = Lock()

    def adopt_all(self) -> None:
        """Records the dialects that are loaded already."""
        from sqlalchemy.engine.default import DefaultDialect

        waiting: list[type] = [DefaultDialect]
        while waiting:
            dialect = waiting.pop()
            waiting.extend(dialect.__subclasses__())
            self.adopt(dialect)

    def adopt(self, dialect: type) -> None:
        """Records what a dialect's class, or one of its bases, says to the driver."""
        if dialect in self._adopted:
            return
        from sqlalchemy.engine import Dialect

        with self._adopting:
            for base in dialect.__mro__:
                if base in self._adopted or base is Dialect:
                    continue
                self._adopted.add(base)
                for name in self._makers.keys() & vars(base).keys():
                    self._installation.patches.replace(base, name, self._makers[name])


def _execute(installation: Installation, several: bool) -> Callable[[Any], Any]:
    recorder = installation.recorder

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def do_execute(
            self: Any, cursor: Any, statement: Any, parameters: Any, context: Any = None
        ) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return original(self, cursor, statement, parameters, context)
            try:
                sent = lane.new_statement(statement, self.driver, caller_place())
                if context is not None:
                    context.unslow_statement = sent
                if several:
                    sent.executions_count = len(parameters)
                if recorder.record_values:
                    sent.parameters = parameters
            except Exception as error:
                installation.broke(error)
                return original(self, cursor, statement, parameters, context)
            lane.inside_sql += 1
            start = clock()
            try:
                return original(self, cursor, statement, parameters, context)
            finally:
                lane.add(SQL, start, clock(), sent.index)
                lane.inside_sql -= 1

        return do_execute

    return make


def _execute_no_params(installation: Installation) -> Callable[[Any], Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def do_execute_no_params(
            self: Any, cursor: Any, statement: Any, context: Any = None
        ) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return original(self, cursor, statement, context)
            try:
                sent = lane.new_statement(statement, self.driver, caller_place())
                if context is not None:
                    context.unslow_statement = sent
            except Exception as error:
                installation.broke(error)
                return original(self, cursor, statement, context)
            lane.inside_sql += 1
            start = clock()
            try:
                return original(self, cursor, statement, context)
            finally:
                lane.add(SQL, start, clock(), sent.index)
                lane.inside_sql -= 1

        return do_execute_no_params

    return make


def _end(text: str) -> Callable[[Any], Any]:
    """For the end of a transaction, which may be the slowest statement of a request that writes."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def end(self: Any, dbapi_connection: Any) -> Any:
            lane = LANE.get()
            if (
                lane is None
                or lane.inside_sql
                or getattr(dbapi_connection, "autocommit", None) is True
            ):
                return original(self, dbapi_connection)
            sent = lane.new_statement(text, self.driver, caller_place())
            lane.inside_sql += 1
            start = clock()
            try:
                return original(self, dbapi_connection)
            finally:
                lane.add(SQL, start, clock(), sent.index)
                lane.inside_sql -= 1

        return end

    return make


def _ping(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def do_ping(self: Any, dbapi_connection: Any) -> Any:
        lane = LANE.get()
        if lane is None or lane.inside_sql:
            return original(self, dbapi_connection)
        lane.inside_sql += 1
        start = clock()
        try:
            return original(self, dbapi_connection)
        finally:
            lane.add(CONNECT, start, clock())
            lane.inside_sql -= 1

    return do_ping

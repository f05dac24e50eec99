"""Statements, where SQLAlchemy hands them to a driver.

Recorded at the methods that every dialect has for its driver, not at the cursor events: those cost
more, make SQLAlchemy build the arguments of four others, and leave a slice open when a driver
raises.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sized
from functools import wraps
from threading import Lock
from typing import Any, Final

from ....current import LANE, Lane, OpenStatement, clock
from ....model.trace import CLOSED, CONNECT, PINGED, SQL
from ...arrival import LEAST_WAIT_NS, note_arrival
from ...place import caller_place
from ...probe import Installation
from ...sending import new_statement

log = logging.getLogger("unslow")

Make = Callable[[Any], Any]
"""What makes a replacement of an original."""

ORIGIN: Final = "unslow_origin"
"""The execution option with which a statement learns where it comes from."""


class Dialects:
    """The classes of dialects whose driver calls are recorded."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._makers: dict[str, Make] = {
            "do_execute": _execute(installation),
            "do_executemany": _execute_many(installation),
            "do_execute_no_params": _execute_no_params(installation),
            "do_commit": _end(installation, "COMMIT"),
            "do_rollback": _end(installation, "ROLLBACK"),
            "do_ping": _connection_work(PINGED),
            "do_close": _connection_work(CLOSED),
            "do_terminate": _connection_work(CLOSED),
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
        """Records what a dialect's class and its bases say to the driver."""
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


def statement_of(context: Any) -> OpenStatement | None:
    """The statement that an execution context has sent while a request was recorded."""
    sent: OpenStatement | None = getattr(context, "unslow_statement", None)
    return sent


def _execute(installation: Installation) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        # The way of nearly every statement: what the two below share is written out here.
        @wraps(original)
        def do_execute(
            self: Any, cursor: Any, statement: Any, parameters: Any, context: Any = None
        ) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return original(self, cursor, statement, parameters, context)
            try:
                sent = new_statement(
                    lane, statement, self.driver, lane.place or caller_place(), parameters
                )
                if context is not None:
                    context.unslow_statement = sent
                    origin = context.execution_options.get(ORIGIN)
                    if origin is not None:
                        origin.sent(sent)
            except Exception as error:
                installation.broke(error)
                return original(self, cursor, statement, parameters, context)
            lane.inside_sql += 1
            start = clock()
            try:
                return original(self, cursor, statement, parameters, context)
            finally:
                end = clock()
                lane.inside_sql -= 1
                lane.add(SQL, start, end, sent.index)
                if end - start > LEAST_WAIT_NS:
                    answered(lane, start, context)

        return do_execute

    return make


def _execute_many(installation: Installation) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def do_executemany(
            self: Any, cursor: Any, statement: Any, parameters: Any, context: Any = None
        ) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return original(self, cursor, statement, parameters, context)
            sent = _begin(installation, lane, self, statement, context)
            if sent is None:
                return original(self, cursor, statement, parameters, context)
            if isinstance(parameters, Sized):
                sent.executions_count = len(parameters)
            if installation.recorder.record_values:
                sent.parameters = parameters
            start = clock()
            try:
                return original(self, cursor, statement, parameters, context)
            finally:
                _finish(lane, start, sent, context)

        return do_executemany

    return make


def _execute_no_params(installation: Installation) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def do_execute_no_params(
            self: Any, cursor: Any, statement: Any, context: Any = None
        ) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return original(self, cursor, statement, context)
            sent = _begin(installation, lane, self, statement, context)
            if sent is None:
                return original(self, cursor, statement, context)
            start = clock()
            try:
                return original(self, cursor, statement, context)
            finally:
                _finish(lane, start, sent, context)

        return do_execute_no_params

    return make


def _end(installation: Installation, text: str) -> Make:
    """For the end of a transaction: of a request that writes, often the slowest statement."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def end(self: Any, dbapi_connection: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql or _in_autocommit(dbapi_connection):
                return original(self, dbapi_connection)
            sent = _begin(installation, lane, self, text, None)
            if sent is None:
                return original(self, dbapi_connection)
            start = clock()
            try:
                return original(self, dbapi_connection)
            finally:
                _finish(lane, start, sent, dbapi_connection)

        return end

    return make


def _in_autocommit(dbapi_connection: Any) -> bool:
    """Whether there is no transaction to end, so that the driver sends nothing."""
    # The pool's proxy would raise and catch for each attribute that a driver does not have.
    connection = getattr(dbapi_connection, "dbapi_connection", dbapi_connection)
    try:
        return getattr(connection, "autocommit", None) is True
    except Exception:
        # Of a driver that does not tell it for a connection that was lost.
        log.debug("whether a connection commits by itself is not known", exc_info=True)
        return False


def _begin(
    installation: Installation, lane: Lane, dialect: Any, text: Any, context: Any
) -> OpenStatement | None:
    try:
        sent = new_statement(lane, text, dialect.driver, lane.place or caller_place())
        if context is not None:
            context.unslow_statement = sent
    except Exception as error:
        installation.broke(error)
        return None
    lane.inside_sql += 1
    return sent


def _finish(lane: Lane, start_ns: int, sent: OpenStatement, source: Any) -> None:
    end = clock()
    lane.inside_sql -= 1
    lane.add(SQL, start_ns, end, sent.index)
    if end - start_ns > LEAST_WAIT_NS:
        answered(lane, start_ns, source)


def answered(lane: Lane, start_ns: int, source: Any) -> None:
    """Notes when the answer to a long call of the driver was there; never raises.

    Of use for drivers of asyncio, whose answer may have lain there while the loop was busy.

    Args:
        lane: The one that waited.
        start_ns: When it began to wait.
        source: An execution context, or a connection as the pool gives it.
    """
    try:
        connection = getattr(source, "root_connection", None)
        if connection is None:
            _note_arrival(lane, start_ns, source)
        elif not connection.closed and not connection.invalidated:
            _note_arrival(lane, start_ns, connection.connection)
    except Exception:
        # A connection that was lost on the way has no socket any more.
        log.debug("no arrival of an answer", exc_info=True)


def _note_arrival(lane: Lane, start_ns: int, connection: Any) -> None:
    driver_connection: Any = getattr(connection, "driver_connection", None)
    transport = getattr(driver_connection, "_transport", None)
    if transport is not None:
        note_arrival(lane, transport.get_extra_info("socket"), start_ns)
    elif hasattr(driver_connection, "fileno"):
        note_arrival(lane, driver_connection.fileno(), start_ns)


def _connection_work(what: tuple[str]) -> Make:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def work(self: Any, dbapi_connection: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return original(self, dbapi_connection)
            lane.inside_sql += 1
            start = clock()
            try:
                return original(self, dbapi_connection)
            finally:
                lane.add(CONNECT, start, clock(), what)
                lane.inside_sql -= 1

        return work

    return make

"""What psycopg says to the server.

psycopg has no events. All that it says is written once, as generators which its sync and its async
connections drive; they are recorded there, so that each call is seen once, from where it begins to
wait. Fetches of a client-side cursor read memory and are not recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import wraps
from typing import Any, Final
from weakref import WeakKeyDictionary

from ....current import LANE, Lane, OpenStatement, clock
from ....model.trace import CONNECT, ROWS, SQL
from ...arrival import LEAST_WAIT_NS, note_arrival
from ...place import caller_place
from ...probe import Installation, require
from ...sending import new_statement, room_for

DRIVER: Final = "psycopg"

_PRIVATE: Final = (
    ("Cursor", "_execute_gen", ("self", "query", "params", "prepare", "binary")),
    ("Cursor", "_executemany_gen_pipeline", ("self", "query", "params_seq", "returning")),
    ("Cursor", "_executemany_gen_no_pipeline", ("self", "query", "params_seq", "returning")),
    ("Cursor", "_stream_send_gen", ("self", "query", "params", "binary")),
    ("Cursor", "_stream_fetchone_gen", ("self", "first")),
    ("Cursor", "_start_copy_gen", ("self", "statement", "params")),
    ("ServerCursor", "_declare_gen", ("self", "query", "params", "binary")),
    ("ServerCursor", "_fetch_gen", ("self", "num")),
    ("ServerCursor", "_scroll_gen", ("self", "value", "mode")),
    ("ServerCursor", "_close_gen", ("self",)),
    ("Copy", "_read_gen", ("self",)),
    ("Pipeline", "_fetch_gen", ("self", "flush")),
    ("Connection", "_exec_command", ("self", "command")),
)
"""What is replaced and not public, and its asynchronous twin: the same in psycopg 3.1 to 3.3."""

_SAME_READ_NS: Final = 10_000
"""Rows that come one by one with less than this between them are one slice: psycopg's own way from
one row to the next takes 3 us, and 7 us on an event loop."""
_LOOKED_BACK_COUNT: Final = 200
"""How many statements of a trace are looked at to find the one that an outer probe recorded."""
_LARGEST_RESULT_BYTES: Final = 500_000
"""Of a result that is kept until the request is over."""
_TUPLES_OK: Final = 2
"""Of libpq's kinds of results the one that has rows, all of them."""

Call = Callable[..., Any]
Steps = Generator[Any, Any, Any]


def install(installation: Installation) -> None:
    """Replaces the generators."""
    import psycopg
    from psycopg import copy

    for kind in ("", "Async"):
        for owner, name, parameters in _PRIVATE:
            require(getattr(psycopg, kind + owner), name, *parameters)
    replace = installation.patches.replace
    driver = _Driver(installation)
    replace(psycopg.BaseConnection, "_exec_command", driver.command)
    replace(psycopg.Connection, "connect", driver.connecting)
    replace(psycopg.AsyncConnection, "connect", driver.connecting_async)
    # It is a method that was bound before.
    replace(psycopg, "connect", lambda _: psycopg.Connection.connect)
    replace(psycopg.AsyncConnection, "wait", driver.waiting)
    for kind in ("", "Async"):
        cursor = getattr(psycopg, f"{kind}Cursor")
        replace(cursor, "_execute_gen", driver.sending)
        replace(cursor, "_executemany_gen_pipeline", driver.sending_many)
        replace(cursor, "_executemany_gen_no_pipeline", driver.sending_many)
        replace(cursor, "_stream_send_gen", driver.sending_for_rows)
        replace(cursor, "_start_copy_gen", driver.sending_for_rows)
        replace(cursor, "_stream_fetchone_gen", driver.streaming)
        server_cursor = getattr(psycopg, f"{kind}ServerCursor")
        replace(server_cursor, "_declare_gen", driver.sending_for_rows)
        for name in ("_fetch_gen", "_scroll_gen", "_close_gen"):
            replace(server_cursor, name, driver.reading)
        replace(getattr(psycopg, f"{kind}Copy"), "_read_gen", driver.copying_out)
        replace(getattr(psycopg, f"{kind}Pipeline"), "_fetch_gen", driver.pipeline_results)
    for name in ("write", "finish"):
        replace(copy.LibpqWriter, name, driver.copying_in)
        replace(copy.AsyncLibpqWriter, name, driver.copying_in_async)


class _Driver:
    """The replacements in psycopg: each public method takes an original and returns another.

    What it returns gives the original's generator where nothing is recorded, else one of ours
    that drives it.
    """

    def __init__(self, installation: Installation) -> None:
        self._broke = installation.broke
        self._statements: WeakKeyDictionary[Any, tuple[int, OpenStatement]] = WeakKeyDictionary()
        """By cursor, where rows follow: the number of the trace, and the statement."""
        self._above: WeakKeyDictionary[Any, tuple[int, OpenStatement]] = WeakKeyDictionary()
        """The same for statements that an outer probe recorded, and whose rows it counts."""

    # What comes before and after a recorded call. Nothing here raises into the app.

    def _begin(self, lane: Lane, query: Any, parameters: Any) -> OpenStatement | None:
        try:
            statement = new_statement(lane, _text(query), DRIVER, caller_place(), parameters)
        except Exception as error:
            self._broke(error)
            return None
        return statement

    def _end(
        self,
        lane: Lane,
        segment: int,
        start_ns: int,
        statement: OpenStatement | None,
        rows_count: int | None = None,
    ) -> None:
        end_ns = clock()
        try:
            index = None
            if statement is not None:
                index = statement.index
                if rows_count is not None:
                    statement.rows_count = (statement.rows_count or 0) + rows_count
            if segment != ROWS or not _prolong(lane, start_ns, end_ns, index):
                lane.add(segment, start_ns, end_ns, index)
        except Exception as error:
            self._broke(error)

    def _statement_of(self, lane: Lane, cursor: Any) -> OpenStatement | None:
        return _in_trace(self._statements.get(cursor), lane)

    # Statements

    def sending(self, original: Call) -> Call:
        @wraps(original)
        def call(cursor: Any, query: Any, *args: Any, **options: Any) -> Any:
            lane = LANE.get()
            steps = original(cursor, query, *args, **options)
            if lane is None or lane.inside_sql:
                return steps
            lane.statement = statement = self._begin(lane, query, args[0] if args else options)
            return self._send(steps, lane, statement, cursor)

        return call

    def sending_for_rows(self, original: Call) -> Call:
        @wraps(original)
        def call(cursor: Any, query: Any, *args: Any, **options: Any) -> Any:
            lane = LANE.get()
            steps = original(cursor, query, *args, **options)
            if lane is None:
                return steps
            if lane.inside_sql:
                self._remember_above(lane, cursor, query)
                return steps
            lane.statement = statement = self._begin(lane, query, args[0] if args else options)
            if statement is not None:
                self._statements[cursor] = (lane.trace.number, statement)
            return self._send(steps, lane, statement, cursor)

        return call

    def _remember_above(self, lane: Lane, cursor: Any, query: Any) -> None:
        try:
            self._statements.pop(cursor, None)
            for statement in reversed(lane.trace.statements[-_LOOKED_BACK_COUNT:]):
                if statement.text is query:
                    self._above[cursor] = (lane.trace.number, statement)
                    return
        except Exception as error:
            self._broke(error)

    def _send(
        self, steps: Steps, lane: Lane, statement: OpenStatement | None, cursor: Any
    ) -> Steps:
        start = clock()
        try:
            return (yield from steps)
        finally:
            self._end(lane, SQL, start, statement)
            if statement is not None:
                self._describe(statement, cursor)

    def _describe(self, statement: OpenStatement, cursor: Any) -> None:
        try:
            result = cursor.pgresult
            if result is not None and result.status == _TUPLES_OK:
                statement.rows_count = result.ntuples
                self._keep(statement, cursor, result)
            if not statement.text and cursor._query is not None:
                # Put together by psycopg.sql, or a template: made a text by psycopg meanwhile.
                statement.text = _text(bytes(cursor._query.query))
        except Exception as error:
            self._broke(error)

    def _keep(self, statement: OpenStatement, cursor: Any, result: Any) -> None:
        """Keeps a result that is small: it cannot be cut, so it is kept whole or not at all."""
        count = result.ntuples
        if not 0 < count <= room_for(statement, count):
            return
        width = sum(len(result.get_value(0, column) or b"") for column in range(result.nfields))
        if width * count <= _LARGEST_RESULT_BYTES:
            statement.allowance[0] -= count
            statement.rows = _Rows(cursor._tx, result)

    def sending_many(self, original: Call) -> Call:
        @wraps(original)
        def call(cursor: Any, query: Any, params_seq: Any, *args: Any, **options: Any) -> Any:
            lane = LANE.get()
            steps = original(cursor, query, params_seq, *args, **options)
            if lane is None or lane.inside_sql:
                return steps
            lane.statement = statement = self._begin(lane, query, params_seq)
            if statement is not None and isinstance(params_seq, list | tuple):
                statement.executions_count = len(params_seq)
            return self._wait(steps, lane, SQL, statement)

        return call

    def command(self, original: Call) -> Call:
        """For what psycopg sends of its own accord: transactions, above all."""

        @wraps(original)
        def call(connection: Any, command: Any, *args: Any, **options: Any) -> Any:
            lane = LANE.get()
            # In a pipeline it is only queued.
            if lane is None or lane.inside_sql or connection._pipeline or connection.closed:
                return original(connection, command, *args, **options)
            if not isinstance(command, bytes | str):
                command = command.as_bytes(connection)
            steps = original(connection, command, *args, **options)
            return self._wait(steps, lane, SQL, self._begin(lane, command, None))

        return call

    def _wait(
        self, steps: Steps, lane: Lane, segment: int, statement: OpenStatement | None
    ) -> Steps:
        start = clock()
        try:
            return (yield from steps)
        finally:
            self._end(lane, segment, start, statement)

    # Rows

    def streaming(self, original: Call) -> Call:
        @wraps(original)
        def call(cursor: Any, first: bool) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return original(cursor, first)
            statement = self._statement_of(lane, cursor)
            return self._stream(original(cursor, first), lane, SQL if first else ROWS, statement)

        return call

    def _stream(
        self, steps: Steps, lane: Lane, segment: int, statement: OpenStatement | None
    ) -> Steps:
        result = None
        start = clock()
        try:
            result = yield from steps
        finally:
            self._end(lane, segment, start, statement, getattr(result, "ntuples", None))
        return result

    def reading(self, original: Call) -> Call:
        """For what a server-side cursor sends after its statement."""

        @wraps(original)
        def call(cursor: Any, *args: Any, **options: Any) -> Any:
            lane = LANE.get()
            steps = original(cursor, *args, **options)
            if lane is None or lane.inside_sql:
                return steps
            statement = self._statement_of(lane, cursor)
            if statement is not None:
                return self._read(steps, lane, statement, counted=True)
            statement = _in_trace(self._above.get(cursor), lane)
            if statement is not None:
                return self._read(steps, lane, statement, counted=False)
            # Declared elsewhere: the FETCH is all that this request sends.
            return steps

        return call

    def _read(self, steps: Steps, lane: Lane, statement: OpenStatement, *, counted: bool) -> Steps:
        rows = None
        lane.inside_sql += 1
        start = clock()
        try:
            rows = yield from steps
        finally:
            lane.inside_sql -= 1
            rows_count = len(rows) if counted and type(rows) is list else None
            self._end(lane, ROWS, start, statement, rows_count)
        return rows

    def pipeline_results(self, original: Call) -> Call:
        @wraps(original)
        def call(pipeline: Any, **options: Any) -> Any:
            lane = LANE.get()
            steps = original(pipeline, **options)
            if lane is None or lane.inside_sql or not pipeline.result_queue:
                return steps
            # Several statements may be on their way: the wait is said to be the last one's.
            return self._wait(steps, lane, SQL, lane.statement)

        return call

    # Copies

    def copying_out(self, original: Call) -> Call:
        @wraps(original)
        def call(copy: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return original(copy)
            statement = self._statement_of(lane, copy.cursor)
            return self._wait(original(copy), lane, ROWS, statement)

        return call

    def copying_in(self, original: Call) -> Call:
        @wraps(original)
        def call(writer: Any, *args: Any, **options: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return original(writer, *args, **options)
            start = clock()
            try:
                return original(writer, *args, **options)
            finally:
                statement = self._statement_of(lane, writer.cursor)
                self._end(lane, SQL, start, statement)

        return call

    def copying_in_async(self, original: Call) -> Call:
        @wraps(original)
        async def call(writer: Any, *args: Any, **options: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return await original(writer, *args, **options)
            start = clock()
            try:
                return await original(writer, *args, **options)
            finally:
                statement = self._statement_of(lane, writer.cursor)
                self._end(lane, SQL, start, statement)

        return call

    # Connections

    def waiting(self, original: Call) -> Call:
        """For the one place in which an asynchronous connection waits."""

        @wraps(original)
        async def call(connection: Any, *args: Any, **options: Any) -> Any:
            lane = LANE.get()
            if lane is None:
                return await original(connection, *args, **options)
            # Whoever records the statement, only here its socket is known.
            start = clock()
            try:
                return await original(connection, *args, **options)
            finally:
                if clock() - start > LEAST_WAIT_NS:
                    self._arrived(lane, connection, start)

        return call

    def _arrived(self, lane: Lane, connection: Any, start_ns: int) -> None:
        try:
            if not connection.closed:
                note_arrival(lane, connection.fileno(), start_ns)
        except Exception as error:
            self._broke(error)

    def connecting(self, original: Call) -> Call:
        @wraps(original)
        def call(kind: Any, *args: Any, **options: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return original(kind, *args, **options)
            connection = None
            start = clock()
            try:
                connection = original(kind, *args, **options)
            finally:
                self._connected(lane, start, connection)
            return connection

        return call

    def connecting_async(self, original: Call) -> Call:
        @wraps(original)
        async def call(kind: Any, *args: Any, **options: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return await original(kind, *args, **options)
            connection = None
            start = clock()
            try:
                connection = await original(kind, *args, **options)
            finally:
                self._connected(lane, start, connection)
            return connection

        return call

    def _connected(self, lane: Lane, start_ns: int, connection: Any) -> None:
        end_ns = clock()
        try:
            lane.add(CONNECT, start_ns, end_ns, name_of(connection), caller_place())
        except Exception as error:
            self._broke(error)


class _Rows:
    """The rows of a result that lies in memory, made Python's only when somebody asks."""

    __slots__ = ("_result", "_transformer")

    def __init__(self, transformer: Any, result: Any) -> None:
        self._transformer = transformer
        self._result = result

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        transformer = self._transformer
        if transformer.pgresult is not self._result:
            # A cursor that sends the same text again reads the next result with the same one.
            transformer = type(transformer)(transformer)
            transformer.set_pgresult(self._result)
        return iter(transformer.load_rows(0, self._result.ntuples, tuple))


def _in_trace(known: tuple[int, OpenStatement] | None, lane: Lane) -> OpenStatement | None:
    return known[1] if known is not None and known[0] == lane.trace.number else None


def _text(query: Any) -> str:
    if isinstance(query, str):
        return query
    return query.decode("utf-8", "replace") if isinstance(query, bytes) else ""


def _prolong(lane: Lane, start_ns: int, end_ns: int, index: int | None) -> bool:
    """Whether rows just continued the slice before: thousands may come one by one."""
    slices = lane.slices
    if not slices:
        return False
    begin_ns, until_ns, segment, what, place = slices[-1]
    if segment != ROWS or what != index or start_ns - until_ns > _SAME_READ_NS:
        return False
    slices[-1] = (begin_ns, end_ns, ROWS, what, place)
    return True


def name_of(connection: Any) -> str:
    """Where a connection leads, without credentials."""
    if connection is None or connection.closed:
        return DRIVER
    info = connection.info
    where = info.host if info.host.startswith("/") else f"{info.host}:{info.port}"
    return f"{DRIVER} {where}/{info.dbname}"

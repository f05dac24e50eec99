"""What asyncpg says to the server.

Its query loggers do not do: they are set per connection, are called after the fact by a task of
their own, and see neither plain statements' place nor cursors, copies, pools and connections.

A call of the connection that may take several messages (`fetch`, say, which prepares, asks for
unknown types and then executes) is recorded where the connection starts it. All else is recorded
where it leaves, at the protocol, so that nothing is seen twice and nothing is missed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, Final
from weakref import WeakKeyDictionary

from ....current import LANE, Lane, OpenStatement, clock
from ....model.trace import CLOSED, CONNECT, GIVEN_BACK, ROWS, SQL
from ...arrival import LEAST_WAIT_NS, note_arrival
from ...place import caller_place
from ...probe import Installation, require
from ...sending import keep_rows, new_statement

DRIVER: Final = "asyncpg"

_PRIVATE: Final = (
    (
        "Connection",
        "_execute",
        (
            "self",
            "query",
            "args",
            "limit",
            "timeout",
            "return_status",
            "ignore_custom_codec",
            "record_class",
        ),
    ),
    ("Connection", "_executemany", ("self", "query", "args", "timeout")),
    ("Connection", "_get_statement", ("self", "query", "timeout")),
    ("Protocol", "bind", ("self", "state", "args", "portal_name", "timeout")),
    (
        "Protocol",
        "bind_execute",
        ("self", "state", "args", "portal_name", "limit", "return_extra", "timeout"),
    ),
    ("Protocol", "bind_execute_many", ("self", "state", "args", "portal_name", "timeout")),
    ("Protocol", "copy_in", ("self", "copy_stmt", "reader", "data", "records")),
    ("Protocol", "copy_out", ("self", "copy_stmt", "sink", "timeout")),
    ("Protocol", "execute", ("self", "state", "portal_name", "limit", "return_extra")),
    ("Protocol", "prepare", ("self", "stmt_name", "query", "timeout")),
    ("Protocol", "query", ("self", "query", "timeout")),
    ("Protocol", "set_connection", ("self", "connection")),
    ("connect_utils", "_connect", ()),
)
"""What is replaced and not public: the same from asyncpg 0.28 to 0.32."""

_LOOKED_BACK_COUNT: Final = 200
"""How many statements of a trace are looked at to find the one whose rows a cursor reads on."""
_PORTALS_KEPT: Final = 1_000
"""Cursors that are not read to their end never say that they are gone."""

Call = Callable[..., Awaitable[Any]]


def install(installation: Installation) -> None:
    """Replaces the calls of connections, cursors and the protocol."""
    from asyncpg import connect_utils, connection, cursor, protocol

    owners: dict[str, Any] = {
        "Connection": connection.Connection,
        "Protocol": protocol.Protocol,
        "connect_utils": connect_utils,
    }
    for owner, name, parameters in _PRIVATE:
        require(owners[owner], name, *parameters)
    replace = installation.patches.replace
    driver = _Driver(installation)
    replace(connection.Connection, "_execute", driver.whole_call)
    replace(connection.Connection, "_executemany", driver.whole_call_of_many)
    replace(connection.Connection, "_get_statement", driver.preparing)
    for name, what in (("reset", GIVEN_BACK), ("close", CLOSED)):
        replace(connection.Connection, name, partial(driver.housekeeping, what))
    for name in ("query", "copy_in", "copy_out"):
        replace(protocol.Protocol, name, driver.message_with_text)
    for name in ("bind", "bind_execute_many"):
        replace(protocol.Protocol, name, driver.message_with_state)
    replace(protocol.Protocol, "bind_execute", driver.prepared)
    replace(protocol.Protocol, "execute", driver.further_rows)
    if hasattr(protocol.Protocol, "close_portal"):  # since 0.29
        replace(protocol.Protocol, "close_portal", driver.closing_portal)
    replace(protocol.Protocol, "set_connection", driver.new_connection)
    replace(cursor.Cursor, "forward", driver.skipped_rows)
    replace(connect_utils, "_connect", driver.connecting)


class _Driver:
    """The replacements: each public method takes an original and returns what replaces it."""

    def __init__(self, installation: Installation) -> None:
        self._broke = installation.broke
        self._sockets: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
        """By protocol."""
        self._portals: dict[str, tuple[int, OpenStatement]] = {}
        """By the name of a cursor's portal, unique in a process: the trace's number, and the
        statement."""

    # What comes before and after a recorded call. Nothing here raises into the app.

    def _begin(self, lane: Lane, text: Any, parameters: Any) -> OpenStatement | None:
        try:
            statement = new_statement(
                lane, text if isinstance(text, str) else "", DRIVER, caller_place(), parameters
            )
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
        result: Any = None,
        protocol: Any = None,
    ) -> None:
        end_ns = clock()
        if protocol is not None and end_ns - start_ns > LEAST_WAIT_NS:
            self._arrived(lane, protocol, start_ns)
        try:
            index = place = None
            if statement is None:
                place = caller_place()
            else:
                index = statement.index
                rows = result[0] if type(result) is tuple else result
                if type(rows) is list:
                    statement.rows_count = (statement.rows_count or 0) + len(rows)
                    keep_rows(statement, rows)
            lane.add(segment, start_ns, end_ns, index, place)
        except Exception as error:
            self._broke(error)

    def _connected(self, lane: Lane, start_ns: int, connection: Any) -> None:
        end_ns = clock()
        try:
            lane.add(CONNECT, start_ns, end_ns, name_of(connection), caller_place())
        except Exception as error:
            self._broke(error)

    # Connections

    # These two are the way of nearly every statement. So their arguments are named, since packing
    # and unpacking those takes as long as recording does, and what others share is written out.

    def whole_call(self, original: Call) -> Call:
        @wraps(original)
        def call(
            connection: Any,
            query: Any,
            args: Any,
            limit: Any,
            timeout: Any,
            *,
            return_status: Any = False,
            ignore_custom_codec: Any = False,
            record_class: Any = None,
        ) -> Awaitable[Any]:
            running = original(
                connection,
                query,
                args,
                limit,
                timeout,
                return_status=return_status,
                ignore_custom_codec=ignore_custom_codec,
                record_class=record_class,
            )
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return running
            return self._execute(lane, running, connection, query, args)

        return call

    async def _execute(
        self, lane: Lane, running: Awaitable[Any], connection: Any, query: Any, args: Any
    ) -> Any:
        statement = self._begin(lane, query, args)
        lane.inside_sql += 1
        start = clock()
        try:
            result = await running
        except BaseException:
            lane.inside_sql -= 1
            self._end(lane, SQL, start, statement, None, connection._protocol)
            raise
        end = clock()
        lane.inside_sql -= 1
        if statement is None or end - start > LEAST_WAIT_NS:
            self._end(lane, SQL, start, statement, result, connection._protocol)
            return result
        lane.add(SQL, start, end, statement.index)
        rows = result[0] if type(result) is tuple else result
        if type(rows) is list:
            statement.rows_count = len(rows)
            keep_rows(statement, rows)
        return result

    def prepared(self, original: Call) -> Call:
        record = self.message_with_state(original)

        @wraps(original)
        def call(
            protocol: Any,
            state: Any,
            args: Any,
            portal_name: Any,
            limit: Any,
            return_extra: Any,
            timeout: Any,
        ) -> Awaitable[Any]:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return original(protocol, state, args, portal_name, limit, return_extra, timeout)
            return record(protocol, state, args, portal_name, limit, return_extra, timeout)

        return call

    def whole_call_of_many(self, original: Call) -> Call:
        async def call(
            lane: Lane, connection: Any, query: Any, args: Any, *rest: Any, **options: Any
        ) -> Any:
            statement = self._begin(lane, query, args)
            if statement is not None and isinstance(args, list | tuple):
                statement.executions_count = len(args)
            result = None
            lane.inside_sql += 1
            start = clock()
            try:
                result = await original(connection, query, args, *rest, **options)
            finally:
                lane.inside_sql -= 1
                self._end(lane, SQL, start, statement, result, connection._protocol)
            return result

        return _recorded(original, call)

    def preparing(self, original: Call) -> Call:
        async def call(lane: Lane, connection: Any, query: Any, *rest: Any, **options: Any) -> Any:
            lane.inside_sql += 1
            start = clock()
            try:
                return await original(connection, query, *rest, **options)
            finally:
                lane.inside_sql -= 1
                # Parsed only: time, but no statement as long as it is not executed.
                self._end(lane, SQL, start, None, None, connection._protocol)

        return _recorded(original, call)

    def housekeeping(self, what: tuple[str], original: Call) -> Call:
        async def call(lane: Lane, connection: Any, **options: Any) -> Any:
            lane.inside_sql += 1
            start = clock()
            try:
                return await original(connection, **options)
            finally:
                lane.inside_sql -= 1
                self._arrived(lane, connection._protocol, start)
                lane.add(CONNECT, start, clock(), what)

        return _recorded(original, call)

    def connecting(self, original: Call) -> Call:
        @wraps(original)
        async def call(**options: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return await original(**options)
            connection = None
            lane.inside_sql += 1
            start = clock()
            try:
                connection = await original(**options)
            finally:
                lane.inside_sql -= 1
                self._connected(lane, start, connection)
            return connection

        return call

    def new_connection(self, original: Callable[..., None]) -> Callable[..., None]:
        @wraps(original)
        def call(protocol: Any, connection: Any) -> None:
            original(protocol, connection)
            try:
                self._sockets[protocol] = connection._transport.get_extra_info("socket")
            except Exception as error:
                self._broke(error)

        return call

    # The protocol

    def _arrived(self, lane: Lane, protocol: Any, start_ns: int) -> None:
        try:
            note_arrival(lane, self._sockets.get(protocol), start_ns)
        except Exception as error:
            self._broke(error)

    def message_with_text(self, original: Call) -> Call:
        async def call(lane: Lane, protocol: Any, text: Any, *rest: Any, **options: Any) -> Any:
            statement = self._begin(lane, text, None)
            start = clock()
            try:
                return await original(protocol, text, *rest, **options)
            finally:
                self._end(lane, SQL, start, statement, None, protocol)

        return _recorded(original, call)

    def message_with_state(self, original: Call) -> Call:
        many = original.__name__ == "bind_execute_many"

        async def call(
            lane: Lane, protocol: Any, state: Any, args: Any, *rest: Any, **options: Any
        ) -> Any:
            statement = self._begin(lane, state.query, args)
            if many and statement is not None and isinstance(args, list | tuple):
                statement.executions_count = len(args)
            portal = rest[0] if rest else options.get("portal_name")
            if portal and statement is not None:
                self._keep(lane, portal, statement)
            result = None
            start = clock()
            try:
                result = await original(protocol, state, args, *rest, **options)
            finally:
                self._end(lane, SQL, start, statement, result, protocol)
            return result

        return _recorded(original, call)

    def _keep(self, lane: Lane, portal: str, statement: OpenStatement) -> None:
        if len(self._portals) >= _PORTALS_KEPT:
            self._portals.clear()
        self._portals[portal] = (lane.trace.number, statement)

    def _kept(self, lane: Lane, portal: Any) -> OpenStatement | None:
        known = self._portals.get(portal)
        return known[1] if known is not None and known[0] == lane.trace.number else None

    def further_rows(self, original: Call) -> Call:
        async def call(lane: Lane, protocol: Any, state: Any, *rest: Any, **options: Any) -> Any:
            statement = self._kept(lane, rest[0] if rest else options.get("portal_name"))
            result = None
            start = clock()
            try:
                result = await original(protocol, state, *rest, **options)
            finally:
                if statement is None:
                    # Whoever recorded it counts its rows.
                    above = _recorded_above(lane, state.query)
                    self._end(lane, ROWS, start, above, None, protocol)
                else:
                    self._end(lane, ROWS, start, statement, result, protocol)
            return result

        return _recorded(original, call)

    def closing_portal(self, original: Call) -> Call:
        async def call(
            lane: Lane, protocol: Any, portal_name: Any, *rest: Any, **options: Any
        ) -> Any:
            statement = self._kept(lane, portal_name)
            self._portals.pop(portal_name, None)
            start = clock()
            try:
                return await original(protocol, portal_name, *rest, **options)
            finally:
                self._end(lane, ROWS, start, statement, None, protocol)

        return _recorded(original, call)

    def skipped_rows(self, original: Call) -> Call:
        async def call(lane: Lane, cursor: Any, *args: Any, **options: Any) -> Any:
            statement = self._kept(lane, cursor._portal_name)
            lane.inside_sql += 1
            start = clock()
            try:
                return await original(cursor, *args, **options)
            finally:
                lane.inside_sql -= 1
                self._end(lane, ROWS, start, statement)

        return _recorded(original, call)


def _recorded(original: Call, record: Call) -> Call:
    """The way into `record` while a request is open that no outer probe records already.

    Not an `async def`: else each message of a statement that SQLAlchemy records would go through
    one more coroutine.
    """

    @wraps(original)
    def call(*args: Any, **options: Any) -> Any:
        lane = LANE.get()
        if lane is None or lane.inside_sql:
            return original(*args, **options)
        return record(lane, *args, **options)

    return call


def _recorded_above(lane: Lane, text: str) -> OpenStatement | None:
    """The last statement of the trace that was made of this very text."""
    for statement in reversed(lane.trace.statements[-_LOOKED_BACK_COUNT:]):
        if statement.text is text:
            return statement
    return None


def name_of(connection: Any) -> str:
    """Where a connection leads, without credentials."""
    if connection is None:
        return DRIVER
    address = connection._addr
    where = address if isinstance(address, str) else f"{address[0]}:{address[1]}"
    return f"{DRIVER} {where}/{connection._params.database}"

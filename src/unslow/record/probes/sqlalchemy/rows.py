"""Rows, where a result takes them from the driver's cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Final

from ....current import LANE, Lane, OpenStatement, clock
from ....model.trace import ROWS
from ...arrival import LEAST_WAIT_NS
from ...probe import Installation
from ...sending import ROWS_KEPT, keep_row, keep_rows
from . import private
from .statements import answered, statement_of

_SHORTEST_NS: Final = 5_000
"""Below this the rows were here already, in a list of the driver's."""
_SHORTEST_ROW_NS: Final = 20_000
"""A single row is kept as a slice only when it was waited for: loops take thousands of them."""


def install(installation: Installation) -> None:
    """Replaces the fetches of results."""
    missing = private.unknown(*private.FETCHES)
    if missing:
        installation.cover("sqlalchemy rows", "off", missing)
        return
    replace = installation.patches.replace
    replace(*private.locate(private.FETCH_ALL), _all)
    replace(*private.locate(private.FETCH_MANY), _many)
    replace(*private.locate(private.FETCH_ONE), _one)
    replace(*private.locate(private.FETCH_EACH), _each)
    replace(*private.locate(private.FILL_BUFFER), _buffer)


def _all(original: Callable[..., Any]) -> Callable[..., Any]:
    # The way of nearly every result: what the others share is written out here.
    @wraps(original)
    def fetch(self: Any) -> Any:
        lane = LANE.get()
        if lane is None or lane.inside_sql:
            return original(self)
        context = self.context
        statement = getattr(context, "unslow_statement", None)
        lane.inside_sql += 1
        start = clock()
        try:
            rows = original(self)
        finally:
            end = clock()
            lane.inside_sql -= 1
            took = end - start
            if took > _SHORTEST_NS:
                lane.add(ROWS, start, end, None if statement is None else statement.index)
                if took > LEAST_WAIT_NS:
                    answered(lane, start, context)
        if statement is not None:
            if statement.rows_count is None and type(rows) is list:
                statement.rows_count = len(rows)
                keep_rows(statement, rows)
            else:
                _count(statement, rows)
        return rows

    return fetch


def _many(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def fetch(self: Any, size: int | None = None) -> Any:
        lane = LANE.get()
        if lane is None or lane.inside_sql:
            return original(self, size)
        statement = statement_of(self.context)
        lane.inside_sql += 1
        start = clock()
        try:
            rows = original(self, size)
        finally:
            _fetched(lane, start, statement, self.context)
        if statement is not None:
            _count(statement, rows)
        return rows

    return fetch


def _one(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def fetch(self: Any, hard_close: bool = False) -> Any:
        lane = LANE.get()
        if lane is None or lane.inside_sql:
            return original(self, hard_close)
        statement = statement_of(self.context)
        lane.inside_sql += 1
        start = clock()
        try:
            row = original(self, hard_close)
        finally:
            if clock() - start >= _SHORTEST_ROW_NS:
                _fetched(lane, start, statement, self.context)
            else:
                lane.inside_sql -= 1
        if statement is not None and row is not None:
            statement.rows_count = (statement.rows_count or 0) + 1
            keep_row(statement, row)
        return row

    return fetch


def _each(original: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    @wraps(original)
    def fetch(self: Any) -> Iterator[Any]:
        statement = None if LANE.get() is None else statement_of(self.context)
        if statement is None:
            return original(self)
        return _counted(original(self), statement)

    return fetch


def _counted(rows: Iterator[Any], statement: OpenStatement) -> Iterator[Any]:
    count = 0
    try:
        for row in rows:
            count += 1
            if count <= ROWS_KEPT:
                keep_row(statement, row)
            yield row
    finally:
        statement.rows_count = (statement.rows_count or 0) + count


def _buffer(original: Callable[..., Any]) -> Callable[..., Any]:
    """For rows that a server-side cursor brings while a loop takes them one by one."""

    @wraps(original)
    def fill(self: Any, result: Any, dbapi_cursor: Any) -> Any:
        lane = LANE.get()
        if lane is None or lane.inside_sql:
            return original(self, result, dbapi_cursor)
        statement = statement_of(result.context)
        lane.inside_sql += 1
        start = clock()
        try:
            return original(self, result, dbapi_cursor)
        finally:
            _fetched(lane, start, statement, result.context)

    return fill


def _fetched(lane: Lane, start_ns: int, statement: OpenStatement | None, context: Any) -> None:
    end = clock()
    lane.inside_sql -= 1
    lane.add(ROWS, start_ns, end, None if statement is None else statement.index)
    if end - start_ns > LEAST_WAIT_NS:
        answered(lane, start_ns, context)


def _count(statement: OpenStatement, rows: Any) -> None:
    # Some driver may give what has no length.
    if hasattr(rows, "__len__"):
        statement.rows_count = (statement.rows_count or 0) + len(rows)
        if type(rows) is list:
            keep_rows(statement, rows)

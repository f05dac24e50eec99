"""Rows, where a result takes them from the driver's cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from ....current import LANE, clock
from ....model.trace import ROWS
from ...probe import Installation
from . import private

_SHORTEST_ROW_NS = 20_000
"""A single row is kept as a slice only when it had to be waited for: a loop takes thousands."""


def install(installation: Installation) -> None:
    """Replaces the fetches of results."""
    missing = private.unknown(private.FETCHES)
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
    @wraps(original)
    def fetch(self: Any) -> Any:
        lane = LANE.get()
        if lane is None:
            return original(self)
        statement = getattr(self.context, "unslow_statement", None)
        lane.inside_sql += 1
        start = clock()
        try:
            rows = original(self)
        finally:
            lane.add(ROWS, start, clock(), None if statement is None else statement.index)
            lane.inside_sql -= 1
        if statement is not None:
            statement.rows_count = (statement.rows_count or 0) + len(rows)
        return rows

    return fetch


def _many(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def fetch(self: Any, size: int | None = None) -> Any:
        lane = LANE.get()
        if lane is None:
            return original(self, size)
        statement = getattr(self.context, "unslow_statement", None)
        lane.inside_sql += 1
        start = clock()
        try:
            rows = original(self, size)
        finally:
            lane.add(ROWS, start, clock(), None if statement is None else statement.index)
            lane.inside_sql -= 1
        if statement is not None:
            statement.rows_count = (statement.rows_count or 0) + len(rows)
        return rows

    return fetch


def _one(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def fetch(self: Any, *hard_close: Any, **named: Any) -> Any:
        lane = LANE.get()
        if lane is None:
            return original(self, *hard_close, **named)
        statement = getattr(self.context, "unslow_statement", None)
        lane.inside_sql += 1
        start = clock()
        try:
            row = original(self, *hard_close, **named)
        finally:
            end = clock()
            lane.inside_sql -= 1
            if end - start >= _SHORTEST_ROW_NS:
                lane.add(ROWS, start, end, None if statement is None else statement.index)
        if statement is not None:
            statement.rows_count = (statement.rows_count or 0) + (row is not None)
        return row

    return fetch


def _each(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def fetch(self: Any) -> Iterator[Any]:
        statement = None if LANE.get() is None else getattr(self.context, "unslow_statement", None)
        if statement is None:
            return original(self)
        return _counted(original(self), statement)

    return fetch


def _counted(rows: Iterator[Any], statement: Any) -> Iterator[Any]:
    count = 0
    try:
        for row in rows:
            count += 1
            yield row
    finally:
        statement.rows_count = (statement.rows_count or 0) + count


def _buffer(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def fill(self: Any, result: Any, dbapi_cursor: Any) -> Any:
        lane = LANE.get()
        if lane is None:
            return original(self, result, dbapi_cursor)
        statement = getattr(result.context, "unslow_statement", None)
        lane.inside_sql += 1
        start = clock()
        try:
            return original(self, result, dbapi_cursor)
        finally:
            lane.add(ROWS, start, clock(), None if statement is None else statement.index)
            lane.inside_sql -= 1

    return fill

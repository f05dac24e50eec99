"""The call by which a line sends a statement, as far as the source tells it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import libcst as cst
from libcst.helpers import get_full_name_for_node

from ...model.trace import Place
from .names import Names
from .patch import CannotWriteError, Subject
from .source import Source, within
from .variables import variable_of

_OF_ASYNCPG: Final = frozenset({"fetch", "fetchrow", "fetchval"})
_GETS: Final = frozenset({"get", "get_one", "query"})
"""Methods of sessions that take a class; others have them too."""
_SENDS: Final = (
    frozenset({"execute", "executemany", "scalars", "scalar", "stream", "stream_scalars", "exec"})
    | frozenset({"flush", "commit", "refresh"})
    | _OF_ASYNCPG
)
_LIBRARIES: Final = ("sqlalchemy", "sqlmodel")
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

ASYNCPG: Final = "asyncpg"
PSYCOPG: Final = "psycopg"
TEXT: Final = "text"
"""How parameters are written: `$1`, `%s`, `:name`."""


class Sender(NamedTuple):
    """A call that sends a statement."""

    source: Source
    names: Names
    statement: cst.CSTNode
    call: cst.Call
    method: str
    on: str
    """What it is called on, where that is a name, with or without dots; empty where not."""
    is_awaited: bool

    @property
    def wait(self) -> str:
        """What stands before its calls."""
        return "await " if self.is_awaited else ""

    def expressions(self) -> Iterator[cst.CSTNode]:
        """All that the line evaluates, and what the variables that it reads were given."""
        for one in within(self.statement):
            yield one
            if isinstance(one, cst.Name) and self.source.is_read(one):
                for value in self._values(one):
                    yield value
                    yield from within(value)

    def _values(self, name: cst.Name) -> tuple[cst.BaseExpression, ...]:
        try:
            return variable_of(self.source, name).values
        except CannotWriteError:
            return ()


def sender_of(subject: Subject, place: Place | None) -> Sender | None:
    """The call at a line; None where it is not certain which it is."""
    text = None if place is None else subject.read(place.path)
    if place is None or text is None:
        return None
    try:
        source = Source(place.path, text)
        statement = source.statement_at(place.line, place.function)
    except CannotWriteError:
        return None
    names = Names(source, subject.read)
    found = [one for one in within(statement) if isinstance(one, cst.Call) and _sends(one, names)]
    if len(found) > 1:
        found = [one for one in found if place.line in _lines_of(source, one)]
    if len(found) != 1:
        return None
    (call,) = found
    method = cst.ensure_type(call.func, cst.Attribute)
    on = get_full_name_for_node(method.value) or ""
    # Of a call the full name is that of its function.
    on = on if _DOTTED.fullmatch(source.code(method.value)) else ""
    is_awaited = isinstance(source.parent(call), cst.Await)
    return Sender(source, names, statement, call, method.attr.value, on, is_awaited)


def style_of(sender: Sender | None, driver: str) -> str:
    """How parameters are written at a line: for asyncpg, psycopg, or `text()` of SQLAlchemy."""
    if sender is not None:
        if sender.method in _OF_ASYNCPG:
            return ASYNCPG
        modules = {one.module.partition(".")[0] for one in sender.names.imported.values()}
        if any(_is_text(one, sender.names) for one in sender.expressions()):
            return TEXT
        is_of_psycopg = bool(modules & {PSYCOPG, "psycopg2"})
        if modules & set(_LIBRARIES) and not (is_of_psycopg or ASYNCPG in modules):
            return TEXT
        if is_of_psycopg and not driver:
            return PSYCOPG
    if driver.startswith(PSYCOPG):
        return PSYCOPG
    return ASYNCPG if driver == ASYNCPG else TEXT


def _is_text(node: cst.CSTNode, names: Names) -> bool:
    return isinstance(node, cst.Call) and names.comes_from(node.func, "text", *_LIBRARIES)


def _sends(call: cst.Call, names: Names) -> bool:
    if not isinstance(call.func, cst.Attribute):
        return False
    method = call.func.attr.value
    if method in _SENDS:
        return True
    first = call.args[0].value if call.args else None
    name = None if first is None else names.class_of(first)
    return method in _GETS and name is not None and name[:1].isupper()


def _lines_of(source: Source, call: cst.Call) -> set[int]:
    """Where Python says that a call is: at the name of its method, or at its `await`."""
    method = cst.ensure_type(call.func, cst.Attribute)
    lines = {source.line_of(source.span(method.attr)[0])}
    parent = source.parent(call)
    if isinstance(parent, cst.Await):
        lines.add(source.line_of(source.span(parent)[0]))
    return lines

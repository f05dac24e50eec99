"""Passes values as parameters, in place of writing them into the text of a statement.

Changes: `f"... WHERE id = {id}"` becomes `... WHERE id = $1`, `%s` or `:id`, with the value beside.
Does not pay: where a value decides the plan, as a status that nearly all rows have: a prepared
statement may then get a plan that is right on average only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import libcst as cst

from ...model.proof import Arm
from .advice import told, where
from .patch import Patch, Subject
from .senders import ASYNCPG, PSYCOPG, Sender, sender_of, style_of
from .shapes import bound, quoted

_FIX: Final = "bind-parameters"
_NAME: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_MOST_NAMES: Final = 4
_MARKS: Final = {ASYNCPG: "$1", PSYCOPG: "%s"}


def candidates(subject: Subject) -> tuple[Arm, ...]:
    """The statement with parameters."""
    _, style = _sent(subject)
    return (Arm(_FIX, bound(subject.finding.shape, style) or _mark(style)),)


def write(subject: Subject, arm: Arm) -> Patch:  # noqa: ARG001  # each fix is written so
    """Says which line builds the text, and how it is written: only its author knows the types."""
    finding = subject.finding
    sender, style = _sent(subject)
    built = _built(sender)
    line = f"; the text is built on line {built.line}" if built else ""
    names = _names(built)
    statement = bound(finding.shape, style)
    return Patch(
        advice=told(
            f"{where(finding.place)}, sends values in the text of the statement{line}.",
            f"bind {names or 'them'}: `{_mark(style)}` in the text, without quotes, and"
            " the value beside it; what is the same each time may stay.",
            "names of tables and columns cannot be bound: choose those from a fixed list.",
            code=_code(statement, style, sender) if statement else "",
        )
    )


class _Built(NamedTuple):
    """Where a text is put together."""

    line: int
    names: tuple[str, ...]
    """What goes into it."""


def _sent(subject: Subject) -> tuple[Sender | None, str]:
    finding = subject.finding
    sender = sender_of(subject, finding.place)
    sent = (one for trace in subject.traces for one in trace.statements)
    mine = (one.driver for one in sent if (one.shape, one.place) == (finding.shape, finding.place))
    return sender, style_of(sender, next(mine, ""))


def _mark(style: str) -> str:
    return _MARKS.get(style, ":name")


def _built(sender: Sender | None) -> _Built | None:
    """The innermost f-string, or `%`, `+` or `.format` on a string, of what the line sends."""
    if sender is None:
        return None
    found = [
        one
        for one in sender.expressions()
        if isinstance(one, cst.FormattedString) or _is_formatting(one)
    ]
    if not found:
        return None
    start, _ = sender.source.span(found[-1])
    names = tuple(dict.fromkeys(_inserted(found[-1], sender)))
    return _Built(sender.source.line_of(start), names)


def _is_formatting(node: cst.CSTNode) -> bool:
    strings = (cst.SimpleString, cst.ConcatenatedString, cst.FormattedString)
    if isinstance(node, cst.BinaryOperation):
        is_put_together = isinstance(node.operator, (cst.Modulo, cst.Add))
        return is_put_together and isinstance(node.left, strings)
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
        return node.func.attr.value == "format" and isinstance(node.func.value, strings)
    return False


def _inserted(node: cst.CSTNode, sender: Sender) -> Iterator[str]:
    """The names of what goes into a text; never a value that stands there itself."""
    parts: list[cst.BaseExpression] = []
    if isinstance(node, cst.FormattedString):
        inner = (one for one in node.parts if isinstance(one, cst.FormattedStringExpression))
        parts = [one.expression for one in inner]
    elif isinstance(node, cst.BinaryOperation):
        right = node.right
        parts = [right]
        if isinstance(right, cst.Tuple):
            parts = [one.value for one in right.elements]
    elif isinstance(node, cst.Call):
        parts = [one.value for one in node.args]
    for one in parts:
        code = sender.source.code(one)
        if _NAME.fullmatch(code):
            yield code


def _names(built: _Built | None) -> str:
    if built is None or not 0 < len(built.names) <= _MOST_NAMES:
        return ""
    return ", ".join(f"`{one}`" for one in built.names)


def _code(statement: str, style: str, sender: Sender | None) -> str:
    wait = sender.wait if sender is not None else ""
    on = sender.on if sender is not None else ""
    text = quoted(statement)
    if style == ASYNCPG:
        method = sender.method if sender is not None else "fetch"
        return f"query = {text}\n{wait or 'await '}{on or 'connection'}.{method}(query, ...)"
    if style == PSYCOPG:
        return f"query = {text}\n{wait}{on or 'connection'}.execute(query, [...])"
    return f"query = text({text})\n{wait}{on or 'session'}.execute(query, {{...}})"

"""Gives a connection back before the wait for something else.

Changes: the block that holds the connection ends before the call, or the session is closed there;
what is asked afterwards takes a connection again.
Does not pay: where few ask at once, and where both have to be one transaction.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import libcst as cst

from ...model.proof import Arm
from ...model.trace import Place
from .advice import told, where
from .patch import CannotWriteError, Patch, Subject
from .senders import Sender, sender_of
from .source import Source

_FIX: Final = "release-early"
_OF_SESSIONS: Final = frozenset({"sqlalchemy", "sqlmodel"})
_SCOPE: Final = 'Depends(..., scope="function")'


def candidates(subject: Subject) -> tuple[Arm, ...]:
    """The end of the block, or of the session."""
    held = _Held.of(subject)
    return (Arm(_FIX, held.closing or "end the block before the wait"),)


def write(subject: Subject, arm: Arm) -> Patch:  # noqa: ARG001  # each fix is written so
    """Says where the connection is to be given back: what may be apart its author knows."""
    finding = subject.finding
    held = _Held.of(subject)
    waits = f"while {where(finding.touched)}, waits" if finding.touched else "while it waits"
    after_block = (
        f"end the block of line {held.block_line} before that, with what is needed in variables,"
        " and open another one behind it if something is still to be asked."
    )
    after_session = (
        "read what you need first: what is loaded then stays readable, but nothing more is loaded."
        " What is written is lost unless it is committed before; the session takes a connection"
        " again when it is used again."
    )
    anyhow = "give it back before: end its `with` block, or close the session."
    return Patch(
        advice=told(
            f"{where(finding.place)}, takes a connection that is held {waits}.",
            after_block if held.block_line else after_session if held.closing else anyhow,
            _of_dependency(subject),
            code=f"{held.closing}  # before the wait" if held.closing else "",
        )
    )


class _Held(NamedTuple):
    """How a connection is held, as far as the source tells it."""

    block_line: int
    """The line of the `with` that holds it; 0 where none is seen in the function."""
    closing: str
    """What gives it back; empty where a block is to be ended, or nothing is known."""

    @classmethod
    def of(cls, subject: Subject) -> _Held:
        """What stands at the line that takes it."""
        place = subject.finding.place
        line = _with_at(subject, place)
        if line:
            return cls(line, "")
        sender = sender_of(subject, place)
        if sender is None or not sender.on:
            return cls(0, "")
        line = _block_of(sender)
        if line:
            return cls(line, "")
        modules = {one.module.partition(".")[0] for one in sender.names.imported.values()}
        # A closed connection, unlike a session, cannot be used again.
        is_session = bool(modules & _OF_SESSIONS) and "conn" not in sender.on.lower()
        closing = f"{sender.wait}{sender.on}.close()" if is_session else ""
        return cls(0, closing)


def _with_at(subject: Subject, place: Place | None) -> int:
    """The line of a `with` that is itself at a place."""
    text = None if place is None else subject.read(place.path)
    if place is None or text is None:
        return 0
    try:
        source = Source(place.path, text)
        statement = source.statement_at(place.line, place.function)
    except CannotWriteError:
        return 0
    return source.line_of(source.span(statement)[0]) if isinstance(statement, cst.With) else 0


def _block_of(sender: Sender) -> int:
    """The line of the `with` around a call that opens what it is made on."""
    for one in sender.source.above(sender.call):
        if isinstance(one, cst.FunctionDef):
            break
        if isinstance(one, cst.With):
            for item in one.items:
                name = None if item.asname is None else item.asname.name
                if isinstance(name, cst.Name) and name.value == sender.on:
                    return sender.source.line_of(sender.source.span(one)[0])
    return 0


def _of_dependency(subject: Subject) -> str:
    """What helps where a dependency holds it until the answer is sent."""
    finding = subject.finding
    holds = [
        (hold.end_ns, trace.response_end_ns)
        for trace in subject.traces
        for hold in trace.holds
        if hold.place == finding.place
    ]
    if finding.touched is not None or not any(end >= sent for end, sent in holds):
        return ""
    return (
        f"it is held until the answer is sent: with FastAPI 0.121 and newer, `{_SCOPE}` ends a"
        " dependency with `yield` when the endpoint returns."
    )

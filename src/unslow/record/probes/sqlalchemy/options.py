"""Lineage by public names only, for a SQLAlchemy that is newer than what is known here.

A statement gets an option that comes back with each load that its rows cause, at any depth. Dearer
than what objects remember anyway: SQLAlchemy prepares each statement twice for who listens to it.
"""

from __future__ import annotations

from typing import Any

from ....current import LANE, Lane, OpenStatement
from ...probe import Installation
from .statements import ORIGIN


class _Origin:
    """Where a statement comes from, known before it is sent."""

    __slots__ = ("index", "parent", "relationship", "row_key", "trace_number")

    def __init__(self, trace_number: int) -> None:
        self.trace_number = trace_number
        self.index = -1
        self.parent: _Origin | None = None
        self.relationship: Any = None
        self.row_key: Any = None

    def sent(self, statement: OpenStatement) -> None:
        """Takes the statement's number and writes on it where it comes from."""
        self.index = statement.index
        if self.parent is not None:
            statement.parent = self.parent.index
        statement.relationship = self.relationship
        statement.row_key = self.row_key


def install(installation: Installation) -> None:
    """Listens to what sessions execute."""
    from sqlalchemy import event
    from sqlalchemy.orm import Session, UserDefinedOption

    class Tag(UserDefinedOption):
        propagate_to_loaders = True

    broken = False

    def tag(execution: Any) -> None:
        nonlocal broken
        if broken or not execution.is_select:
            return
        try:
            lane = LANE.get()
            origin = None if lane is None else _origin_of(lane, execution, Tag)
            if not execution.is_column_load:
                # Outside of a request too: options are matched, by their place, with those of the
                # statement that was compiled first, and an option is no part of what tells two
                # statements apart.
                execution.statement = execution.statement.options(Tag(origin))
            if origin is not None:
                execution.update_execution_options(**{ORIGIN: origin})
        except Exception as error:
            broken = True
            installation.broke(error)

    def stop_listening() -> None:
        # From inside the event that would change the list which SQLAlchemy goes through.
        if not broken:
            event.remove(Session, "do_orm_execute", tag)

    event.listen(Session, "do_orm_execute", tag)
    installation.patches.on_undo(stop_listening)


def _origin_of(lane: Lane, execution: Any, tag: Any) -> _Origin:
    origin = _Origin(lane.trace.number)
    tags = [option for option in execution.user_defined_options if isinstance(option, tag)]
    parent = tags[-1].payload if tags else None
    # An object may have been loaded by an earlier request, or by none.
    if parent is not None and parent.trace_number == origin.trace_number:
        origin.parent = parent
    state = execution.lazy_loaded_from
    if state is not None:
        origin.row_key = state.key
    elif execution.is_column_load:
        origin.row_key = (execution.bind_mapper, tuple((execution.parameters or {}).values()))
        origin.relationship = f"{execution.bind_mapper.class_.__name__}.*"
    path = getattr(execution.loader_strategy_path, "path", ())
    if path and getattr(path[-1], "is_property", False):
        origin.relationship = path[-1]
    return origin

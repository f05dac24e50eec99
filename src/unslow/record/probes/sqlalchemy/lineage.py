"""Which earlier statement, and which of its rows, a statement comes from."""

from __future__ import annotations

from typing import Any

from ....current import OpenStatement


class _Columns:
    """The name of columns that were loaded late, made after the request."""

    __slots__ = ("entity", "names")

    def __init__(self, entity: type, names: frozenset[str]) -> None:
        self.entity = entity
        self.names = names

    def __str__(self) -> str:
        # An expired object loads all its columns at the touch of one: which one is not told.
        name = next(iter(self.names)) if len(self.names) == 1 else "*"
        return f"{self.entity.__name__}.{name}"


def note(
    lineage: dict[Any, OpenStatement],
    statement: OpenStatement,
    context: Any,
    outer: OpenStatement | None,
) -> None:
    """Writes on a statement that was sent where it comes from.

    Args:
        lineage: of the trace: the statement by the run that read it, and by the path it loaded.
        statement: the one whose rows come next.
        context: SQLAlchemy's query context of that statement.
        outer: the statement whose objects are being built right now, if any.
    """
    state = context.load_options._lazy_loaded_from
    path = context.compile_state.current_path.path
    if state is not None:
        _from_row(lineage, statement, state)
        if path:
            statement.relationship = path[-1]
        return
    state = context.refresh_state
    if state is not None:
        _from_row(lineage, statement, state)
        names = context.query._compile_options._only_load_props
        if names and not getattr(context.load_options, "_is_user_refresh", False):
            statement.relationship = _Columns(state.class_, names)
        return
    if path:
        _from_eager_load(lineage, statement, context, path, outer)


def _from_row(lineage: dict[Any, OpenStatement], statement: OpenStatement, state: Any) -> None:
    statement.row_key = key = state.key
    loader = lineage.get(state.runid)
    if loader is None:
        return
    if loader.parent >= 0 and loader.row_key == key:
        # The row was only refreshed by it: the statement that brought the row is the parent.
        statement.parent = loader.parent
    else:
        statement.parent = loader.index


def _from_eager_load(
    lineage: dict[Any, OpenStatement],
    statement: OpenStatement,
    context: Any,
    path: tuple[Any, ...],
    outer: OpenStatement | None,
) -> None:
    top = context.top_level_context
    if top is None:
        # `subqueryload`: sent while the first object of its parent is being built.
        loader = outer
    else:
        lineage[(top.runid, path)] = statement
        above = path[:-2]
        while above and (top.runid, above) not in lineage:
            above = above[:-2]
        loader = lineage.get((top.runid, above) if above else top.runid)
    if loader is not None:
        statement.parent = loader.index
    if getattr(path[-1], "is_property", False):
        statement.relationship = path[-1]

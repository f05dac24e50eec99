"""Answers with a page: `limit-rows` adds a LIMIT to the statement of one place.

A question rather than a fix: the answer becomes another by purpose.
"""

from __future__ import annotations

from typing import Any, Final

from ...current import OpenArm
from . import Parameters, Tools, Undo
from .orm_statements import NO_SELECT, listen, spot_of, tell_unlike, unlike_a_query

_SEEN: Final = "unslow_limit_rows"
"""The execution option of what a session sends: its connection tells of it once more."""


def switch_on(arm: OpenArm, parameters: Parameters, tools: Tools) -> Undo:
    """Limits the rows of the SELECT that one place sends, by a session or a connection.

    Connections that are open are listened to as well; what SQLAlchemy notes on the class of engines
    for that stays after it is undone, and has no effect.

    Args:
        arm: The arm.
        parameters: `path`, `line` (0: any of the function) and `function` that send the statement;
            `limit`: how many rows.
        tools: Of the agent.
    """
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    spot = spot_of(parameters)
    limit = int(parameters["limit"])

    def limited(statement: Any, unlike: str) -> Any:
        """The statement with the limit; None where it is not the one, or cannot have it."""
        if (unlike and arm.fired_count) or not spot.is_here(tools):
            return None
        why = unlike or _why_not(statement)
        if unlike:
            tell_unlike(arm, unlike)
        elif why:
            arm.did_not(why)
        if why:
            return None
        changed = statement.limit(limit)
        arm.fired()
        return changed

    def in_session(execution: Any) -> None:
        changed = None
        try:
            execution.update_execution_options(**{_SEEN: True})
            changed = limited(execution.statement, unlike_a_query(execution))
        except Exception as error:
            arm.failed(type(error).__name__)
        if changed is not None:
            execution.statement = changed

    def on_connection(_: Any, statement: Any, many: Any, parameters: Any, options: Any) -> Any:
        changed = None
        try:
            if _SEEN not in options:
                why = "" if getattr(statement, "is_select", False) else NO_SELECT
                changed = limited(statement, why)
        except Exception as error:
            arm.failed(type(error).__name__)
        return statement if changed is None else changed, many, parameters

    def unchanged(_: Any, statement: Any, many: Any, parameters: Any, __: Any) -> Any:
        return statement, many, parameters

    undo_session = listen(arm, Session, "do_orm_execute", in_session)
    undo_connection = listen(arm, Engine, "before_execute", on_connection, unchanged, retval=True)

    def undo() -> None:
        undo_connection()
        undo_session()

    return undo


def _why_not(statement: Any) -> str:
    from sqlalchemy import CompoundSelect, Select

    if not isinstance(statement, Select | CompoundSelect):
        return "the statement is written by hand"
    if statement._limit_clause is not None or statement._fetch_clause is not None:
        return "the statement has a limit already"
    return ""

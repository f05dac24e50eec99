"""Statements of SQLAlchemy's sessions: those of one place, changed, and run so that the app stays
whole where the change fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ...current import ARM, OpenArm
from . import Parameters, Tools, Undo

NO_SELECT: Final = "what is sent there is no SELECT"
REFRESH: Final = "what is sent there refreshes an object that is loaded already"
RELATIONSHIP: Final = "what is sent there loads a relationship of objects that are loaded already"

_AUTOCOMMIT: Final = "AUTOCOMMIT"
_BUFFERED: Final = {"prebuffer_rows": True}
"""What SQLAlchemy's own async sessions execute with: objects are built before the result is handed
out, so that what fails then fails here."""

_LOAD_OPTIONS: Final = "_sa_orm_load_options"

Work = Callable[[], Any]
Act = Callable[..., Any]


class Spot(NamedTuple):
    """The line that sends the statement which is meant."""

    path: str
    """Empty: any line."""
    line: int
    """0: any line of the function."""
    function: str
    """Qualified; empty: any function of the file."""

    def is_here(self, tools: Tools) -> bool:
        """Whether the calling line is the one."""
        if not self.path:
            return True
        place = tools.caller_place()
        if place is None:
            return False
        path, line, function = place
        return (
            path == self.path
            and self.line in {0, line}
            and (not self.function or function == self.function)
        )


def spot_of(parameters: Parameters) -> Spot:
    """The line that a switch's parameters name; what they leave out is any."""
    return Spot(
        str(parameters.get("path", "")),
        int(parameters.get("line", 0)),
        str(parameters.get("function", "")),
    )


def listen(
    arm: OpenArm, target: type, name: str, act: Act, otherwise: Act | None = None, **options: bool
) -> Undo:
    """Acts upon an event of SQLAlchemy, in the requests of an arm that has not failed.

    Args:
        arm: The arm.
        target: A class: its objects that are there already are listened to as well.
        name: The event.
        act: Takes what the event brings; what it returns goes back to SQLAlchemy.
        otherwise: The same for all other requests; None: nothing goes back.
        options: How SQLAlchemy takes what goes back.
    """
    from sqlalchemy import event

    def listener(*given: Any) -> Any:
        if ARM.get() is arm and not arm.broke:
            return act(*given)
        return None if otherwise is None else otherwise(*given)

    event.listen(target, name, listener, **options)

    def undo() -> None:
        if event.contains(target, name, listener):
            event.remove(target, name, listener)

    return undo


def unlike_a_query(execution: Any) -> str:
    """What a session executes, where that is no SELECT of the app's own; else empty."""
    if is_hand_written(execution.statement):
        return NO_SELECT if execution.statement.is_dml else ""
    if not execution.is_select:
        return NO_SELECT
    if _is_told(execution, "is_column_load"):
        return REFRESH
    if _is_told(execution, "is_relationship_load") or execution.lazy_loaded_from is not None:
        return RELATIONSHIP
    return ""


def tell_unlike(arm: OpenArm, why: str) -> None:
    """Notes what was sent in place of the statement that is meant, if nothing better is known."""
    if not arm.fired_count and (not arm.whys or why in arm.whys):
        arm.did_not(why)


def is_eager_load(execution: Any) -> bool:
    """Whether a loader option, or the mapping, has it sent with the statement of its parents."""
    return _is_told(execution, "is_relationship_load") and (
        load_option(execution, "_lazy_loaded_from", None) is None
    )


def _is_told(execution: Any, name: str) -> bool:
    # Of a UNION, SQLAlchemy 2.0.0 cannot tell: it is none of these.
    return bool(getattr(execution, name, False))


def is_hand_written(statement: Any) -> bool:
    """Whether it only says which objects the rows of another statement or text make."""
    from sqlalchemy.orm.context import FromStatement

    return isinstance(statement, FromStatement)


def load_option(execution: Any, name: str, default: Any) -> Any:
    """How the ORM was told to load, which there is no public name for."""
    return getattr(execution.execution_options.get(_LOAD_OPTIONS), name, default)


def is_streaming(execution: Any) -> bool:
    """Whether rows are to come in parts, as they are asked for."""
    options = execution.execution_options
    return bool(
        options.get("yield_per")
        or options.get("stream_results")
        or load_option(execution, "_yield_per", None)
    )


def run_changed(arm: OpenArm, execution: Any, statement: Any, finished: Act | None) -> Any:
    """Runs a changed statement in place of the one that a session executes.

    Where that raises, the statement runs as it is written, and the arm has failed unless that
    raises the same. Where the arm is careful all of it happens within a savepoint, with the objects
    built. Else an error of the database reaches the app, since its transaction is aborted; what
    fails only where the app reads the result does too.

    Args:
        arm: The arm.
        execution: What SQLAlchemy's event brings.
        statement: The changed one.
        finished: Makes of the result what the app can take for its own.

    Returns:
        The result; None where the app shall go on as it is written.
    """
    _flush_first(execution)
    is_careful = arm.careful
    options = _BUFFERED if is_careful else {}

    def work() -> Any:
        result = execution.invoke_statement(statement, execution_options=options)
        return result if finished is None else finished(result)

    try:
        savepoint = _savepoint(execution) if is_careful else None
    except Exception:
        arm.did_not("no savepoint could be set before the statement")
        return None
    try:
        result = _within(savepoint, work)
    except Exception as error:
        failed = error
    else:
        arm.fired()
        return result
    return _as_written(arm, execution, failed, is_careful)


def _flush_first(execution: Any) -> None:
    """Has the session write what it would write before the statement anyway.

    An error of that is the app's own, and none of what was changed.
    """
    flush = getattr(execution.session, "_autoflush", None)
    if flush is not None and load_option(execution, "_autoflush", True):
        flush()


def _savepoint(execution: Any) -> Any:
    connection = execution.session.connection(bind_arguments=dict(execution.bind_arguments))
    level = connection.get_execution_options().get("isolation_level")
    if level is None:
        level = getattr(connection.dialect, "_on_connect_isolation_level", None)
    return None if level == _AUTOCOMMIT else connection.begin_nested()


def _within(savepoint: Any, work: Work) -> Any:
    if savepoint is None:
        return work()
    try:
        result = work()
    except Exception:
        # A request that is cancelled is no failure, and its connection takes no more commands.
        savepoint.rollback()
        raise
    savepoint.commit()
    return result


def _as_written(arm: OpenArm, execution: Any, failed: Exception, is_careful: bool) -> Any:
    how = type(failed).__name__
    try:
        result = execution.invoke_statement()
    except Exception as error:
        if type(error) is type(failed):
            raise
        if is_careful:
            arm.failed(how)
            raise
        # Most likely it says that the transaction is aborted. The app gets what aborted it, which
        # is not for the arm to answer if it went well before.
        if not arm.fired_count:
            arm.failed(how)
        raise failed from None
    arm.failed(how)
    return result

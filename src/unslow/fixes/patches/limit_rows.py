"""Answer a page instead of all rows: what a limit would bring, and how pages are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ...model.proof import Arm
from ...model.trace import Place
from .patch import CannotTryError, Patch, Subject

_FIX: Final = "limit-rows"
_PAGE_COUNT: Final = 50
"""What a page usually holds."""


def candidates(subject: Subject) -> tuple[Arm, ...]:
    """One arm: as many rows as a page usually has, of the statement that brings most.

    Raises:
        CannotTryError: there is no such statement, or a driver sends it that has no switch.
    """
    place = _place(subject)
    if place is None:
        raise CannotTryError("the rows come from no line that is known")
    if not _goes_through_sqlalchemy(subject):
        raise CannotTryError(
            "its statement goes to the driver directly, where nothing can change it"
        )
    return (
        Arm(
            _FIX,
            f".limit({_PAGE_COUNT})",
            {
                "path": place.path,
                "line": place.line,
                "function": place.function,
                "limit": _PAGE_COUNT,
            },
        ),
    )


def _place(subject: Subject) -> Place | None:
    """The line that sends what brings most rows; a finding may be about the whole answer."""
    sent = [one for trace in subject.traces for one in trace.statements if one.rows_count]
    most = max(sent, key=lambda one: one.rows_count or 0, default=None)
    return subject.finding.place if most is None else most.place


def _goes_through_sqlalchemy(subject: Subject) -> bool:
    """Whether a pool that the requests took connections from may be SQLAlchemy's.

    Those have the name of the database and of the driver: `postgresql+asyncpg 127.0.0.1:5432/...`.
    """
    pools = {one.pool for trace in subject.traces for one in trace.holds}
    return not pools or any("+" in pool.partition(" ")[0] for pool in pools)


def write(subject: Subject, arm: Arm) -> Patch:  # noqa: ARG001  # each fix is written so
    """Says what to change: whoever asks has to be told of pages, so there is no patch."""
    place = _place(subject)
    where = "It" if place is None else f"Line {place.line} of {Path(place.path).name}"
    return Patch(
        advice=f"{where} fetches all rows there are. Take two parameters, `limit` (with a bound,"
        f" such as {_PAGE_COUNT}) and `after`, the last id that the caller has, and ask for the"
        " page behind it: `.where(X.id > after).order_by(X.id).limit(limit)`, X being what the"
        " statement selects. Unlike OFFSET, a late page then costs no more than the first. Callers"
        " that want all rows must ask page by page: tell them before you change it."
    )

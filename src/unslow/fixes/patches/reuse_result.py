"""Keeps the result of a query, in place of asking the same again in the same request.

Changes: the second of two equal queries goes, and its place takes the result of the first.
Does not pay: where somebody else may write in between and the second has to see it.
"""

from __future__ import annotations

from typing import Final

from ...model.finding import Finding
from ...model.proof import Arm
from .advice import function_of, told, where
from .patch import Patch, Subject
from .senders import Sender, sender_of

_FIX: Final = "reuse-result"
_OF_SESSIONS: Final = frozenset({"execute", "scalars", "scalar", "get", "get_one", "query", "exec"})


def candidates(subject: Subject) -> tuple[Arm, ...]:
    """The dependency that both use, or the variable."""
    return (Arm(_FIX, _says(subject.finding)),)


def write(subject: Subject, arm: Arm) -> Patch:  # noqa: ARG001  # each fix is written so
    """Says which lines ask the same, and how one answer serves both."""
    finding = subject.finding
    return Patch(
        advice=told(
            _who(finding),
            "ask once and hand the result on, as an argument or on `request.state`; as a FastAPI"
            f" dependency, {_dependency(finding)} is called once a request, however many want it.",
            _by_key(sender_of(subject, finding.place)),
        )
    )


def _is_one_line(finding: Finding) -> bool:
    return finding.touched is None or finding.touched == finding.place


def _says(finding: Finding) -> str:
    return _dependency(finding).strip("`") if _is_one_line(finding) else "result = ..."


def _dependency(finding: Finding) -> str:
    place = finding.place
    name = "" if place is None else function_of(place)
    # A method wants its object, and a function within another its variables.
    is_plain = name.isidentifier() and _is_one_line(finding)
    return f"`Depends({name})`" if is_plain else "`Depends(...)`"


def _who(finding: Finding) -> str:
    if not _is_one_line(finding):
        return (
            f"{where(finding.place)}, sends what {where(finding.touched)}, has sent already, with"
            " the same values."
        )
    place = finding.place
    again = f": `{function_of(place)}` runs more than once" if place and function_of(place) else ""
    return f"{where(place)}, sends the same with the same values again{again}."


def _by_key(sender: Sender | None) -> str:
    """What the ORM's session keeps by itself."""
    if sender is None or sender.method not in _OF_SESSIONS:
        return ""
    modules = {one.module.partition(".")[0] for one in sender.names.imported.values()}
    if not modules & {"sqlalchemy", "sqlmodel"}:
        return ""
    if sender.method in ("get", "get_one"):
        return (
            f"`session.{sender.method}` asks once for a key as long as the same session is used and"
            " the object is kept: here each has a session of its own, or it expired in a commit."
        )
    return (
        "an object of the ORM that is asked for by its primary key: `session.get(...)` finds it in"
        " the session, without a statement, as long as it is kept."
    )

"""Loads each list by a statement of its own, in place of joining all of them with each other.

Changes: of several joined lists all but one are loaded by `selectinload`, or by a second statement.
Does not pay: where the lists are nearly always empty or of one row each: a join then brings hardly
more rows, and saves a round trip.
"""

from __future__ import annotations

import re
from typing import Final

import libcst as cst

from ...model.finding import Finding
from ...model.proof import Arm
from .advice import told, where
from .patch import Patch, Subject
from .senders import Sender, sender_of

_FIX: Final = "split-joins"
_JOIN: Final = "joinedload"
_OTHER: Final = "selectinload"
_JOINED: Final = re.compile(r"\bJOIN (?P<table>[\w.\"]+)", re.IGNORECASE)
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_FEWEST: Final = 2


def candidates(subject: Subject) -> tuple[Arm, ...]:
    """The loader, or the second statement."""
    joined = _joined(sender_of(subject, subject.finding.place))
    says = f"{_OTHER}({joined[1]})" if len(joined) >= _FEWEST else "a second statement"
    return (Arm(_FIX, says),)


def write(subject: Subject, arm: Arm) -> Patch:  # noqa: ARG001  # each fix is written so
    """Says which of the joins to take apart: which is cheaper alone is not seen in the source."""
    finding = subject.finding
    joined = _joined(sender_of(subject, finding.place))
    if len(joined) >= _FEWEST:
        return Patch(advice=_of_options(finding, joined))
    return Patch(advice=_of_statements(finding))


def _joined(sender: Sender | None) -> list[str]:
    """What the options of a statement join, in their order."""
    if sender is None:
        return []
    found = {}
    for one in sender.expressions():
        if isinstance(one, cst.Call) and one.args:
            function = one.func.attr if isinstance(one.func, cst.Attribute) else one.func
            if isinstance(function, cst.Name) and function.value == _JOIN:
                code = sender.source.code(one.args[0].value)
                if _DOTTED.fullmatch(code):
                    # By where it stands: the same one is met on several ways.
                    found[sender.source.span(one)] = code
    return [found[span] for span in sorted(found)]


def _rows(finding: Finding) -> str:
    rows, needed = finding.evidence.get("rows"), finding.evidence.get("rows_needed")
    if not isinstance(rows, int) or not isinstance(needed, int):
        return ""
    return f": {rows:,} rows come where {needed:,} would do"


def _of_options(finding: Finding, joined: list[str]) -> str:
    names = ", ".join(f"`{one}`" for one in joined)
    return told(
        f"{where(finding.place)}, joins {names} with each other{_rows(finding)}.",
        f"load all lists but one with `{_OTHER}`, which sends a statement of its own for them; what"
        " is a single object for each row may stay joined.",
        code=f"{_OTHER}({joined[1]})  # in place of {_JOIN}({joined[1]})",
    )


def _of_statements(finding: Finding) -> str:
    tables = list(dict.fromkeys(one["table"] for one in _JOINED.finditer(finding.shape)))
    lists = " and ".join(f"`{one}`" for one in tables[-2:]) if len(tables) >= _FEWEST else "lists"
    return told(
        f"{where(finding.place)}, joins {lists} with each other{_rows(finding)}.",
        "ask for each list with a statement of its own, by the keys of the same parents; or"
        " aggregate each in a subquery (`json_agg`, `array_agg`) before it is joined.",
        f"with the ORM: `{_OTHER}` in place of the second `{_JOIN}`.",
    )

"""What a tool said about a case, and whether that is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .cases import Case


@dataclass(frozen=True, slots=True)
class Said:
    """One finding of a tool at a case's endpoint."""

    rule: str
    """Its rule, or kind."""
    place: str = ""
    """`path:line in function`, where the tool names one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a tool did on a case."""

    word: str
    """`found`, `found other`, `missed`, `outside`; about what is correct `ok`, `false alarm`."""
    right: tuple[Said, ...] = ()
    other: tuple[Said, ...] = ()
    not_checked: tuple[str, ...] = ()
    """Why rules that were to find it did not look, where the tool says so."""

    def __str__(self) -> str:
        rules = ", ".join(_names(self.right or self.other))
        extra = f", beside it {', '.join(_names(self.other))}" if self.right and self.other else ""
        why = " (not checked)" if self.not_checked and not self.right else ""
        return f"{self.word}{why}{f': {rules}' if rules else ''}{extra}"


@dataclass(frozen=True, slots=True)
class Tool:
    """What one tool said in a whole run."""

    name: str
    verdicts: Mapping[str, Verdict]
    """By the case's name."""
    beside: tuple[Said, ...] = ()
    """What it said about no endpoint in particular."""

    def found_count(self) -> int:
        """Faults that it named rightly."""
        return sum(verdict.word == "found" for verdict in self.verdicts.values())

    def false_alarms_count(self) -> int:
        """Correct endpoints that it complained about."""
        return sum(verdict.word == "false alarm" for verdict in self.verdicts.values())

    def in_scope_count(self) -> int:
        """Faults that it could have found."""
        words = ("found", "found other", "missed")
        return sum(verdict.word in words for verdict in self.verdicts.values())


def judge(
    case: Case,
    said: Sequence[Said],
    accepted: tuple[str, ...] | None,
    not_checked: tuple[str, ...] = (),
) -> Verdict:
    """Compares what was said about a case with what is right; None: the fault is out of scope."""
    if not case.faulty:
        return Verdict("false alarm" if said else "ok", other=tuple(said))
    right = tuple(one for one in said if one.rule in (accepted or ()))
    other = tuple(one for one in said if one not in right)
    if accepted is None:
        word = "outside"
    elif right:
        word = "found"
    else:
        word = "found other" if other else "missed"
    return Verdict(word, right, other, not_checked)


def _names(said: Sequence[Said]) -> list[str]:
    return list(dict.fromkeys(one.rule for one in said))

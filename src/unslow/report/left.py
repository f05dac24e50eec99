"""What was not looked at, and why: operations, routes and rules, each reason once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from ..model.finding import BROKE, NOT_CHECKED, Outcome
from ..model.report import Report
from .ranking import name_of


@dataclass(frozen=True, slots=True)
class Left:
    """Things that were not looked at for the same reason."""

    what: tuple[str, ...]
    why: str
    noun: str = "rule"
    """What each of them is."""


def what_is_left(report: Report) -> Iterator[Left]:
    """Operations that were not asked, routes that no rule could judge, rules that could not judge.

    Of the reasons, those with most to say first.
    """
    judged = [one for one in report.outcomes if one.state in (NOT_CHECKED, BROKE)]
    uncounted = {name_of(one) for one in report.endpoints if one.requests_counted == 0}
    yield from _operations(report)
    yield from _routes(uncounted, judged)
    rules: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in judged:
        if one.route not in uncounted:
            rules[one.state, one.why].add(one.rule)
    for (state, why), names in rules.items():
        yield Left(tuple(sorted(names)), f"broke: {why}" if state == BROKE else why)


def _operations(report: Report) -> Iterator[Left]:
    whys: dict[str, list[str]] = defaultdict(list)
    for one in () if report.checked is None else report.checked.left_out:
        whys[one.why].append(f"{one.method} {one.route}".strip())
    for why, names in sorted(whys.items(), key=lambda one: -len(one[1])):
        yield Left(tuple(names), why, "operation")


def _routes(uncounted: set[str], judged: list[Outcome]) -> Iterator[Left]:
    whys: dict[str, list[str]] = defaultdict(list)
    for route in sorted(uncounted):
        whys[next((one.why for one in judged if one.route == route), "")].append(route)
    for why, routes in whys.items():
        yield Left(tuple(routes), why, "route")

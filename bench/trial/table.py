"""The outcome of the trial as a table, and as data."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from .arms import Measured, library_versions
from .cases import Case
from .verdict import Tool


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that a trial came to."""

    cases: tuple[Case, ...]
    requests_each: int
    tools: tuple[Tool, ...]
    measured: Mapping[str, Measured]
    """By the case's name; empty where unslow was not run."""


def show(outcome: Outcome) -> None:
    """Prints the table, what was said about no endpoint, and the totals."""
    versions = ", ".join(f"{name} {version}" for name, version in library_versions().items())
    print(f"CPython {platform.python_version()}, {versions}")
    print(f"{outcome.requests_each} requests to each case, one at a time\n")
    for title, faulty in (("faulty", True), ("correct", False)):
        cases = [case for case in outcome.cases if case.faulty is faulty]
        if cases:
            heads = (f"{title} case", "statements", "ms", *(tool.name for tool in outcome.tools))
            _print_columns([heads, *(_row(outcome, case) for case in cases)])
            print()
    for tool in outcome.tools:
        for said in tool.beside:
            print(f"{tool.name}, about no case: {said.rule} {said.place}".rstrip())
        print(f"{tool.name}: {_totals(outcome, tool)}")
    print(
        "statements: the most in one request, BEGIN included; ms: median of a request; both under"
        " unslow; outside: not what the tool looks for"
    )


def _row(outcome: Outcome, case: Case) -> tuple[str, ...]:
    measured = outcome.measured.get(case.name)
    figures = ("", "")
    if measured:
        figures = (str(measured.statements_max_count), f"{measured.wall_p50_ms:.1f}")
    return (case.says, *figures, *(str(tool.verdicts[case.name]) for tool in outcome.tools))


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if number in (1, 2) else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join(cells).rstrip())


def _totals(outcome: Outcome, tool: Tool) -> str:
    faulty_count = sum(case.faulty for case in outcome.cases)
    correct_count = len(outcome.cases) - faulty_count
    return (
        f"found {tool.found_count()} of {tool.in_scope_count()} in its scope"
        f" (of {faulty_count} faulty cases); false alarms on {tool.false_alarms_count()} of"
        f" {correct_count} correct ones"
    )


def as_json(outcome: Outcome) -> Mapping[str, Any]:
    """The same as data."""
    return {
        "python": platform.python_version(),
        "libraries": library_versions(),
        "requests_each": outcome.requests_each,
        "cases": [_case(outcome, case) for case in outcome.cases],
        "totals": {
            tool.name: {
                "found": tool.found_count(),
                "in_scope": tool.in_scope_count(),
                "false_alarms": tool.false_alarms_count(),
            }
            for tool in outcome.tools
        },
        "about_no_case": {
            tool.name: [dataclasses.asdict(said) for said in tool.beside] for tool in outcome.tools
        },
    }


def _case(outcome: Outcome, case: Case) -> Mapping[str, Any]:
    measured = outcome.measured.get(case.name)
    return {
        "name": case.name,
        "says": case.says,
        "faulty": case.faulty,
        "method": case.method,
        "route": case.route,
        "rules": case.rules,
        "measured": dataclasses.asdict(measured) if measured else None,
        "verdicts": {
            tool.name: dataclasses.asdict(tool.verdicts[case.name]) for tool in outcome.tools
        },
    }

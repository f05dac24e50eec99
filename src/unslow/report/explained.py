"""One route of a report: what was looked at, and what became of each rule there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from rich.text import Text

from ..model.finding import BROKE, CLEAN, FOUND, NOT_CHECKED, Finding, Outcome
from ..model.proof import Trial
from ..model.report import FORMAT, Endpoint, Report
from ..numbers import counted, milliseconds
from .lines import flow, one_line, sentence, unshortened
from .page import MARGIN, Page, title
from .ranking import name_of
from .trials import verdict_lines
from .verdicts import WITHDRAWN, could_save_words


class Explained(NamedTuple):
    """What there is to say about a route."""

    route: str
    """`METHOD /route`."""
    endpoint: Endpoint | None
    """None where no request of it was timed."""
    outcomes: tuple[Outcome, ...]
    trials: Mapping[str, tuple[Trial, ...]] = MappingProxyType({})
    """Those of each finding by its id, the best first."""
    withdrawn: frozenset[str] = frozenset()
    """The ids of findings whose fixes do not pay."""


def routes_of(report: Report) -> list[str]:
    """The routes that there is something to say about."""
    names = [*map(name_of, report.endpoints), *(one.route for one in report.outcomes)]
    return sorted(set(filter(None, names)))


def explained(report: Report, route: str) -> Explained:
    """What the report says about one of its routes."""
    endpoint = {name_of(one): one for one in report.endpoints}.get(route)
    outcomes = tuple(one for one in report.outcomes if one.route == route)
    findings = () if endpoint is None else endpoint.findings
    return Explained(
        route,
        endpoint,
        outcomes,
        {one.id: report.trials_of(one) for one in findings},
        frozenset(one.id for one in findings if report.is_withdrawn(one)),
    )


def explained_lines(about: Explained, page: Page) -> Iterator[Text]:
    """It as text: what was looked at, then found, nearly found, clean, not checked, broken."""
    yield from flow([Text(one_line(about.route), "bold")], page.width)
    yield from flow(_looked_at(about), page.width, first=" " * MARGIN, indent=MARGIN)
    yield from _found(about, page)
    yield from _nearly(about, page)
    clean = [one.rule for one in about.outcomes if one.state == CLEAN and not one.why]
    if clean:
        yield from title(f"Clean ({len(clean)})")
        yield from flow(clean, page.width, first=" " * MARGIN, indent=MARGIN)
    yield from _by_reason("Not checked", NOT_CHECKED, about, page)
    yield from _by_reason("Broke", BROKE, about, page)


def _looked_at(about: Explained) -> Sequence[str]:
    endpoint = about.endpoint
    if endpoint is None:
        return ["no request of it was timed"]
    items = [counted(endpoint.requests_count, "request")]
    if endpoint.requests_counted is not None:
        items.append(f"{endpoint.requests_counted:,} counted")
    if endpoint.errors_count:
        items.append(counted(endpoint.errors_count, "error"))
    if endpoint.alone is not None:
        items.append(f"{endpoint.alone.requests_count:,} alone")
    return [*items, f"mean {milliseconds(endpoint.wall_ms.mean)}"]


def _findings(about: Explained) -> tuple[Finding, ...]:
    return () if about.endpoint is None else about.endpoint.findings


def _found(about: Explained, page: Page) -> Iterator[Text]:
    findings = _findings(about)
    if not findings:
        return
    yield from title(f"Found ({len(findings)})")
    for one in findings:
        saves = one.could_save_ms
        is_withdrawn = one.id in about.withdrawn
        stake = "" if saves is None or is_withdrawn else could_save_words(saves)
        accepted = f"accepted: {one.accepted}" if one.accepted else ""
        items = [Text(one.rule, "bold yellow"), *page.items(stake, one.id, place=one.place)]
        yield from flow(
            [*items, *page.items(accepted)], page.width, first=" " * MARGIN, indent=2 * MARGIN
        )
        indent = " " * 2 * MARGIN
        yield from sentence(one.says, page.width, first=indent, indent=len(indent))
        if is_withdrawn:
            yield from unshortened(WITHDRAWN, page.width, first=indent, indent=len(indent))
        for trial in about.trials.get(one.id, ()):
            yield from verdict_lines(trial, page)


def _nearly(about: Explained, page: Page) -> Iterator[Text]:
    """What was looked at closely and not found, also beside what was found."""
    nearly = [one for one in about.outcomes if one.state in (CLEAN, FOUND) and one.why]
    if nearly:
        yield from title(f"Nearly found ({len(nearly)})")
    for one in nearly:
        first = Text.assemble(" " * MARGIN, (one.rule, "bold"), ": ")
        yield from sentence(one.why, page.width, first=first, indent=2 * MARGIN)


def _by_reason(head: str, state: str, about: Explained, page: Page) -> Iterator[Text]:
    rules: dict[str, list[str]] = defaultdict(list)
    for one in about.outcomes:
        if one.state == state:
            rules[one.why].append(one.rule)
    if rules:
        yield from title(f"{head} ({sum(map(len, rules.values()))})")
    for why, names in rules.items():
        text = f"{', '.join(names)}: {why}"
        yield from sentence(text, page.width, first=" " * MARGIN, indent=2 * MARGIN)


def explained_json(about: Explained) -> dict[str, Any]:
    """It as plain data, format 1."""
    ids: dict[str, list[str]] = defaultdict(list)
    for one in _findings(about):
        ids[one.rule].append(one.id)
    endpoint = about.endpoint
    return {
        "format": FORMAT,
        "route": about.route,
        "requests": 0 if endpoint is None else endpoint.requests_count,
        "requests_counted": 0 if endpoint is None else endpoint.requests_counted,
        "errors": 0 if endpoint is None else endpoint.errors_count,
        "rules": [
            {"rule": one.rule, "state": one.state, "why": one.why, "findings": ids[one.rule]}
            for one in about.outcomes
        ],
        "trials": [
            {
                "finding": finding,
                "fix": one.arm.fix,
                "says": one.arm.says,
                "verdict": one.verdict,
                "why": one.why,
                "times": None if one.compared is None else one.compared.times,
            }
            for finding, trials in about.trials.items()
            for one in trials
        ],
    }

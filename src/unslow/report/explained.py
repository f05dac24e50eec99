"""One route of a report: what was looked at, and what became of each rule there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from rich.text import Text

from ..model.finding import BROKE, CLEAN, FOUND, NOT_CHECKED, Finding, Outcome
from ..model.report import FORMAT, Endpoint, Report
from ..numbers import counted, milliseconds
from .lines import flow, one_line, sentence
from .page import MARGIN, Page, title
from .ranking import name_of


class Explained(NamedTuple):
    """What there is to say about a route."""

    route: str
    """`METHOD /route`."""
    endpoint: Endpoint | None
    """None where no request of it was timed."""
    outcomes: tuple[Outcome, ...]


def routes_of(report: Report) -> list[str]:
    """The routes that there is something to say about."""
    names = [*map(name_of, report.endpoints), *(one.route for one in report.outcomes)]
    return sorted(set(filter(None, names)))


def explained(report: Report, route: str) -> Explained:
    """What the report says about one of its routes."""
    endpoints = {name_of(one): one for one in report.endpoints}
    outcomes = tuple(one for one in report.outcomes if one.route == route)
    return Explained(route, endpoints.get(route), outcomes)


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
        stake = "" if saves is None else f"could save {milliseconds(saves)}"
        accepted = f"accepted: {one.accepted}" if one.accepted else ""
        items = [Text(one.rule, "bold yellow"), *page.items(stake, one.id, place=one.place)]
        yield from flow(
            [*items, *page.items(accepted)], page.width, first=" " * MARGIN, indent=2 * MARGIN
        )
        indent = " " * 2 * MARGIN
        yield from sentence(one.says, page.width, first=indent, indent=len(indent))


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
    }

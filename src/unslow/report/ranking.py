"""Findings by what is at stake in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from ..model.finding import Finding
from ..model.report import Endpoint, Report
from ..numbers import counted


def name_of(endpoint: Endpoint) -> str:
    """What an endpoint is called: `METHOD /route`."""
    return f"{endpoint.method} {endpoint.route or '(no route)'}"


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong, on all routes that come by it."""

    findings: tuple[Finding, ...]
    """One for each route, most at stake first."""

    @property
    def worst(self) -> Finding:
        """The one with most at stake."""
        return self.findings[0]

    @property
    def elsewhere(self) -> str:
        """How many more routes there are than that one; empty for none."""
        more = len(self.findings) - 1
        return f" and {counted(more, 'more route')}" if more else ""


def causes(report: Report, findings: Iterable[Finding]) -> list[Cause]:
    """Findings of one rule that say the same of the same line, as one; most at stake first."""
    groups: dict[tuple[object, ...], list[Finding]] = defaultdict(list)
    for one in most_at_stake_first(report, findings):
        # What has no line is no shared one either.
        line = one.place or one.id
        groups[one.rule, line, one.evidence.get("relationship"), one.shape].append(one)
    counts = {name_of(one): one.requests_count for one in report.endpoints}

    def at_stake_ms(cause: Cause) -> float:
        return sum(one.at_stake_ms(counts.get(one.route, 0)) for one in cause.findings)

    found = [Cause(tuple(group)) for group in groups.values()]
    return sorted(found, key=at_stake_ms, reverse=True)


def most_at_stake_first(report: Report, findings: Iterable[Finding]) -> list[Finding]:
    """Findings of the report, most at stake in all requests together first."""
    counts = {name_of(one): one.requests_count for one in report.endpoints}
    return sorted(
        findings,
        key=lambda one: (-one.at_stake_ms(counts.get(one.route, 0)), one.route, one.rule, one.id),
    )

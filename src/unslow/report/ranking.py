"""Findings by what is at stake in them."""

from __future__ import annotations

from collections.abc import Iterable

from ..model.finding import Finding
from ..model.report import Endpoint, Report


def name_of(endpoint: Endpoint) -> str:
    """What an endpoint is called: `METHOD /route`."""
    return f"{endpoint.method} {endpoint.route or '(no route)'}"


def most_at_stake_first(report: Report, findings: Iterable[Finding]) -> list[Finding]:
    """Findings of the report, most at stake in all requests together first."""
    counts = {name_of(one): one.requests_count for one in report.endpoints}
    return sorted(
        findings,
        key=lambda one: (-one.at_stake_ms(counts.get(one.route, 0)), one.route, one.rule, one.id),
    )

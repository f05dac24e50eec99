"""Findings by what is at stake in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from ..model.finding import Finding
from ..model.proof import Trial
from ..model.report import Endpoint, Report
from ..numbers import counted
from .verdicts import saved_ms


def name_of(endpoint: Endpoint) -> str:
    """What an endpoint is called: `METHOD /route`."""
    return f"{endpoint.method} {endpoint.route or '(no route)'}"


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong, on all routes that come by it."""

    findings: tuple[Finding, ...]
    """One for each route, most proven first, then most at stake."""

    @property
    def worst(self) -> Finding:
        """The one that is told: that with most proven or, where none is, with most at stake."""
        return self.findings[0]

    @property
    def elsewhere(self) -> str:
        """How many more routes there are than that one; empty for none."""
        more = len(self.findings) - 1
        return f" and {counted(more, 'more route')}" if more else ""


def causes(report: Report, findings: Iterable[Finding]) -> list[Cause]:
    """Findings of one rule that say the same of the same line, as one.

    Those with most proven stand first, then those with most at stake.
    """
    groups: dict[tuple[object, ...], list[Finding]] = defaultdict(list)
    for one in in_order(report, findings):
        # What has no line is no shared one either.
        line = one.place or one.id
        groups[one.rule, line, one.evidence.get("relationship"), one.shape].append(one)
    counts = _requests_counts(report)

    def rank(cause: Cause) -> tuple[bool, float, float]:
        proofs = [report.proof_of(one) for one in cause.findings]
        return (
            any(one is not None for one in proofs),
            sum(map(_saved_ms, proofs, (counts.get(one.route, 0) for one in cause.findings))),
            sum(one.at_stake_ms(counts.get(one.route, 0)) for one in cause.findings),
        )

    found = [Cause(tuple(group)) for group in groups.values()]
    return sorted(found, key=rank, reverse=True)


def in_order(report: Report, findings: Iterable[Finding]) -> list[Finding]:
    """Findings with most proven first, then those with most at stake, what is withdrawn last."""
    ranked = most_at_stake_first(report, findings)
    return proven_first(report, ranked)


def proven_first(report: Report, findings: Iterable[Finding]) -> list[Finding]:
    """Findings with most proven first, what is withdrawn last, and between them as they stood."""
    counts = _requests_counts(report)

    def rank(one: Finding) -> tuple[int, float]:
        proof = report.proof_of(one)
        if proof is not None:
            return 0, -_saved_ms(proof, counts.get(one.route, 0))
        return 2 if report.is_withdrawn(one) else 1, 0.0

    return sorted(findings, key=rank)


def _saved_ms(proof: Trial | None, requests_count: int) -> float:
    return 0.0 if proof is None else saved_ms(proof) * requests_count


def _requests_counts(report: Report) -> dict[str, int]:
    return {name_of(one): one.requests_count for one in report.endpoints}


def most_at_stake_first(report: Report, findings: Iterable[Finding]) -> list[Finding]:
    """Findings of the report, most at stake in all requests together first."""
    counts = _requests_counts(report)
    return sorted(
        findings,
        key=lambda one: (-one.at_stake_ms(counts.get(one.route, 0)), one.route, one.rule, one.id),
    )

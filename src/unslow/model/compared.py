"""Two checks beside each other, route by route."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .finding import Finding
from .proof import FASTER, NO_DIFFERENCE, NOT_TRIED, SLOWER, Comparison

_LEAST_BYTES_SHARE: Final = 0.01


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One of both checks."""

    folder: Path
    """That of its store."""
    run: str
    target: str
    """MODULE:APP; empty for a command."""
    recorded: str
    """When the last request began, ISO 8601, UTC."""
    requests_count: int
    """Those that are compared: they counted, and no other request was open meanwhile."""


@dataclass(frozen=True, slots=True)
class SegmentChange:
    """A line of the receipt that takes longer; mean ms per request."""

    segment: str
    before_ms: float
    after_ms: float

    @property
    def grown_ms(self) -> float:
        """By how much."""
        return self.after_ms - self.before_ms


@dataclass(frozen=True, slots=True)
class FindingChanges:
    """What became of the findings of a route, by their ids; each stands in one place."""

    new: tuple[Finding, ...] = ()
    """Found after and not before, though their rule had looked."""
    gone: tuple[Finding, ...] = ()
    """Found before and not after, though their rule has looked."""
    stayed: tuple[Finding, ...] = ()
    aside: tuple[Finding, ...] = ()
    """Found after, and accepted, or withdrawn because their fixes do not pay."""
    nearly: tuple[Finding, ...] = ()
    """Found in one of both and nearly found in the other, on a route that is not told to be faster
    or slower, and sends and answers as much: that is chance at a threshold."""
    unsure: tuple[Finding, ...] = ()
    """Found in one of both; in the other their rule could not look, or broke."""


@dataclass(frozen=True, slots=True)
class RouteCompared:
    """A route that both checks asked."""

    route: str
    """`METHOD /route`."""
    requests_before: int
    requests_after: int
    uncounted_before: int
    """Requests alone that were not answered so that they count; their times are not compared."""
    uncounted_after: int
    verdict: str
    """`faster`, `slower` or `no-difference`; `not-tried` where there was too little to judge."""
    why: str
    comparison: Comparison | None
    statements_before: int | None
    """Per request, the median; None where no request is compared."""
    statements_after: int | None
    response_bytes_before: int | None
    response_bytes_after: int | None
    findings: FindingChanges = FindingChanges()
    grown: tuple[SegmentChange, ...] = ()
    """The segments that grew most, the most first."""

    @property
    def is_lost(self) -> bool:
        """Whether it was answered so that it counts before, and is not any more."""
        return bool(self.requests_before and self.uncounted_after and not self.requests_after)


@dataclass(frozen=True, slots=True)
class OnlyInOne:
    """A route that one of both checks asked."""

    route: str
    requests_count: int
    why: str = ""
    """Why the other one did not ask it; empty where it did not know of it."""
    findings: tuple[Finding, ...] = ()
    """Without what is accepted or withdrawn."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Two checks, and what differs."""

    before: ComparedRun
    after: ComparedRun
    least_times: float
    """No smaller difference is told, as `times`."""
    routes: tuple[RouteCompared, ...]
    """The slower ones first, then those that differ most."""
    only_before: tuple[OnlyInOne, ...] = ()
    only_after: tuple[OnlyInOne, ...] = ()
    notes: tuple[str, ...] = ()
    """Sentences that say in what else the two differ."""

    def count(self, verdict: str) -> int:
        """How many routes a verdict has."""
        return sum(one.verdict == verdict for one in self.routes)

    @property
    def new_findings(self) -> tuple[Finding, ...]:
        """Those of routes in both, and of routes that the one before did not know of."""
        unknown = (one for one in self.only_after if not one.why)
        return (
            *(finding for one in self.routes for finding in one.findings.new),
            *(finding for one in unknown for finding in one.findings),
        )

    @property
    def gone_findings(self) -> tuple[Finding, ...]:
        """Those of routes in both."""
        return tuple(finding for one in self.routes for finding in one.findings.gone)

    @property
    def is_worse(self) -> bool:
        """Whether a route is slower or does not answer any more, or there is a new finding."""
        is_lost = any(one.is_lost for one in self.routes)
        return bool(is_lost or self.count(SLOWER) or self.new_findings)


def is_same_size(before_bytes: int, after_bytes: int) -> bool:
    """Whether two answers are as large as each other, but for a time or an id in them."""
    return abs(after_bytes - before_bytes) < _LEAST_BYTES_SHARE * max(before_bytes, after_bytes, 1)


def worst_first(one: RouteCompared) -> tuple[int, float, str]:
    """By what routes are sorted: what is lost, slower, faster, the same, not compared."""
    if one.is_lost:
        return 0, 0.0, one.route
    times = 1.0 if one.comparison is None else one.comparison.times
    size = max(times, 1 / times) if times > 0 else 0.0
    return 1 + (SLOWER, FASTER, NO_DIFFERENCE, NOT_TRIED).index(one.verdict), -size, one.route

"""Two checks beside each other: what each measured on a route, and what differs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from math import inf
from statistics import median_low
from typing import Final, NamedTuple

from ..diagnose.views import counts
from ..model.checked import Checked
from ..model.compared import (
    Compared,
    ComparedRun,
    FindingChanges,
    OnlyInOne,
    RouteCompared,
    SegmentChange,
    is_same_size,
    worst_first,
)
from ..model.finding import CLEAN, FOUND, NOT_CHECKED, Finding, Outcome
from ..model.proof import FASTER, SLOWER
from ..model.receipt import Seen
from ..model.report import Report
from ..model.trace import SEGMENTS, Process
from .compare import APART_LEAST_TIMES, judged_apart
from .named_checks import NamedCheck

_GROWN_COUNT: Final = 3
_LEAST_GROWN_MS: Final = 0.2
"""The same that a whole request has to differ by."""
_NEARLY: Final = "nearly"
_CUT: Final = "its beginning is kept no longer, as the store made room (setting store_bytes)"
_COSTS_TIMES: Final = 1.5
"""What recording takes differs by so much between machines, or between a quiet and a busy one."""


class RouteMeasured(NamedTuple):
    """What a check measured on one route."""

    times_ms: tuple[float, ...]
    """Of the requests that counted and ran alone, in the order in which they were measured."""
    uncounted_count: int
    """Of the requests alone."""
    statements_p50: int | None
    response_bytes_p50: int | None
    segments_ms: Mapping[str, float]
    """Their mean receipt."""
    requests_count: int
    """All that were asked, also in a crowd."""


class RunMeasured(NamedTuple):
    """What is kept of a check to compare it."""

    run: ComparedRun
    checked: Checked
    routes: Mapping[str, RouteMeasured]
    findings: Mapping[str, tuple[Finding, ...]]
    """By route."""
    aside: frozenset[str]
    """The ids of findings that are accepted, or withdrawn."""
    outcomes: Mapping[tuple[str, str], Outcome]
    """What became of a rule on a route."""
    notes: tuple[str, ...]
    processes: tuple[Process, ...]
    is_cut: bool = False
    """Whether the store made room, so that requests are missing."""


def measured(
    named: NamedCheck,
    report: Report,
    seen: Iterable[Seen],
    processes: Iterable[Process],
    *,
    accepted: Collection[str] = (),
    first_at: float = -inf,
) -> RunMeasured:
    """What a check measured, as far as it is compared.

    Args:
        named: The check.
        report: What was found in it.
        seen: Its requests, without those of trials.
        processes: What recorded it.
        accepted: The ids of findings that are accepted.
        first_at: When the first of its requests that are kept began, in seconds since 1970.
    """
    groups: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        groups[f"{one.trace.method} {one.trace.route or '(no route)'}"].append(one)
    routes = {name: _measured(group, named.checked) for name, group in groups.items()}
    findings: dict[str, list[Finding]] = defaultdict(list)
    for finding in report.findings:
        findings[finding.route].append(finding)
    run = ComparedRun(
        folder=named.folder,
        run=named.run,
        target=named.checked.target,
        recorded=report.recorded,
        requests_count=sum(len(one.times_ms) for one in routes.values()),
    )
    return RunMeasured(
        run=run,
        checked=named.checked,
        routes=routes,
        findings={route: tuple(group) for route, group in findings.items()},
        aside=frozenset(
            one.id for one in report.findings if one.id in accepted or report.is_withdrawn(one)
        ),
        outcomes={(one.rule, one.route): one for one in report.outcomes},
        notes=report.notes,
        # What warmed up came first, and is always there.
        is_cut=first_at >= named.checked.measured_since,
        processes=tuple(processes),
    )


def _measured(group: Sequence[Seen], checked: Checked) -> RouteMeasured:
    alone = list(_before_crowd(group, checked))
    # Whoever was answered in no time at all has no logarithm.
    good = [one for one in alone if _is_good(one, checked) and one.receipt.wall_ns > 0]
    good.sort(key=lambda one: one.trace.started_at)
    totals = [
        sum(column) for column in zip(*(one.receipt.segments_ns for one in good), strict=True)
    ]
    return RouteMeasured(
        times_ms=tuple(one.receipt.wall_ns / 1e6 for one in good),
        uncounted_count=sum(not _is_good(one, checked) for one in alone),
        statements_p50=_middle(len(one.trace.statements) for one in good),
        response_bytes_p50=_middle(one.trace.response_bytes for one in good),
        segments_ms={
            name: total / len(good) / 1e6 for name, total in zip(SEGMENTS, totals, strict=False)
        },
        requests_count=len(group),
    )


def _before_crowd(group: Sequence[Seen], checked: Checked) -> Iterator[Seen]:
    """The requests that were sent alone; in a crowd some run alone by chance, and warmer."""
    timed = [
        one
        for one in group
        if one.trace.usages is None and one.trace.started_at >= checked.measured_since
    ]
    crowd_at = min((one.trace.started_at for one in timed if one.open_count > 1), default=inf)
    return (one for one in timed if one.alone and one.trace.started_at < crowd_at)


def _is_good(one: Seen, checked: Checked) -> bool:
    return counts(one.trace, checked.also_counted)


def _middle(values: Iterable[int]) -> int | None:
    found = list(values)
    return median_low(found) if found else None


def compared(before: RunMeasured, after: RunMeasured) -> Compared:
    """What differs between two checks, on each route that both of them asked."""
    both = [route for route in before.routes if route in after.routes]
    routes = (_route(route, before, after) for route in both)
    return Compared(
        before=before.run,
        after=after.run,
        least_times=APART_LEAST_TIMES,
        routes=tuple(sorted(routes, key=worst_first)),
        only_before=_only_in(before, after),
        only_after=_only_in(after, before),
        notes=tuple(_notes(before, after)),
    )


def _route(route: str, before: RunMeasured, after: RunMeasured) -> RouteCompared:
    one, other = before.routes[route], after.routes[route]
    judged = judged_apart(one.times_ms, other.times_ms)
    is_same = judged.verdict not in (FASTER, SLOWER) and _sends_as_much(one, other)
    return RouteCompared(
        route=route,
        requests_before=len(one.times_ms),
        requests_after=len(other.times_ms),
        uncounted_before=one.uncounted_count,
        uncounted_after=other.uncounted_count,
        verdict=judged.verdict,
        why=judged.why,
        comparison=judged.comparison,
        statements_before=one.statements_p50,
        statements_after=other.statements_p50,
        response_bytes_before=one.response_bytes_p50,
        response_bytes_after=other.response_bytes_p50,
        findings=_changes(route, before, after, is_same=is_same),
        grown=_grown(one.segments_ms, other.segments_ms) if judged.verdict == SLOWER else (),
    )


def _grown(
    before_ms: Mapping[str, float], after_ms: Mapping[str, float]
) -> tuple[SegmentChange, ...]:
    changes = (SegmentChange(name, ms, after_ms.get(name, 0.0)) for name, ms in before_ms.items())
    grown = [one for one in changes if one.grown_ms >= _LEAST_GROWN_MS]
    return tuple(sorted(grown, key=lambda one: -one.grown_ms)[:_GROWN_COUNT])


def _changes(
    route: str, before: RunMeasured, after: RunMeasured, *, is_same: bool
) -> FindingChanges:
    """What became of a route's findings; what nobody looked for is neither gone nor new.

    Of a route that is the same as far as anyone can tell, what was nearly found is neither as well.
    """
    was = {one.id: one for one in before.findings.get(route, ())}
    now = {one.id: one for one in after.findings.get(route, ())}
    open_now = {name: one for name, one in now.items() if name not in after.aside}
    come = [(f, _absent(before, f, is_same)) for name, f in open_now.items() if name not in was]
    left = [(f, _absent(after, f, is_same)) for name, f in was.items() if name not in now]
    return FindingChanges(
        new=_those(come, CLEAN),
        gone=_those(left, CLEAN),
        stayed=tuple(one for name, one in open_now.items() if name in was),
        aside=tuple(one for name, one in now.items() if name in after.aside),
        nearly=(*_those(come, _NEARLY), *_those(left, _NEARLY)),
        unsure=(*_those(come, NOT_CHECKED), *_those(left, NOT_CHECKED)),
    )


def _those(how: Iterable[tuple[Finding, str]], wanted: str) -> tuple[Finding, ...]:
    return tuple(one for one, each in how if each == wanted)


def _absent(run: RunMeasured, finding: Finding, is_same: bool) -> str:
    """How it comes that a check has not found something: it is not there, or nobody can tell."""
    outcome = run.outcomes.get((finding.rule, finding.route))
    if outcome is None or outcome.state not in (FOUND, CLEAN):
        return NOT_CHECKED
    return _NEARLY if outcome.why and is_same else CLEAN


def _sends_as_much(one: RouteMeasured, other: RouteMeasured) -> bool:
    """Whether a route sends as many statements and bytes in both."""
    if one.statements_p50 != other.statements_p50:
        return False
    sizes = (one.response_bytes_p50 or 0, other.response_bytes_p50 or 0)
    return is_same_size(*sizes)


def _only_in(run: RunMeasured, other: RunMeasured) -> tuple[OnlyInOne, ...]:
    whys = {f"{one.method} {one.route}": one.why for one in other.checked.left_out}
    return tuple(
        OnlyInOne(
            route=route,
            requests_count=one.requests_count,
            why=whys.get(route, _CUT if other.is_cut else ""),
            findings=tuple(f for f in run.findings.get(route, ()) if f.id not in run.aside),
        )
        for route, one in run.routes.items()
        if route not in other.routes
    )


def _notes(before: RunMeasured, after: RunMeasured) -> Iterator[str]:
    one, other = before.checked, after.checked
    if one.target != other.target:
        names = [each.target or "a command" for each in (one, other)]
        yield f"Two targets: {names[0]} before, {names[1]} after. Routes of one name are compared."
    elif not one.target:
        yield "Both checked a command: whether it was the same app is not known."
    if before.run.recorded > after.run.recorded:
        yield "The one before is the newer one: name the older one first."
    yield from _machines(before.processes, after.processes)
    if one.database_hosts != other.database_hosts:
        hosts = [", ".join(each.database_hosts) or "not known" for each in (one, other)]
        yield f"Two databases: {hosts[0]} before, {hosts[1]} after."
    for word, run in (("before", before), ("after", after)):
        if run.is_cut:
            yield f"Of the check {word}: {_CUT}."
        for note in run.notes:
            yield f"Of the check {word}: {note}"


def _machines(before: Sequence[Process], after: Sequence[Process]) -> Iterator[str]:
    """In what the processes differ; the machine itself is known by what recording takes on it."""
    was, now = _versions(before), _versions(after)
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    if names:
        changes = (
            f"{name} {was.get(name, '(not loaded)')} → {now.get(name, '(not loaded)')}"
            for name in names
        )
        yield f"Other versions after: {', '.join(changes)}."
    costs = [max((one.slice_cost_ns for one in each), default=0) for each in (before, after)]
    if min(costs) > 0 and max(costs) / min(costs) >= _COSTS_TIMES:
        yield (
            f"Recording one slice of time took {costs[0]:,} ns before and {costs[1]:,} ns after:"
            " another machine, or a busier one."
        )


def _versions(processes: Sequence[Process]) -> dict[str, str]:
    pythons = [("Python", one.python) for one in processes if one.python]
    return dict([*pythons, *(library for one in processes for library in one.libraries)])

"""All rules over all routes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ..model.finding import BROKE, CLEAN, FOUND, NOT_CHECKED, Finding, Outcome
from ..model.receipt import Seen
from ..model.trace import SQL, Trace
from .catalogue import RULES
from .rule import Nearly, Rule
from .views import NEEDS, Requests, Run, counts, is_control

LEAST_ROUND_TRIP_MS: Final = 0.1
"""Of a database on the same machine: what seems quicker never comes so quickly anywhere else."""
_QUICK_SHARE: Final = 0.1
_FEWEST_ALONE: Final = 3


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the rules found, and what became of each on each route."""

    findings: tuple[Finding, ...]
    """Most that could be saved first."""
    outcomes: tuple[Outcome, ...]


def diagnose(seen: Iterable[Seen], run: Run, rules: Sequence[Rule] = RULES) -> Diagnosis:
    """Applies rules to the requests of each route."""
    routes: dict[tuple[str, str], list[Seen]] = defaultdict(list)
    for one in seen:
        routes[one.trace.method, one.trace.route].append(one)
    findings: list[Finding] = []
    outcomes: list[Outcome] = []
    for (method, route), mine in routes.items():
        requests = Requests(method, route, mine, run)
        calm = Requests(method, route, calm_ones(mine), run)
        for rule in rules:
            found, outcome = _apply(rule, requests if rule.in_crowd else calm)
            findings += found
            outcomes.append(outcome)
    told_apart = twins_told_apart(merged(findings))
    quoted = (replace(one, code=run.sources.line(one.place)) for one in told_apart)
    return Diagnosis(tuple(sorted(quoted, key=_most_first)), tuple(outcomes))


def merged(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """One finding for what a rule says of one line several times, as of two orders of one query."""
    groups: dict[tuple[object, ...], list[Finding]] = defaultdict(list)
    for one in findings:
        what: object = one.evidence.get("relationship")
        if one.place is None:
            what = one.shape, one.evidence.get("pool"), one.evidence.get("host")
        groups[one.rule, one.route, one.place, what].append(one)
    return tuple(_together(group) for group in groups.values())


def _together(group: Sequence[Finding]) -> Finding:
    first = max(group, key=lambda one: one.could_save_ms or 0.0)
    if len(group) == 1:
        return first
    known_ms = [one.could_save_ms for one in group if one.could_save_ms is not None]
    trips = [one.round_trips for one in group if one.round_trips is not None]
    return replace(
        first,
        says=f"{first.says} The same holds for {len(group) - 1} more of this line.",
        could_save_ms=sum(known_ms) if known_ms else None,
        round_trips=sum(trips) if trips else None,
        # The same whichever of them is the largest today.
        shape="",
    )


def twins_told_apart(findings: Iterable[Finding]) -> Iterator[Finding]:
    """The same findings, each with an id of its own."""
    groups: dict[str, list[Finding]] = defaultdict(list)
    for one in findings:
        groups[one.id].append(one)
    for group in groups.values():
        for number, one in enumerate(sorted(group, key=_from_the_top)):
            yield replace(one, twin=number) if number else one


def _from_the_top(finding: Finding) -> tuple[int, str]:
    line = 0 if finding.place is None else finding.place.line
    return line, str(finding.evidence.get("relationship", ""))


def calm_ones(seen: Sequence[Seen]) -> Sequence[Seen]:
    """Those that ran alone, where there are enough: beside others all times are longer."""
    alone = [one for one in seen if one.alone]
    count = sum(counts(one.trace) and one.trace.usages is None for one in alone)
    return alone if count >= _FEWEST_ALONE else seen


def _apply(rule: Rule, requests: Requests) -> tuple[list[Finding], Outcome]:
    missing = _missing(rule, requests)
    if missing:
        return [], Outcome(rule.id, requests.name, NOT_CHECKED, missing)
    found: list[Finding] = []
    nearly: list[str] = []
    try:
        for one in rule.apply(requests):
            if isinstance(one, Nearly):
                nearly.append(one.says)
            else:
                found.append(one)
    except Exception as error:
        # A rule that breaks takes nothing but itself along.
        return [], Outcome(rule.id, requests.name, BROKE, f"{type(error).__name__}: {error}")
    state = FOUND if found else CLEAN
    return found, Outcome(rule.id, requests.name, state, "; ".join(nearly))


def _missing(rule: Rule, requests: Requests) -> str:
    if not requests.counted:
        found = sorted({_answer(one.trace) for one in requests.every})
        return f"no request was answered with a 2xx, but with {', '.join(found)}"
    reasons = (NEEDS[need](requests) for need in rule.needs)
    return next(filter(None, reasons), "")


def _answer(trace: Trace) -> str:
    """How a request was answered that does not count."""
    is_good = 200 <= trace.status < 300
    return f"{trace.status} that was not whole" if is_good else str(trace.status)


def _most_first(finding: Finding) -> tuple[float, str, str]:
    return -(finding.could_save_ms or 0.0), finding.route, finding.rule


def round_trips_ms(seen: Iterable[Seen]) -> dict[str, float]:
    """By driver, what a statement takes that asks for next to nothing: the quickest tenth."""
    times: dict[str, list[float]] = defaultdict(list)
    for one in seen:
        statements = one.trace.statements
        for lane in one.trace.lanes:
            for part in lane.slices:
                if part.segment != SQL or not isinstance(part.what, int):
                    continue
                if part.what < len(statements) and not is_control(statements[part.what].shape):
                    took_ms = (part.end_ns - part.start_ns) / 1e6
                    times[statements[part.what].driver].append(took_ms)
    return {driver: _quick(found) for driver, found in times.items()}


def _quick(times: list[float]) -> float:
    return max(LEAST_ROUND_TRIP_MS, sorted(times)[int(len(times) * _QUICK_SHARE)])

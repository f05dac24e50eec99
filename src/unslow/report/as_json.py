"""A report as JSON, format 1: fields may be added, renaming one needs format 2."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..model.checked import Checked
from ..model.finding import BROKE, NOT_CHECKED, Finding
from ..model.proof import Comparison, ProvenTotal, Trial
from ..model.report import (
    FORMAT,
    Blocked,
    Detail,
    Endpoint,
    Holder,
    Machine,
    Report,
    Spread,
    StatementShape,
)
from ..model.trace import Place
from .findings import ROUND_TRIPS_MS
from .places import inner_path

Json = dict[str, Any]

_DIGITS: Final = 6
"""Of a number in milliseconds these reach down to the nanosecond, so that sums stay right."""
_WHAT: Final = {"remote": "host", "connect": "pool", "pool-wait": "pool"}
"""How a detail's `what` is called, by segment."""


def as_json(report: Report, *, folder: Path | None = None) -> Json:
    """The report as plain data; paths inside `folder`, by default the current one, start there."""
    return _Writer(folder or Path.cwd()).report(report)


def json_text(report: Report, *, folder: Path | None = None) -> str:
    """The report as text, indented, with a line end."""
    return json.dumps(as_json(report, folder=folder), indent=2, allow_nan=False) + "\n"


class _Writer:
    """Names the fields as format 1 does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def report(self, report: Report) -> Json:
        total = report.proven_total
        return {
            "format": FORMAT,
            "target": report.target,
            "created": report.created,
            "recorded": report.recorded or None,
            "unslow": report.unslow,
            "machine": _machine(report.machine),
            "coverage": [
                {"what": one.what, "state": one.state, "why": one.why} for one in report.coverage
            ],
            "endpoints": [self.endpoint(one, report) for one in report.endpoints],
            "findings": [],
            "not_checked": [
                {"rule": one.rule, "route": one.route, "state": one.state, "why": one.why}
                for one in report.outcomes
                if one.state in (NOT_CHECKED, BROKE)
            ],
            "checked": None if report.checked is None else _checked(report.checked),
            "round_trip_ms": rounded(report.round_trip_ms),
            "tried": report.trials is not None,
            "proven_total": None if total is None else _total(total),
            "trials_left": list(report.trials_left),
            "processes": report.processes_count,
            "traces": report.traces_count,
            "dropped_traces": report.dropped_traces_count,
            "notes": list(report.notes),
            "blocked": [self.blocked(one) for one in report.blocked],
            "holders": [self.holder(one) for one in report.holders],
        }

    def endpoint(self, endpoint: Endpoint, report: Report) -> Json:
        return {
            "method": endpoint.method,
            "route": endpoint.route,
            "requests": endpoint.requests_count,
            "requests_counted": (
                endpoint.requests_count
                if endpoint.requests_counted is None
                else endpoint.requests_counted
            ),
            "errors": endpoint.errors_count,
            "side_effects": [],
            "wall_ms": _spread(endpoint.wall_ms),
            "receipts_ms": {name: _parts(part) for name, part in endpoint.receipts_ms.items()},
            "details": {
                segment: [self.detail(segment, detail) for detail in found]
                for segment, found in endpoint.details.items()
            },
            "statements": {"p50": endpoint.statements_p50, "max": endpoint.statements_max},
            "response_bytes": {
                "p50": endpoint.response_bytes_p50,
                "max": endpoint.response_bytes_max,
            },
            "findings": [self.finding(one, report) for one in endpoint.findings],
            "requests_per_s": rounded(endpoint.requests_per_s),
            "concurrency_max": endpoint.concurrency_max,
            "blocked_loop_ms": rounded(endpoint.blocked_loop_ms),
            "off_cpu_ms": rounded(endpoint.off_cpu_ms),
            "overlap_ms": rounded(endpoint.overlap_ms),
            "loop_busy_most_ms": rounded(endpoint.loop_busy_most_ms),
            "after_response_ms": _parts(endpoint.after_response_ms),
            "dropped_slices": endpoint.dropped_slices_count,
            "statement_shapes": [self.statement(one) for one in endpoint.statements],
            "alone": None if endpoint.alone is None else self.endpoint(endpoint.alone, report),
        }

    def finding(self, one: Finding, report: Report) -> Json:
        return {
            "id": one.id,
            "rule": one.rule,
            "title": one.title,
            "says": one.says,
            "place": self.place(one.place),
            "touched": self.place(one.touched),
            "code": one.code,
            "evidence": {
                name: rounded(value) if isinstance(value, float) else value
                for name, value in one.evidence.items()
            },
            "could_save_ms": rounded(one.could_save_ms),
            "saves_for": one.saves_for,
            "others_waited_ms": rounded(one.others_waited_ms),
            "could_save_at_round_trip_ms": {
                str(trip): rounded(one.could_save_at_ms(trip)) for trip in (0, *ROUND_TRIPS_MS)
            },
            "fixes": list(one.fixes),
            "accepted": one.accepted or None,
            "withdrawn": report.is_withdrawn(one),
            "trials": [_trial(trial) for trial in report.trials_of(one)],
        }

    def detail(self, segment: str, detail: Detail) -> Json:
        """A detail without the fields that say nothing."""
        found: Json = {}
        if detail.route:
            found["route"] = detail.route
        if detail.what:
            found[_WHAT.get(segment, "what")] = detail.what
        found["place"] = self.place(detail.place)
        found["ms"] = rounded(detail.ms)
        if detail.most_ms is not None:
            found["most_ms"] = rounded(detail.most_ms)
        if detail.count is not None:
            found["count"] = rounded(detail.count)
        return found

    def statement(self, one: StatementShape) -> Json:
        return {
            "shape": one.shape,
            "place": self.place(one.place),
            "relationship": one.relationship,
            "calls_per_request": rounded(one.calls_per_request),
            "ms_per_request": rounded(one.ms_per_request),
            "slowest_ms": rounded(one.slowest_ms),
            "rows_per_request": rounded(one.rows_per_request),
        }

    def blocked(self, one: Blocked) -> Json:
        return {
            "route": one.route,
            "place": self.place(one.place),
            "what": one.what,
            "blocked_ms": rounded(one.blocked_ms),
            "times": one.times_count,
            "victims": [
                {
                    "route": victim.route,
                    "requests": victim.requests_count,
                    "least_ms": rounded(victim.least_ms),
                    "most_ms": rounded(victim.most_ms),
                }
                for victim in one.victims
            ],
        }

    def holder(self, one: Holder) -> Json:
        return {
            "pool": one.pool,
            "route": one.route,
            "place": self.place(one.place),
            "ms": rounded(one.ms),
        }

    def place(self, place: Place | None) -> Json | None:
        if place is None:
            return None
        path = inner_path(place.path, self._folder)
        return {"path": path, "line": place.line, "function": place.function}


def _checked(checked: Checked) -> Json:
    return {
        "operations": checked.operations_count,
        "operations_counted": checked.counted_count,
        "concurrency": checked.concurrency,
        "database_hosts": list(checked.database_hosts),
        "stopped_by": checked.stopped_by or None,
        "left_out": [
            {
                "method": one.method,
                "route": one.route,
                "may_write": one.may_write,
                "why": one.why,
            }
            for one in checked.left_out
        ],
    }


def _trial(trial: Trial) -> Json:
    """A trial; what was not measured is null."""
    return {
        "fix": trial.arm.fix,
        "says": trial.arm.says,
        "risk": trial.risk,
        "verdict": trial.verdict,
        "why": trial.why,
        "fired": trial.fired_count,
        **comparison_json(trial.compared),
        "in_crowd": None if trial.in_crowd is None else comparison_json(trial.in_crowd),
        "statements_before": rounded(trial.statements_before),
        "statements_after": rounded(trial.statements_after),
        "same_answer": trial.same_answer,
        "at_round_trip_ms": {
            str(ms): rounded(times) for ms, times in sorted(trial.at_round_trip_ms.items())
        },
        "also_tried": [
            {"says": one.says, "times": rounded(one.times), "why": one.why}
            for one in trial.also_tried
        ],
        "patch": trial.patch,
        "advice": trial.advice,
        "table": [{"setting": setting, "brought": brought} for setting, brought in trial.table],
    }


_OF_A_COMPARISON: Final = (
    *("times", "interval", "before_ms", "after_ms"),
    *("users", "blocks", "floor", "smallest"),
)


def comparison_json(one: Comparison | None) -> Json:
    """What was measured; each part null where nothing was."""
    if one is None:
        return dict.fromkeys(_OF_A_COMPARISON)
    return {
        "times": rounded(one.times),
        "interval": [rounded(end) for end in one.interval],
        "before_ms": rounded(one.before_ms),
        "after_ms": rounded(one.after_ms),
        "users": one.users_count,
        "blocks": one.blocks_count,
        "floor": rounded(one.floor),
        "smallest": rounded(one.smallest),
    }


def _total(total: ProvenTotal) -> Json:
    return {
        "times": rounded(total.times),
        "before_ms": rounded(total.before_ms),
        "after_ms": rounded(total.after_ms),
        "fixes": total.fixes_count,
    }


def _machine(machine: Machine) -> Json:
    return {
        "system": machine.system,
        "python": machine.python,
        "cores": machine.cores_count,
        "load_1min": rounded(machine.load_1min),
        "libraries": dict(machine.libraries),
    }


def _spread(spread: Spread) -> Json:
    return {
        "mean": rounded(spread.mean),
        "p50": rounded(spread.p50),
        "p95": rounded(spread.p95),
        "p99": rounded(spread.p99),
    }


def _parts(receipt: Mapping[str, float]) -> Json:
    return {name: rounded(ms) for name, ms in receipt.items()}


def rounded(value: float | None) -> float | None:
    """A number with as many decimals as every other one has."""
    return None if value is None else round(value, _DIGITS)

"""What a baseline does to a report: which findings are accepted, which entries are of no use."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

from ..model.baseline import Accepted, Baseline, BaselineError
from ..model.finding import CLEAN, FOUND, Finding
from ..model.report import Endpoint, Report
from ..numbers import counted
from .places import inner_path


def accept(
    report: Report, baseline: Baseline, *, reason: str, today: date, folder: Path | None = None
) -> Baseline:
    """The baseline with all findings of the report; what holds already keeps reason and date.

    Raises:
        BaselineError: the reason is empty.
    """
    if not reason.strip():
        raise BaselineError("No reason was given. Say why these findings are accepted.")
    entries = {one.id: one for one in baseline.accepted}
    for finding in report.findings:
        new = _entry(finding, reason.strip(), today, folder or Path.cwd())
        old = entries.get(finding.id)
        keeps = old is not None and old.holds(today)
        entries[finding.id] = replace(old, place=new.place) if old is not None and keeps else new
    return Baseline(tuple(entries.values()))


def _entry(finding: Finding, reason: str, today: date, folder: Path) -> Accepted:
    at = finding.place
    place = "" if at is None else f"{inner_path(at.path, folder)}:{at.line}"
    return Accepted(finding.id, finding.rule, finding.route, place, reason, today)


def with_accepted(report: Report, baseline: Baseline, today: date) -> Report:
    """The report with its accepted findings marked, and notes about entries of no use."""
    reasons = {one.id: one.reason for one in baseline.accepted if one.holds(today)}
    endpoints = tuple(_marked(one, reasons) for one in report.endpoints)
    notes = (*report.notes, *_notes(report, baseline, today))
    return replace(report, endpoints=endpoints, notes=notes)


def _marked(endpoint: Endpoint, reasons: dict[str, str]) -> Endpoint:
    findings = tuple(replace(one, accepted=reasons.get(one.id, "")) for one in endpoint.findings)
    return replace(endpoint, findings=findings)


def _notes(report: Report, baseline: Baseline, today: date) -> Iterator[str]:
    found = {one.id for one in report.findings}
    over = [one for one in baseline.accepted if one.id in found and not one.holds(today)]
    if over:
        yield (
            f"The baseline accepted {counted(len(over), 'finding')} until a day that is past:"
            f" {', '.join(f'{one.id} ({one.until})' for one in over)}. Mend them, or accept them"
            " again."
        )
    stale = [one for one in baseline.accepted if one.id not in found and _was_judged(one, report)]
    if stale:
        yield (
            f"{counted(len(stale), 'entry', 'entries')} of the baseline"
            f" {'matches' if len(stale) == 1 else 'match'} nothing any more:"
            f" {', '.join(one.id for one in stale)}. Take them out."
        )


def _was_judged(entry: Accepted, report: Report) -> bool:
    """Whether its rule would have found it; of a route that nobody asked nothing is known.

    A rule without an outcome on a route that was looked at is one that is no more.
    """
    states = {one.rule: one.state for one in report.outcomes if one.route == entry.route}
    return bool(states) and states.get(entry.rule, CLEAN) in (FOUND, CLEAN)

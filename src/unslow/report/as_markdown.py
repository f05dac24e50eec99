"""A report as Markdown, for a comment on a pull request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ..model.finding import OTHERS, Finding
from ..model.report import Endpoint, Machine, Report
from ..model.trace import Place
from ..numbers import counted, milliseconds, number
from .findings import ROUND_TRIPS_MS, how_many
from .left import Left, what_is_left
from .lines import one_line, shorten
from .places import function_text, path_text
from .quoting import fenced, prose, row, span, tagged
from .ranking import Cause, causes, most_at_stake_first, name_of

MOST_CHARACTERS: Final = 60_000
"""What a comment holds on the usual platforms, with some room for what others write around it."""
_TABLE_CHARACTERS: Final = 25_000
_LEFT_CHARACTERS: Final = 10_000
"""Of these at most; what is left is for the details."""
_FINDINGS_COUNT: Final = 20
"""Of one endpoint."""
_NAMES_COUNT: Final = 20
"""Of what was left out for one reason."""
_LIBRARIES_COUNT: Final = 8
_LONGEST: Final = 300
_LONGEST_NOTE: Final = 1_000
_HEADS: Final = ("rule", "place", "what", "could save", "others waited")
_ALIGNED: Final = "|---|---|---|---:|---:|"
_MORE: Final = "`unslow report` shows them."


def markdown_text(report: Report, *, folder: Path | None = None) -> str:
    """The report as Markdown; paths inside `folder`, by default the current one, start there.

    It fits into one comment: where there is too much, what has least at stake is left out, and how
    much that is is said.
    """
    writer = _Writer(report, folder or Path.cwd())
    head, details, tail = writer.head(), writer.details(), writer.tail()
    room = MOST_CHARACTERS - sum(map(len, (*head, *tail)))
    told = _fitting(details, room)
    left = len(details) - len(told)
    if left:
        told.append(f"The details of {counted(left, 'more endpoint')} did not fit in here.")
    return "\n\n".join([*head, *told, *tail]) + "\n"


def _fitting(parts: Sequence[str], room: int) -> list[str]:
    told = []
    for part in parts:
        room -= len(part)
        if room < 0:
            break
        told.append(part)
    return told


class _Writer:
    """The parts of the text; between them stands an empty line."""

    def __init__(self, report: Report, folder: Path) -> None:
        self._report = report
        self._folder = folder
        findings = most_at_stake_first(report, report.findings)
        self._findings = [one for one in findings if not one.accepted]
        self._accepted_count = len(findings) - len(self._findings)

    def head(self) -> list[str]:
        """What was looked at, how far to trust it, and all findings in short."""
        parts = [f"## unslow: {self._title()}", self._looked_at()]
        parts += [f"- {prose(shorten(note, _LONGEST_NOTE))}" for note in self._report.notes]
        if self._findings:
            found = causes(self._report, self._findings)
            rows = _fitting(list(map(self._row, found)), _TABLE_CHARACTERS)
            parts.append("\n".join([row(list(_HEADS)), _ALIGNED, *rows]))
            left = sum(len(cause.findings) for cause in found[len(rows) :])
            if left:
                parts.append(f"{counted(left, 'more finding')} with less at stake. {_MORE}")
        if self._accepted_count:
            are = "is" if self._accepted_count == 1 else "are"
            accepted = counted(self._accepted_count, "finding")
            parts.append(f"{accepted} {are} accepted in the baseline file.")
        return parts

    def _title(self) -> str:
        if self._findings:
            return how_many(self._report, self._findings)
        checked = sum(1 for one in self._report.endpoints if _counted(one))
        return (
            f"nothing {'new ' if self._accepted_count else ''}found on {counted(checked, 'route')}"
        )

    def _looked_at(self) -> str:
        endpoints = self._report.endpoints
        requests_count = sum(one.requests_count for one in endpoints)
        target = f" of {span(shorten(one_line(self._report.target), _LONGEST))}"
        return (
            f"Looked at {counted(len(endpoints), 'route')}{target if self._report.target else ''},"
            f" with {counted(requests_count, 'request')} of which"
            f" {sum(map(_counted, endpoints)):,} counted{_operations(self._report)};"
            f" on {_machine(self._report.machine)}."
        )

    def _row(self, cause: Cause) -> str:
        finding = cause.worst
        waited_ms = sum(one.others_waited_ms or 0.0 for one in cause.findings)
        return row(
            [
                span(finding.rule),
                "" if finding.place is None else span(self._where(finding.place)),
                self._what(cause),
                _could_save(finding),
                milliseconds(waited_ms) if waited_ms else "",
            ]
        )

    def _what(self, cause: Cause) -> str:
        about = cause.worst.evidence.get("relationship")
        which = f": {span(_short(str(about)))}" if about else ""
        where = f"{span(_short(cause.worst.route))}{cause.elsewhere}"
        return f"{prose(_short(cause.worst.title))}{which}, in {where}"

    def _where(self, place: Place) -> str:
        return f"{_short(path_text(place.path, self._folder))}:{place.line}"

    def details(self) -> list[str]:
        """Each endpoint's findings, folded up."""
        findings: dict[str, list[Finding]] = defaultdict(list)
        for one in self._findings:
            findings[one.route].append(one)
        endpoints = {name_of(one): one for one in self._report.endpoints}
        return [self._endpoint(endpoints[route], own) for route, own in findings.items()]

    def _endpoint(self, endpoint: Endpoint, findings: Sequence[Finding]) -> str:
        summary = (
            f"{tagged(_short(name_of(endpoint)))}: {counted(len(findings), 'finding')}, mean"
            f" {milliseconds(endpoint.wall_ms.mean)}"
        )
        parts = [part for one in findings[:_FINDINGS_COUNT] for part in self._finding(one)]
        if len(findings) > _FINDINGS_COUNT:
            parts.append(f"{counted(len(findings) - _FINDINGS_COUNT, 'more finding')}. {_MORE}")
        return _folded(summary, parts)

    def _finding(self, finding: Finding) -> Iterator[str]:
        place = finding.place
        at = "" if place is None else f" at {span(self._where(place))}{_function(place)}"
        saves = _could_save(finding)
        stake = f" Could save {saves}." if saves else ""
        yield f"{span(finding.rule)}{at}: {prose(_short(finding.says))}{stake}"
        if finding.code:
            yield fenced(_short(finding.code), "python")
        yield "; ".join(self._last(finding))

    def _last(self, finding: Finding) -> Iterator[str]:
        yield span(finding.id)
        touched = finding.touched
        if touched is not None and touched != finding.place:
            yield f"caused by {span(self._where(touched))}{_function(touched)}"
        if finding.round_trips:
            curve = [
                f"{milliseconds(finding.could_save_at_ms(trip) or 0.0)} at {trip} ms"
                for trip in ROUND_TRIPS_MS
            ]
            yield f"with a slower network {', '.join(curve)} of round trip"

    def tail(self) -> list[str]:
        """What was not looked at."""
        lines = [f"- {_what(one)}: {prose(_short(one.why))}" for one in what_is_left(self._report)]
        if not lines:
            return []
        told = _fitting(lines, _LEFT_CHARACTERS)
        if len(told) < len(lines):
            told.append(f"- {len(lines) - len(told)} more. {_MORE}")
        return [_folded("Not looked at", ["\n".join(told)])]


def _folded(summary: str, parts: Sequence[str]) -> str:
    return "\n\n".join(
        [
            f"<details>\n<summary>{summary}</summary>",
            *(part for part in parts if part),
            "</details>",
        ]
    )


def _short(text: str) -> str:
    return shorten(one_line(text), _LONGEST)


def _function(place: Place) -> str:
    name = function_text(place.function)
    return f" in {span(_short(name))}" if name else ""


def _counted(endpoint: Endpoint) -> int:
    if endpoint.requests_counted is None:
        return endpoint.requests_count
    return endpoint.requests_counted


def _could_save(finding: Finding) -> str:
    if finding.could_save_ms is None:
        return ""
    who = " for others" if finding.saves_for == OTHERS else ""
    return f"{milliseconds(finding.could_save_ms)}{who}"


def _operations(report: Report) -> str:
    checked = report.checked
    if checked is None:
        return ""
    share = f"{checked.counted_count:,} of {counted(checked.operations_count, 'operation')}"
    writes = f", of which {checked.may_write_count:,} may write" if checked.may_write_count else ""
    return f" ({'only ' if checked.is_little else ''}{share}{writes})"


def _machine(machine: Machine) -> str:
    cores = counted(machine.cores_count, "core")
    if machine.load_1min is not None:
        cores += f" with load {number(machine.load_1min)}"
    libraries = [f"{name} {version}" for name, version in machine.libraries.items()]
    items = (machine.system, cores, f"Python {machine.python}", *libraries[:_LIBRARIES_COUNT])
    return prose(", ".join(items))


def _what(left: Left) -> str:
    told = left.what[:_NAMES_COUNT]
    names = ", ".join(span(_short(what)) for what in told)
    rest = len(left.what) - len(told)
    return f"{names} and {counted(rest, f'more {left.noun}')}" if rest else names

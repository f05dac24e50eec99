"""A report as Markdown, for a comment on a pull request."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ..fixes.catalogue import UNSAFE
from ..model.finding import OTHERS, Finding
from ..model.proof import Trial
from ..model.report import Endpoint, Machine, Report
from ..model.trace import Place
from ..numbers import counted, milliseconds, number
from .findings import ROUND_TRIPS_MS
from .left import Left, what_is_left
from .lines import one_line, shorten
from .places import function_text, path_text
from .quoting import block, fenced, prose, row, span, tagged
from .ranking import Cause, causes, in_order, name_of
from .verdicts import (
    SIGNS,
    at_round_trips,
    beside,
    figures,
    has_patch,
    is_what_if,
    proven,
    proven_count,
    total_sentence,
    verdict_words,
    withdrawn_words,
)
from .worst import how_far, how_many

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
_PATCH_CHARACTERS: Final = 6_000
"""Of one patch; a longer one is not read in a comment."""
_TRIALS_COUNT: Final = 3
"""Of one finding."""
_HEADS: Final = ("rule", "place", "what", "could save", "others waited")
_ALIGNED: Final = "|---|---|---|---:|---:|"
_PROVEN_HEADS: Final = ("rule", "place", "what", "proven", "could save", "others waited")
_PROVEN_ALIGNED: Final = "|---|---|---|---|---:|---:|"
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


def _fitting(parts: Sequence[str | tuple[str, ...]], room: int) -> list[str]:
    """The first parts, as many as fit; of several texts of a part the first one that does."""
    told = []
    for part in parts:
        texts = (part,) if isinstance(part, str) else part
        text = next((one for one in texts if len(one) <= room), None)
        if text is None:
            break
        room -= len(text)
        told.append(text)
    return told


class _Writer:
    """The parts of the text; between them stands an empty line."""

    def __init__(self, report: Report, folder: Path) -> None:
        self._report = report
        self._folder = folder
        findings = in_order(report, report.findings)
        known = [one for one in findings if not one.accepted]
        self._findings = [one for one in known if not report.is_withdrawn(one)]
        self._withdrawn = [one for one in known if report.is_withdrawn(one)]
        self._accepted_count = len(findings) - len(known)

    def head(self) -> list[str]:
        """What was looked at, how far to trust it, and all findings in short."""
        parts = [f"## unslow: {self._title()}", self._looked_at()]
        parts += [f"- {prose(shorten(note, _LONGEST_NOTE))}" for note in self._report.notes]
        if self._findings:
            found = causes(self._report, self._findings)
            rows = _fitting(list(map(self._row, found)), _TABLE_CHARACTERS)
            parts.append("\n".join([*self._heads(), *rows]))
            left = sum(len(cause.findings) for cause in found[len(rows) :])
            if left:
                parts.append(f"{counted(left, 'more finding')} with less at stake. {_MORE}")
        if self._report.proven_total is not None:
            parts.append(f"**{total_sentence(self._report.proven_total)}**")
        if self._accepted_count:
            are = "is" if self._accepted_count == 1 else "are"
            accepted = counted(self._accepted_count, "finding")
            parts.append(f"{accepted} {are} accepted in the baseline file.")
        return parts

    def _heads(self) -> tuple[str, str]:
        if self._report.trials is None:
            return row(list(_HEADS)), _ALIGNED
        return row(list(_PROVEN_HEADS)), _PROVEN_ALIGNED

    def _title(self) -> str:
        if self._findings:
            found = self._findings
            return f"{how_many(self._report, found)}{proven_count(self._report, found)}"
        checked = sum(1 for one in self._report.endpoints if _counted(one))
        stands = (
            f" that stands, {withdrawn_words(count)}" if (count := len(self._withdrawn)) else ""
        )
        new = "new " if self._accepted_count else ""
        return f"nothing {new}found on {counted(checked, 'route')}{stands}"

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
                *self._proven(cause),
                _could_save(finding),
                milliseconds(waited_ms) if waited_ms else "",
            ]
        )

    def _proven(self, cause: Cause) -> list[str]:
        if self._report.trials is None:
            return []
        proof = self._report.proof_of(cause.worst)
        if proof is None:
            return [""]
        return [", ".join([proven(proof).removeprefix("proven "), *how_far(cause, self._report)])]

    def _what(self, cause: Cause) -> str:
        about = cause.worst.evidence.get("relationship")
        which = f": {span(_short(str(about)))}" if about else ""
        where = f"{span(_short(cause.worst.route))}{cause.elsewhere}"
        return f"{prose(_short(cause.worst.title))}{which}, in {where}"

    def _where(self, place: Place) -> str:
        return f"{_short(path_text(place.path, self._folder))}:{place.line}"

    def details(self) -> list[tuple[str, ...]]:
        """Each endpoint's findings, folded up: with their patches, and without them."""
        findings: dict[str, list[Finding]] = defaultdict(list)
        for one in self._findings:
            findings[one.route].append(one)
        endpoints = {name_of(one): one for one in self._report.endpoints}
        return [
            tuple(self._endpoint(endpoints[route], own, patches) for patches in (True, False))
            for route, own in findings.items()
        ]

    def _endpoint(self, endpoint: Endpoint, findings: Sequence[Finding], has_patches: bool) -> str:
        summary = (
            f"{tagged(_short(name_of(endpoint)))}: {counted(len(findings), 'finding')}, mean"
            f" {milliseconds(endpoint.wall_ms.mean)}"
        )
        parts = [
            part
            for one in findings[:_FINDINGS_COUNT]
            for part in (*self._finding(one), *self._trials(one, has_patches))
        ]
        if len(findings) > _FINDINGS_COUNT:
            parts.append(f"{counted(len(findings) - _FINDINGS_COUNT, 'more finding')}. {_MORE}")
        return _folded(summary, parts)

    def _finding(self, finding: Finding) -> Iterator[str]:
        place = finding.place
        at = "" if place is None else f" at {span(self._where(place))}{_function(place)}"
        saves = "" if self._report.proof_of(finding) is not None else _could_save(finding)
        stake = f" Could save {saves}." if saves else ""
        yield f"{span(finding.rule)}{at}: {prose(_short(finding.says))}{stake}"
        if finding.code:
            yield fenced(_short(finding.code), "python")
        yield "; ".join(self._last(finding))

    def _trials(self, finding: Finding, has_patches: bool) -> Iterator[str]:
        """What came of each fix, and of a proven one the patch."""
        trials = self._report.trials_of(finding)
        yield "\n".join(f"- {_tried(one)}" for one in trials[:_TRIALS_COUNT])
        for one in filter(has_patch, trials[:_TRIALS_COUNT]):
            if has_patches and len(one.patch) <= _PATCH_CHARACTERS:
                summary = f"The patch of {tagged(one.arm.fix)}"
                summary += ", unsafe: read it" if one.risk == UNSAFE else ""
                yield _folded(summary, [block(one.patch, "diff")])
            else:
                yield f"{span(f'unslow fix {finding.id}')} shows the patch."

    def _last(self, finding: Finding) -> Iterator[str]:
        yield span(finding.id)
        touched = finding.touched
        if touched is not None and touched != finding.place:
            yield f"caused by {span(self._where(touched))}{_function(touched)}"
        is_measured = any(one.at_round_trip_ms for one in self._report.trials_of(finding))
        if finding.round_trips and not is_measured:
            curve = [
                f"{milliseconds(finding.could_save_at_ms(trip) or 0.0)} at {trip} ms"
                for trip in ROUND_TRIPS_MS
            ]
            yield f"with a slower network {', '.join(curve)} of round trip"

    def tail(self) -> list[str]:
        """What is withdrawn, what was not tried, and what was not looked at."""
        withdrawn = withdrawn_words(len(self._withdrawn)).capitalize()
        lefts = what_is_left(self._report)
        return [
            *_listed(withdrawn, [self._withdrawn_line(one) for one in self._withdrawn]),
            *_listed("Not tried", [prose(_short(one)) for one in self._report.trials_left]),
            *_listed("Not looked at", [f"{_what(one)}: {prose(_short(one.why))}" for one in lefts]),
        ]

    def _withdrawn_line(self, finding: Finding) -> str:
        at = "" if finding.place is None else f" at {span(self._where(finding.place))}"
        tried = "; ".join(map(_tried, self._report.trials_of(finding)))
        return f"{span(finding.rule)}{at}, in {span(_short(finding.route))}: {tried}"


def _listed(head: str, lines: Sequence[str]) -> list[str]:
    """Lines as a list that is folded up, as many as there is room for; nothing for none."""
    if not lines:
        return []
    told = _fitting([f"- {one}" for one in lines], _LEFT_CHARACTERS)
    if len(told) < len(lines):
        told.append(f"- {len(lines) - len(told)} more. {_MORE}")
    return [_folded(head, ["\n".join(told)])]


def _tried(trial: Trial) -> str:
    """What came of a trial, on a line."""

    def quote(text: str) -> str:
        return prose(_short(text))

    says = f" ({span(_short(trial.arm.says))})" if trial.arm.says and not is_what_if(trial) else ""
    told = ", ".join([verdict_words(trial, quote), *figures(trial)])
    more = "; ".join(filter(None, (told, beside(trial), at_round_trips(trial))))
    by_hand = f". {quote(trial.advice)}" if trial.advice and not trial.patch else ""
    return f"{SIGNS.get(trial.verdict, '')} {span(trial.arm.fix)}: {more}{says}{by_hand}"


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

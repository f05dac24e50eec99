"""A report as SARIF 2.1.0, for code scanning.

A result is a warning where time is at stake, of its own requests or of those beside them, and a
note where it is about something else or is withdrawn. Its message says what was proven; a patch is
not in it: fixes in SARIF are made of regions of files, and a diff is none. What is accepted stays,
as suppressed. What was not looked at goes into the invocation's notifications, so that an empty
list of results is never all there is.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, Final
from urllib.parse import quote

from ..model.finding import BROKE, NOT_CHECKED, OTHERS, EvidenceValue, Finding
from ..model.report import Report
from ..model.rule_page import RulePage
from ..model.trace import Place
from ..numbers import counted, milliseconds
from .left import what_is_left
from .lines import one_line
from .places import inner_path
from .ranking import in_order
from .rules_page import body_markdown, body_text
from .verdicts import WITHDRAWN, total_sentence, trial_words

Json = dict[str, Any]

VERSION: Final = "2.1.0"
SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
FINGERPRINT: Final = "unslowFindingId/v1"
"""The finding's own id, which stays when lines move."""
WARNING: Final = "warning"
NOTE: Final = "note"
_ROOT: Final = "%SRCROOT%"
_DIGITS: Final = 6


def sarif_text(
    report: Report, *, folder: Path | None = None, pages: Sequence[RulePage] = ()
) -> str:
    """The report as SARIF; paths inside `folder`, by default the current one, start there.

    `pages` are those of all rules, with what a reader of a result wants to know beside it.
    """
    data = as_sarif(report, folder=folder, pages=pages)
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def as_sarif(report: Report, *, folder: Path | None = None, pages: Sequence[RulePage] = ()) -> Json:
    """The same as plain data."""
    run = _Run(report, folder or Path.cwd(), pages)
    return {"$schema": SCHEMA, "version": VERSION, "runs": [run.as_json()]}


class _Run:
    """The one run of a report."""

    def __init__(self, report: Report, folder: Path, pages: Sequence[RulePage]) -> None:
        self._report = report
        self._folder = folder
        self._rules = [*map(_rule, pages), *_rules_without_page(report, pages)]
        self._indices = {one["id"]: index for index, one in enumerate(self._rules)}

    def as_json(self) -> Json:
        findings = in_order(self._report, self._report.findings)
        return {
            "tool": {
                "driver": {
                    "name": "unslow",
                    "version": self._report.unslow,
                    "rules": self._rules,
                }
            },
            "invocations": [
                {
                    "executionSuccessful": True,
                    "toolExecutionNotifications": list(self._notifications()),
                }
            ],
            "originalUriBaseIds": {
                _ROOT: {"description": _message("The folder that relative paths start from.")}
            },
            "columnKind": "unicodeCodePoints",
            "results": [self._result(one) for one in findings],
        }

    def _result(self, finding: Finding) -> Json:
        place, touched = finding.place, finding.touched
        found: Json = {
            "ruleId": finding.rule,
            "ruleIndex": self._indices[finding.rule],
            "level": NOTE if self._report.is_withdrawn(finding) else _level(finding),
            "message": _message(_says(finding, self._report)),
            "locations": [] if place is None else [self._location(place, finding.code)],
        }
        if touched is not None and touched != place:
            found["relatedLocations"] = [
                {"id": 1} | self._location(touched) | {"message": _message("caused by this line")}
            ]
        found["partialFingerprints"] = {FINGERPRINT: finding.id}
        # Either all results of a run say whether they are suppressed, or none does.
        found["suppressions"] = _suppressions(finding)
        found["properties"] = _properties(finding, self._report)
        return found

    def _location(self, place: Place, code: str = "") -> Json:
        physical: Json = {"artifactLocation": self._artifact(place.path)}
        if place.line > 0:
            physical["region"] = {"startLine": place.line}
            if code:
                physical["region"]["snippet"] = {"text": code}
        found: Json = {"physicalLocation": physical}
        if place.function:
            found["logicalLocations"] = [{"fullyQualifiedName": place.function, "kind": "function"}]
        return found

    def _artifact(self, path: str) -> Json:
        inner = inner_path(path, self._folder)
        uri = quote(PurePath(inner).as_posix())
        if uri.startswith("/"):
            return {"uri": f"file://{uri}"}
        return {"uri": uri, "uriBaseId": _ROOT}

    def _notifications(self) -> Iterator[Json]:
        """How far to trust the report, and what was not looked at; the same reason once."""
        for note in self._report.notes:
            yield {"level": NOTE, "message": _message(note)}
        if self._report.proven_total is not None:
            says = total_sentence(self._report.proven_total)
            yield {"level": NOTE, "message": _message(says)}
        for sentence in self._report.trials_left:
            yield {"level": NOTE, "message": _message(sentence)}
        for left in what_is_left(self._report):
            if left.noun == "operation":
                was = "was" if len(left.what) == 1 else "were"
                says = f"{', '.join(left.what)} {was} not asked: {left.why}"
                yield {"level": NOTE, "message": _message(says)}
        routes: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for one in self._report.outcomes:
            if one.state in (NOT_CHECKED, BROKE):
                routes[one.state, one.rule, one.why].append(one.route)
        for (state, rule, why), where in routes.items():
            yield self._notification(state, rule, why, where)

    def _notification(self, state: str, rule: str, why: str, where: list[str]) -> Json:
        word = "broke" if state == BROKE else "was not checked"
        reference: Json = {"id": rule}
        if rule in self._indices:
            reference["index"] = self._indices[rule]
        return {
            # An error would say that the whole run failed.
            "level": WARNING if state == BROKE else NOTE,
            "message": _message(f"{rule} {word} on {counted(len(where), 'route')}: {why}"),
            "associatedRule": reference,
            "properties": {"routes": where},
        }


def _rule(page: RulePage) -> Json:
    head, looks_for = page.parts[0] if page.parts else ("", page.summary or page.title)
    return {
        "id": page.id,
        "name": _name(page.id),
        "shortDescription": {"text": page.title},
        "fullDescription": {"text": f"{head} {looks_for}".strip()},
        "help": {"text": body_text(page), "markdown": body_markdown(page)},
        "defaultConfiguration": {"level": WARNING},
        "properties": {"tags": ["performance", page.area]},
    }


def _rules_without_page(report: Report, pages: Sequence[RulePage]) -> list[Json]:
    titles = {one.rule: one.title for one in report.findings}
    known = {page.id for page in pages}
    return [
        {"id": rule, "name": _name(rule), "shortDescription": {"text": titles[rule] or rule}}
        for rule in sorted(titles)
        if rule not in known
    ]


def _name(rule_id: str) -> str:
    return "".join(part.capitalize() for part in rule_id.split("-"))


def _level(finding: Finding) -> str:
    """A warning where any time is at stake; one request is enough to see that."""
    return WARNING if finding.at_stake_ms(1) > 0 else NOTE


def _says(finding: Finding, report: Report) -> str:
    sentences = [finding.says]
    where = finding.route or "the app"
    is_settled = report.is_withdrawn(finding) or report.proof_of(finding) is not None
    if finding.could_save_ms is None or is_settled:
        sentences.append(f"In {where}.")
    else:
        who = f"others beside {where}" if finding.saves_for == OTHERS else f"a request of {where}"
        sentences.append(f"Could save {milliseconds(finding.could_save_ms)} for {who}.")
    if finding.others_waited_ms:
        sentences.append(f"Others waited {milliseconds(finding.others_waited_ms)} behind it.")
    sentences += [f"Fix {trial_words(one)}." for one in report.trials_of(finding)]
    if report.is_withdrawn(finding):
        sentences.append(f"{WITHDRAWN.capitalize()}.")
    return " ".join(sentences)


def _message(text: str) -> Json:
    """Text that a reader of SARIF takes as it is: no placeholder and no link in it."""
    flat = one_line(text).replace("{", "{{").replace("}", "}}")
    return {"text": flat.replace("](", "] (")}


def _suppressions(finding: Finding) -> list[Json]:
    if not finding.accepted:
        return []
    return [{"kind": "external", "status": "accepted", "justification": finding.accepted}]


def _properties(finding: Finding, report: Report) -> Json:
    return {
        "route": finding.route,
        "could_save_ms": _rounded(finding.could_save_ms),
        "saves_for": finding.saves_for,
        "others_waited_ms": _rounded(finding.others_waited_ms),
        "evidence": {name: _rounded(value) for name, value in finding.evidence.items()},
        "fixes": list(finding.fixes),
        **_tried(finding, report),
    }


def _tried(finding: Finding, report: Report) -> Json:
    """What came of its fixes; nothing where none was tried."""
    if report.trials is None:
        return {}
    return {
        "withdrawn": report.is_withdrawn(finding),
        "verdicts": {one.arm.fix: one.verdict for one in report.trials_of(finding)},
    }


def _rounded(value: EvidenceValue) -> EvidenceValue:
    return round(value, _DIGITS) if isinstance(value, float) else value

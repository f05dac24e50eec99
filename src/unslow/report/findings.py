"""What is wrong, as text, below each endpoint; and what was not looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from ..model.finding import OTHERS, Finding
from ..model.report import Endpoint, Report
from ..numbers import counted, milliseconds
from .columns import GAP
from .left import what_is_left
from .lines import flow, one_line, sentence, shorten, shorten_text
from .page import MARGIN, Page, title
from .places import place_texts
from .ranking import proven_first
from .trials import trial_lines
from .verdicts import could_save_words, has_patch, proven

ROUND_TRIPS_MS: Final = (1, 5)
"""Beside the one that was measured: of a database in the same and in the next data centre."""
_FINDINGS_COUNT: Final = 5
"""Of one endpoint, where not everything is told."""
_SHORT_COUNT: Final = 3
_NAMES_COUNT: Final = 6
"""Of what was left out for one reason, where not everything is told."""


def findings_of(endpoint: Endpoint, report: Report, page: Page) -> Iterator[Text]:
    """The findings of an endpoint, most proven first, then most at stake."""
    findings = proven_first(report, (one for one in endpoint.findings if not one.accepted))
    told = page.first(findings, _FINDINGS_COUNT)
    for one in told:
        yield Text()
        yield from _finding(one, report, page)
        yield from trial_lines(one, report, page)
    accepted = sum(1 for one in endpoint.findings if one.accepted)
    left = len(endpoint.findings) - accepted - len(told)
    rest = [counted(left, "more finding")] if left else []
    rest += [f"{counted(accepted, 'finding')} accepted in the baseline file"] if accepted else []
    if rest:
        yield from flow(rest, page.width, first=" " * MARGIN, indent=MARGIN)


def _finding(finding: Finding, report: Report, page: Page) -> Iterator[Text]:
    yield _first_line(finding, _stake(finding, report), page)
    indent = " " * 2 * MARGIN
    yield from sentence(finding.says, page.width, first=indent, indent=len(indent))
    if finding.code and finding.place is not None:
        number = f"{finding.place.line:>{3 * MARGIN}} │ "
        code = shorten(one_line(finding.code), page.width - cell_len(indent + number))
        yield Text.assemble(indent, (number, "dim"), code)
    if finding.touched is not None and finding.touched != finding.place:
        touched = page.items(place=finding.touched)
        yield from flow(
            ["caused by", *touched], page.width, first=indent, indent=len(indent), separator=" "
        )
    last = _last_items(finding, report)
    if last:
        yield from flow(last, page.width, first=indent, indent=len(indent))


def _first_line(finding: Finding, right: str, page: Page) -> Text:
    """Rule and place at the left, what is proven or at stake at the right."""
    right = shorten(right, page.width // 2)
    left = Text.assemble(" " * MARGIN, (finding.rule, "bold yellow"))
    room = page.width - left.cell_len - GAP - (cell_len(right) + GAP if right else 0)
    if finding.place is not None:
        texts = place_texts(finding.place, page.folder, brief=True)
        place = next((one for one in texts if cell_len(one) <= room), texts[-1])
        left.append("  ")
        left.append_text(shorten_text(Text(one_line(place)), max(1, room)))
    if not right:
        return left
    gap = max(GAP, page.width - left.cell_len - cell_len(right))
    return Text.assemble(left, " " * gap, (right, "bold"))


def _stake(finding: Finding, report: Report) -> str:
    proof = report.proof_of(finding)
    if proof is not None:
        return proven(proof)
    if finding.could_save_ms is None or report.is_withdrawn(finding):
        return ""
    who = " for others" if finding.saves_for == OTHERS else ""
    return could_save_words(finding.could_save_ms, who)


def _last_items(finding: Finding, report: Report) -> Sequence[str]:
    items = []
    # What was measured on a slower network stands below, and counts for more.
    is_measured = any(one.at_round_trip_ms for one in report.trials_of(finding))
    if finding.round_trips and not is_measured:
        curve = [
            f"{milliseconds(finding.could_save_at_ms(trip) or 0.0)} at {trip} ms"
            for trip in ROUND_TRIPS_MS
        ]
        could = "could save " if report.is_withdrawn(finding) else ""
        items.append(f"{could}with a slower network {', '.join(curve)} of round trip")
    # Where there is a patch, the id stands in the command that shows it.
    return items if any(map(has_patch, report.trials_of(finding))) else [*items, finding.id]


def verdict(endpoint: Endpoint) -> str:
    """What to say of an endpoint without findings: that nothing was found, or looked for."""
    if endpoint.requests_counted is None or any(not one.accepted for one in endpoint.findings):
        return ""
    return "nothing found" if endpoint.requests_counted else "not checked"


def not_looked_at(report: Report, page: Page) -> Iterator[Text]:
    """What was not asked or judged, each reason once; of many names the first ones."""
    lefts = list(what_is_left(report))
    if lefts:
        yield from title("Not looked at")
    for left in lefts:
        is_short = left.noun == "rule" or len(left.what) <= _SHORT_COUNT
        names = ", ".join(left.what) if is_short else counted(len(left.what), left.noun)
        text = f"{names}: {left.why}"
        yield from sentence(text, page.width, first=" " * MARGIN, indent=2 * MARGIN)
        if not is_short:
            told = page.first(left.what, _NAMES_COUNT)
            rest = len(left.what) - len(told)
            items = [*told, *([f"{rest} more"] if rest else [])]
            yield from flow(items, page.width, first=" " * 2 * MARGIN, indent=2 * MARGIN)

"""What is wrong, as text: the worst in a few lines, and below each endpoint all of it."""

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
from .ranking import Cause, causes

ROUND_TRIPS_MS: Final = (1, 5)
"""Beside the one that was measured: of a database in the same and in the next data centre."""
_WORST_COUNT: Final = 5
_FINDINGS_COUNT: Final = 5
"""Of one endpoint, where not everything is told."""
_AMOUNT_WIDTH: Final = 9
_SHORT_COUNT: Final = 3
_NAMES_COUNT: Final = 6
"""Of what was left out for one reason, where not everything is told."""


def worst(report: Report, page: Page) -> Iterator[Text]:
    """The findings with most at stake, one line each; a line that says so where there are none."""
    findings = [one for one in report.findings if not one.accepted]
    if all(one.requests_counted is None for one in report.endpoints):
        return
    if not findings:
        yield Text()
        yield from sentence(_nothing(report), page.width)
        return
    told = page.first(causes(report, findings), _WORST_COUNT)
    yield from title(f"{how_many(report, findings)}; what a request could save at most")
    for cause in told:
        one = cause.worst
        first = f"{'':{MARGIN}}{_amount(one):>{_AMOUNT_WIDTH}}  "
        about = str(one.evidence.get("relationship") or "")
        where = f"{one.route}{cause.elsewhere}"
        items = [
            Text(one.rule, "bold yellow"),
            *page.items(about, where, _waited(cause), place=one.place, brief=True),
        ]
        yield from flow(items, page.width, first=first, indent=len(first))
    left = len(findings) - sum(len(cause.findings) for cause in told)
    if left:
        yield Text(f"{'':{MARGIN}}{left} more stand below their endpoints")


def how_many(report: Report, findings: Sequence[Finding]) -> str:
    """How many findings there are, on how many routes, and how many things have to be mended."""
    routes = counted(len({one.route for one in findings}), "route")
    text = f"{counted(len(findings), 'finding')} on {routes}"
    causes_count = len(causes(report, findings))
    return (
        f"{text}, with {counted(causes_count, 'cause')}" if causes_count < len(findings) else text
    )


def _waited(cause: Cause) -> str:
    waited_ms = sum(one.others_waited_ms or 0.0 for one in cause.findings)
    return f"others waited {milliseconds(waited_ms)}" if waited_ms >= 1 else ""


def _nothing(report: Report) -> str:
    checked = sum(1 for one in report.endpoints if one.requests_counted)
    left = len(report.endpoints) - checked
    text = f"Nothing was found on {counted(checked, 'route')}."
    return f"{text} {counted(left, 'route')} had no answer that counts." if left else text


def _amount(finding: Finding) -> str:
    return "" if finding.could_save_ms is None else milliseconds(finding.could_save_ms)


def findings_of(endpoint: Endpoint, page: Page) -> Iterator[Text]:
    """The findings of an endpoint, most at stake first."""
    told = page.first([one for one in endpoint.findings if not one.accepted], _FINDINGS_COUNT)
    for one in told:
        yield Text()
        yield from _finding(one, page)
    accepted = sum(1 for one in endpoint.findings if one.accepted)
    left = len(endpoint.findings) - accepted - len(told)
    rest = [counted(left, "more finding")] if left else []
    rest += [f"{counted(accepted, 'finding')} accepted in the baseline file"] if accepted else []
    if rest:
        yield from flow(rest, page.width, first=" " * MARGIN, indent=MARGIN)


def _finding(finding: Finding, page: Page) -> Iterator[Text]:
    yield _first_line(finding, page)
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
    yield from flow(_last_items(finding), page.width, first=indent, indent=len(indent))


def _first_line(finding: Finding, page: Page) -> Text:
    """Rule and place at the left, what is at stake at the right."""
    right = _stake(finding)
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


def _stake(finding: Finding) -> str:
    if finding.could_save_ms is None:
        return ""
    who = " for others" if finding.saves_for == OTHERS else ""
    return f"could save {milliseconds(finding.could_save_ms)}{who}"


def _last_items(finding: Finding) -> Sequence[str]:
    items = []
    if finding.round_trips:
        curve = [
            f"{milliseconds(finding.could_save_at_ms(trip) or 0.0)} at {trip} ms"
            for trip in ROUND_TRIPS_MS
        ]
        items.append(f"with a slower network {', '.join(curve)} of round trip")
    return [*items, finding.id]


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

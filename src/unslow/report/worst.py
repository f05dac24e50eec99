"""The worst of what is wrong, as text, in a few lines at the top."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from ..fixes.catalogue import UNSAFE
from ..model.finding import Finding
from ..model.proof import FASTER
from ..model.report import Report
from ..numbers import counted, milliseconds
from .lines import Item, flow, sentence
from .page import MARGIN, Page
from .ranking import Cause, causes
from .trials import STYLES
from .verdicts import SIGNS, could_save_words, proven, proven_count, withdrawn_words

_WORST_COUNT: Final = 5
_AMOUNT_WIDTH: Final = 9
_AMOUNT_SHARE: Final = 3
"""Amounts stand beside what they are about where they take a third of the page at most."""


def worst(report: Report, page: Page) -> Iterator[Text]:
    """The findings with most at stake, one line each; a line that says so where there are none."""
    if all(one.requests_counted is None for one in report.endpoints):
        return
    known = [one for one in report.findings if not one.accepted]
    findings = [one for one in known if not report.is_withdrawn(one)]
    withdrawn_count = len(known) - len(findings)
    yield Text()
    if not findings:
        yield from sentence(_nothing(report, withdrawn_count), page.width)
        return
    yield from (_bold(line) for line in sentence(_heading(report, findings), page.width))
    told = page.first(causes(report, findings), _WORST_COUNT)
    amounts = _Amounts(told, report)
    for cause in told:
        yield from _cause(cause, amounts, report, page)
    left = len(findings) - sum(len(cause.findings) for cause in told)
    rest = [f"{left} more stand below their endpoints"] if left else []
    rest += [withdrawn_words(withdrawn_count)] if withdrawn_count else []
    if rest:
        yield from flow(rest, page.width, first=" " * MARGIN, indent=MARGIN)


def _bold(line: Text) -> Text:
    return Text(line.plain, "bold")


def _heading(report: Report, findings: Sequence[Finding]) -> str:
    text = f"{how_many(report, findings)}{proven_count(report, findings)}"
    proven_ones_count = sum(report.proof_of(one) is not None for one in findings)
    if proven_ones_count == len(findings):
        return text
    whose = "the others" if proven_ones_count else "what a request"
    return f"{text}; {whose} could save at most"


def _cause(cause: Cause, amounts: _Amounts, report: Report, page: Page) -> Iterator[Text]:
    one = cause.worst
    about = str(one.evidence.get("relationship") or "")
    items = [
        Text(one.rule, "bold yellow"),
        *page.items(
            about,
            f"{one.route}{cause.elsewhere}",
            ", ".join(how_far(cause, report)),
            _waited(cause),
            place=one.place,
            brief=True,
        ),
    ]
    yield from amounts.lines(one, items, page)


def how_far(cause: Cause, report: Report) -> Iterator[str]:
    """On how many of a cause's routes a fix is proven where it is not on all, and its risk."""
    proofs = [proof for one in cause.findings if (proof := report.proof_of(one)) is not None]
    if proofs and len(proofs) < len(cause.findings):
        yield f"proven on {len(proofs)} of {len(cause.findings)} routes"
    if any(one.risk == UNSAFE for one in proofs):
        yield "unsafe"


class _Amounts:
    """What is proven of the worst findings, or could be saved, before what they are."""

    def __init__(self, told: Sequence[Cause], report: Report) -> None:
        self._report = report
        self._has_proofs = any(report.proof_of(cause.worst) is not None for cause in told)
        self._width = max((cell_len(self._text(cause.worst)) for cause in told), default=0)

    def _text(self, finding: Finding) -> str:
        proof = self._report.proof_of(finding)
        if proof is not None:
            return f"{SIGNS[FASTER]} {proven(proof)}"
        ms = finding.could_save_ms
        return "" if ms is None else f"  {could_save_words(ms)}"

    def lines(self, finding: Finding, items: Sequence[Item], page: Page) -> list[Text]:
        """The amount, and the items behind it, or below it where the page is narrow."""
        if not self._has_proofs:
            indent = f"{'':{MARGIN}}{_amount(finding):>{_AMOUNT_WIDTH}}  "
            return flow(items, page.width, first=indent, indent=len(indent))
        is_proven = self._report.proof_of(finding) is not None
        amount = Text(self._text(finding), STYLES[FASTER] if is_proven else "")
        if _AMOUNT_SHARE * self._width <= page.width:
            amount.pad_right(self._width - amount.cell_len)
            first = Text.assemble(" " * MARGIN, amount, "  ")
            return flow(items, page.width, first=first, indent=first.cell_len)
        below = flow(items, page.width, first=" " * 2 * MARGIN, indent=2 * MARGIN)
        if not amount.plain:
            return below
        return [*flow([amount], page.width, first=" " * MARGIN, indent=MARGIN), *below]


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


def _nothing(report: Report, withdrawn_count: int) -> str:
    checked = sum(1 for one in report.endpoints if one.requests_counted)
    left = len(report.endpoints) - checked
    text = f"Nothing was found on {counted(checked, 'route')}"
    text += f" that stands; {withdrawn_words(withdrawn_count)}." if withdrawn_count else "."
    return f"{text} {counted(left, 'route')} had no answer that counts." if left else text


def _amount(finding: Finding) -> str:
    return "" if finding.could_save_ms is None else milliseconds(finding.could_save_ms)

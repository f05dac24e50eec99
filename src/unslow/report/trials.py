"""What was tried, as text: the trials of a finding, and what all that is proven brings together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from ..fixes.catalogue import UNSAFE
from ..model.finding import Finding
from ..model.proof import (
    BROKE,
    CHANGES_ANSWER,
    FASTER,
    NO_DIFFERENCE,
    NOT_TRIED,
    SLOWER,
    Trial,
)
from ..model.report import Report
from .columns import GAP
from .lines import ELLIPSIS, Item, flow, one_line, shorten, unshortened
from .page import MARGIN, Page
from .verdicts import (
    NOTHING_TO_TRY,
    SIGNS,
    WITHDRAWN,
    at_round_trips,
    beside,
    figures,
    further_reason,
    has_patch,
    how_measured,
    is_what_if,
    total_sentence,
    variant,
    verdict_words,
)

STYLES: Final[Mapping[str, str]] = {
    FASTER: "bold green3",
    SLOWER: "red",
    NO_DIFFERENCE: "",
    CHANGES_ANSWER: "yellow",
    NOT_TRIED: "dim",
    BROKE: "red",
}
_SEPARATOR: Final = "   "
_INDENT: Final = 2 * MARGIN
_INNER: Final = 3 * MARGIN
_VARIANTS_COUNT: Final = 4
_ADVICE_COUNT: Final = 2
"""Lines, where not everything is told."""
_SETTING_SHARE: Final = 3
"""A column of settings takes a third of the page at most."""


def trial_lines(finding: Finding, report: Report, page: Page) -> Iterator[Text]:
    """The trials of a finding, the best first, and how to see the patch."""
    trials = report.trials_of(finding)
    if report.is_withdrawn(finding):
        yield from unshortened(WITHDRAWN, page.width, first=" " * _INDENT, indent=_INDENT)
    width = max((cell_len(_name(one, page)) for one in trials), default=0)
    for one in trials:
        yield from verdict_lines(one, page, width)
        yield from _below(one, page)
    patched = [one.risk for one in trials if has_patch(one)]
    if patched:
        command = f"unslow fix {finding.id} shows"
        is_unsafe = UNSAFE in patched
        says = f"unsafe, read the patch: {command} it" if is_unsafe else f"{command} the patch"
        yield from _inner(says, page)


def _name(trial: Trial, page: Page) -> str:
    return shorten(one_line(trial.arm.fix), page.width // 2)


def verdict_lines(trial: Trial, page: Page, width: int = 0) -> list[Text]:
    """What came of a trial, on one line where it fits; `width` is that of the fix's name."""
    style = STYLES.get(trial.verdict, "")
    fix = _name(trial, page)
    first = Text.assemble(
        " " * _INDENT,
        (SIGNS.get(trial.verdict, "?"), style),
        " ",
        (fix, "bold"),
        " " * (width - cell_len(fix)),
        _SEPARATOR,
    )
    words = verdict_words(trial)
    if cell_len(words) > page.width - _INNER:
        lines = unshortened(words, page.width, first=first, indent=_INNER)
        return [*lines, *_items(list(figures(trial)), page)]
    items: list[Item] = [Text(words, style), *figures(trial)]
    return flow(items, page.width, first=first, indent=_INNER, separator=_SEPARATOR)


def _items(items: Sequence[str], page: Page) -> list[Text]:
    if not items:
        return []
    first = " " * _INNER
    return flow(items, page.width, first=first, indent=_INNER, separator=_SEPARATOR)


def _inner(text: str, page: Page, before: str = "") -> Iterator[Text]:
    if text:
        yield from unshortened(before + text, page.width, first=" " * _INNER, indent=_INNER)


def _below(trial: Trial, page: Page) -> Iterator[Text]:
    """What stands below the verdict."""
    yield from _inner(further_reason(trial), page)
    yield from _says(trial, page)
    yield from _inner(beside(trial), page)
    yield from _also_tried(trial, page)
    yield from _table(trial, page)
    yield from _advice(trial, page)
    if page.everything:
        yield from _inner(how_measured(trial), page)


def _says(trial: Trial, page: Page) -> Iterator[Text]:
    """The change as it would stand in the source, and what it brings on slower networks."""
    trips = at_round_trips(trial)
    is_told = is_what_if(trial) or (trial.verdict == NOT_TRIED and not page.everything)
    says = "" if is_told else trial.arm.says
    if cell_len(says + _SEPARATOR + trips) <= page.width - _INNER:
        yield from _items([one for one in (says, trips) if one], page)
        return
    yield from _inner(says, page)
    yield from _inner(trips, page)


def _also_tried(trial: Trial, page: Page) -> Iterator[Text]:
    told = page.first(trial.also_tried, _VARIANTS_COUNT)
    left = len(trial.also_tried) - len(told)
    texts = [*map(variant, told), *([f"{left} more"] if left else [])]
    yield from _inner(", ".join(texts), page, "also tried: ")


def _table(trial: Trial, page: Page) -> Iterator[Text]:
    """The settings in one column, what each brought in the next."""
    rows = [(one_line(setting), brought) for setting, brought in trial.table]
    widest = page.width // _SETTING_SHARE
    width = min(widest, max((cell_len(setting) for setting, _ in rows), default=0))
    for setting, brought in rows:
        first = Text(" " * _INNER)
        if cell_len(setting) <= width:
            first.append(setting + " " * (width - cell_len(setting)))
        else:
            yield from _inner(setting, page)
            first.append(" " * width)
        first.append(" " * GAP)
        yield from unshortened(brought, page.width, first=first, indent=first.cell_len)


def _advice(trial: Trial, page: Page) -> Iterator[Text]:
    """What to change by hand: its beginning, or all of it with its lines as they are."""
    if page.everything:
        for line in trial.advice.splitlines():
            indent = min(_INNER + len(line) - len(line.lstrip()), page.width // 2)
            yield from unshortened(line, page.width, first=" " * indent, indent=indent)
        return
    # Room for the sign that there is more.
    lines = list(_inner(trial.advice, Page(page.width - GAP, page.folder)))
    told = lines[:_ADVICE_COUNT]
    if len(told) < len(lines):
        told[-1].append(f" {ELLIPSIS}")
    yield from told


def tried_lines(report: Report, page: Page) -> Iterator[Text]:
    """At the end: what is proven together, and what was not tried."""
    total = report.proven_total
    sentences = [*([total_sentence(total)] if total else []), *report.trials_left]
    if report.trials == () and report.findings and not sentences:
        sentences.append(NOTHING_TO_TRY)
    if sentences:
        yield Text()
    for one in sentences:
        for line in unshortened(one, page.width, indent=MARGIN):
            line.stylize("bold" if total and one is sentences[0] else "")
            yield line

"""Two checks beside each other, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rich.cells import cell_len
from rich.text import Text

from ..model.compared import Compared, ComparedRun, OnlyInOne, RouteCompared, is_same_size
from ..model.finding import Finding
from ..model.proof import FASTER, NO_DIFFERENCE, NOT_TRIED, SLOWER
from ..model.report import FORMAT
from ..numbers import counted, percent, size
from .as_json import comparison_json, rounded
from .card import moment
from .lines import Item, flow, one_line, sentence, shorten, unshortened
from .page import MARGIN, Page, title
from .places import inner_path
from .trials import STYLES
from .verdicts import SIGNS, by_how_much, change, would_have_been_seen

_SEPARATOR: Final = "   "
_INNER: Final = 2 * MARGIN
_WORDS: Final = {NO_DIFFERENCE: "no difference", NOT_TRIED: "not compared"}
_BEFORE: Final = "before"
_AFTER: Final = "after"


def compared_lines(compared: Compared, page: Page) -> Iterator[Text]:
    """It as text: the two, how far to trust it, each route, what only one has, the sum of it."""
    yield from _head(compared, page)
    yield from _routes(compared.routes, page)
    yield from _only(compared.only_before, _BEFORE, page)
    yield from _only(compared.only_after, _AFTER, page)
    yield Text()
    for line in unshortened(summary_sentence(compared), page.width, indent=MARGIN):
        line.stylize("bold")
        yield line


def _head(compared: Compared, page: Page) -> Iterator[Text]:
    targets = dict.fromkeys(one.target for one in (compared.before, compared.after) if one.target)
    names = " and ".join(shorten(one_line(one), page.width // 3) for one in targets)
    items = [f"two checks{f' of {names}' if names else ''}", _count(compared.routes)]
    yield from flow(items, page.width, first=Text("unslow · ", "bold"), indent=MARGIN)
    told = [compared.before.folder, compared.after.folder]
    for word, run in ((_BEFORE, compared.before), (_AFTER, compared.after)):
        first = Text.assemble(" " * MARGIN, (f"{word:<{len(_BEFORE)}}", "bold"), " ")
        yield from flow(_run(run, told[0] != told[1]), page.width, first=first, indent=_INNER)
    yield from sentence(trust_sentence(compared), page.width)
    for note in compared.notes:
        yield from sentence(note, page.width, first=Text("! ", "bold yellow"), indent=MARGIN)


def _run(run: ComparedRun, is_folder_told: bool) -> list[str]:
    folder = [f"in {inner_path(str(run.folder), Path.cwd())}"] if is_folder_told else []
    requests = f"{counted(run.requests_count, 'request')} alone"
    return [one_line(one) for one in (run.run, moment(run.recorded), requests, *folder)]


def _count(routes: Sequence[RouteCompared]) -> str:
    return f"{counted(len(routes), 'route')} in both"


def trust_sentence(compared: Compared) -> str:
    """How far to trust it."""
    return (
        "Measured apart, not side by side as a trial is: nothing tells how far two checks of the"
        f" same code lie apart, so no difference below {percent(compared.least_times - 1)} is told,"
        " and a machine that was busier for one of them looks like a change. Check again where it"
        " matters."
    )


def _routes(routes: Sequence[RouteCompared], page: Page) -> Iterator[Text]:
    if routes:
        yield Text()
    widest = page.width // 2
    width = min(widest, max((cell_len(one_line(one.route)) for one in routes), default=0))
    for one in routes:
        yield from _route(one, width, page)


def _route(one: RouteCompared, width: int, page: Page) -> Iterator[Text]:
    style = STYLES[SLOWER] if one.is_lost else STYLES[one.verdict]
    sign = SIGNS[SLOWER] if one.is_lost else SIGNS[one.verdict]
    name = shorten(one_line(one.route), width)
    first = Text.assemble(
        (sign, style), " ", (name, "bold"), " " * (width - cell_len(name)), _SEPARATOR
    )
    words = verdict_words(one)
    if first.cell_len + cell_len(words) > page.width:
        yield first
        yield from unshortened(words, page.width, first=" " * _INNER, indent=_INNER)
        first = Text(" " * _INNER)
        items = _figures(one)
    else:
        items = [Text(words, style), *_figures(one)]
    if items:
        yield from flow(items, page.width, first=first, indent=_INNER, separator=_SEPARATOR)
    if one.grown:
        texts = (f"{each.segment} {change(each.before_ms, each.after_ms)}" for each in one.grown)
        grown = f"grew: {', '.join(texts)}"
        yield from unshortened(grown, page.width, first=" " * _INNER, indent=_INNER)


def verdict_words(one: RouteCompared) -> str:
    """The verdict of a route with its number or its reason, without its sign."""
    found = one.comparison
    if one.is_lost:
        return f"answered before, not any more: {_uncounted(one.uncounted_after)}"
    if found is not None and one.verdict in (FASTER, SLOWER):
        return by_how_much(found)
    seen = would_have_been_seen(found) if one.verdict == NO_DIFFERENCE else ""
    return f"{_WORDS[one.verdict]}: {one.why}{seen}"


def _uncounted(count: int) -> str:
    return f"{counted(count, 'request')} did not count"


def _figures(one: RouteCompared) -> list[Item]:
    """What was measured beside it, and what became of the findings."""
    items: list[Item] = []
    if one.comparison is not None:
        items.append(change(one.comparison.before_ms, one.comparison.after_ms))
    was, now = one.statements_before, one.statements_after
    if was is not None and now is not None and was != now:
        items.append(f"{was:,} → {counted(now, 'statement')}")
    items += _bytes(one.response_bytes_before, one.response_bytes_after)
    if one.verdict in (FASTER, SLOWER) and len(items) == 1:
        # Then it may be the machine.
        items.append("as many statements and bytes")
    if not one.is_lost:
        for word, count in ((_BEFORE, one.uncounted_before), (_AFTER, one.uncounted_after)):
            items += [f"{word} {_uncounted(count)}"] if count else []
    return items + _findings(one)


def _bytes(before: int | None, after: int | None) -> list[Item]:
    if before is None or after is None or is_same_size(before, after):
        return []
    return [f"{size(before)} → {size(after)}"]


def _findings(one: RouteCompared) -> list[Item]:
    found = one.findings
    items: list[Item] = [
        *(Text(f"{each.id} gone", "green3") for each in found.gone),
        *(Text(f"{each.id} new", "bold yellow") for each in found.new),
        *(f"{each.id} at its threshold" for each in found.nearly),
        *(f"{each.id} not looked for in both" for each in found.unsure),
    ]
    for count, word in ((len(found.stayed), "stayed"), (len(found.aside), "accepted or withdrawn")):
        items += [f"{counted(count, 'finding')} {word}"] if count else []
    return items


def _only(routes: Sequence[OnlyInOne], word: str, page: Page) -> Iterator[Text]:
    if not routes:
        return
    yield from title(f"Only {word} ({len(routes)})")
    other = _AFTER if word == _BEFORE else _BEFORE
    for one in routes:
        items = [counted(one.requests_count, "request"), *(each.id for each in one.findings)]
        why = [f"{other}: {one.why}"] if one.why else []
        first = Text.assemble(" " * MARGIN, (shorten(one_line(one.route), page.width // 2), "bold"))
        first.append(_SEPARATOR)
        texts = page.items(*items, *why)
        yield from flow(texts, page.width, first=first, indent=_INNER, separator=_SEPARATOR)


def summary_sentence(compared: Compared) -> str:
    """What came of it, in a sentence or two."""
    lost_count = sum(one.is_lost for one in compared.routes)
    kinds = (
        (compared.count(FASTER), "faster"),
        (compared.count(SLOWER), "slower"),
        (compared.count(NO_DIFFERENCE), "without a difference"),
        (lost_count, "not answering any more"),
        (compared.count(NOT_TRIED) - lost_count, "not compared"),
    )
    told = ", ".join(f"{count} {word}" for count, word in kinds if count)
    routes = f"{_count(compared.routes)}{f': {told}' if told else ''}."
    new, gone = len(compared.new_findings), len(compared.gone_findings)
    stayed = sum(len(one.findings.stayed) for one in compared.routes)
    findings = f"Findings: {new or 'none'} new, {gone or 'none'} gone, {stayed or 'none'} stayed."
    return f"{routes} {findings}"


def compared_json(compared: Compared) -> dict[str, Any]:
    """It as plain data, format 1."""
    return {
        "format": FORMAT,
        "before": _run_json(compared.before),
        "after": _run_json(compared.after),
        "least_times": rounded(compared.least_times),
        "is_worse": compared.is_worse,
        "says": summary_sentence(compared),
        "trust": trust_sentence(compared),
        "notes": list(compared.notes),
        "routes": [_route_json(one) for one in compared.routes],
        "only_before": [_only_json(one) for one in compared.only_before],
        "only_after": [_only_json(one) for one in compared.only_after],
    }


def _run_json(run: ComparedRun) -> dict[str, Any]:
    return {
        "folder": inner_path(str(run.folder), Path.cwd()),
        "run": run.run,
        "target": run.target,
        "recorded": run.recorded,
        "requests": run.requests_count,
    }


def _route_json(one: RouteCompared) -> dict[str, Any]:
    found = one.findings
    return {
        "route": one.route,
        "verdict": one.verdict,
        "why": one.why,
        **comparison_json(one.comparison),
        "requests_before": one.requests_before,
        "requests_after": one.requests_after,
        "uncounted_before": one.uncounted_before,
        "uncounted_after": one.uncounted_after,
        "is_lost": one.is_lost,
        "statements_before": one.statements_before,
        "statements_after": one.statements_after,
        "response_bytes_before": one.response_bytes_before,
        "response_bytes_after": one.response_bytes_after,
        "findings": {
            "new": _findings_json(found.new),
            "gone": _findings_json(found.gone),
            "stayed": _findings_json(found.stayed),
            "accepted_or_withdrawn": _findings_json(found.aside),
            "at_their_threshold": _findings_json(found.nearly),
            "not_looked_for_in_both": _findings_json(found.unsure),
        },
        "grown": [
            {
                "segment": each.segment,
                "before_ms": rounded(each.before_ms),
                "after_ms": rounded(each.after_ms),
            }
            for each in one.grown
        ],
    }


def _only_json(one: OnlyInOne) -> dict[str, Any]:
    return {
        "route": one.route,
        "requests": one.requests_count,
        "why": one.why,
        "findings": _findings_json(one.findings),
    }


def _findings_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [{"id": one.id, "rule": one.rule, "title": one.title} for one in findings]

"""The rules for their readers: as text, as Markdown, as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from rich.text import Text

from ..model.rule_page import RulePage
from ..numbers import counted
from .columns import GAP
from .lines import flow, sentence
from .page import MARGIN

NEEDS: Final[Mapping[str, str]] = {
    "statements": "the statements that a request sends",
    "remote": "the calls of other services",
    "receipts": "the receipts of the requests",
    "usage": "what is read of the rows, which `unslow check` watches",
    "crowd": "requests that were open at once",
    "returned": "what an endpoint returns, which is seen in FastAPI",
    "response": "size, media type and coding of the response",
    "digests": "equal answers, which `unslow check` looks for",
}
"""In words, what a rule may need."""
_HEAD_WIDTH: Final = 11


def areas(pages: Sequence[RulePage]) -> Iterator[tuple[str, list[RulePage]]]:
    """The pages by area, in their order."""
    for area, group in groupby(pages, key=lambda one: one.area):
        yield area, list(group)


def list_lines(pages: Sequence[RulePage], width: int) -> Iterator[Text]:
    """All rules, each on a line; a title that is too long goes on below itself."""
    indent = MARGIN + max((len(one.id) for one in pages), default=0) + GAP
    for area, group in areas(pages):
        yield Text(area, "bold")
        for one in group:
            first = Text(f"{'':{MARGIN}}{one.id}".ljust(indent), "yellow")
            yield from sentence(one.title, width, first=first, indent=indent)
        yield Text()
    yield from sentence(
        f"{counted(len(pages), 'rule')}; unslow rules ID tells what one looks for.", width
    )


def page_lines(page: RulePage, width: int) -> Iterator[Text]:
    """One rule: its id and title, what its page says, and where its threshold comes from."""
    yield from flow([Text(page.id, "bold yellow"), page.title], width)
    yield Text()
    for head, text in _told(page):
        first = Text(f"{head:<{_HEAD_WIDTH}}", "bold")
        yield from sentence(text, width, first=first, indent=_HEAD_WIDTH)


def _told(page: RulePage) -> Iterator[tuple[str, str]]:
    yield from page.parts
    yield "Threshold", _threshold(page)
    yield "Needs", _needs(page)
    if page.fixes:
        yield "Fixes", ", ".join(page.fixes)


def _threshold(page: RulePage) -> str:
    return f"{_amount(page)} ({page.threshold_source})"


def _amount(page: RulePage) -> str:
    return f"{page.threshold:,.9g} {page.threshold_unit}"


def _needs(page: RulePage) -> str:
    return "; ".join(NEEDS.get(one, one) for one in page.needs)


def body_markdown(page: RulePage) -> str:
    """What a rule's page says, as Markdown."""
    sections = [
        *page.parts,
        ("Threshold", f"{_amount(page)}. Source: {page.threshold_source}."),
        ("Needs", f"{_needs(page)}."),
        ("Fixes", ", ".join(f"`{one}`" for one in page.fixes)),
    ]
    return "\n".join(
        f"## {head}\n\n{text[0].upper()}{text[1:]}\n" for head, text in sections if text
    )


def body_text(page: RulePage) -> str:
    """The same without any mark-up."""
    return "\n\n".join(f"{head}: {text}" for head, text in _told(page))


def page_markdown(page: RulePage) -> str:
    """One rule's page in the docs."""
    file = page.id.replace("-", "_")
    return (
        f"# {page.id}\n\n{page.title}.\n\n"
        f"This page is made from `src/unslow/diagnose/rules/{file}.py` by `make docs`.\n\n"
        f"{body_markdown(page)}"
    )


def index_markdown(pages: Sequence[RulePage]) -> str:
    """The page that leads to all of them."""
    head = (
        "# The rules\n\nThis page is made from `src/unslow/diagnose/catalogue.py` by `make docs`;"
        " `unslow rules` prints the same.\n\nA rule judges the requests of one route. On each route"
        " it has found something, is clean, was not checked, or broke; `unslow explain ROUTE` tells"
        " which, and why.\n"
    )
    parts = [head]
    for area, group in areas(pages):
        rows = [f"| [{one.id}]({one.id}.md) | {one.title} |\n" for one in group]
        parts.append(f"## {area}\n\n| rule | what is wrong |\n|---|---|\n{''.join(rows)}")
    return "\n".join(parts)


def page_json(page: RulePage) -> dict[str, Any]:
    """One rule as plain data."""
    return {
        "id": page.id,
        "title": page.title,
        "area": page.area,
        "summary": page.summary,
        **{head.lower().replace(" ", "_"): text for head, text in page.parts},
        "threshold": {
            "value": page.threshold,
            "unit": page.threshold_unit,
            "source": page.threshold_source,
        },
        "needs": list(page.needs),
        "fixes": list(page.fixes),
    }

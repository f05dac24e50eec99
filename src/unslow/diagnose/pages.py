"""The rules' pages, read off their files."""

from __future__ import annotations

import re
from typing import Final

from ..model.rule_page import RulePage
from .areas import rules_with_areas
from .rule import HEADS, Rule

_HEAD: Final = re.compile(rf"^({'|'.join(HEADS)}):\s", re.MULTILINE)


def rule_pages() -> tuple[RulePage, ...]:
    """The pages of all rules, in the order of the catalogue."""
    return tuple(page_of(one, area) for area, one in rules_with_areas())


def page_of(rule: Rule, area: str) -> RulePage:
    """The page of one rule."""
    summary, *parts = _HEAD.split(rule.page)
    return RulePage(
        id=rule.id,
        title=rule.title,
        area=area,
        summary=_flat(summary).removesuffix("."),
        parts=tuple(zip(parts[::2], map(_flat, parts[1::2]), strict=True)),
        threshold=rule.threshold.value,
        threshold_unit=rule.threshold.unit,
        threshold_source=rule.threshold.source,
        needs=rule.needs,
        fixes=rule.fixes,
    )


def _flat(text: str) -> str:
    return " ".join(text.split())

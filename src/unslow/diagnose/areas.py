"""The areas that the rules are told by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from .catalogue import RULES
from .rule import Rule

AREAS: Final = (
    ("queries", "lazy-load-loop"),
    ("connections", "pool-wait"),
    ("concurrency", "blocking-call"),
    ("outbound", "missing-timeout"),
    ("response", "slow-serialization"),
)
"""Each with the rule that the catalogue has first of it."""


def rules_with_areas(rules: Iterable[Rule] = RULES) -> Iterator[tuple[str, Rule]]:
    """The rules as the catalogue has them, each behind its area."""
    begins = {rule_id: area for area, rule_id in AREAS}
    area = ""
    for one in rules:
        area = begins.get(one.id, area)
        yield area, one

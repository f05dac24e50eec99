"""What a rule is: a pure function from the requests of a route to findings, with its page."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from ..model.finding import Finding

if TYPE_CHECKING:
    from .views import Requests

HEADS: Final = ("Looks for", "Costs", "Instead", "Misses")
"""What each rule's page says."""


class Threshold(NamedTuple):
    """From where on something is found."""

    value: float
    unit: str
    source: str
    """The script that shows what other values would find."""


class Nearly(NamedTuple):
    """What a rule looked at closely and did not find, in one sentence."""

    says: str


Check = Callable[["Requests", float], Iterator[Finding | Nearly]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as the catalogue holds it."""

    id: str
    title: str
    needs: tuple[str, ...]
    """What has to be recorded; see `views.NEEDS`."""
    threshold: Threshold
    fixes: tuple[str, ...]
    in_crowd: bool
    """Whether it judges requests that ran beside others, where there are some that ran alone."""
    check: Check
    page: str
    """Its documentation: what it looks for, costs, what to do instead, and what it misses."""

    def apply(
        self, requests: Requests, threshold: float | None = None
    ) -> Iterator[Finding | Nearly]:
        """What the rule finds in the requests of a route, and nearly finds."""
        value = self.threshold.value if threshold is None else threshold
        for one in self.check(requests, value):
            if isinstance(one, Finding):
                yield replace(
                    one, rule=self.id, title=self.title, route=requests.name, fixes=self.fixes
                )
            else:
                yield one


def rule(
    *,
    id: str,  # noqa: A002  # the word of the field, in the catalogue and in each report
    title: str,
    needs: tuple[str, ...],
    threshold: Threshold,
    fixes: tuple[str, ...] = (),
    in_crowd: bool = False,
) -> Callable[[Check], Rule]:
    """Makes a rule of a function; its module's docstring is the rule's page."""

    def make(check: Check) -> Rule:
        page = sys.modules[check.__module__].__doc__ or ""
        return Rule(id, title, needs, threshold, fixes, in_crowd, check, page)

    return make


def swept(rule_id: str) -> str:
    """The source of a threshold that `bench/thresholds.py` sweeps."""
    return f"bench/thresholds.py: {rule_id}"

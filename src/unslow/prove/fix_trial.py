"""What every trial of a fix has: its variants, what was seen of them, and what comes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median_low
from typing import Final

from ..fixes.catalogue import Fix
from ..fixes.patches.patch import Subject
from ..model.proof import Arm, Trial
from ..model.workload import Exchange, Request
from .compare import Judged
from .experiment import BASELINE, Experiment, Recorded
from .same_answer import SameAnswer
from .variant import Variant, sent_count, trial_of

_LEAST_RECORDED: Final = 3
"""Requests of each arm that are recorded, all different ones together."""


class FixTrial:
    """Tries the variants of one fix on one finding."""

    def __init__(
        self,
        experiment: Experiment,
        subject: Subject,
        fix: Fix,
        requests: Sequence[Request],
        users_count: int,
    ) -> None:
        self._experiment = experiment
        self._subject = subject
        self._fix = fix
        self._requests = requests
        self._users_count = users_count
        self._variants: list[Variant] = []
        self._statements_before: list[int] = []
        self._recorded_count = math.ceil(_LEAST_RECORDED / len(requests))
        """How often each request is recorded under an arm."""

    def _added(self, arm: Arm, name: str = "", *, is_written: bool = False) -> Variant:
        same = SameAnswer(may_reorder=_may_reorder(self._subject))
        name = name or f"{self._fix.id}-{len(self._variants) + 1}"
        variant = Variant(name, arm, same, is_written=is_written)
        self._variants.append(variant)
        return variant

    def _racing(self) -> list[Variant]:
        return [one for one in self._variants if not one.verdict]

    def _switch_off(self) -> None:
        for one in self._variants:
            one.switch_off(self._experiment)

    def _seen(self, arm: str, exchange: Exchange) -> None:
        """Notes an answer, to compare it with those of the variants that are still tried."""
        for one in self._racing():
            if arm == BASELINE:
                one.same.before(exchange)
            elif arm == one.name:
                one.same.after(exchange)

    def _count_statements(self, recorded: Recorded) -> None:
        """Notes how many statements a request of the app as it is has sent."""
        if recorded.trace is not None:
            self._statements_before.append(sent_count(recorded.trace))

    @property
    def _statements_count(self) -> int | None:
        before = self._statements_before
        return median_low(before) if before else None

    def _trial(
        self,
        best: Variant,
        judged: Judged | None = None,
        in_crowd: Judged | None = None,
        table: tuple[tuple[str, str], ...] = (),
    ) -> Trial:
        return trial_of(
            self._subject,
            self._fix,
            best,
            self._variants,
            judged=judged,
            in_crowd=in_crowd,
            statements_before=self._statements_count,
            table=table,
        )


def _may_reorder(subject: Subject) -> bool:
    """Whether a statement of the route brings several rows in no order that it names."""
    return any(
        (one.rows_count or 0) > 1 and "ORDER BY" not in one.shape.upper()
        for trace in subject.traces
        for one in trace.statements
    )

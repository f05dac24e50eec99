"""The trial of a fix of what requests share: all users on one arm, drained, then on the other.

Two arms are never in flight together: mixed, a fix that takes a blocking call off the event loop
and is 17.7 times as fast looks eight times as slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, median_low
from typing import Final

from ..fixes.catalogue import Fix
from ..fixes.patches.patch import Subject, patcher_of
from ..model.proof import NOT_TRIED, Arm, Trial
from ..model.workload import Exchange, Request
from ..numbers import milliseconds
from .compare import Judged
from .crowds import Crowds
from .experiment import BASELINE, Experiment, on
from .link import Fared
from .own_trial import may_reorder, recorded_count
from .same_answer import FEWEST_BASELINES, SameAnswer
from .variant import Variant, said_most, sent_count, trial_of

_RACE_BLOCKS: Final = 2
_NEARLY: Final = 1.1
"""Of settings that are so near to the best the first one is taken, which is the smallest."""


class SharedTrial:
    """Tries the variants of one fix on one finding, by many users at once."""

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
        self._crowds = Crowds(experiment, requests, users_count)
        self._variants: list[Variant] = []
        self._statements_before: list[int] = []
        self._table: tuple[tuple[str, str], ...] = ()

    async def run(self) -> Trial:
        """Tries them; what is switched on meanwhile is off at the end.

        Raises:
            CannotTryError: the fix cannot be tried on this finding.
            TrialOverError: the app refused, or there was no time to try anything.
        """
        for arm in patcher_of(self._fix.id).candidates(self._subject):
            self._add(arm)
        try:
            await self._baselines()
            for one in self._variants:
                await self._look(one)
            racing = [one for one in self._variants if not one.verdict]
            if not racing:
                return self._trial(said_most(self._variants))
            await self._crowds.fit(self._seen)
            best = await self._race(racing)
            if best.verdict:
                return self._trial(best)
            found = await self._crowds.judge(best.name, best.switch(self._experiment), self._seen)
            await self._baselines()
            return self._trial(best, found)
        finally:
            for one in self._variants:
                one.switch_off(self._experiment)

    def _add(self, arm: Arm) -> None:
        same = SameAnswer(may_reorder=may_reorder(self._subject))
        self._variants.append(Variant(f"{self._fix.id}-{len(self._variants) + 1}", arm, same))

    def _trial(self, best: Variant, found: Judged | None = None) -> Trial:
        before = median_low(self._statements_before) if self._statements_before else None
        return trial_of(
            self._subject,
            self._fix,
            best,
            self._variants,
            judged=found,
            statements_before=before,
            table=self._table,
        )

    async def _baselines(self) -> None:
        for request in self._requests:
            await self._experiment.block(request, (BASELINE,) * FEWEST_BASELINES, self._seen)
        recorded = await self._experiment.recorded(self._requests[0], BASELINE)
        if recorded.trace is not None:
            self._statements_before.append(sent_count(recorded.trace))

    async def _look(self, variant: Variant) -> None:
        """Compares the answers of one user, and whether the switch acts."""
        variant.switch_on(self._experiment)
        try:
            for request in self._requests:
                for _ in range(recorded_count(self._requests)):
                    if not variant.verdict:
                        recorded = await self._experiment.recorded(request, variant.name)
                        variant.note(recorded, is_enough=not self._fix.acts_in_crowd)
        finally:
            variant.switch_off(self._experiment)
        variant.compare(self._fix)

    async def _race(self, racing: Sequence[Variant]) -> Variant:
        """The smallest setting that is nearly as good as the best."""
        if len(racing) == 1 and not self._fix.acts_in_crowd:
            return racing[0]
        before = [ms for _ in range(_RACE_BLOCKS) if (ms := await self._crowds.fit(self._seen))]
        taken: list[tuple[Variant, float]] = []
        for one in racing:
            times = [await self._crowd_under(one) for _ in range(_RACE_BLOCKS)]
            known = [ms for ms in times if ms is not None]
            if not known:
                one.drop(NOT_TRIED, "too few were answered under it")
                continue
            if not one.verdict:
                one.race_ms = median(known)
                taken.append((one, one.race_ms))
        if not taken:
            return racing[0]
        self._table = (
            *([("as it is", milliseconds(median(before)))] if before else []),
            *((one.arm.says, milliseconds(ms)) for one, ms in taken),
        )
        best_ms = min(ms for _, ms in taken)
        return next(one for one, ms in taken if ms <= best_ms * _NEARLY)

    async def _crowd_under(self, variant: Variant) -> float | None:
        with on(variant.switch(self._experiment), variant.name):
            ms = await self._crowds.block(variant.name, self._seen)
            fared = self._experiment.link.samples().fared.get(variant.name, Fared())
        variant.fared(fared, is_enough=True)
        return ms

    def _seen(self, arm: str, exchange: Exchange) -> None:
        for one in self._variants:
            if arm == BASELINE:
                one.same.before(exchange)
            elif arm == one.name:
                one.same.after(exchange)

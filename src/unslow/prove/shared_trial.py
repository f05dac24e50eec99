"""The trial of a fix of what requests share: all users on one arm, drained, then on the other.

Two arms are never in flight together: mixed, a fix that takes a blocking call off the event loop
and is 17.7 times as fast looks eight times as slow.
"""

from __future__ import annotations

from statistics import median
from typing import Final

from ..fixes.patches.patch import patcher_of
from ..model.proof import NOT_TRIED, Trial
from ..numbers import milliseconds
from .crowds import Crowds
from .experiment import BASELINE, on
from .fix_trial import FixTrial
from .link import Fared
from .same_answer import FEWEST_BASELINES
from .variant import Variant, said_most

_RACE_BLOCKS: Final = 2
_NEARLY: Final = 1.1
"""Of settings that are so near to the best the first one is taken, which is the smallest."""


Table = tuple[tuple[str, str], ...]
"""What was measured at each setting: the setting, and what it brought."""


class SharedTrial(FixTrial):
    """Tries the variants of one fix on one finding, by many users at once."""

    async def run(self) -> Trial:
        """Tries them; what is switched on meanwhile is off at the end.

        Raises:
            CannotTryError: the fix cannot be tried on this finding.
            TrialOverError: the app refused, or there was no time to try anything.
        """
        for arm in patcher_of(self._fix.id).candidates(self._subject):
            self._added(arm)
        try:
            await self._baselines()
            for one in self._variants:
                await self._look(one)
            if not self._racing():
                return self._trial(said_most(self._variants))
            crowds = Crowds(self._experiment, self._requests, self._users_count)
            await crowds.fit(self._seen)
            best, table = await self._race(crowds)
            if best.verdict:
                return self._trial(best, table=table)
            found = await crowds.judge(best.name, best.switch(self._experiment), self._seen)
            await self._baselines()
            return self._trial(best, found, table=table)
        finally:
            self._switch_off()

    async def _baselines(self) -> None:
        for request in self._requests:
            await self._experiment.block(request, (BASELINE,) * FEWEST_BASELINES, self._seen)
        recorded = await self._experiment.recorded(self._requests[0], BASELINE)
        self._count_statements(recorded)

    async def _look(self, variant: Variant) -> None:
        """Compares the answers of one user, and whether the switch acts."""
        variant.switch_on(self._experiment)
        try:
            for request in self._requests:
                for _ in range(self._recorded_count):
                    if not variant.verdict:
                        recorded = await self._experiment.recorded(request, variant.name)
                        variant.note(recorded, is_enough=not self._fix.acts_in_crowd)
        finally:
            variant.switch_off(self._experiment)
        variant.compare(self._fix)

    async def _race(self, crowds: Crowds) -> tuple[Variant, Table]:
        """The smallest setting that is nearly as good as the best, and what each brought."""
        racing = self._racing()
        if len(racing) == 1 and not self._fix.acts_in_crowd:
            return racing[0], ()
        before = [
            ms for _ in range(_RACE_BLOCKS) if (ms := await crowds.block(BASELINE, self._seen))
        ]
        for one in racing:
            await self._race_one(one, crowds)
        taken = [(one, one.race_ms) for one in racing if one.race_ms is not None]
        if not taken:
            return racing[0], ()
        table = (
            *([("as it is", milliseconds(median(before)))] if before else []),
            *((one.arm.says, milliseconds(ms)) for one, ms in taken),
        )
        best_ms = min(ms for _, ms in taken)
        return next(one for one, ms in taken if ms <= best_ms * _NEARLY), table

    async def _race_one(self, variant: Variant, crowds: Crowds) -> None:
        """What a user waits under a variant; it is dropped where it does not act in a crowd."""
        times_ms = []
        for _ in range(_RACE_BLOCKS):
            with on(variant.switch(self._experiment), variant.name):
                ms = await crowds.block(variant.name, self._seen)
                fared = self._experiment.link.samples().fared.get(variant.name, Fared())
            variant.fared(fared, is_enough=True)
            if ms is not None:
                times_ms.append(ms)
        if not times_ms:
            variant.drop(NOT_TRIED, "too few were answered under it")
        elif not variant.verdict:
            variant.race_ms = median(times_ms)

"""The trial of a fix that stands in the source: the app of before beside the patched one."""

from __future__ import annotations

from typing import Final

from ..fixes.catalogue import OWN
from ..model.proof import Arm, Trial
from .own_trial import OwnTrial

PATCHED: Final = "patched"
"""The name of the arm that the patched app is."""


class AppliedTrial(OwnTrial):
    """Both apps run, and take turns; with many at once where the fix is about what they share."""

    async def run_written(self, arm: Arm) -> Trial:
        """Judges what was written.

        Raises:
            TrialOverError: an app refused, or there was no time to measure anything.
        """
        variant = self._added(arm, PATCHED, is_written=True)
        await self._look([variant])
        if variant.verdict:
            return self._trial(variant)
        if self._fix.changes == OWN:
            judged = await self._confirmed(variant)
        else:
            judged = await self._judged_in_crowd(variant)
        await self._look_again(variant)
        return self._trial(variant, judged)

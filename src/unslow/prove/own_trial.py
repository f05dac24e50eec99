"""The trial of a fix that changes only the request that runs under it: its arms take turns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from statistics import fmean, median, median_low
from typing import Final

from ..fixes.catalogue import OWN
from ..fixes.patches.patch import patcher_of, refined
from ..model.proof import FASTER, NOT_TRIED, Arm, Trial
from ..model.workload import Request
from .compare import OWN_PLAN, SHARED_PLAN, VETO_PLAN, Block, Judged, Plan, cannot_win, judged, look
from .crowds import Crowds
from .experiment import BASELINE, MixedArmsError, TrialOverError, UnansweredError, stays
from .fix_trial import FixTrial
from .same_answer import FEWEST_BASELINES
from .variant import Variant, said_most, sent_count

_RACE_BLOCKS: Final = 20
_RACE_SHARE: Final = 0.3
"""Of the time that there is, at most."""
_ALONE_SHARE: Final = 0.65
"""Of the time that there is, after which what is faster alone has its turn in a crowd."""
_TRIMMED_SHARE: Final = 0.1
"""Of times at each end that do not count."""
_DROPS_FROM: Final = 4
"""Blocks after which a variant that cannot win is dropped."""
_ARMS_PER_BLOCK: Final = 3
"""The app as it is, twice, and the fix: the second time tells what it differs from itself."""
_WORTH_ITS_RISK: Final = 1.1
"""What loads less may lack a column that a request reads which was not watched."""


class OwnTrial(FixTrial):
    """Tries the variants of one fix on one finding, one request in flight."""

    _alone_until = math.inf
    """By `time.monotonic`: what is faster alone has its turn in a crowd then."""
    _wall_ms = 0.0
    """Of a request as the app is, the longest median of those looked at."""

    async def run(self) -> Trial:
        """Tries them; what is switched on meanwhile is off at the end.

        Raises:
            CannotTryError: the fix cannot be tried on this finding.
            MixedArmsError: the fix changes what requests share, so its arms must not take turns.
            TrialOverError: the app refused, or there was no time to try anything.
        """
        if self._fix.changes != OWN:
            raise MixedArmsError(
                f"{self._fix.id} changes what requests share: request by request, those of one arm"
                " would run under the other. Try it in drained blocks."
            )
        now = time.monotonic()
        self._alone_until = now + _ALONE_SHARE * (self._experiment.allowance.deadline - now)
        arms = patcher_of(self._fix.id).candidates(self._subject)
        try:
            await self._look([self._switched_on(arm) for arm in arms])
            if not self._racing():
                return self._trial(said_most(self._variants))
            best = await self._race(self._racing(), _RACE_BLOCKS)
            best = await self._with_less(best)
            # From here on it is on for its own requests only: a switch listens to each statement.
            self._switch_off()
            alone = await self._confirmed(best)
            in_crowd = await self._in_crowd(best, alone)
            await self._look_again(best)
            return self._trial(best, alone, in_crowd)
        finally:
            self._switch_off()

    def _switched_on(self, arm: Arm) -> Variant:
        variant = self._added(arm)
        variant.switch_on(self._experiment)
        return variant

    async def _look(self, variants: Sequence[Variant]) -> None:
        """Compares answers, counts statements, and drops what does not act or changes an answer."""
        for request in self._requests:
            await self._look_at(request, variants)
        for one in variants:
            one.compare(self._fix)
            if self._fix.saves_statements:
                self._drop_if_no_fewer(one)

    async def _look_at(self, request: Request, variants: Sequence[Variant]) -> None:
        taken = await self._block(request, (BASELINE,) * FEWEST_BASELINES)
        self._wall_ms = max(self._wall_ms, median(taken.get(BASELINE) or (0.0,)))
        recorded = await self._experiment.recorded(request, BASELINE)
        self._seen(BASELINE, recorded.exchange)
        self._count_statements(recorded)
        for one in variants:
            for _ in range(self._recorded_count):
                if not one.verdict:
                    one.note(await self._experiment.recorded(request, one.name))

    def _drop_if_no_fewer(self, variant: Variant) -> None:
        after, before = variant.statements_count, self._statements_count
        if after is not None and before is not None and after >= before:
            variant.drop(NOT_TRIED, f"it sends {after} statements, {before} without it")

    async def _race(self, variants: Sequence[Variant], blocks_count: int) -> Variant:
        """Finds the quickest; what cannot be that any more is dropped on the way."""
        taken: dict[str, list[float]] = {one.name: [] for one in variants}
        left = list(variants)
        now = time.monotonic()
        ends_at = now + _RACE_SHARE * (self._experiment.allowance.deadline - now)
        for number in range(blocks_count):
            is_clear = len(left) < 2 or time.monotonic() > ends_at
            if is_clear and number >= _DROPS_FROM:
                break
            found = await self._turn(number, [one.name for one in left])
            if any(one.name not in found for one in left):
                continue
            for one in left:
                taken[one.name].append(found[one.name][0])
            if number + 1 >= _DROPS_FROM:
                left = _still_in(left, taken)
        for one in variants:
            one.race_ms = typical_ms(taken[one.name]) if taken[one.name] else None
        return _quickest(left, taken)

    async def _with_less(self, best: Variant) -> Variant:
        """The same with less to load, where that is quicker still."""
        arm = refined(self._fix.id, self._subject, best.arm)
        if arm is None:
            return best
        less = self._switched_on(arm)
        await self._look([less])
        if less.verdict:
            return best
        await self._race([best, less], _RACE_BLOCKS)
        is_worth_it = (less.race_ms or math.inf) * _WORTH_ITS_RISK <= (best.race_ms or math.inf)
        return less if is_worth_it else best

    async def _confirmed(self, best: Variant) -> Judged | None:
        """Judges the best by blocks of its own: those of the race have chosen it.

        None where the time was up before the first look.
        """
        plan = self._plan()
        blocks: list[Block] = []
        while True:
            try:
                taken = await self._turn(
                    len(blocks), (BASELINE, BASELINE, best.name), best.switch(self._experiment)
                )
            except UnansweredError:
                raise
            except TrialOverError:
                return judged(blocks, plan)
            if len(taken.get(BASELINE, ())) == 2 and taken.get(best.name):
                blocks.append(Block(taken[BASELINE], taken[best.name][0]))
            elif best.same.judged().same is False:
                return None
            found = look(blocks, plan)
            if found is not None:
                return found
            if time.monotonic() > self._alone_until:
                return judged(blocks, plan)

    async def _in_crowd(self, best: Variant, alone: Judged | None) -> Judged | None:
        """The same with many users at once, where it is faster alone."""
        if alone is None or alone.verdict != FASTER or self._users_count < 2:
            return None
        return await self._judged_in_crowd(best, VETO_PLAN)

    async def _judged_in_crowd(self, variant: Variant, plan: Plan = SHARED_PLAN) -> Judged | None:
        crowds = Crowds(self._experiment, self._requests, self._users_count)
        switched = variant.switch(self._experiment)
        with suppress(TrialOverError):
            await crowds.fit(self._seen, variant.name, switched)
        return await crowds.judge(variant.name, switched, self._seen, plan)

    async def _look_again(self, best: Variant) -> None:
        """The app as it is once more, so that what changed by itself meanwhile is told."""
        before, after = self._statements_count, []
        for request in self._requests:
            try:
                await self._block(request, (BASELINE,) * 2)
                recorded = await self._experiment.recorded(request, BASELINE)
            except UnansweredError:
                raise
            except TrialOverError:
                continue
            if recorded.trace is not None:
                after.append(sent_count(recorded.trace))
        if after and before is not None and median_low(after) < before:
            best.drop(
                NOT_TRIED,
                "what was loaded stays in a cache of the app's own: afterwards it sends"
                f" {median_low(after)} statements without it too, {before} before",
            )

    def _plan(self) -> Plan:
        """How many blocks: fewer where each takes long."""
        left_s = self._experiment.allowance.deadline - time.monotonic()
        needs_s = OWN_PLAN.looks[-1].blocks_count * _ARMS_PER_BLOCK * self._wall_ms / 1e3
        return OWN_PLAN if needs_s < left_s / 2 else SHARED_PLAN

    async def _turn(
        self, number: int, arms: Sequence[str], switched: Callable[[bool], None] = stays
    ) -> Mapping[str, tuple[float, ...]]:
        request = self._requests[number % len(self._requests)]
        return await self._block(request, arms, switched)

    async def _block(
        self, request: Request, arms: Sequence[str], switched: Callable[[bool], None] = stays
    ) -> Mapping[str, tuple[float, ...]]:
        return await self._experiment.block(request, arms, self._seen, switched)


def _quickest(variants: Sequence[Variant], taken: Mapping[str, Sequence[float]]) -> Variant:
    return min(variants, key=lambda one: typical_ms(taken[one.name] or (math.inf,)))


def typical_ms(times_ms: Sequence[float]) -> float:
    """The mean without a tenth at each end.

    Not the median: where a collection of garbage comes in every other request, that jumps between
    both kinds.
    """
    cut = int(_TRIMMED_SHARE * len(times_ms))
    return fmean(sorted(times_ms)[cut : len(times_ms) - cut])


def _still_in(variants: Sequence[Variant], taken: Mapping[str, Sequence[float]]) -> list[Variant]:
    """Those that may still be the quickest."""
    best = _quickest(variants, taken)
    blocks = {one.name: [Block((ms,), ms) for ms in taken[one.name]] for one in variants}
    return [
        one
        for one in variants
        if one is best or not cannot_win(blocks[one.name], blocks[best.name])
    ]

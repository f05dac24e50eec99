"""Blocks of many users at once, one arm at a time: between two of them nothing is in flight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ..model.workload import Exchange, Request
from .compare import SHARED_PLAN, Block, Judged, Plan, judged, look
from .experiment import BASELINE, Experiment, TrialOverError, on, stays
from .turns import Turns

_FEWEST_PER_USER: Final = 1
_MOST_PER_USER: Final = 8
_BLOCK_MS: Final = 400.0
"""What a block of the quicker arm should take at least: a few milliseconds are all noise."""


class Crowds:
    """Has all users ask under one arm, then under the other, in random order, until it is clear."""

    def __init__(
        self, experiment: Experiment, requests: Sequence[Request], users_count: int
    ) -> None:
        self.users_count = users_count
        self._experiment = experiment
        self._requests = requests
        self._per_user = _FEWEST_PER_USER
        self._turns = Turns()

    async def block(self, arm: str, seen: Callable[[str, Exchange], None]) -> float | None:
        """One block; what a user waits for an answer. None where too few were answered.

        Raises:
            TrialOverError: the app refused, or there is no time.
        """
        count = self.users_count * self._per_user
        requests = [self._requests[index % len(self._requests)] for index in range(count)]
        self._turns.chance.shuffle(requests)
        crowd = await self._experiment.crowd(requests, self.users_count, arm)
        for exchange in crowd.exchanges:
            seen(arm, exchange)
        return crowd.ms

    async def fit(
        self,
        seen: Callable[[str, Exchange], None],
        arm: str = BASELINE,
        switched: Callable[[bool], None] = stays,
    ) -> float | None:
        """A block that does not count, by which the next ones get their length.

        Raises:
            TrialOverError: the app refused, or there is no time.
        """
        with on(switched, arm):
            ms = await self.block(arm, seen)
        if ms:
            self._per_user = max(_FEWEST_PER_USER, min(_MOST_PER_USER, round(_BLOCK_MS / ms) + 1))
        return ms

    async def judge(
        self,
        arm: str,
        switched: Callable[[bool], None],
        seen: Callable[[str, Exchange], None],
        plan: Plan = SHARED_PLAN,
    ) -> Judged | None:
        """Compares an arm with the app as it is; None where too few requests were answered.

        Args:
            arm: The name of the arm.
            switched: Switches it on, or off.
            seen: Is told of each answer.
            plan: When it is looked at; with one look, a block has one baseline.
        """
        blocks: list[Block] = []
        baselines_count = 2 if len(plan.looks) > 1 else 1
        while True:
            try:
                taken = await self._blocks([BASELINE] * baselines_count + [arm], switched, seen)
            except TrialOverError:
                return judged(blocks, plan, self.users_count)
            if taken is None:
                return None
            blocks.append(taken)
            found = look(blocks, plan, self.users_count)
            if found is not None:
                return found

    async def _blocks(
        self,
        arms: Sequence[str],
        switched: Callable[[bool], None],
        seen: Callable[[str, Exchange], None],
    ) -> Block | None:
        arm = arms[-1]
        times_ms: dict[str, tuple[float, ...]] = {}
        for one in self._turns.next(arms):
            with on(switched, one):
                ms = await self.block(one, seen)
            if ms is None:
                return None
            times_ms[one] = (*times_ms.get(one, ()), ms)
        # Which of the two comes first is drawn: who compares them must not see a drift.
        before_ms = self._turns.chance.sample(times_ms[BASELINE], len(times_ms[BASELINE]))
        return Block(tuple(before_ms), times_ms[arm][0])

"""In which order arms take turns: drawn, and none is oftener the first than another.

The first request of a block is the slower one on many a machine (measured with nothing switched on:
2.5 % above the block's mean, the third 2.2 % below it), and a drawn order alone may put the fix
there in 3 of 20 blocks, or in 11. So an order is drawn for as many blocks as there are arms, and
each of them begins at another place of it. In each block every place of the fix is as likely as any
other, which is what the tests by ranks stand on.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Arm = TypeVar("Arm")


class Turns:
    """Orders for one block after the other."""

    def __init__(self, chance: random.Random | None = None) -> None:
        # Drawn anew in each trial: one order for all would be wrong in all of them, or in none.
        self.chance = chance or random.Random()  # noqa: S311  # of no use to who guesses it
        self._arms: Sequence[object] = ()
        self._orders: list[tuple[int, ...]] = []

    def next(self, arms: Sequence[Arm]) -> list[Arm]:
        """The arms in the order of the next block; one may be there several times."""
        if not self._orders or list(self._arms) != list(arms):
            self._arms = tuple(arms)
            self._orders = self._rotations(len(arms))
        return [arms[place] for place in self._orders.pop()]

    def _rotations(self, count: int) -> list[tuple[int, ...]]:
        order = self.chance.sample(range(count), count)
        rotations = [(*order[first:], *order[:first]) for first in range(count)]
        self.chance.shuffle(rotations)
        return rotations

"""Whether a count grows with another: a straight line through the requests, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

FEWEST_COUNTS: Final = 3
"""Through two different counts there is always a line."""
LEAST_SLOPE: Final = 0.5
LEAST_BOUND: Final = 0.1
"""One statement per row gives a slope near 1, eager loads in batches of 500 one of 0.002."""
_WIDTH: Final = 2.6
"""Standard errors on each side: 99 % for many requests."""


class Growth(NamedTuple):
    """How `y` goes with `x`."""

    slope: float
    least: float
    """The lower bound of the slope."""

    @property
    def is_per_row(self) -> bool:
        """Whether about one comes with each more."""
        return self.slope >= LEAST_SLOPE and self.least > LEAST_BOUND


def growth_of(xs: Sequence[float], ys: Sequence[float]) -> Growth | None:
    """The slope of the least squares; None where fewer than three different `xs` were seen."""
    if len(set(xs)) < FEWEST_COUNTS:
        return None
    count = len(xs)
    mean_x, mean_y = sum(xs) / count, sum(ys) / count
    spread = sum((x - mean_x) ** 2 for x in xs)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    rest = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    error = math.sqrt(rest / max(1, count - 2) / spread)
    return Growth(slope, slope - _WIDTH * error)

"""How long those waited who took a connection from a pool."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from math import ceil
from typing import Final

KEPT: Final = 1_000
RECENT_S: Final = 60.0
"""What is older says nothing of now."""
BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Bounds of a histogram, three to a decade."""


class Waits:
    """The last waits, and all of them as a histogram."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.waiting_count = 0
        """How many wait now."""
        self.total_s = 0.0
        self._clock = clock
        self._last: deque[tuple[float, float]] = deque(maxlen=KEPT)
        """When a wait ended, and how long it was, in seconds."""
        self._counts = [0] * (len(BUCKETS_S) + 1)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Measures a wait, also one that ends without a connection."""
        began = self._clock()
        self.waiting_count += 1
        try:
            yield
        finally:
            self.waiting_count -= 1
            ended = self._clock()
            self._add(ended, ended - began)

    def _add(self, at: float, wait_s: float) -> None:
        self._last.append((at, wait_s))
        self._counts[bisect_left(BUCKETS_S, wait_s)] += 1
        self.total_s += wait_s

    def p95_ms(self) -> float | None:
        """95 of 100 of the last waits were no longer; `None` if there were none in a minute."""
        since = self._clock() - RECENT_S
        recent = sorted(wait_s for at, wait_s in self._last if at >= since)
        if not recent:
            return None
        return recent[ceil(0.95 * len(recent)) - 1] * 1_000

    def cumulative_counts(self) -> list[int]:
        """By bucket how many were no longer; the last is of all."""
        return list(accumulate(self._counts))

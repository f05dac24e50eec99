"""A circuit breaker: what failed several times in a row is left alone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable


class CircuitBreaker:
    """Says whether to try; after a pause one tries for all."""

    def __init__(
        self, failures: int, pause_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begins closed.

        Args:
            failures: After how many of them in a row nothing is tried any more.
            pause_s: For how long, in seconds.
            clock: What tells the time, in seconds.
        """
        self._most = failures
        self._pause_s = pause_s
        self._clock = clock
        self._failure_count = 0
        self._open_until = 0.0

    def allows(self) -> bool:
        """Whether to try now."""
        if self._failure_count < self._most:
            return True
        now = self._clock()
        if now < self._open_until:
            return False
        # This one tries; the others wait for what it finds.
        self._open_until = now + self._pause_s
        return True

    def succeed(self) -> None:
        """What was tried went well."""
        self._failure_count = 0

    def fail(self) -> bool:
        """What was tried failed; returns whether that was once too often."""
        self._failure_count += 1
        if self._failure_count >= self._most:
            self._open_until = self._clock() + self._pause_s
        return self._failure_count == self._most

"""What an app did under a constant rate of requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

_OF_LATENCY: Final = 1 / 3
"""Own lag that is more of a latency than this leaves too little of it to the app."""
_MOST_LAG_MS: Final = 20.0
"""A process that has time left and is so late was kept from running, and so was the app."""
_OF_A_CORE: Final = 0.9
"""From here on whoever sends has no time left, and what is measured is its own limit."""
_SERVER_ERROR: Final = 500
_TOO_MANY: Final = 429


@dataclass(frozen=True, slots=True)
class Load:
    """What became of requests that were due at a constant rate, whatever the answers took."""

    rate_per_s: float
    """How many were due in a second."""
    due_count: int
    """How many were due until the end, or until it was stopped."""
    answered_count: int
    """How many have a whole answer, of any status."""
    latencies_ms: tuple[float, ...] = field(repr=False)
    """From the time that each was due to the last byte of its answer, ascending.

    One that was not answered in time, or never sent for want of a connection, is among them with
    the time that it had waited until it was given up.
    """
    lags_ms: tuple[float, ...] = field(repr=False)
    """How late the sender itself was for each that was due, ascending."""
    statuses: tuple[tuple[int, int], ...]
    """Each status of a whole answer, and how often it came."""
    errors: tuple[tuple[str, int], ...]
    """Each kind of failure, and how often it came."""
    wire_bytes: int
    """The size of all bodies as they came over the wire."""
    unsent_count: int
    """How many were never sent: no connection was free for them."""
    cut_off_count: int
    """How many were under way, or waited, when it was stopped; they count nowhere else."""
    duration_ms: float
    """From the first that was due to the last answer."""
    processor_share: float
    """How much of one core sending took, 0 to 1."""
    is_stopped: bool = False
    """Whether it was ended before its time."""

    @property
    def reached_per_s(self) -> float:
        """The whole answers per second."""
        return self.answered_count / self.duration_ms * 1e3 if self.duration_ms else 0.0

    @property
    def failed_share(self) -> float:
        """The share of requests without an answer, or with one of 429 or 5xx."""
        bad = sum(
            n for status, n in self.statuses if status >= _SERVER_ERROR or status == _TOO_MANY
        )
        failed = bad + self.unsent_count + sum(count for _, count in self.errors)
        return failed / max(1, self.due_count - self.cut_off_count)

    @property
    def is_at_limit(self) -> bool:
        """Whether the sender had no time left, so that its own limit was measured."""
        return self.processor_share >= _OF_A_CORE

    @property
    def is_late(self) -> bool:
        """Whether the sender was so late that the latencies say too little of the app."""
        if self.lag_ms(99) > _MOST_LAG_MS:
            return True
        at = (50, 99) if self.latencies_ms else ()
        return any(self.lag_ms(one) > _OF_LATENCY * self.latency_ms(one) for one in at)

    def latency_ms(self, percent: int) -> float:
        """The latency that so many percent of the requests do not exceed, by nearest rank."""
        return _percentile(self.latencies_ms, percent)

    def lag_ms(self, percent: int) -> float:
        """The same of the sender's own lag."""
        return _percentile(self.lags_ms, percent)


@dataclass(frozen=True, slots=True)
class Stretch:
    """One rate that was tried on the way to the knee."""

    load: Load
    why: str = ""
    """Why the app did not hold it; empty where it did."""


@dataclass(frozen=True, slots=True)
class Knee:
    """Where an app leaves the rate behind, as far as it was looked for."""

    stretches: tuple[Stretch, ...]
    """In the order in which they were tried."""
    held_per_s: float | None
    """The highest rate that was held; None where none was."""
    left_per_s: float | None
    """The lowest that was not, twice in a row; None where every one was held."""
    why: str
    """Why it was not held, or why it was looked for no further."""


def _percentile(ordered: tuple[float, ...], percent: int) -> float:
    if not ordered:
        return 0.0
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]

"""The knee: the rate from which on requests wait for one another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import httpx

from ..model.load import Knee, Load, Stretch
from ..model.workload import Headers, Request
from ..numbers import average, milliseconds, percent
from .load import CONNECTIONS_COUNT, open_loop

STEP: Final = 1.5
MOST_TIMES: Final = 3.0
"""A 99th percentile of more than this times the first stretch's has left it."""

_REACHED: Final = 0.9
_FAILED: Final = 0.01
_LEAST_MS: Final = 1.0
"""Below this, three times as much is still nothing."""
_WARM_UP_S: Final = 1.0
_MOST_STRETCHES: Final = 30
_GRACE_S: Final = 2.0
"""What waits is to be gone before the next stretch, and how long it would wait is known by now."""


async def find_knee(
    client: httpx.AsyncClient,
    requests: Sequence[Request],
    first_rate: float,
    seconds: float,
    *,
    headers: Headers = (),
    connections: int = CONNECTIONS_COUNT,
    stop: asyncio.Event | None = None,
    on_stretch: Callable[[float], None] | None = None,
) -> Knee:
    """Sends at one rate after the other, each 1.5 times the last, until the app leaves it behind.

    It has, where twice in a row the rate was not reached, more than 1 % failed, or the 99th
    percentile from the time that each was due was more than 3 times that of the first stretch.

    Args:
        client: Has the base URL.
        requests: What to send; not empty.
        first_rate: How many are due in a second at first: an easy rate.
        seconds: The length of each stretch.
        headers: Sent with each.
        connections: How many requests may be under way.
        stop: When set, what was found so far is the result.
        on_stretch: Called with each rate before it is tried.
    """
    stop = stop or asyncio.Event()

    async def at(rate: float, length_s: float) -> Load:
        if on_stretch is not None:
            on_stretch(rate)
        return await open_loop(
            client,
            requests,
            rate,
            length_s,
            headers=headers,
            connections=connections,
            grace_s=_GRACE_S,
            stop=stop,
        )

    # Connections are opened, caches filled.
    await at(first_rate, min(seconds, _WARM_UP_S))
    search = Search(first_rate)
    while search.goes_on and not stop.is_set():
        load = await at(search.rate, seconds)
        if not stop.is_set():
            search.take(load)
    return search.knee()


class Search:
    """Which rate is next, and what was found."""

    def __init__(self, first_rate: float) -> None:
        self.rate = first_rate
        self.goes_on = True
        self._stretches: list[Stretch] = []
        self._held: float | None = None
        self._left: float | None = None
        self._why = "it was stopped"

    def take(self, load: Load) -> None:
        """Judges a stretch."""
        before = self._stretches[-1].why if self._stretches else ""
        first = self._stretches[0].load if self._stretches else load
        why = departure(load, first)
        self._stretches.append(Stretch(load, why))
        if why and load.is_at_limit:
            self._end(f"the sender itself was at its limit at {average(self.rate)} requests/s")
        elif why and before:
            self._left = self.rate
            self._end(why)
        elif not why:
            self._held = self.rate
            self.rate *= STEP
        if len(self._stretches) == _MOST_STRETCHES:
            self._end(f"{_MOST_STRETCHES} stretches were tried")

    def knee(self) -> Knee:
        """What was found so far."""
        return Knee(tuple(self._stretches), self._held, self._left, self._why)

    def _end(self, why: str) -> None:
        self.goes_on, self._why = False, why


def departure(load: Load, first: Load) -> str:
    """Why a stretch has left the first one behind; empty where it has not."""
    if load.failed_share > _FAILED:
        return f"{percent(load.failed_share)} failed"
    if load.reached_per_s < _REACHED * load.rate_per_s:
        return (
            f"{average(load.reached_per_s)} of {average(load.rate_per_s)} requests/s were answered"
        )
    p99_ms, first_ms = load.latency_ms(99), max(_LEAST_MS, first.latency_ms(99))
    if p99_ms > MOST_TIMES * first_ms:
        return f"p99 rose from {milliseconds(first_ms)} to {milliseconds(p99_ms)}"
    return ""

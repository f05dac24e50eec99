"""The clients of `bench/read_faults.py`: they look up, write, and check each answer."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable
from typing import Any, Final

from bench.read_disturbances import Fault, undisturbed
from bench.read_subjects import KEYS, Answers, Lookup, Subject
from unslow.fast import Pool, pool_state

CLIENTS: Final = 32
LIMIT_S: Final = 10.0
"""What takes longer hangs."""
WRITES: Final = 1 / 16
REFUSED_EVERY: Final = 20
CANCELLED: Final = 1 / 4
CANCELLED_WITHIN_S: Final = 0.006
AGAIN_AFTER_S: Final = 0.01
SHOWN: Final = 5
"""So many of the wrong answers are shown."""

_CALM: Final = Fault(undisturbed)


def _is_refusal(error: BaseException) -> bool:
    state = getattr(error, "sqlstate", None)
    return str(state).startswith("22") if state else isinstance(error, ValueError)


class Clients:
    """Look up and write until they are told to stop, and count."""

    def __init__(self, subject: Subject, fault: Fault, count: int) -> None:
        assert count <= KEYS, "each client has rows of its own"
        self._subject = subject
        self._fault = fault
        self._count = count
        self._lookups = 0
        self._is_done = False
        self.counts: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.unclear: Counter[str] = Counter()
        self.slowest_s = 0.0

    async def run(self, hit: Awaitable[None]) -> None:
        """Goes on until the fault is over, and what was asked for has ended."""
        clients = [asyncio.create_task(self._client(number)) for number in range(self._count)]
        try:
            await hit
        finally:
            self._is_done = True
            await asyncio.gather(*clients)

    async def _client(self, number: int) -> None:
        while not self._is_done:
            self._lookups += 1
            if self._fault.refuses and self._lookups % REFUSED_EVERY == 0:
                await self.look_up(self._subject.refused())
            elif random.random() < WRITES:
                own = random.randrange(number, KEYS, self._count) + 1
                await self._subject.write(own)
                self.counts["writes"] += 1
                await self.look_up(self._subject.lookup(own))
            else:
                await self.look_up(self._subject.lookup(random.randint(1, KEYS)))

    async def look_up(self, lookup: Lookup) -> None:
        """Looks up once, and counts how that went."""
        is_cancelled = self._fault.cancels and random.random() < CANCELLED
        began = time.perf_counter()
        task = asyncio.ensure_future(lookup.read())
        if is_cancelled:
            await asyncio.wait({task}, timeout=random.uniform(0, CANCELLED_WITHIN_S))
            task.cancel()
        await asyncio.wait({task}, timeout=LIMIT_S)
        if not task.done():
            self.counts["hung"] += 1
            task.cancel()
        elif task.cancelled() and is_cancelled:
            self.counts["cancelled"] += 1
        else:
            self.slowest_s = max(self.slowest_s, time.perf_counter() - began)
            await self._count_outcome(lookup, task)

    async def _count_outcome(self, lookup: Lookup, task: asyncio.Future[Any]) -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            self._count_answer(lookup.problem(task.result()))
        elif lookup.is_refused and _is_refusal(error):
            self.counts["refused"] += 1
        else:
            kinds = self.failed if self._fault.is_clear(error) else self.unclear
            kinds[type(error).__name__] += 1
            # Who is refused at once would do nothing but ask again.
            await asyncio.sleep(AGAIN_AFTER_S)

    def _count_answer(self, problem: str | None) -> None:
        self.counts["right" if problem is None else "wrong"] += 1
        if problem is not None and self.counts["wrong"] <= SHOWN:
            print(f"{self._subject.name}: {problem}", file=sys.stderr)


async def has_all_back(opened: Pool) -> bool:
    """Whether all connections come back to the pool."""
    until = time.monotonic() + LIMIT_S
    while pool_state(opened).in_use:
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.01)
    return True


async def is_right_again(subject: Subject) -> bool:
    """Whether each key is looked up well, and without an error."""
    clients = Clients(subject, _CALM, CLIENTS)
    for first in range(1, KEYS + 1, CLIENTS):
        keys = range(first, first + CLIENTS)
        await asyncio.gather(*(clients.look_up(subject.lookup(key)) for key in keys))
    if isinstance(subject, Answers):
        return clients.counts["right"] == KEYS and await _hits_again(subject)
    return clients.counts["right"] == KEYS


async def _hits_again(subject: Answers) -> bool:
    """Whether answers come from Redis."""
    hits, until = subject.user.statistics.hits, time.monotonic() + LIMIT_S
    while subject.user.statistics.hits == hits and time.monotonic() < until:
        await subject.user(1)
        await asyncio.sleep(0.01)
    return subject.user.statistics.hits > hits

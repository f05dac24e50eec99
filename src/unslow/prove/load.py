"""Requests at a constant rate, whatever the answers take: an open loop, as users are one.

A user does not wait with asking until another one is answered. So the time of a request counts from
when it was due: where the app stands still for a second, all that were due in it have waited.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from itertools import accumulate, cycle
from typing import Final, NamedTuple

import httpx

from ..model.load import Load
from ..model.workload import Headers, Request
from .connections import Connections
from .workload.sending import ANSWER_WITHIN_S, prepared

CONNECTIONS_COUNT: Final = 256

_GRACE_S: Final = 10.0
_TELL_EVERY_S: Final = 0.2


def load_client(base_url: str) -> httpx.AsyncClient:
    """A client whose time per request stays the same, however many are under way.

    It keeps no cookies, goes through no proxy of the environment, and reads no `.netrc`.
    """
    return httpx.AsyncClient(
        base_url=base_url,
        transport=Connections(),
        timeout=ANSWER_WITHIN_S,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        trust_env=False,
    )


async def open_loop(
    client: httpx.AsyncClient,
    requests: Sequence[Request],
    rate: float,
    seconds: float,
    *,
    headers: Headers = (),
    connections: int = CONNECTIONS_COUNT,
    answer_within_s: float = ANSWER_WITHIN_S,
    grace_s: float = _GRACE_S,
    stop: asyncio.Event | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Load:
    """Sends requests at a constant rate, and waits for the answers.

    They are sent in turn, or, where some stand in their source more often than others, by chance
    and as often in proportion; the same ones each time.

    Args:
        client: Has the base URL; one of `load_client`, or what it can do bounds the rate.
        requests: What to send; not empty.
        rate: How many are due in a second.
        seconds: How long further ones come due.
        headers: Sent with each; they replace those of the same name.
        connections: How many requests may be under way; what is due beyond waits, and the wait
            counts.
        answer_within_s: When one is given up, from its sending.
        grace_s: How long those that wait for a connection may do so when no further ones come due.
        stop: When set, what was measured so far is the result.
        on_progress: Called now and then with the part of the time that is over, 0 to 1.
    """
    run = _Run(client, _endless(client, requests, headers), rate, answer_within_s)
    count = max(1, round(rate * seconds))
    sending = asyncio.create_task(
        run.send_all(count, min(connections, count), grace_s, on_progress)
    )
    stopping = asyncio.create_task((stop or asyncio.Event()).wait())
    try:
        await asyncio.wait((sending, stopping), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
    finally:
        is_stopped = not sending.done()
        sending.cancel()
        stopping.cancel()
        await asyncio.wait((sending, stopping))
    return replace(run.load(), is_stopped=is_stopped)


def _endless(
    client: httpx.AsyncClient, requests: Sequence[Request], headers: Headers
) -> Iterator[httpx.Request]:
    """What is sent, one after the other; a client can send the same one many times."""
    ready = [prepared(client, one, headers) for one in requests]
    weights = [one.times_count for one in requests]
    if len(set(weights)) == 1:
        yield from cycle(ready)
    chance = random.Random(0)  # noqa: S311  # the same requests each time, and no key
    bounds = list(accumulate(weights))
    while True:
        yield chance.choices(ready, cum_weights=bounds)[0]


class _Due(NamedTuple):
    """A request that has come due."""

    at_s: float
    outgoing: httpx.Request


class _Run:
    """One run: what is due, what waits, and what came of it."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        outgoing: Iterator[httpx.Request],
        rate: float,
        answer_within_s: float,
    ) -> None:
        self._client = client
        self._outgoing = outgoing
        self._rate = rate
        self._answer_within_s = answer_within_s
        self._waiting: asyncio.Queue[_Due | None] = asyncio.Queue()
        self._latencies_ms: list[float] = []
        self._lags_ms: list[float] = []
        self._statuses: Counter[int] = Counter()
        self._errors: Counter[str] = Counter()
        self._wire_bytes = 0
        self._unsent_count = 0
        self._begun_s = self._ended_s = time.perf_counter()
        self._processor_s = time.thread_time()

    async def send_all(
        self,
        count: int,
        connections: int,
        grace_s: float,
        on_progress: Callable[[float], None] | None,
    ) -> None:
        """Lets each come due, and waits until all are answered or given up."""
        giving_up: asyncio.TimerHandle | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(connections):
                    group.create_task(self._be_a_connection())
                await self._let_come_due(count, on_progress)
                self._end(connections)
                loop = asyncio.get_running_loop()
                giving_up = loop.call_later(grace_s, self._give_up, connections)
        finally:
            if giving_up is not None:
                giving_up.cancel()

    def load(self) -> Load:
        """What was measured."""
        answered = self._statuses.total()
        ended_count = answered + self._errors.total() + self._unsent_count
        # The last one has its part of a second too.
        took_s = max(self._ended_s - self._begun_s, len(self._lags_ms) / self._rate)
        processor_s = time.thread_time() - self._processor_s
        return Load(
            rate_per_s=self._rate,
            due_count=len(self._lags_ms),
            answered_count=answered,
            latencies_ms=tuple(sorted(self._latencies_ms)),
            lags_ms=tuple(sorted(self._lags_ms)),
            statuses=tuple(sorted(self._statuses.items())),
            errors=tuple(sorted(self._errors.items())),
            wire_bytes=self._wire_bytes,
            unsent_count=self._unsent_count,
            cut_off_count=len(self._lags_ms) - ended_count,
            duration_ms=took_s * 1e3,
            processor_share=min(1.0, processor_s / took_s) if took_s else 0.0,
        )

    def _due_s(self, index: int) -> float:
        return self._begun_s + index / self._rate

    async def _let_come_due(self, count: int, on_progress: Callable[[float], None] | None) -> None:
        index, told_s = 0, self._begun_s
        while index < count:
            now = time.perf_counter()
            # All at once, so that being late does not slow the rate.
            while index < count and (due_s := self._due_s(index)) <= now:
                self._lags_ms.append((now - due_s) * 1e3)
                self._waiting.put_nowait(_Due(due_s, next(self._outgoing)))
                index += 1
            if on_progress is not None and now - told_s >= _TELL_EVERY_S:
                told_s = now
                on_progress(index / count)
            if index < count:
                await asyncio.sleep(max(0.0, self._due_s(index) - time.perf_counter()))

    async def _be_a_connection(self) -> None:
        while (due := await self._waiting.get()) is not None:
            try:
                async with asyncio.timeout(self._answer_within_s):
                    await self._send(due)
            except (httpx.HTTPError, TimeoutError) as error:
                self._failed(due, error)

    async def _send(self, due: _Due) -> None:
        answer = await self._client.send(due.outgoing, stream=True, follow_redirects=False)
        size = 0
        try:
            async for chunk in answer.aiter_raw():
                size += len(chunk)
            self._count(due)
            self._statuses[answer.status_code] += 1
            self._wire_bytes += size
        finally:
            await answer.aclose()

    def _failed(self, due: _Due, error: Exception) -> None:
        self._errors[type(error).__name__] += 1
        # A refusal is quick, and would flatter the app; a wait that was given up was a wait.
        if isinstance(error, httpx.TimeoutException | TimeoutError):
            self._count(due)

    def _give_up(self, connections: int) -> None:
        """Lets those that still wait for a connection go."""
        while not self._waiting.empty():
            if (due := self._waiting.get_nowait()) is not None:
                self._unsent_count += 1
                self._count(due)
        self._end(connections)

    def _end(self, connections: int) -> None:
        """Ends each connection, once it is its turn."""
        for _ in range(connections):
            self._waiting.put_nowait(None)

    def _count(self, due: _Due) -> None:
        self._ended_s = time.perf_counter()
        self._latencies_ms.append((self._ended_s - due.at_s) * 1e3)

"""The same requests, sent under several arms: alone in turns, or by many users at once."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import httpx

from ..errors import UnslowError
from ..model.trace import Trace
from ..model.workload import Exchange, Headers, Request
from .link import Fared, Link
from .operations import is_of
from .same_answer import keep_answer
from .turns import Turns
from .workload.sending import counts, send_again, send_all

BASELINE: Final = ""
"""The name of the arm in which nothing is switched on."""
HEADER: Final = "unslow"
_RECORDED: Final = "recorded"
_TIMED: Final = "timed"
_ALONE: Final = "alone"
_STOPS: Final = (429, 503)
_RECORDED_WITHIN_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.005
_CROWD_WITHIN_S: Final = 20.0

_numbers = itertools.count(1)


class TrialOverError(UnslowError):
    """A trial cannot go on; the message says why, as the end of a sentence."""


class UnansweredError(TrialOverError):
    """The app as it is does not answer any more as it did: what follows would measure failures."""


class MixedArmsError(UnslowError):
    """Arms that must take turns were to be in flight together."""


class Recorded(NamedTuple):
    """A request that was recorded, and how its arm fared in it."""

    exchange: Exchange
    trace: Trace | None
    """None where it did not come in time."""
    fared: Fared


class Crowd(NamedTuple):
    """What many users at once saw."""

    ms: float | None
    """What a user waits for an answer, the mean; None where too few were answered.

    Users by throughput (Little's law): so it does not matter in which order the app answers, or
    that it does so in bunches.
    """
    exchanges: tuple[Exchange, ...]
    """With what is compared of their answers."""


class End(NamedTuple):
    """A running app: where it answers, and the wire to it."""

    client: httpx.AsyncClient
    link: Link


@dataclass(slots=True)
class Allowance:
    """How many more requests a route may be sent, and until when."""

    requests_count: int
    deadline: float
    """By `time.monotonic`."""

    def take(self, count: int) -> None:
        """Takes some.

        Raises:
            TrialOverError: there are no more, or the time is up.
        """
        if time.monotonic() >= self.deadline:
            raise TrialOverError("there was no time left")
        if self.requests_count < count:
            raise TrialOverError("the route had its most requests (--max-requests)")
        self.requests_count -= count


def stays(_is_on: bool) -> None:
    """What is on stays on, for the requests that name it."""


@contextmanager
def on(switched: Callable[[bool], None], arm: str) -> Iterator[None]:
    """Switches an arm on for the length of the block; the app as it is has nothing to switch."""
    if arm == BASELINE:
        yield
        return
    switched(True)
    try:
        yield
    finally:
        switched(False)


class Experiment:
    """Sends requests of one route under arms."""

    def __init__(
        self,
        end: End,
        headers: Headers,
        allowance: Allowance,
        also_counted: Collection[int] = (),
        others: Mapping[str, End] | None = None,
    ) -> None:
        """Arms are switched on in the app at `end`; those of `others` are apps of their own."""
        self.allowance = allowance
        self.link = end.link
        self._ends = {BASELINE: end, **(others or {})}
        self._headers = headers
        self._in_flight: str | None = None
        """The arm whose requests are on their way."""
        self._also_counted = also_counted
        self._turns = Turns()

    async def block(
        self,
        request: Request,
        arms: Sequence[str],
        seen: Callable[[str, Exchange], None],
        switched: Callable[[bool], None] = stays,
    ) -> Mapping[str, tuple[float, ...]]:
        """Sends a request once in each arm, in random order; what it took, by arm.

        A time is from the call of the app to the last byte, as the app's process measured it.

        Args:
            request: What to send.
            arms: The arms; one may stand there several times.
            seen: Is told of each answer.
            switched: Switches on what the arms are, and off again: where a switch listens to each
                statement, the app as it is would be measured with a listener.

        Raises:
            TrialOverError: the app refused, or there is no time.
            UnansweredError: the app as it is gave an answer that does not count.
        """
        order = self._turns.next(arms)
        self.allowance.take(len(order))
        numbers: dict[int, str] = {}
        for arm in order:
            number = next(_numbers)
            numbers[number] = arm
            with on(switched, arm):
                exchange = await self._send(request, number, arm, _ALONE)
            seen(arm, exchange)
        walls_ms = self._samples(order)
        found: dict[str, tuple[float, ...]] = {}
        # Not in the order of time: who compares an arm with itself must not see a drift.
        for number in self._turns.chance.sample(list(numbers), len(numbers)):
            if number in walls_ms:
                arm = numbers[number]
                found[arm] = (*found.get(arm, ()), walls_ms[number])
        return found

    async def recorded(self, request: Request, arm: str) -> Recorded:
        """Sends a request once, recorded; what its switch does must leave no trace if it fails.

        Raises:
            TrialOverError: the app refused, or there is no time.
            UnansweredError: the app as it is gave an answer that does not count.
        """
        self.allowance.take(1)
        link = self._end(arm).link
        before = link.samples().fared.get(arm, Fared())
        link.new_traces()
        since = time.time()
        exchange = await self._send(request, next(_numbers), arm, _RECORDED)
        trace = await self._trace(link, request, since)
        after = link.samples().fared.get(arm, Fared())
        fired_count = after.fired_count - before.fired_count
        return Recorded(exchange, trace, after._replace(fired_count=fired_count))

    async def crowd(self, requests: Sequence[Request], users_count: int, arm: str) -> Crowd:
        """Sends requests by many users at once, all in one arm, until nothing is in flight.


        Raises:
            TrialOverError: the app refused, or there is no time.
        """
        self.allowance.take(len(requests))
        end = self._end(arm)
        kind = f".{arm}.{_TIMED}"
        marked = [(HEADER, f"{end.link.secret}.{next(_numbers)}{kind}") for _ in requests]
        with self._flight(arm):
            sent = await send_all(
                end.client,
                requests,
                users_count,
                within_s=min(_CROWD_WITHIN_S, max(0.1, self.allowance.deadline - time.monotonic())),
                also_counted=self._also_counted,
                extra=lambda index, _request: (*self._headers, marked[index]),
                keep=_whole,
            )
        end.link.samples()
        if sent.stopped_by in map(str, _STOPS):
            raise TrialOverError(f"it answered {sent.stopped_by} to {users_count} users at once")
        if sent.not_sent_count:
            raise TrialOverError("there was no time left")
        good_count = sum(counts(one, self._also_counted) for one in sent.exchanges)
        is_enough = 2 * good_count >= len(requests)
        waited_ms = sent.duration_ms * users_count / len(requests)
        answers = tuple(map(_comparable, sent.exchanges))
        return Crowd(waited_ms if is_enough else None, answers)

    async def _send(self, request: Request, number: int, arm: str, kind: str) -> Exchange:
        end = self._end(arm)
        marked = (HEADER, f"{end.link.secret}.{number}.{arm}.{kind}")
        headers = (*self._headers, marked)
        with self._flight(arm):
            exchange = await send_again(end.client, request, extra=headers, keep=_whole)
        if exchange.status in _STOPS:
            raise TrialOverError(f"it answered {exchange.status}")
        # One that was not answered at all tells nothing of what the app does.
        if arm == BASELINE and not exchange.error and not counts(exchange, self._also_counted):
            raise UnansweredError(
                "its requests are not answered as they were in the check"
                f" (status {exchange.status})"
            )
        return _comparable(exchange)

    @contextmanager
    def _flight(self, arm: str) -> Iterator[None]:
        """Two arms are never in flight together: each would be measured under the other."""
        if self._in_flight is not None:
            raise MixedArmsError(
                f"A request under {arm or 'no arm'!r} was to be sent while one under"
                f" {self._in_flight or 'no arm'!r} was on its way. Send them one after the other."
            )
        self._in_flight = arm
        try:
            yield
        finally:
            self._in_flight = None

    def _end(self, arm: str) -> End:
        return self._ends.get(arm, self._ends[BASELINE])

    def _samples(self, arms: Sequence[str]) -> dict[int, float]:
        links = {self._end(arm).link for arm in arms}
        return {number: ms for link in links for number, ms in link.samples().walls_ms.items()}

    async def _trace(self, link: Link, request: Request, since: float) -> Trace | None:
        deadline = time.monotonic() + _RECORDED_WITHIN_S
        while time.monotonic() < deadline:
            for trace in link.new_traces():
                if trace.started_at >= since and is_of(trace, request):
                    return trace
            await asyncio.sleep(_LOOK_EVERY_S)
        return None


def _whole(headers: Mapping[str, str], body: bytes) -> object:
    """What is kept while others may still be on their way: it is looked at later."""
    return headers, body


def _comparable(exchange: Exchange) -> Exchange:
    if not isinstance(exchange.kept, tuple):
        return exchange
    headers, body = exchange.kept
    return replace(exchange, kept=keep_answer(headers, body))

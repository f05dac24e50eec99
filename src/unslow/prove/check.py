"""A check: each operation once and watched, then alone, then by many at once, then its reads."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from ..errors import UnslowError
from ..hosts import host_of, is_near
from ..model.checked import Checked
from ..model.trace import CONNECT, Trace
from ..model.workload import Exchange, Headers, Plan, Request
from ..report.places import place_text
from .effects import Effect, effects_of
from .link import COMPARE, WATCH, Link
from .operations import Operation, Operations, is_of, path_of, plain, says, status_of
from .trials import Stage
from .workload.login import Login, log_in
from .workload.sending import as_json, counts, send, send_again, send_all

ROUNDS_COUNT: Final = 12
WATCHED_COUNT: Final = 4
ROUNDS_IN_CROWD: Final = 3
_CROWD_TIME_SHARE: Final = 0.6
"""Of the time, from which on no further crowd begins: what is read is yet to be watched."""
_FAILED_IN_A_ROW: Final = 25
"""Of operations that answered well before: more than one of them are broken then."""
_MOST_TRIES: Final = 3
"""How many requests of an operation are tried while none counts."""
_LONGEST_CROWD_S: Final = 15.0
_LONGEST_ALONE_S: Final = 6.0
_LONGEST_BEHIND_S: Final = 5.0
"""What an app does behind an answer is waited for so long: it may be a mail that is sent."""
_LONGEST_BEHIND_NO_ANSWER_S: Final = 0.5
_OTHER_NAME_S: Final = 0.2
"""A request that goes by another route than was expected is waited for so long."""
_LOOK_EVERY_S: Final = 0.005
_STOPS: Final = (429, 503)
"""Too many requests, not available: whoever goes on measures how the app refuses."""
_BY_ITSELF: Final = ("Connection", "close")
"""What is sent for the first time takes no connection that its server may be about to close."""
_NO_TIME: Final = "there was no time left to ask it"


class NothingCountedError(UnslowError):
    """No request of a check was answered so that it counts."""


class BrokenOnTheWayError(UnslowError):
    """An app that answered well does not any more."""

    def __init__(self, failed_count: int, last: Exchange) -> None:
        super().__init__(
            f"The app answered well, and the last {failed_count} requests did not: the last one was"
            f" answered {says(last)}. Look whether its database is there, and check it again."
        )
        self.says = (
            f"the last {failed_count} requests were not answered as those before, the last one was"
            f" answered {status_of(last)}"
        )
        """The same without the answer's own words, as a part of a sentence."""


class FarDatabaseError(UnslowError):
    """The app's database is neither on this machine nor at a private address."""


class ElsewhereError(UnslowError):
    """What answers is not the app that was started."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a check sends."""

    concurrency: int = 20
    time_s: float = 300.0
    requests_per_route: int = 2_000
    rounds_count: int = ROUNDS_COUNT
    also_counted: frozenset[int] = frozenset()
    """Statuses that count beside 2xx."""
    allowed_writes: frozenset[str] = frozenset()
    """Routes that may write: `POST /search`, or `/search`."""
    allowed_hosts: frozenset[str] = frozenset()
    far_database: bool = False
    """Whether the database may be anywhere."""


Told = Callable[[str, float], None]
"""Is told what is being done, and the share of it."""


class Check:
    """Sends what a plan holds, as far as it is safe and there is time."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        link: Link,
        limits: Limits,
        headers: Headers,
        told: Told,
    ) -> None:
        self._client = client
        self._link = link
        self._limits = limits
        self._headers = headers
        self._told = told
        self._deadline = time.monotonic() + limits.time_s
        self._operations = Operations()
        self._own_routes: list[str] = []
        """What was asked that is no part of the workload."""
        self._hosts: set[str] = set()
        self._has_seen = False
        """Whether any request was seen in the app."""
        self._stopped_by = ""
        self._failed_in_a_row = 0
        self._failing: set[int] = set()
        """Which operations these were of."""
        self._random = random.Random(0)  # noqa: S311  # an order that is the same each time

    def begin(self) -> None:
        """Has answers compared from now on; to be called before anything is sent.

        Raises:
            FarDatabaseError: the app has a database that is not near.
            WireError: the app's processes do not answer.
        """
        self._look_at_databases(())
        self._link.new_traces()
        self._link.arm(COMPARE)

    async def log_in(self, login: Login) -> None:
        """Sends a login; what it gives goes with all later requests.

        Raises:
            LoginError: the app did not let it in.
        """
        self._own_routes.append(f"{login.request.method} {path_of(login.request)}")
        self._headers = (*self._headers, *await log_in(self._client, login))

    @property
    def header_names(self) -> frozenset[str]:
        """The names of the headers that go with each request, in lower case."""
        return frozenset(name.lower() for name, _ in self._headers)

    async def look_up(self, path: str) -> Exchange:
        """Asks for what is no part of the workload, such as the app's document, as JSON.

        Raises:
            ElsewhereError: another program has answered.
            FarDatabaseError: the app has a database that is not near.
        """
        request = Request("GET", path)
        self._own_routes.append(f"GET {path_of(request)}")
        exchange, _, _ = await self._seen(request)
        return exchange

    async def ask(self, request: Request) -> object:
        """Sends a request once, and looks at what it does; the JSON of its answer.

        None without sending it when the time is up, or its operation is not to be asked any more.

        Raises:
            ElsewhereError: another program has answered.
            FarDatabaseError: it reached a database that is not near.
        """
        known = self._operations.known(request)
        if self._is_over() or (known is not None and (known.closed or self._is_enough(known))):
            return None
        return (await self._watch(request)).kept

    async def run(self, plan: Plan) -> Checked:
        """Sends the requests of a plan in all ways, those that were asked before not once more.

        Raises:
            BrokenOnTheWayError: the app answered one user well, and does not any more. Where many
                break it, the check ends there, and has what was measured.
            ElsewhereError: another program has answered.
            FarDatabaseError: a request reached a database that is not near.
            NothingCountedError: no request counted.
        """
        await self._once(plan.requests)
        if not self._operations.counted_count:
            raise NothingCountedError(self._operations.why_nothing_counted())
        measured_since = time.time()
        # Once more: processes may have come up since.
        self._link.arm(COMPARE)
        await self._alone(self._operations.open())
        is_broken = False
        try:
            await self._in_a_crowd(self._operations.open())
        except BrokenOnTheWayError as error:
            # What was measured stands, and may say why it broke: a pool that ran dry, a deadlock.
            is_broken = True
            self._stopped_by = f"with {self._limits.concurrency} users at once, {error.says}"
        else:
            await self._read(self._operations.open())
        asked = {f"{one.method} {one.route}" for one in self._operations}
        return Checked(
            target="",
            measured_since=measured_since,
            operations_count=self._operations.count_with(plan.left_out),
            counted_count=self._operations.counted_count,
            left_out=self._operations.left_out(plan.left_out),
            concurrency=self._limits.concurrency,
            own_routes=tuple(one for one in self._own_routes if one not in asked),
            also_counted=self._limits.also_counted,
            database_hosts=tuple(sorted(self._hosts)),
            stopped_by=self._stopped_by,
            is_broken=is_broken,
        )

    def stage(self) -> Stage:
        """The app as it is for trials: what may be sent again, and what time is left."""
        open_ones = {one.name: one for one in self._operations.open() if one.route}
        most = self._limits.requests_per_route
        return Stage(
            client=self._client,
            link=self._link,
            headers=self._headers,
            requests={name: tuple(one.good) for name, one in open_ones.items()},
            users_count=self._limits.concurrency,
            left_count=lambda name: max(0, most - open_ones[name].sent_count),
            deadline=self._deadline,
            also_counted=self._limits.also_counted,
        )

    def uncounted_answers(self) -> list[str]:
        """Sentences about the operations of which none counted; they may repeat what was sent."""
        return self._operations.uncounted_answers()

    async def _once(self, requests: Sequence[Request]) -> None:
        """Sends a request of each operation, some more while none counts."""
        for number, request in enumerate(requests):
            known = self._operations.known(request)
            if known is not None and self._is_known_enough(known, request):
                self._operations.add(request)
                continue
            self._told("Asking each operation once", number / len(requests))
            if self._is_over():
                self._operations.add(request).closed = _NO_TIME
            else:
                await self._watch(request)

    def _is_known_enough(self, one: Operation, request: Request) -> bool:
        is_asked = request in one.asked or one.counted_count or len(one.asked) >= _MOST_TRIES
        return bool(is_asked or one.closed or self._is_enough(one))

    async def _watch(self, request: Request) -> Exchange:
        """Sends a request for the first time, and looks at what it does beside answering."""
        since = time.time()
        exchange, traces, is_whole = await self._seen(request)
        known = self._operations.add(request, [one for one in traces if one.started_at >= since])
        known.sent_count += 1
        is_good = counts(exchange, self._limits.also_counted)
        known.asked[request] = is_good
        known.counted_count += is_good
        if not is_good:
            known.bad_answer = exchange
        elif not is_whole:
            known.closed = (
                f"it was still at work {_LONGEST_BEHIND_S:.0f} s behind its answer, so it was not"
                " seen what it does, and it was sent once"
            )
        _close_if_refused(known, exchange)
        self._look_for_effects(traces, known, since)
        return exchange

    async def _seen(self, request: Request) -> tuple[Exchange, list[Trace], bool]:
        """Sends a request, and waits until the app has done all that it does for it.

        Returns:
            The answer, all that was recorded since the last look, and whether the request is in it.

        Raises:
            ElsewhereError: another program has answered.
            FarDatabaseError: the app has a database that is not near.
        """
        since = time.time()
        headers = (*self._headers, _BY_ITSELF)
        exchange = await send(self._client, request, extra=headers, keep=as_json)
        traces: list[Trace] = []
        is_whole = False
        is_good = counts(exchange, self._limits.also_counted)
        begun = time.monotonic()
        most_s = _LONGEST_BEHIND_S if is_good else _LONGEST_BEHIND_NO_ANSWER_S
        if exchange.status and not self._has_seen:
            most_s = _LONGEST_BEHIND_S
        while True:
            waited_s = time.monotonic() - begun
            traces += self._link.new_traces()
            ours = [one for one in traces if one.started_at >= since]
            is_whole = any(is_of(one, request) for one in ours)
            is_whole = is_whole or (bool(ours) and (waited_s >= _OTHER_NAME_S or not is_good))
            if is_whole or waited_s >= most_s:
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        self._has_seen = self._has_seen or bool(traces)
        if exchange.status and not self._has_seen:
            raise ElsewhereError(
                f"What was asked for at {self._client.base_url} was answered {says(exchange)}, and"
                " no process that was started saw it: another program listens there. Give the"
                " address that the command serves at: --url"
            )
        self._look_at_databases(traces)
        return exchange, traces, is_whole

    def _look_for_effects(
        self, traces: Iterable[Trace], asked: Operation | None = None, since: float = 0.0
    ) -> None:
        """Closes the operations that did more than answer.

        Args:
            traces: What was recorded.
            asked: What was asked alone, and may have led to other requests.
            since: When it was asked; what began before belongs to others.
        """
        for trace in traces:
            effects = [one for one in effects_of(trace) if not self._is_allowed(one, trace)]
            if not effects:
                continue
            done_by = {id(one): one for one in (self._operations.of(trace),) if one is not None}
            if asked is not None and trace.started_at >= since:
                done_by[id(asked)] = asked
            for one in done_by.values():
                one.closed = _effects_text(effects, trace)

    def _is_allowed(self, effect: Effect, trace: Trace) -> bool:
        if effect.host:
            return effect.host in map(host_of, self._limits.allowed_hosts)
        names = {f"{trace.method} {plain(trace.route)}", plain(trace.route)}
        return not names.isdisjoint(map(plain, self._limits.allowed_writes))

    def _look_at_databases(self, traces: Iterable[Trace]) -> None:
        found = set(self._link.database_hosts())
        found.update(host for trace in traces for host in _database_hosts(trace))
        self._hosts |= found - {""}
        far = sorted(host for host in found if not is_near(host))
        if far and not self._limits.far_database:
            raise FarDatabaseError(
                f"The app's database is at {far[0]}, which is neither this machine nor a private"
                " address: nothing more was sent. If this database may be asked some hundred times:"
                " --yes-this-database"
            )

    async def _alone(self, operations: Sequence[Operation]) -> None:
        """One request at a time, one operation after the other, round by round."""
        for round_number in range(self._limits.rounds_count):
            for number, one in enumerate(operations):
                if not self._may_ask(one) or one.alone_ms > _LONGEST_ALONE_S * 1e3:
                    continue
                done = (round_number + number / len(operations)) / self._limits.rounds_count
                self._told("Asking each operation, alone", done)
                exchange = await self._again(one, one.request(round_number), len(operations))
                one.alone_ms += exchange.took_ms
                one.alone_count += 1
            # What did nothing the first time may do so later.
            self._look_for_effects(self._link.new_traces())

    def _may_ask(self, one: Operation) -> bool:
        """Whether an operation may be sent once more; what there is no time for is noted."""
        if not one.is_open or self._is_enough(one):
            return False
        if self._is_over():
            one.missed = one.missed or f"{_NO_TIME} more often"
            return False
        return True

    async def _again(self, one: Operation, request: Request, operations_count: int) -> Exchange:
        """Sends a request, and looks at what it does if it is the first time."""
        if request not in one.asked:
            return await self._watch(request)
        exchange = await send_again(self._client, request, extra=self._headers)
        self._note(one, exchange, operations_count)
        _close_if_refused(one, exchange)
        return exchange

    async def _in_a_crowd(self, operations: Sequence[Operation]) -> None:
        """All users at one operation, then at the next."""
        users = self._limits.concurrency
        if users < 2:
            return
        for number, one in enumerate(operations):
            left_s = self._deadline - time.monotonic()
            if left_s < self._limits.time_s * (1 - _CROWD_TIME_SHARE):
                one.missed = one.missed or f"{_NO_TIME} by many at once"
                continue
            self._told(f"Asking each operation, with {users} users", number / len(operations))
            sent = await send_all(
                self._client,
                self._for_a_crowd(one),
                users,
                within_s=min(_LONGEST_CROWD_S, left_s),
                extra=lambda _index, _request: self._headers,
                also_counted=self._limits.also_counted,
            )
            for exchange in sent.exchanges:
                self._note(one, exchange, len(operations))
            if sent.stopped_by in map(str, _STOPS):
                one.closed = f"it answered {sent.stopped_by} to {users} users at once"
            elif sent.exchanges and not sent.counted_count:
                last = status_of(sent.exchanges[-1])
                one.closed = f"to {users} users at once it answered nothing but {last}"

    def _for_a_crowd(self, one: Operation) -> list[Request]:
        users, good = self._limits.concurrency, one.good
        alone_ms = one.alone_ms / max(1, one.alone_count)
        count = min(
            users * ROUNDS_IN_CROWD,
            max(users, int(_LONGEST_CROWD_S * 1e3 / max(alone_ms, 1.0))),
            max(0, self._limits.requests_per_route - one.sent_count),
        )
        requests = [good[index % len(good)] for index in range(count)]
        self._random.shuffle(requests)
        return requests

    async def _read(self, operations: Sequence[Operation]) -> None:
        """A few requests of each, while it is watched what of the rows is read."""
        self._link.arm(WATCH)
        try:
            for number, one in enumerate(operations):
                self._told("Watching what is read of the rows", number / len(operations))
                for index in range(WATCHED_COUNT):
                    if self._may_ask(one):
                        await self._again(one, one.good[index % len(one.good)], len(operations))
        finally:
            self._link.disarm(WATCH)

    def _note(self, one: Operation, exchange: Exchange, operations_count: int) -> None:
        """Counts an answer.

        Raises:
            BrokenOnTheWayError: it is one of many in a row that do not count.
        """
        one.sent_count += 1
        is_good = counts(exchange, self._limits.also_counted)
        one.counted_count += is_good
        if is_good:
            self._failed_in_a_row = 0
            self._failing.clear()
            return
        self._failed_in_a_row += 1
        self._failing.add(id(one))
        # Of many, one alone may break under a crowd.
        is_all = len(self._failing) > 1 or operations_count == 1
        if self._failed_in_a_row >= _FAILED_IN_A_ROW and is_all:
            raise BrokenOnTheWayError(self._failed_in_a_row, exchange)

    def _is_enough(self, one: Operation) -> bool:
        return one.sent_count >= self._limits.requests_per_route

    def _is_over(self) -> bool:
        is_over = time.monotonic() >= self._deadline
        if is_over:
            self._stopped_by = f"the time of {self._limits.time_s:g} s was up"
        return is_over


def _close_if_refused(one: Operation, exchange: Exchange) -> None:
    if exchange.status in _STOPS:
        one.closed = f"it answered {exchange.status}"


def _effects_text(effects: Sequence[Effect], trace: Trace) -> str:
    first = effects[0]
    at = "" if first.place is None else f", {place_text(first.place, Path.cwd())}"
    name = f"{trace.method} {trace.route}".strip()
    opens = f"--allow-remote {first.host}" if first.host else f"--allow-writes '{name}'"
    return f"it has side effects, so it was sent once: {first.says}{at}; {opens} allows it"


def _database_hosts(trace: Trace) -> Iterable[str]:
    """The hosts of the databases that a request reached, or tried to reach."""
    opened = (one.what for lane in trace.lanes for one in lane.slices if one.segment == CONNECT)
    named = (what[0] if isinstance(what, tuple) else what for what in opened)
    held = (hold.pool for hold in trace.holds)
    return {_host_in(one) for one in (*named, *held) if isinstance(one, str)}


def _host_in(pool: str) -> str:
    """The host in the name of a pool: `postgresql+asyncpg 127.0.0.1:5432/shop pool 5+10`."""
    words = pool.split(" ")
    where = words[1].partition("/")[0] if len(words) > 1 and "/" in words[1] else ""
    return host_of(where) if where else ""

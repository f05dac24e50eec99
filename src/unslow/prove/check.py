"""A check: each operation once and watched, then alone, then by many at once, then its reads."""

from __future__ import annotations

import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx

from ..errors import UnslowError
from ..model.checked import Checked
from ..model.trace import Trace
from ..model.workload import Exchange, Headers, LeftOut, Plan, Request
from .effects import Effect, effects_of, host_of, is_near
from .link import COMPARE, WATCH, Link
from .workload.sending import as_json, counts, send, send_all

ROUNDS_COUNT: Final = 12
WATCHED_COUNT: Final = 4
ROUNDS_IN_CROWD: Final = 3
_CROWD_TIME_SHARE: Final = 0.6
"""Of the time, from which on no further crowd begins: what is read is yet to be watched."""
_FAILED_IN_A_ROW: Final = 25
"""Of operations that answered well before: more than one of them are broken then."""
_LONGEST_CROWD_S: Final = 15.0
_LONGEST_ALONE_S: Final = 6.0


class NothingCountedError(UnslowError):
    """No request of a check was answered so that it counts."""


class BrokenOnTheWayError(UnslowError):
    """An app that answered well does not any more."""


class FarDatabaseError(UnslowError):
    """The app's database is neither on this machine nor at a private address."""


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


@dataclass(slots=True)
class Operation:
    """What is known of one operation while it is checked."""

    requests: list[Request] = field(default_factory=list)
    sent_count: int = 0
    counted_count: int = 0
    alone_ms: float = 0.0
    why_not: str = ""
    """Why it is not sent again."""


class Check:
    """Sends what a plan holds, as far as it is safe and there is time."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        link: Link,
        limits: Limits,
        headers: Headers,
        told: Told,
        own_routes: tuple[str, ...] = (),
    ) -> None:
        self._own_routes = own_routes
        self._client = client
        self._link = link
        self._limits = limits
        self._headers = headers
        self._told = told
        self._deadline = time.monotonic() + limits.time_s
        self._operations: dict[str, Operation] = defaultdict(Operation)
        self._patterns: list[tuple[str, re.Pattern[str], str]] = []
        """Method, paths and name of the operations that requests without a route belong to."""
        self._hosts: set[str] = set()
        self._stopped_by = ""
        self._failed_in_a_row = 0
        self._random = random.Random(0)  # noqa: S311  # an order that is the same each time

    async def begin(self) -> None:
        """Has answers compared from now on.

        Raises:
            WireError: the app's processes do not answer.
        """
        self._link.new_traces()
        self._link.arm(COMPARE)

    async def ask(self, request: Request) -> object:
        """Sends a request once, and looks at what it does; the JSON of its answer.

        Raises:
            FarDatabaseError: it reached a database that is not near.
        """
        exchange = await send(self._client, request, extra=self._headers, keep=as_json)
        self._look_at(request, exchange, self._link.new_traces())
        return exchange.kept

    async def run(self, plan: Plan) -> Checked:
        """Sends the requests of a plan in all ways, those that were asked before not once more.

        Raises:
            FarDatabaseError: a request reached a database that is not near.
            NothingCountedError: no request counted.
        """
        await self._once(plan.requests)
        if not any(one.counted_count for one in self._operations.values()):
            raise NothingCountedError(self._why_nothing_counted())
        measured_since = time.time()
        repeated = {
            name: one
            for name, one in self._operations.items()
            if one.counted_count and not one.why_not
        }
        await self._alone(repeated)
        await self._in_a_crowd(repeated)
        await self._watched(repeated)
        return Checked(
            target="",
            measured_since=measured_since,
            operations_count=len(self._operations) + len({one.route for one in plan.left_out}),
            counted_count=sum(1 for one in self._operations.values() if one.counted_count),
            left_out=(*plan.left_out, *self._left_out()),
            concurrency=self._limits.concurrency,
            own_routes=self._own_routes,
            also_counted=self._limits.also_counted,
            database_hosts=tuple(sorted(self._hosts)),
            stopped_by=self._stopped_by,
        )

    async def _once(self, requests: Sequence[Request]) -> None:
        """Sends each distinct operation once, unless it was asked before."""
        for number, request in enumerate(requests):
            name = self._name_of(request)
            if name is None or not self._operations[name].sent_count:
                self._told("Asking each operation once", number / len(requests))
                await self.ask(request)
            elif request not in self._operations[name].requests:
                self._operations[name].requests.append(request)

    def _name_of(self, request: Request) -> str | None:
        """The operation of a request; None for one from a file whose route is not known yet."""
        if request.route:
            return request.operation
        path = _path(request)
        for method, pattern, name in self._patterns:
            if method == request.method and pattern.fullmatch(path):
                return name
        return None

    def _learned(self, request: Request, traces: Sequence[Trace]) -> str:
        """The operation of a request that was sent; its route is what the app has said of it."""
        name = self._name_of(request)
        if name is not None:
            return name
        route = next((one.route for one in traces if one.method == request.method), "")
        name = f"{request.method} {route or _path(request)}"
        pattern = _pattern(route) if route else re.compile(re.escape(_path(request)))
        self._patterns.append((request.method, pattern, name))
        return name

    def _look_at(self, request: Request, exchange: Exchange, traces: Sequence[Trace]) -> None:
        known = self._operations[self._learned(request, traces)]
        known.sent_count += 1
        if request not in known.requests:
            known.requests.append(request)
        if counts(exchange, self._limits.also_counted):
            known.counted_count += 1
        elif not known.counted_count:
            known.why_not = _says(exchange)
        for trace in traces:
            self._check_database(trace)
            effects = [one for one in effects_of(trace) if not self._is_allowed(one, trace)]
            if effects:
                known.why_not = _effects_text(effects)

    def _is_allowed(self, effect: Effect, trace: Trace) -> bool:
        if effect.host:
            return effect.host in self._limits.allowed_hosts
        names = {f"{trace.method} {trace.route}", trace.route}
        return not names.isdisjoint(self._limits.allowed_writes)

    def _check_database(self, trace: Trace) -> None:
        for hold in trace.holds:
            host = _host_in(hold.pool)
            if host:
                self._hosts.add(host)
            if host and not is_near(host) and not self._limits.far_database:
                raise FarDatabaseError(
                    f"The app's database is at {host}, which is neither this machine nor a private"
                    " address; after one request nothing more was sent. If this database may be"
                    " asked some hundred times: --yes-this-database"
                )

    async def _alone(self, operations: Mapping[str, Operation]) -> None:
        """One request at a time, one operation after the other, round by round."""
        spent: dict[str, float] = defaultdict(float)
        for round_number in range(self._limits.rounds_count):
            for number, (name, one) in enumerate(operations.items()):
                if self._is_over() or spent[name] > _LONGEST_ALONE_S * 1e3:
                    continue
                done = (round_number + number / len(operations)) / self._limits.rounds_count
                self._told("Asking each operation, alone", done)
                request = one.requests[round_number % len(one.requests)]
                exchange = await send(self._client, request, extra=self._headers)
                spent[name] += exchange.took_ms
                self._note(one, exchange)
        for name, one in operations.items():
            one.alone_ms = spent[name] / max(1, self._limits.rounds_count)

    async def _in_a_crowd(self, operations: Mapping[str, Operation]) -> None:
        """All users at one operation, then at the next."""
        users = self._limits.concurrency
        if users < 2:
            return
        for number, one in enumerate(operations.values()):
            left_s = self._deadline - time.monotonic()
            if left_s < self._limits.time_s * (1 - _CROWD_TIME_SHARE) or self._stopped_by:
                one.why_not = one.why_not or "there was no time left to ask it by many at once"
                continue
            self._told(f"Asking each operation, with {users} users", number / len(operations))
            count = min(
                users * ROUNDS_IN_CROWD,
                max(users, int(_LONGEST_CROWD_S * 1e3 / max(one.alone_ms, 1.0))),
                max(0, self._limits.requests_per_route - one.sent_count),
            )
            requests = [one.requests[index % len(one.requests)] for index in range(count)]
            self._random.shuffle(requests)
            sent = await send_all(
                self._client,
                requests,
                users,
                within_s=min(_LONGEST_CROWD_S, left_s),
                extra=lambda _index, _request: self._headers,
                also_counted=self._limits.also_counted,
            )
            for exchange in sent.exchanges:
                self._note(one, exchange)
            if sent.stopped_by in ("429", "503"):
                one.why_not = f"it answered {sent.stopped_by} to {users} users at once"

    async def _watched(self, operations: Mapping[str, Operation]) -> None:
        """A few requests of each, while it is watched what of the rows is read."""
        self._link.arm(WATCH)
        try:
            for number, one in enumerate(operations.values()):
                self._told("Watching what is read of the rows", number / len(operations))
                for index in range(WATCHED_COUNT):
                    if not self._stopped_by:
                        request = one.requests[index % len(one.requests)]
                        await send(self._client, request, extra=self._headers)
        finally:
            self._link.disarm(WATCH)

    def _note(self, one: Operation, exchange: Exchange) -> None:
        """Counts an answer.

        Raises:
            BrokenOnTheWayError: it is one of many in a row that do not count.
        """
        one.sent_count += 1
        is_good = counts(exchange, self._limits.also_counted)
        one.counted_count += is_good
        self._failed_in_a_row = 0 if is_good else self._failed_in_a_row + 1
        if self._failed_in_a_row >= _FAILED_IN_A_ROW:
            raise BrokenOnTheWayError(
                f"The app answered well, and the last {self._failed_in_a_row} requests did not: the"
                f" last one was answered {_says(exchange)}. Look whether its database is there, and"
                " check it again."
            )

    def _is_over(self) -> bool:
        return time.monotonic() >= self._deadline or bool(self._stopped_by)

    def _left_out(self) -> Iterable[LeftOut]:
        for name, one in self._operations.items():
            if one.why_not:
                method, _, route = name.partition(" ")
                yield LeftOut(method, route, one.why_not)

    def _why_nothing_counted(self) -> str:
        whys: dict[str, int] = defaultdict(int)
        for one in self._operations.values():
            whys[one.why_not] += 1
        count = len(self._operations)
        if not count:
            return (
                "No request counted: there was none to send. Give some in a file: --requests FILE,"
                " or values for the parameters of the app's routes in [tool.unslow.values]."
            )
        why, most = max(whys.items(), key=lambda item: item[1])
        advice = ""
        if why.startswith(("401", "403")):
            advice = (
                " Give a login: --header 'Authorization: Bearer ...', or --login 'POST /token'"
                " --form username=... --form password=... --token-from access_token"
            )
        return f"No request counted: {most} of {count} operations answered {why}.{advice}"


def _pattern(route: str) -> re.Pattern[str]:
    """The paths of a template; a parameter goes up to the next slash, but `{name:path}` on."""
    parts = re.split(r"(\{[^}]*\})", route)
    return re.compile(
        "".join(
            (".*" if one.endswith(":path}") else "[^/]+") if number % 2 else re.escape(one)
            for number, one in enumerate(parts)
        )
    )


def _path(request: Request) -> str:
    return request.target.partition("?")[0]


def _says(exchange: Exchange) -> str:
    if exchange.error:
        return f"nothing ({exchange.error})"
    line = f' ("{exchange.first_line}")' if exchange.first_line else ""
    return f"{exchange.status}{line}"


def _effects_text(effects: Sequence[Effect]) -> str:
    first = effects[0]
    at = "" if first.place is None else f", {first.place.path}:{first.place.line}"
    opens = f"--allow-remote {first.host}" if first.host else "--allow-writes ROUTE"
    return f"it has side effects, so it was sent once: {first.says}{at}; {opens} allows it"


def _host_in(pool: str) -> str:
    """The host in the name of a pool: `postgresql+asyncpg 127.0.0.1:5432/shop pool 5+10`."""
    words = pool.split(" ")
    where = words[1].partition("/")[0] if len(words) > 1 and "/" in words[1] else ""
    return host_of(where)

"""The requests of one route as rules look at them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, NamedTuple

from ..model.finding import OWN, EvidenceValue, Finding
from ..model.receipt import Piece, Seen
from ..model.report import Blocked, Holder
from ..model.trace import (
    GC,
    HYDRATION,
    ORM,
    PROBE,
    REMOTE,
    ROWS,
    RUNS,
    SEND,
    SQL,
    UNEXPLAINED,
    Coverage,
    Lane,
    Place,
    Slice,
    Statement,
    Trace,
)
from .growth import Growth, growth_of
from .sources import Sources

_CONTROL: Final = (
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT",
    "RELEASE",
    "START TRANSACTION",
    "SET ",
    "SHOW ",
    "RESET ",
    "DISCARD",
    "CLOSE ",
    "LISTEN",
    "UNLISTEN",
    "FETCH ",
    "DEALLOCATE",
)
"""What controls a transaction or a session, and asks for nothing."""
_WRITES: Final = ("INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "TRUNCATE")
_COPIES_OUT: Final = re.compile(r"COPY\s*\(|COPY\b.*\bTO STDOUT\b")
_WRITES_WITHIN: Final = re.compile(
    r"\b(?:INSERT INTO|(?<!FOR )(?<!FOR NO KEY )UPDATE|DELETE FROM|MERGE INTO)\b"
)


@dataclass(frozen=True, slots=True)
class Run:
    """What is known beside a route's requests."""

    round_trip_ms: float
    """What the quickest statements took: a round trip, and next to nothing at its end."""
    round_trips_ms: Mapping[str, float] = field(default_factory=dict)
    """The same by driver: what an asynchronous one does beside takes longer than the way."""
    coverage: tuple[Coverage, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    holders: tuple[Holder, ...] = ()
    sources: Sources = field(default_factory=Sources)
    also_counted: frozenset[int] = frozenset()
    """Statuses that count beside 2xx."""

    def round_trip_of(self, driver: str) -> float:
        """What the quickest statements of a driver took."""
        return self.round_trips_ms.get(driver, self.round_trip_ms)


class Cost(NamedTuple):
    """What one statement took, in nanoseconds."""

    sql: int = 0
    rows: int = 0
    hydration: int = 0
    orm: int = 0
    """The ORM's own work around it."""

    @property
    def whole(self) -> int:
        """All of it."""
        return sum(self)

    @property
    def per_call(self) -> int:
        """What it would not take if its rows came with another statement's."""
        return self.sql + self.orm


class Request:
    """One request that counts, with what its statements took."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.trace: Trace = seen.trace
        self.wall_ms = seen.receipt.wall_ns / 1e6

    @cached_property
    def costs(self) -> tuple[Cost, ...]:
        """What each statement took, by its index."""
        parts = [[0, 0, 0, 0] for _ in self.trace.statements]
        for lane in self.trace.lanes:
            _add_costs(lane, parts)
        return tuple(Cost(*one) for one in parts)

    @cached_property
    def starts_ns(self) -> tuple[int, ...]:
        """When each statement was sent; 0 where that was not kept."""
        starts = [0] * len(self.trace.statements)
        for lane in self.trace.lanes:
            for one in lane.slices:
                if one.segment == SQL and isinstance(one.what, int) and not starts[one.what]:
                    starts[one.what] = one.start_ns
        return tuple(starts)

    @cached_property
    def ends_ns(self) -> tuple[int, ...]:
        """When the last answer to each statement was there; 0 where that was not kept."""
        ends = [0] * len(self.trace.statements)
        for lane in self.trace.lanes:
            for one in lane.slices:
                if one.segment in (SQL, ROWS) and isinstance(one.what, int):
                    ends[one.what] = max(ends[one.what], one.end_ns)
        return tuple(ends)

    def is_in_response(self, index: int) -> bool:
        """Whether a statement was sent before the response was whole."""
        return self.starts_ns[index] < self.trace.response_end_ns

    def segment_ms(self, segment: int) -> float:
        """A line of the receipt."""
        return self.seen.receipt.segments_ns[segment] / 1e6

    def database_work_ms(self, run: Run) -> float:
        """What statements took beyond the way to the database and back."""
        return sum(
            max(0.0, cost.sql / 1e6 - run.round_trip_of(one.driver))
            for cost, one in zip(self.costs, self.trace.statements, strict=True)
        )

    def pieces(self, segment: int) -> Iterator[Piece]:
        """The receipt's pieces of a segment."""
        return (one for one in self.seen.receipt.pieces if one.segment == segment)

    def slices(self, segment: int) -> Iterator[tuple[Lane, Slice]]:
        """All slices of a segment that began before the response was whole."""
        end_ns = self.trace.response_end_ns
        for lane in self.trace.lanes:
            for one in lane.slices:
                if one.segment == segment and one.start_ns < end_ns:
                    yield lane, one

    def remote_calls(self) -> Iterator[RemoteCall]:
        """The calls of other services, in the order of their starts in each lane."""
        for index, lane in enumerate(self.trace.lanes):
            calls: list[RemoteCall] = []
            for one in sorted(lane.slices, key=lambda one: one.start_ns):
                what = one.what
                if one.segment != REMOTE or not isinstance(what, tuple):
                    continue
                if one.start_ns >= self.trace.response_end_ns:
                    break
                host, pool, is_bounded, *rest = what
                if rest and rest[0] is True:
                    _read_on(calls, one.end_ns, host, pool)
                else:
                    chain = () if one.place is None else (one.place, *map(_place, rest[1:]))
                    calls.append(
                        RemoteCall(one.start_ns, one.end_ns, host, pool, is_bounded, chain, index)
                    )
            yield from calls

    @cached_property
    def sends_count(self) -> int:
        """How often something was sent to the client: the head, and each part of the body."""
        return sum(1 for _ in self.slices(SEND))

    @property
    def is_streamed(self) -> bool:
        """Whether the body came in several parts."""
        return self.sends_count > _SENDS_OF_ONE_PART


_MAIL: Final = "smtp "
_ORM: Final = "sqlalchemy orm"
"""How the coverage calls what objects come from."""
_COMPUTES: Final = tuple(RUNS - {GC, PROBE})
_SENDS_OF_ONE_PART: Final = 3
"""A head, a body, and the empty end that middleware adds."""


class RemoteCall(NamedTuple):
    """One call of another service, from its start to the end of its answer."""

    start_ns: int
    end_ns: int
    host: str
    pool: int
    is_bounded: bool
    chain: tuple[Place, ...]
    """The lines of the user's own code that called one another, the innermost first."""
    lane: int

    @property
    def place(self) -> Place | None:
        """The innermost line."""
        return self.chain[0] if self.chain else None

    @property
    def is_mail(self) -> bool:
        """Whether it speaks to a mail server, which takes several calls for a mail."""
        return self.host.startswith(_MAIL)

    @property
    def ms(self) -> float:
        """How long it took."""
        return (self.end_ns - self.start_ns) / 1e6


def _place(packed: Any) -> Place:
    return Place(*packed)


def _read_on(calls: list[RemoteCall], end_ns: int, host: str, pool: int) -> None:
    """Lengthens the last call by the same connections until an answer was read so far."""
    for index in reversed(range(len(calls))):
        if (calls[index].host, calls[index].pool) == (host, pool):
            calls[index] = calls[index]._replace(end_ns=end_ns)
            return


_PARTS: Final = {SQL: 0, ROWS: 1, HYDRATION: 2}
"""By segment, where its time stands in a `Cost`."""
_ORM_PART: Final = 3


class _Closed(NamedTuple):
    """A slice that no other one was seen around so far."""

    start_ns: int
    took_ns: int
    sent: tuple[int, ...] = ()
    """The statements that were sent in it, and whose share of the ORM's work is not known."""
    shared: tuple[int, ...] = ()
    """Those that have their share of an inner ORM slice."""


def _add_costs(lane: Lane, parts: list[list[int]]) -> None:
    closed: list[_Closed] = []
    for one in lane.slices:
        if one.segment == UNEXPLAINED:
            # Only says what was awaited, also within a statement.
            continue
        # In the order of their ends: what lies inside another slice stands before it.
        inside: list[_Closed] = []
        while closed and closed[-1].start_ns >= one.start_ns:
            inside.append(closed.pop())
        took = one.end_ns - one.start_ns
        own = max(0, took - sum(inner.took_ns for inner in inside))
        sent = tuple(index for inner in inside for index in inner.sent)
        shared = tuple(index for inner in inside for index in inner.shared)
        if one.segment == ORM:
            takers = sent or shared
            for index in takers:
                parts[index][_ORM_PART] += own // len(takers)
            sent, shared = (), sent + shared
        elif one.segment in _PARTS and isinstance(one.what, int) and one.what < len(parts):
            parts[one.what][_PARTS[one.segment]] += own
            if one.segment == SQL:
                sent += (one.what,)
        closed.append(_Closed(one.start_ns, took, sent, shared))


class StatementKey(NamedTuple):
    """What makes statements of a route the same."""

    shape: str
    place: Place | None
    relationship: str


class Calls:
    """The statements of one shape from one line, over all requests of a route."""

    def __init__(self, key: StatementKey, requests: Requests) -> None:
        self.shape, self.place, self.relationship = key
        self.by_request: list[tuple[Request, list[int]]] = []
        self._requests = requests

    def statements(self) -> Iterator[tuple[Request, int, Statement]]:
        """Each call with its request and index."""
        for request, indices in self.by_request:
            for index in indices:
                yield request, index, request.trace.statements[index]

    @cached_property
    def driver(self) -> str:
        """Who sends it."""
        return next((one.driver for _, _, one in self.statements()), "")

    @property
    def most_count(self) -> int:
        """The most calls of one request."""
        return max((len(indices) for _, indices in self.by_request), default=0)

    @property
    def mean_count(self) -> float:
        """Calls per request of the route."""
        return sum(len(indices) for _, indices in self.by_request) / len(self._requests)

    def mean_ms(self, cost: Callable[[Cost], int] = lambda one: one.whole) -> float:
        """What all calls take per request of the route."""
        whole = sum(cost(request.costs[index]) for request, index, _ in self.statements())
        return whole / 1e6 / len(self._requests)

    def saved_ms(self, cost: Callable[[Cost], int] = lambda one: one.per_call) -> float:
        """What all calls but one take per request, at most what the requests themselves took."""
        whole = 0.0
        for request, indices in self.by_request:
            costs = [cost(request.costs[index]) for index in indices]
            whole += min((sum(costs) - max(costs, default=0)) / 1e6, request.wall_ms)
        return whole / len(self._requests)

    @cached_property
    def growth(self) -> Growth | None:
        """How the calls grow with the rows of an earlier statement: of all the steepest line.

        None where no earlier statement came with three different counts of rows.
        """
        best: Growth | None = None
        for parent in self._requests.groups:
            if parent is self or not parent.has_rows:
                continue
            xs, ys = [], []
            for request, indices in self.by_request:
                rows = parent.rows_before(request, indices[0])
                if rows is not None:
                    xs.append(rows)
                    ys.append(len(indices))
            found = growth_of(xs, ys)
            if found is not None and (best is None or found.least > best.least):
                best = found
        return best

    @cached_property
    def has_rows(self) -> bool:
        """Whether any call brought rows."""
        return any(one.rows_count is not None for _, _, one in self.statements())

    def rows_before(self, request: Request, index: int) -> int | None:
        """The rows that calls of a request brought before another statement."""
        for mine, indices in self.by_request:
            if mine is request:
                earlier = [one for one in indices if one < index]
                counts = [request.trace.statements[one].rows_count for one in earlier]
                known = [count for count in counts if count is not None]
                return sum(known) if known else None
        return None


class Requests:
    """The requests of a route that count: those that were answered with a 2xx."""

    def __init__(self, method: str, route: str, seen: Sequence[Seen], run: Run) -> None:
        self.method = method
        self.route = route
        self.name = f"{method} {route or '(no route)'}"
        self.run = run
        self.every = tuple(seen)
        mine = [one for one in seen if counts(one.trace, run.also_counted)]
        watched = [one for one in mine if one.trace.usages is not None]
        timed = [one for one in mine if one.trace.usages is None] or watched
        self.counted = tuple(Request(one) for one in timed)
        """Without those that were watched, as that makes them slow, where there are others."""
        self.watched = tuple(Request(one) for one in watched)

    def __len__(self) -> int:
        return len(self.counted)

    def __iter__(self) -> Iterator[Request]:
        return iter(self.counted)

    @cached_property
    def mean_wall_ms(self) -> float:
        """The mean time of a request."""
        return sum(one.wall_ms for one in self.counted) / len(self.counted)

    def segment_ms(self, *segments: int) -> float:
        """The mean of some lines of the receipts together."""
        return self.mean(lambda one: sum(one.segment_ms(segment) for segment in segments))

    @cached_property
    def computing_ms(self) -> float:
        """What is computed for a request on average, without garbage collections and ourselves."""
        return self.segment_ms(*_COMPUTES)

    def mean(self, of: Callable[[Request], float]) -> float:
        """The mean of a quantity over the requests."""
        return sum(map(of, self.counted)) / len(self.counted)

    @cached_property
    def groups(self) -> tuple[Calls, ...]:
        """The statements that ask or write, by shape, line and relationship."""
        found: dict[StatementKey, Calls] = {}
        for request in self.counted:
            indices: Mapping[StatementKey, list[int]] = defaultdict(list)
            for index, one in enumerate(request.trace.statements):
                if not is_control(one.shape) and request.is_in_response(index):
                    indices[StatementKey(one.shape, one.place, one.relationship)].append(index)
            for key, mine in indices.items():
                calls = found.setdefault(key, Calls(key, self))
                calls.by_request.append((request, mine))
        return tuple(found.values())

    @cached_property
    def endpoint(self) -> Place | None:
        """The line of the `def` of the function that answers."""
        place = next((one.trace.endpoint for one in self.counted if one.trace.endpoint), None)
        function = self.run.sources.function(place)
        # Python's own first line of a function is its first decorator.
        return place if place is None or function is None else replace(place, line=function.lineno)

    def others_waited_ms(self, what: str, place: Place | None = None) -> float:
        """What other requests waited at most while something of this route held the loop."""
        return sum(
            victim.most_ms
            for one in self.run.blocked
            if one.route == self.name and one.what == what and place in (None, one.place)
            for victim in one.victims
        )

    def finding(
        self,
        says: str,
        place: Place | None,
        *,
        could_save_ms: float | None = None,
        saves_for: str = OWN,
        others_waited_ms: float | None = None,
        round_trips: float | None = None,
        touched: Place | None = None,
        shape: str = "",
        evidence: Mapping[str, EvidenceValue] | None = None,
    ) -> Finding:
        """A finding of this route; where no line is known, it is at its endpoint."""
        return Finding(
            says=says,
            place=place or self.endpoint,
            could_save_ms=could_save_ms,
            saves_for=saves_for,
            others_waited_ms=others_waited_ms,
            round_trips=round_trips,
            touched=touched,
            shape=shape,
            evidence=evidence or {},
        )


def counts(trace: Trace, also_counted: Collection[int] = ()) -> bool:
    """Whether a request counts: it was answered with a 2xx, or as it was to be, and whole."""
    is_good = 200 <= trace.status < 300 or trace.status in also_counted
    return is_good and not trace.error and not trace.disconnected


def is_control(shape: str) -> bool:
    """Whether a statement controls a transaction or a session, and asks for nothing."""
    return shape.upper().startswith(_CONTROL)


def is_write(shape: str) -> bool:
    """Whether a statement writes, as far as its first words and its parts tell."""
    words = shape.upper()
    if words.startswith("WITH"):
        return _WRITES_WITHIN.search(words) is not None
    return words.startswith(_WRITES) and _COPIES_OUT.match(words) is None


def is_select(shape: str) -> bool:
    """Whether a statement asks for rows."""
    words = shape.upper().lstrip("( ")
    return words.startswith(("SELECT", "WITH", "TABLE", "VALUES")) and not is_write(shape)


Missing = Callable[[Requests], str]


def _no_usage(requests: Requests) -> str:
    has_orm = any(one.what == _ORM and one.state == "on" for one in requests.run.coverage)
    if requests.watched or not has_orm:
        return ""
    return "what is read of the rows is watched in a check only: unslow check"


def _no_crowd(requests: Requests) -> str:
    if any(one.seen.open_count > 1 for one in requests):
        return ""
    return "no two requests were open at once"


def _no_returned(requests: Requests) -> str:
    if any(one.trace.returned is not None for one in requests):
        return ""
    return "what the endpoint returns is seen in FastAPI only"


def _no_response(requests: Requests) -> str:
    return "" if any(one.trace.response is not None for one in requests) else "no head was seen"


def _no_digests(requests: Requests) -> str:
    if any(one.trace.response is not None and one.trace.response.digest for one in requests):
        return ""
    return "answers are compared in a check only: unslow check"


NEEDS: Final[Mapping[str, Missing]] = {
    "statements": lambda _: "",
    "remote": lambda _: "",
    "receipts": lambda _: "",
    "usage": _no_usage,
    "crowd": _no_crowd,
    "returned": _no_returned,
    "response": _no_response,
    "digests": _no_digests,
}
"""What a rule may need, and how to tell why it is missing; an empty text where it is there."""

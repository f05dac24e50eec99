"""Requests told as stories, one thing after the other, for rules to judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests.record.handmade import LOOP, MS
from unslow.diagnose.rule import Nearly, Rule
from unslow.diagnose.views import Requests, Run
from unslow.model.finding import Finding
from unslow.model.receipt import Seen, Waited
from unslow.model.trace import (
    CONNECT,
    FRAMEWORK,
    OWN_CODE,
    REMOTE,
    SEND,
    SQL,
    Hold,
    Lane,
    Place,
    Response,
    Returned,
    Sample,
    Slice,
    Statement,
    Step,
    Trace,
)
from unslow.model.usage import EagerLoad, Profile, Usage
from unslow.record.endpoints import kept_of
from unslow.record.receipt import receipt_of

ENDPOINT = Place("/app/shop.py", 10, "list_orders")
LINE = Place("/app/shop.py", 14, "list_orders")
OTHER_LINE = Place("/app/shop.py", 18, "list_orders")
JSON = Response("application/json", False, True, False, False, False)
RUN = Run(round_trip_ms=0.2)


class Story:
    """A request that does one thing after the other, in one task or one worker thread."""

    def __init__(self, *, in_thread: bool = False) -> None:
        self._now = 0
        self._slices: list[Slice] = []
        self._steps: list[Step] = []
        self._samples: list[Sample] = []
        self._statements: list[Statement] = []
        self._holds: list[tuple[str, int, Place | None]] = []
        self._closed: list[Hold] = []
        self._step_start = 0
        self._answered: int | None = None
        self._in_thread = in_thread

    @property
    def now_ns(self) -> int:
        return self._now

    def sends(self, statement: Statement, ms: float = 0.2) -> Story:
        """Sends a statement and waits for its answer."""
        self._statements.append(statement)
        return self.waits(SQL, ms, len(self._statements) - 1)

    def sends_and_blocks(self, statement: Statement, ms: float = 0.2) -> Story:
        """Sends a statement, and holds the loop until its answer is there."""
        self._statements.append(statement)
        return self.blocks(SQL, ms, len(self._statements) - 1)

    def waits(self, segment: int, ms: float, what: Any = None, place: Place | None = None) -> Story:
        """Waits for something, and lets the loop run others meanwhile."""
        start = self._now
        self._end_step()
        self._now += round(ms * MS)
        self._step_start = self._now
        self._slices.append(Slice(start, self._now, segment, what, place))
        return self

    def blocks(
        self, segment: int, ms: float, what: Any = None, place: Place | None = None
    ) -> Story:
        """Waits for something, and holds the loop meanwhile."""
        start = self._now
        self._now += round(ms * MS)
        self._slices.append(Slice(start, self._now, segment, what, place))
        return self

    def asks(
        self,
        ms: float = 10.0,
        *chain: Place,
        host: str = "prices.example:443",
        pool: int = 1,
        is_bounded: bool = True,
        holds_loop: bool = False,
    ) -> Story:
        """Calls another service: from LINE, or from lines that called one another."""
        place, *callers = chain or (LINE,)
        what = (host, pool, is_bounded, False, *map(astuple, callers))
        return (self.blocks if holds_loop else self.waits)(REMOTE, ms, what, place)

    def asks_in_passing(
        self, ms: float = 10.0, *, host: str = "prices.example:443", is_bounded: bool = True
    ) -> Story:
        """Calls another service from a task or thread whose lines are all a library's."""
        return self.waits(REMOTE, ms, (host, 1, is_bounded))

    def reads_on(
        self, ms: float, *, host: str = "prices.example:443", holds_loop: bool = False
    ) -> Story:
        """Reads more of an answer of another service."""
        return (self.blocks if holds_loop else self.waits)(REMOTE, ms, (host, 1, True, True), LINE)

    def runs(self, ms: float, place: Place | None = LINE, segment: int = OWN_CODE) -> Story:
        """Computes; the watchdog sees the line."""
        self.blocks(segment, ms, None, place)
        if segment == OWN_CODE:
            self._samples.append(Sample(self._now, round(ms * MS), place, innermost=True))
        return self

    def takes(self, pool: str, place: Place | None = LINE) -> Story:
        """Takes a connection of a pool."""
        self._holds.append((pool, self._now, place))
        return self

    def gives_back(self) -> Story:
        """Gives the connection back that it took last."""
        pool, start, place = self._holds.pop()
        self._closed.append(Hold(pool, start, self._now, place))
        return self

    def connects(
        self,
        what: Any = "asyncpg 127.0.0.1:5432/shop",
        ms: float = 5.0,
        place: Place | None = LINE,
    ) -> Story:
        """Opens a connection: of a server, or of a pool by its name, its number, and if again."""
        return self.waits(CONNECT, ms, what, place)

    def answers(self, ms: float = 0.1, parts: int = 1) -> Story:
        """Sends the head and the body."""
        for _ in range(parts + 1):
            self.waits(SEND, ms)
        return self

    def is_answered(self) -> Story:
        """The response is whole: what comes now comes after it."""
        self._answered = self._now
        return self

    def trace(
        self,
        *,
        number: int = 1,
        method: str = "GET",
        route: str = "/orders",
        status: int = 200,
        response_bytes: int = 500,
        endpoint: Place | None = ENDPOINT,
        response: Response | None = JSON,
        returned: Returned | None = None,
        usages: tuple[Usage, ...] | None = None,
    ) -> Trace:
        """All of it as it was recorded."""
        while self._holds:
            self.gives_back()
        self._end_step()
        kind = "thread" if self._in_thread else "task"
        lane = Lane(
            kind,
            LOOP + self._in_thread,
            0 if self._in_thread else -1,
            0,
            self._now,
            () if self._in_thread else tuple(self._steps),
            tuple(self._slices),
            tuple(self._samples),
        )
        root = Lane("task", LOOP, -1, 0, self._now, (), (Slice(0, self._now, FRAMEWORK),))
        return Trace(
            number=number,
            process_id=1,
            method=method,
            route=route,
            status=status,
            started_at=float(number),
            start_ns=0,
            response_end_ns=self._now if self._answered is None else self._answered,
            end_ns=self._now,
            response_bytes=response_bytes,
            lanes=(root, lane) if self._in_thread else (lane,),
            statements=tuple(self._statements),
            holds=tuple(self._closed),
            endpoint=endpoint,
            response=response,
            returned=returned,
            usages=usages,
        )

    def _end_step(self) -> None:
        if self._now > self._step_start:
            self._steps.append(Step(self._step_start, self._now))


def side_by_side(*traces: Trace) -> Trace:
    """A request whose tasks do at the same time what these requests do."""
    longest = max(traces, key=lambda one: one.end_ns)
    root = Lane("task", LOOP, -1, 0, longest.end_ns)
    lanes = [replace(lane, parent=0) for one in traces for lane in one.lanes]
    return replace(longest, lanes=(root, *lanes))


class App:
    """A small source file of the user's, whose places are found by the words of their lines."""

    def __init__(self, folder: Path, text: str) -> None:
        self.path = folder / "shop.py"
        self.path.write_text(dedent(text))

    def at(self, words: str, function: str = "list_orders") -> Place:
        """The one line that has these words."""
        lines = enumerate(self.path.read_text().splitlines(), 1)
        (number,) = [number for number, line in lines if words in line]
        return Place(str(self.path), number, function)


def seen(trace: Trace, *, open_count: int = 1) -> Seen:
    """A request with its receipt; it ran alone if it was the only one open."""
    return Seen(trace, kept_of(receipt_of(trace)), Waited(), open_count == 1, open_count, 0)


def judged(
    rule: Rule,
    *traces: Trace,
    run: Run = RUN,
    open_count: int = 1,
    threshold: float | None = None,
) -> list[Finding | Nearly]:
    """What a rule says of requests of one route."""
    numbered = [replace(one, number=n, started_at=float(n)) for n, one in enumerate(traces, 1)]
    first = numbered[0]
    views = [seen(one, open_count=open_count) for one in numbered]
    return list(rule.apply(Requests(first.method, first.route, views, run), threshold))


def found(
    rule: Rule, *traces: Trace, run: Run = RUN, open_count: int = 1, threshold: float | None = None
) -> list[Finding]:
    """Its findings only."""
    every = judged(rule, *traces, run=run, open_count=open_count, threshold=threshold)
    return [one for one in every if isinstance(one, Finding)]


def only(findings: Sequence[Finding]) -> Finding:
    """The one finding there is."""
    (one,) = findings
    return one


def look_up(
    number: int,
    *,
    table: str = "items",
    place: Place | None = LINE,
    parent: int = -1,
    stack: str = "way",
    rows: int = 1,
) -> Statement:
    """A look-up by key, one of several: its parameter is told from others by `number`."""
    return Statement(
        f"SELECT * FROM {table} WHERE id = ?",
        "asyncpg",
        place,
        parent=parent,
        row_key=f"row {number}" if parent >= 0 else "",
        rows_count=rows,
        parameters_key=f"key {number}",
        stack=stack if number else "",
    )


def listing(rows: int, *, table: str = "orders", place: Place | None = OTHER_LINE) -> Statement:
    """A query for a list."""
    return Statement(
        f"SELECT * FROM {table} ORDER BY id LIMIT ?", "asyncpg", place, rows_count=rows
    )


def lazy_load(
    number: int,
    *,
    parent: int = 0,
    relationship: str = "Order.customer",
    place: Place | None = LINE,
    rows: int = 1,
) -> Statement:
    """The load of a relationship at its first touch, for the row with this number."""
    loaded = look_up(number, table="related", place=place, rows=rows)
    return replace(loaded, parent=parent, relationship=relationship, row_key=f"row {number}")


def eager_load(
    *,
    parent: int = 0,
    relationship: str = "Order.customer",
    place: Place | None = OTHER_LINE,
    rows: int = 1,
) -> Statement:
    """The load of a relationship for many rows at once, right after the query for them."""
    loaded = look_up(0, table="related", place=place, rows=rows)
    return replace(loaded, parent=parent, relationship=relationship, is_batch=True)


def usage(
    rows: int,
    *,
    statement: int = 0,
    entity: str = "Order",
    sizes: Mapping[str, int] | None = None,
    profile: tuple[Profile, ...] | None = None,
    written: int = 0,
    relationships: tuple[EagerLoad, ...] = (),
) -> Usage:
    """What was read of the objects of a statement: the total of each, if nothing else is said."""
    columns = {"id": 8 * rows, "total": 8 * rows} if sizes is None else sizes
    sets = ((("total",), rows),) if profile is None else profile
    read = {name for names, _ in sets for name in names}
    return Usage(
        statement=statement,
        entity=entity,
        rows_count=rows,
        primary_key=("id",),
        columns=tuple(columns),
        columns_bytes=tuple(columns.values()),
        read_columns=tuple(name for name in columns if name in read),
        read_rows_count=sum(count for _, count in sets),
        written_rows_count=written,
        profile=sets,
        relationships=relationships,
    )

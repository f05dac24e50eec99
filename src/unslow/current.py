"""The open trace, as probes write to it.

Everything here runs inside the user's requests: tuples are appended, nothing is grouped, sorted or
formatted.
"""

from __future__ import annotations

import itertools
import time
from contextvars import ContextVar
from threading import Lock, get_ident
from types import CodeType
from typing import Any, Final

clock = time.perf_counter_ns

RawPlace = tuple[CodeType, int]
"""A code object and the offset of its running instruction; made a line after the request."""

_numbers = itertools.count(1)

TASK: Final = "task"
THREAD: Final = "thread"


ROWS_OF_A_TRACE: Final = 2_000
"""So many rows are kept until a request is over; a stream that reads a table keeps no more."""


class OpenStatement:
    """A statement that was sent; fields are filled in as they become known."""

    __slots__ = (
        "allowance",
        "driver",
        "executions_count",
        "index",
        "parameters",
        "parent",
        "place",
        "relationship",
        "row_key",
        "rows",
        "rows_count",
        "stack",
        "text",
    )

    def __init__(
        self, index: int, text: str, driver: str, place: RawPlace | None, allowance: list[int]
    ) -> None:
        self.allowance = allowance
        """`[count]` of rows that the trace may still keep, all statements together."""
        self.index = index
        self.text = text
        self.driver = driver
        self.place = place
        self.parent = -1
        self.relationship: Any = None
        """Whatever `str()` makes the attribute's name of, after the request."""
        self.row_key: Any = None
        """Whatever is equal for the same parent row; only its hash leaves the request."""
        self.rows_count: int | None = None
        self.rows: Any = None
        """Some of the rows, or all: only what later statements took from them leaves the request,
        as lineage."""
        self.executions_count = 1
        self.parameters: Any = None
        """The driver's own; only whether they equal others leaves the request, unless the user
        asked for values."""
        self.stack = 0
        """A hash of the lines that called one another, where a line sends again."""


class Lane:
    """A task or thread that works for a request, while it does."""

    __slots__ = (
        "arrival_ns",
        "end_ns",
        "extra",
        "index",
        "inside_sql",
        "kind",
        "parent",
        "place",
        "ready_ns",
        "samples",
        "slices",
        "start_ns",
        "statement",
        "step_end_ns",
        "step_start_ns",
        "steps",
        "thread_id",
        "timer_ns",
        "trace",
    )

    def __init__(self, trace: OpenTrace, kind: str, parent: int) -> None:
        self.trace = trace
        self.kind = kind
        self.parent = parent
        self.thread_id = get_ident()
        self.start_ns = self.step_start_ns = self.step_end_ns = clock()
        self.end_ns = 0
        self.ready_ns = 0
        """When the loop last queued the lane's task; the next step takes it along."""
        self.timer_ns = 0
        """The time of the last timer that the lane set; the next step takes it along."""
        self.arrival_ns = 0
        """Set by a probe after a wait: when what the lane waited for was there."""
        self.inside_sql = 0
        """Above 0 while an outer probe records a statement: inner probes then stay silent."""
        self.statement: OpenStatement | None = None
        """The statement whose rows are read now."""
        self.place: RawPlace | None = None
        """The line that a probe found for what it does now: near to it, before the library's own
        calls make the way long."""
        self.extra: Any = None
        """A probe's own scratch space between its before and after."""
        self.steps: list[tuple[int, int, int, int]] = []
        self.slices: list[tuple[int, int, int, Any, Any]] = []
        self.samples: list[tuple[int, int, RawPlace | None, bool, int | None, int | None]] = []
        lanes = trace.lanes
        self.index = len(lanes)
        lanes.append(self)

    def add(
        self,
        segment: int,
        start_ns: int,
        end_ns: int,
        what: Any = None,
        place: RawPlace | tuple[RawPlace, ...] | None = None,
    ) -> None:
        """Keeps one slice, or counts it as dropped when the trace is full or closed."""
        trace = self.trace
        if trace.left > 0:
            trace.left -= 1
            self.slices.append((start_ns, end_ns, segment, what, place))
        elif trace.end_ns == 0:
            trace.dropped_count += 1

    def new_statement(self, text: str, driver: str, place: RawPlace | None) -> OpenStatement:
        """Notes a statement that is about to be sent; its slices name its `index`."""
        statements = self.trace.statements
        statement = OpenStatement(len(statements), text, driver, place, self.trace.allowance)
        if self.trace.left > 0:
            statements.append(statement)
        return statement


class OpenTrace:
    """A request that is being handled."""

    __slots__ = (
        "allowance",
        "disconnected",
        "dropped_count",
        "end_ns",
        "endpoint",
        "error",
        "holds",
        "keeps_values",
        "lanes",
        "left",
        "limit",
        "lineage",
        "method",
        "number",
        "places",
        "response",
        "response_bytes",
        "response_end_ns",
        "returned",
        "root",
        "route",
        "size",
        "start_ns",
        "started_at",
        "statements",
        "status",
        "watched",
    )

    def __init__(self, method: str, limit: int) -> None:
        self.number = next(_numbers)
        self.method = method
        self.route = ""
        self.status = 0
        self.response_bytes = 0
        self.error = ""
        self.disconnected = False
        self.limit = self.left = limit
        self.size = 0
        """What was kept, in slices, steps and samples; counted when the trace closes."""
        self.dropped_count = 0
        self.lanes: list[Lane] = []
        self.statements: list[OpenStatement] = []
        self.lineage: dict[Any, OpenStatement] = {}
        """By what an ORM's objects remember of their load: the statement that loaded them."""
        self.allowance = [ROWS_OF_A_TRACE]
        self.keeps_values = False
        """Whether the user asked for values, so that parameters are kept however long they are."""
        self.places: dict[tuple[int, int], int] = {}
        """By the line that sends statements, how often it has."""
        self.endpoint: RawPlace | None = None
        """The first line of the user's function that answers."""
        self.response: Any = None
        """The fields of a `model.trace.Response`."""
        self.returned: tuple[Any, Any, bool] | None = None
        """What the endpoint returned, the field that it is validated by, and whether
        pydantic-core makes the bytes."""
        self.watched: Any = None
        """What the ORM's objects are read for; None where nobody watches."""
        self.holds: list[list[Any]] = []
        """`[pool, start_ns, end_ns or 0, place]` of each connection taken from a pool."""
        self.response_end_ns = 0
        self.end_ns = 0
        self.started_at = time.time()
        self.root = Lane(self, TASK, -1)
        self.start_ns = self.root.start_ns

    def close(self) -> None:
        """Ends the trace; what arrives later is not kept."""
        self.end_ns = clock()
        self.size = self.limit - self.left
        self.left = 0

    def release(self) -> None:
        """Lets go of what was recorded, and of the cycle that only the collector would free."""
        self.lanes.clear()
        self.statements.clear()
        self.holds.clear()
        self.returned = self.watched = None
        del self.root


LANE: ContextVar[Lane | None] = ContextVar("unslow_lane", default=None)
"""The lane of the open trace in which the calling code works."""


class OpenArm:
    """A fix that is switched on for the requests that name it, and how it fared.

    A switch acts where `ARM` holds its own arm, and nowhere else.
    """

    __slots__ = ("broke", "careful", "fired_count", "lock", "name", "whys")

    def __init__(self, name: str) -> None:
        self.name = name
        self.fired_count = 0
        """How often the switch acted."""
        self.whys: dict[str, int] = {}
        """Why it did not act where it was to, and how often."""
        self.broke = ""
        """How it failed, the first time; the app went on as it is written."""
        self.careful = False
        """Whether a failure must leave no trace in the app's transaction, at the price of time."""
        self.lock = Lock()

    def fired(self) -> None:
        """The switch has acted."""
        with self.lock:
            self.fired_count += 1

    def did_not(self, why: str) -> None:
        """The switch did not act, and why: a sentence without values."""
        with self.lock:
            self.whys[why] = self.whys.get(why, 0) + 1

    def failed(self, how: str) -> None:
        """The switch failed; the app goes on as it is written."""
        with self.lock:
            self.broke = self.broke or how


ARM: ContextVar[OpenArm | None] = ContextVar("unslow_arm", default=None)
"""The arm of a trial that the calling request runs under."""

running: dict[int, Lane] = {}
"""By thread: the lane that holds it at this instant. The watchdog looks here."""

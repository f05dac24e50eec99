"""One handled request, as it was recorded.

Times are nanoseconds of one process's `time.perf_counter_ns`, comparable within a process only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

SEGMENTS: Final = (
    "own-code",
    "validation",
    "serialization",
    "hydration",
    "orm",
    "framework",
    "gc",
    "probe",
    "sql",
    "rows",
    "connect",
    "pool-wait",
    "cache",
    "remote",
    "thread-queue",
    "receive",
    "send",
    "blocking",
    "loop-busy",
    "unexplained",
)
"""The lines of a receipt, in order; a segment travels as its index in this tuple."""

OWN_CODE: Final = 0
VALIDATION: Final = 1
SERIALIZATION: Final = 2
HYDRATION: Final = 3
ORM: Final = 4
FRAMEWORK: Final = 5
GC: Final = 6
PROBE: Final = 7
SQL: Final = 8
ROWS: Final = 9
CONNECT: Final = 10
POOL_WAIT: Final = 11
CACHE: Final = 12
REMOTE: Final = 13
THREAD_QUEUE: Final = 14
RECEIVE: Final = 15
SEND: Final = 16
BLOCKING: Final = 17
LOOP_BUSY: Final = 18
UNEXPLAINED: Final = 19

RUNS: Final = frozenset(range(OWN_CODE, PROBE + 1))
"""The segments in which a lane runs; in all others it waits."""


What = str | int | tuple[str, int, bool] | None
"""What a slice is about: a pool, a server, a called function; in `sql`, `rows` and `hydration` the
index of the statement; in `remote` the host, the number of the pool that keeps the connections, and
whether a timeout bounds the wait for the answer."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of code."""

    path: str
    line: int
    function: str


@dataclass(frozen=True, slots=True)
class Slice:
    """A stretch of a lane that belongs to one segment, nested slices included."""

    start_ns: int
    end_ns: int
    segment: int
    what: What = None
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch in which a task held its event loop."""

    start_ns: int
    end_ns: int
    ready_ns: int = 0
    """When the loop put the task into its queue; 0 where that was not seen."""
    known_ready_ns: int = 0
    """When what the task waited for was there (a timer's time, the arrival of bytes); 0 unknown."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What the watchdog saw in a running lane."""

    at_ns: int
    weight_ns: int
    """The time that this sample stands for: since the sample before, or since the step began."""
    place: Place | None
    """The innermost line of the user's own code on the stack."""
    innermost: bool
    """Whether that line was the one executing, not a library called from it."""
    cpu_ns: int | None = None
    """CPU time of the thread within `weight_ns`; None where the system does not tell."""
    run_queue_ns: int | None = None
    """Time ready but not scheduled by the kernel within `weight_ns`; None where unknown."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A task or a thread that worked for the request."""

    kind: str
    """`task` or `thread`."""
    thread_id: int
    parent: int
    """The index of the lane that started this one; -1 for the first."""
    start_ns: int
    end_ns: int
    steps: tuple[Step, ...] = ()
    """Empty for a thread, which runs from its start to its end."""
    slices: tuple[Slice, ...] = ()
    """In the order of their ends."""
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement that was sent."""

    shape: str
    """The text without literals, comments, IN lists and parameters."""
    driver: str
    place: Place | None = None
    """The line of the user's own code that sent it."""
    parent: int = -1
    """The index of the statement whose row led to this one (its lineage); -1: none is known."""
    relationship: str = ""
    """For a lazy load: the attribute that was touched, such as `User.posts`."""
    row_key: str = ""
    """For a lazy load: a hash that is equal for loads from the same parent row."""
    rows_count: int | None = None
    executions_count: int = 1
    """The number of parameter sets sent in one call."""
    parameters: str | None = None
    """Only recorded when the user asked for values."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A stretch in which the request held a connection of a pool."""

    pool: str
    start_ns: int
    end_ns: int
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything recorded about one request."""

    number: int
    """Counts up within a process, in the order in which requests began."""
    process_id: int
    method: str
    route: str
    """The route's template, never the raw path; empty where no route matched."""
    status: int
    """0 when no response was started."""
    started_at: float
    """Seconds since 1970."""
    start_ns: int
    response_end_ns: int
    """The return of the send that carried the last body byte; `end_ns` when none did."""
    end_ns: int
    response_bytes: int
    error: str = ""
    """The type of the exception that left the app."""
    disconnected: bool = False
    """Whether the client left before the response was whole."""
    dropped_count: int = 0
    """Slices that were not kept because the trace had reached its bound."""
    lanes: tuple[Lane, ...] = ()
    statements: tuple[Statement, ...] = ()
    holds: tuple[Hold, ...] = ()


@dataclass(frozen=True, slots=True)
class Stall:
    """A stretch in which an event loop was held by something that belongs to no request."""

    thread_id: int
    start_ns: int
    end_ns: int
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Coverage:
    """One thing that could be recorded, and whether it was."""

    what: str
    state: str
    """`on`, `off` or `not-checked`."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Process:
    """A process whose requests were recorded."""

    process_id: int
    started_at: float
    python: str
    slice_cost_ns: int
    """What recording one slice costs on this machine, measured at the start."""
    step_cost_ns: int
    coverage: tuple[Coverage, ...] = field(default=())
    dropped_traces_count: int = 0
    libraries: tuple[tuple[str, str], ...] = ()
    """Names and versions of what the app has imported, of the libraries that matter here."""

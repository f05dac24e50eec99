"""One handled request, as it was recorded.

Times are nanoseconds of one process's `time.perf_counter_ns`, comparable within a process only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from .usage import Usage

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


What = str | int | tuple[Any, ...] | None
"""What a slice is about: a pool, a server, a called function; in `sql`, `rows` and `hydration` the
index of the statement. In `connect` the pool or server where a connection is opened, for SQLAlchemy
with a number of the pool and whether it is opened again in its place; else one of the three below.
In `remote` the host, the number of the pool that keeps the connections, and whether a timeout
bounds the wait for the answer; then True where the slice only goes on reading an answer, else False
and the lines, as tuples, that called the slice's own."""

PINGED: Final = ("connections pinged",)
GIVEN_BACK: Final = ("connections given back",)
"""Reset included."""
CLOSED: Final = ("connections closed",)
"""What a `connect` slice is about where no connection is opened."""


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
    field: Place | None = None
    """For a lazy load that no line of the user's causes: the field of the response model that is
    read; its `function` is `Model.field`."""
    parameters_key: str = ""
    """For a shape sent several times: a hash, keyed with a secret of the process, that is equal for
    equal parameters."""
    is_batch: bool = False
    """Whether a parameter is a list of several values."""
    stack: str = ""
    """For a line that sends again: a hash that is equal where the same lines called one another."""
    literals_key: str = ""
    """A keyed hash of the literals in the text; empty where there are none."""
    offset_rows_count: int | None = None
    """Of a statement with OFFSET: how many rows it skips, rounded down to one digit."""
    multiplied: tuple[int, int] | None = None
    """Of a join that pairs each row of one list with each of another: how long the lists are."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A stretch in which the request held a connection of a pool."""

    pool: str
    start_ns: int
    end_ns: int
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What is known of a response and its request beside status and size; no value of either."""

    content: str
    """The media type, without parameters; empty where none was given."""
    is_compressed: bool
    accepts_compression: bool
    """Whether the client takes gzip, br or zstd."""
    has_validator: bool
    """Whether an ETag, a Last-Modified or a Cache-Control says how long it stays the same."""
    is_personal: bool
    """Whether the request carried a cookie, an Authorization or a key."""
    has_query: bool
    digest: str = ""
    """A keyed hash of the body, where a check compares answers; empty elsewhere."""


@dataclass(frozen=True, slots=True)
class Returned:
    """What an endpoint returned to its framework."""

    kind: str
    """`entity` (of an ORM), `model` (of Pydantic), `dict`, `row` or `other`: the items, if it is a
    list or holds one, else the value itself."""
    items_count: int
    """How many items the list has; 1 for a single value."""
    is_typed: bool
    """Whether a response model is validated and serialized."""
    is_own_model: bool
    """Whether the items are already of the response model's own class."""
    is_fast: bool
    """Whether pydantic-core makes the bytes, with no Python in between."""


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
    endpoint: Place | None = None
    """The first line of the user's function that answers."""
    response: Response | None = None
    returned: Returned | None = None
    usages: tuple[Usage, ...] | None = None
    """What was fetched and what of it was read; None where nobody watched."""


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

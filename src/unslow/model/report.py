"""A report: what was recorded, endpoint by endpoint, ready to be shown.

The names are those of the JSON, format 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .checked import Checked
from .finding import Finding, Outcome
from .proof import FASTER, NO_DIFFERENCE, SLOWER, ProvenTotal, Trial, best_first
from .trace import Coverage, Place

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Spread:
    """The distribution of a quantity over requests."""

    mean: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Detail:
    """A part of a segment: by place, host, pool, statement or culprit; mean ms per request."""

    ms: float
    place: Place | None = None
    what: str = ""
    """The host, the pool, the blocking function, the relationship."""
    route: str = ""
    """`METHOD /route` of the culprit or holder."""
    count: float | None = None
    """Occurrences per request, where they were counted."""
    most_ms: float | None = None
    """The upper bound where `ms` is the lower one of an interval; None where `ms` is exact."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """A line that held the event loop, and who waited for it."""

    route: str
    """`METHOD /route`; empty for work that belongs to no request."""
    place: Place | None
    what: str
    """The blocking call or segment, such as `time.sleep` or `own-code`."""
    blocked_ms: float
    """In all requests together."""
    times_count: int
    victims: tuple[Victim, ...] = ()


@dataclass(frozen=True, slots=True)
class Victim:
    """A route whose requests waited for a culprit; exact where both bounds are equal."""

    route: str
    requests_count: int
    least_ms: float
    most_ms: float


@dataclass(frozen=True, slots=True)
class Holder:
    """Who held a pool's connections while others waited for one."""

    pool: str
    route: str
    place: Place | None
    ms: float
    """Time of others' waiting during which this held a connection, shared among the holders."""
    waits_ms: Mapping[str, float] = field(default_factory=dict)
    """The same by the route whose requests waited."""


@dataclass(frozen=True, slots=True)
class StatementShape:
    """One shape of statement of an endpoint."""

    shape: str
    place: Place | None
    relationship: str
    calls_per_request: float
    ms_per_request: float
    slowest_ms: float
    rows_per_request: float | None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What the requests of one route say together."""

    method: str
    route: str
    requests_count: int
    errors_count: int
    """Requests that answered 5xx, raised, or gave no response."""
    wall_ms: Spread
    receipts_ms: Mapping[str, Mapping[str, float]]
    """`mean`, `p50` and `p95`, each by segment; the mean sums to the mean wall."""
    requests_per_s: float
    concurrency_max: int
    """The most requests of the process that were open when one of these began, itself included."""
    statements_p50: int
    statements_max: int
    response_bytes_p50: int
    response_bytes_max: int
    blocked_loop_ms: float
    """Mean time per request in which a wait of this endpoint held the event loop."""
    off_cpu_ms: float | None
    overlap_ms: float
    dropped_slices_count: int
    loop_busy_most_ms: float
    """The upper bound of `loop-busy`, mean per request; the receipt shows the lower one."""
    details: Mapping[str, tuple[Detail, ...]] = field(default_factory=dict)
    statements: tuple[StatementShape, ...] = ()
    after_response_ms: Mapping[str, float] = field(default_factory=dict)
    """The mean receipt of what ran after the response; empty when that is below 0.05 ms."""
    findings: tuple[Finding, ...] = ()
    """Most that could be saved first."""
    requests_counted: int | None = None
    """Requests that were answered with a 2xx, whole; None where nobody judged them."""
    alone: Endpoint | None = None
    """The same endpoint's requests with no other request open, where there are both kinds."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the numbers were measured on."""

    system: str
    python: str
    cores_count: int
    load_1min: float | None
    libraries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that is shown about a run."""

    target: str
    created: str
    """ISO 8601, UTC."""
    unslow: str
    machine: Machine
    endpoints: tuple[Endpoint, ...]
    """Most total time first."""
    coverage: tuple[Coverage, ...]
    blocked: tuple[Blocked, ...]
    """Who blocked the loop, worst first."""
    holders: tuple[Holder, ...]
    processes_count: int
    traces_count: int
    dropped_traces_count: int
    notes: tuple[str, ...] = ()
    """Sentences that say how far to trust this report."""
    recorded: str = ""
    """When the last request began, ISO 8601, UTC; empty where that is not known."""
    outcomes: tuple[Outcome, ...] = ()
    """What became of each rule on each route."""
    checked: Checked | None = None
    """What a check sent; None for requests that came from elsewhere."""
    round_trip_ms: float | None = None
    """What a statement takes that asks for next to nothing."""
    trials: tuple[Trial, ...] | None = None
    """What was tried; None where nothing was to be tried, empty where there was nothing to try."""
    proven_total: ProvenTotal | None = None
    """None where no fix is proven, or they were not measured together."""
    trials_left: tuple[str, ...] = ()
    """Sentences: what was not tried for want of time."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of all endpoints."""
        return tuple(one for endpoint in self.endpoints for one in endpoint.findings)

    def trials_of(self, finding: Finding) -> tuple[Trial, ...]:
        """Those of a finding, the best first."""
        wanted = finding.id
        return best_first(one for one in self.trials or () if one.finding == wanted)

    def proof_of(self, finding: Finding) -> Trial | None:
        """The best of its fixes that are proven; None where none is."""
        best = next(iter(self.trials_of(finding)), None)
        return best if best is not None and best.verdict == FASTER else None

    def is_withdrawn(self, finding: Finding) -> bool:
        """Whether all of its fixes were tried and none of them pays."""
        verdicts = {one.verdict for one in self.trials_of(finding)}
        return bool(verdicts) and verdicts <= {NO_DIFFERENCE, SLOWER}

"""Other sizes for a pool, and the line that sets it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

import libcst as cst

from ...errors import WireError
from ...model.finding import Finding
from ...model.proof import Arm
from ...model.trace import CLOSED, CONNECT, GIVEN_BACK, PINGED, THREAD_QUEUE, Trace
from ..switches.resize_pool.named import Named, named
from .keyword_arguments import named_argument, with_value
from .patch import CannotTryError, CannotWriteError, Edit, Patch, Subject

FIX: Final = "resize-pool"

MOST_CONNECTIONS: Final = 50
"""Half of what a PostgreSQL allows that nobody has set up (`max_connections`, 100): there are
others, and a second worker."""
MOST_THREADS: Final = 160
_THREADS: Final = 40
"""What anyio allows."""
_FACTORS: Final = (2, 4)

_UNLIMITED: Final = -1

_Settings = Mapping[str, int | None]
_MAKERS: Final[Mapping[str, tuple[frozenset[str], _Settings]]] = {
    "sqlalchemy": (
        frozenset({"create_engine", "create_async_engine"}),
        {"pool_size": 5, "max_overflow": 10},
    ),
    "asyncpg": (frozenset({"create_pool"}), {"min_size": 10, "max_size": 10}),
    "psycopg": (
        frozenset({"ConnectionPool", "AsyncConnectionPool"}),
        {"min_size": 4, "max_size": None},
    ),
}
"""By library: what makes its pools, and the sizes that these have where none are given."""
_OTHER_POOL: Final = ("poolclass", "pool")
"""Arguments with which an engine has a pool of another kind."""


def candidates(subject: Subject) -> tuple[Arm, ...]:
    """The sizes from the present one upward, as far as the crowd that was seen needs them.

    Raises:
        CannotTryError: a size changes nothing here.
    """
    finding = subject.finding
    if finding.rule == "thread-starvation":
        return _thread_arms(subject)
    pool = _pool_of(subject)
    present = pool.second if not pool.has_overflow else pool.first + max(0, pool.second)
    is_wait = finding.rule == "pool-wait"
    if pool.has_overflow and pool.second == _UNLIMITED and is_wait:
        raise CannotTryError("the pool has no limit, so it is not its size that is waited for")
    if not is_wait and not (pool.has_overflow and pool.second):
        raise CannotTryError(
            "the pool has no overflow: it closes connections for their age or their use, not for"
            " its size"
        )
    sizes = _sizes(present, _crowd(subject), MOST_CONNECTIONS)
    if not is_wait and pool.second != _UNLIMITED:
        # As many as now, and none of them closed when it comes back.
        sizes = [present, *sizes]
    if not sizes:
        raise CannotTryError(
            f"the pool has {present} connections already; more need a server that allows them"
        )
    return tuple(_arm(pool, size) for size in sizes)


def _thread_arms(subject: Subject) -> tuple[Arm, ...]:
    present = _threads_count(subject.traces)
    sizes = _sizes(present, _crowd(subject), MOST_THREADS)
    if not sizes:
        raise CannotTryError(f"there are {present} threads already")
    return tuple(Arm(FIX, f"total_tokens={one}", {"threads": one}) for one in sizes)


def _arm(pool: Named, size: int) -> Arm:
    if not pool.has_overflow:
        return Arm(FIX, f"max_size={size}", {"pool": pool.name, "size": size})
    overflow = _UNLIMITED if pool.second == _UNLIMITED else 0
    says = f"pool_size={size}, max_overflow={overflow}"
    return Arm(FIX, says, {"pool": pool.name, "size": size, "overflow": overflow})


def _sizes(present: int, crowd: int, most: int) -> list[int]:
    found: list[int] = []
    for factor in _FACTORS:
        size = min(present * factor, most)
        if size > (found[-1] if found else present):
            found.append(size)
        if size >= crowd:
            break
    return found


def _crowd(subject: Subject) -> int:
    """How many requests there were at once."""
    told = subject.finding.evidence.get("open_at_once")
    at_once = int(told) if isinstance(told, int) else 0
    by_process: dict[int, list[Trace]] = {}
    for one in subject.traces:
        by_process.setdefault(one.process_id, []).append(one)
    return max([at_once, *map(_most_at_once, by_process.values())])


def _most_at_once(traces: Sequence[Trace]) -> int:
    most, ends = 0, list[int]()
    for one in sorted(traces, key=lambda one: one.start_ns):
        while ends and ends[0] <= one.start_ns:
            heappop(ends)
        heappush(ends, one.end_ns)
        most = max(most, len(ends))
    return most


def _threads_count(traces: Sequence[Trace]) -> int:
    """What a request that waited for a thread was told of them: `40 threads`."""
    for one in traces:
        for lane in one.lanes:
            for wait in lane.slices:
                if wait.segment == THREAD_QUEUE and isinstance(wait.what, str):
                    count = wait.what.partition(" ")[0]
                    if count.isdigit():
                        return int(count)
    return _THREADS


def _pool_of(subject: Subject) -> Named:
    told = subject.finding.evidence.get("pool")
    name = told if isinstance(told, str) else _most_opened(subject)
    try:
        return named(name)
    except WireError as error:
        raise CannotTryError(str(error).rstrip(".")) from error


def _most_opened(subject: Subject) -> str:
    """The pool that connections were opened for most often, of the finding's driver."""
    counts = Counter(
        name
        for name in _opened_for(subject.traces)
        if " pool " in name and name.startswith(f"{subject.finding.shape} ")
    )
    if not counts:
        raise CannotTryError("no connection was opened for a pool with a size")
    return counts.most_common(1)[0][0]


def _opened_for(traces: Sequence[Trace]) -> Iterator[str]:
    for one in traces:
        for lane in one.lanes:
            for part in lane.slices:
                is_other = part.what in (PINGED, GIVEN_BACK, CLOSED)
                if part.segment == CONNECT and isinstance(part.what, tuple) and not is_other:
                    yield str(part.what[0])


def write(subject: Subject, arm: Arm) -> Patch:
    """The setting where one call in a file that is known makes this pool; else what to set."""
    try:
        if "threads" in arm.parameters:
            raise CannotWriteError("where the app starts is not known")
        return Patch(edits=(_edit(subject, arm),))
    except CannotWriteError as why:
        return Patch(advice=_advice(arm, str(why)))


def _advice(arm: Arm, why: str) -> str:
    if "threads" in arm.parameters:
        return (
            "Where the app starts (in its lifespan), set"
            " `anyio.to_thread.current_default_thread_limiter().total_tokens ="
            f" {arm.parameters['threads']}`. Each thread may want a connection: the pools of the"
            " database must have as many."
        )
    return (
        f"Set `{arm.says}` where the pool {arm.parameters['pool']} is made. {_BUDGET} It is not"
        f" written here: {why}."
    )


_BUDGET: Final = (
    "Over all processes, workers x (pool_size + max_overflow), or workers x max_size, must stay"
    " below what the server allows: `SHOW max_connections`, 100 where nobody set it, 3 of them"
    " kept for superusers."
)


class _Made(NamedTuple):
    """A call that makes a pool, in a file."""

    path: str
    text: str
    module: cst.Module
    call: cst.Call
    sizes: dict[str, int | None] | None
    """By argument; None where they are put together elsewhere."""


def _edit(subject: Subject, arm: Arm) -> Edit:
    pool = named(str(arm.parameters["pool"]))
    made = list(_made(subject, pool))
    if any(one.sizes is None for one in made):
        raise CannotWriteError("its sizes are put together elsewhere")
    mine = [one for one in made if one.sizes is not None and _is_of(one.sizes, pool)]
    if len(mine) != 1:
        raise CannotWriteError(
            "the call that makes it is not in the files that were seen at work"
            if not mine
            else "several calls make pools of this size"
        )
    (one,) = mine
    changed = one.call
    for name, value in _settings(arm, pool):
        changed = with_value(changed, name, str(value))
    after = cst.ensure_type(one.module.deep_replace(one.call, changed), cst.Module)
    return Edit(one.path, one.text, after.code)


def _settings(arm: Arm, pool: Named) -> Iterator[tuple[str, object]]:
    if pool.has_overflow:
        yield "pool_size", arm.parameters["size"]
        yield "max_overflow", arm.parameters["overflow"]
    else:
        yield "max_size", arm.parameters["size"]


def _is_of(sizes: Mapping[str, int | None], pool: Named) -> bool:
    first, second = sizes.values()
    if not pool.has_overflow and second is None:
        second = first
    return (first, second) == (pool.first, pool.second)


def _made(subject: Subject, pool: Named) -> Iterator[_Made]:
    library = "sqlalchemy" if pool.has_overflow else pool.driver
    if library not in _MAKERS:
        return
    makers, sizes = _MAKERS[library]
    for path in sorted(_paths(subject.finding, subject.traces)):
        text = subject.read(path)
        if text is None or not any(one in text for one in makers):
            continue
        try:
            module = cst.parse_module(text)
        except cst.ParserSyntaxError:
            continue
        calls = _Calls(makers)
        module.visit(calls)
        for call in calls.found:
            if not any(named_argument(call, one) for one in _OTHER_POOL):
                yield _Made(path, text, module, call, _sizes_of(call, sizes))


def _paths(finding: Finding, traces: Sequence[Trace]) -> set[str]:
    """The files of the user's own that were seen at work."""
    places = [finding.place, finding.touched]
    for one in traces:
        places += [one.endpoint, *(hold.place for hold in one.holds)]
        places += [statement.place for statement in one.statements]
        places += [part.place for lane in one.lanes for part in lane.slices]
    return {one.path for one in places if one is not None}


class _Calls(cst.CSTVisitor):
    def __init__(self, makers: frozenset[str]) -> None:
        self._makers = makers
        self.found: list[cst.Call] = []

    def visit_Call(self, node: cst.Call) -> None:  # noqa: N802  # named by LibCST
        function = node.func
        name = function.attr if isinstance(function, cst.Attribute) else function
        if isinstance(name, cst.Name) and name.value in self._makers:
            self.found.append(node)


def _sizes_of(call: cst.Call, settings: _Settings) -> dict[str, int | None] | None:
    found = dict(settings)
    for one in call.args:
        if one.star:
            return None
        name = one.keyword.value if one.keyword else ""
        if name in found:
            value = _number(one.value)
            if value is None:
                return None
            found[name] = value
    return found


def _number(value: cst.BaseExpression) -> int | None:
    if isinstance(value, cst.UnaryOperation) and isinstance(value.operator, cst.Minus):
        number = _number(value.expression)
        return None if number is None else -number
    return value.evaluated_value if isinstance(value, cst.Integer) else None

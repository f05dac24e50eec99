"""The product as one sentence: what was recorded becomes a report."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from heapq import heappop, heappush
from pathlib import Path

from . import __version__
from .model.report import Blocked, Endpoint, Holder, Machine, Report
from .model.trace import Coverage, Process, Trace
from .record.blame import LoopLedger, merged_blocked, merged_holders, pool_holders
from .record.endpoints import Seen, endpoints_of
from .record.receipt import receipt_of
from .store import Recorded, StoreMissingError, reading


def report_of_store(
    folder: Path,
    run: str | None = None,
    *,
    target: str = "",
    on_progress: Callable[[float], None] | None = None,
) -> Report:
    """The report of a run in a store, by the beginning of its name; else of the newest.

    Raises:
        StoreMissingError: there is no store, or no such run in it.
        StoreFormatError: another version of unslow wrote the store.
    """
    with reading(folder) as reader:
        runs = [name for name in reader.runs() if name.startswith(run or "")]
        if not runs:
            raise StoreMissingError(
                f"{folder} holds no run {run or 'at all'}; its runs: "
                f"{', '.join(reader.runs()) or 'none'}. "
                "Record one first, for example with: unslow run MODULE:APP"
            )
        recorded = reader.run(runs[-1])
    return report_of(recorded, target=target, on_progress=on_progress)


def report_of(
    recorded: Sequence[Recorded],
    *,
    target: str = "",
    on_progress: Callable[[float], None] | None = None,
) -> Report:
    """The report of what one or more processes recorded."""
    seen: list[Seen] = []
    blocked: list[Blocked] = []
    holders: list[Holder] = []
    all_count = sum(len(one.traces) for one in recorded)
    for one in recorded:
        traces = one.traces
        cost = one.process.slice_cost_ns
        receipts = []
        for trace in traces:
            receipts.append(receipt_of(trace, cost))
            if on_progress is not None:
                on_progress((len(seen) + len(receipts)) / all_count)
        ledger = LoopLedger(traces, one.stalls)
        waits = [ledger.waited(index) for index in range(len(traces))]
        rows = zip(traces, receipts, waits, _alone(traces), _open_counts(traces), strict=True)
        seen.extend(Seen(*row, slice_cost_ns=cost) for row in rows)
        blocked.extend(ledger.blocked(waits))
        holders.extend(pool_holders(traces, receipts))
    processes = [one.process for one in recorded]
    dropped = sum(process.dropped_traces_count for process in processes)
    endpoints = endpoints_of(seen)
    return Report(
        target=target,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        unslow=__version__,
        machine=_machine(processes),
        endpoints=endpoints,
        coverage=_coverage(recorded),
        blocked=merged_blocked(blocked),
        holders=merged_holders(holders),
        processes_count=len(recorded),
        traces_count=len(seen),
        dropped_traces_count=dropped,
        notes=_notes(endpoints, dropped),
    )


def _alone(traces: Sequence[Trace]) -> list[bool]:
    """For each trace, whether no other of its process was open meanwhile."""
    order = sorted(range(len(traces)), key=lambda index: traces[index].start_ns)
    alone = [True] * len(traces)
    latest_end = latest = -1
    for index in order:
        trace = traces[index]
        if trace.start_ns < latest_end:
            alone[index] = alone[latest] = False
        if trace.end_ns > latest_end:
            latest_end, latest = trace.end_ns, index
    return alone


def _open_counts(traces: Sequence[Trace]) -> list[int]:
    """For each trace, how many were open when it began, itself included."""
    counts = [1] * len(traces)
    ends: list[int] = []
    for index in sorted(range(len(traces)), key=lambda index: traces[index].start_ns):
        while ends and ends[0] <= traces[index].start_ns:
            heappop(ends)
        heappush(ends, traces[index].end_ns)
        counts[index] = len(ends)
    return counts


def _coverage(recorded: Sequence[Recorded]) -> tuple[Coverage, ...]:
    """What was seen in any process; a part that is off in one of them is shown as off."""
    found: dict[str, Coverage] = {}
    for one in recorded:
        for part in one.process.coverage:
            if part.what not in found or part.state != "on":
                found[part.what] = part
    return tuple(sorted(found.values(), key=lambda part: (part.state, part.what)))


def _machine(processes: Sequence[Process]) -> Machine:
    libraries = {name: version for one in processes for name, version in one.libraries}
    return Machine(
        system=platform.system(),
        python=processes[0].python if processes else platform.python_version(),
        cores_count=len(os.sched_getaffinity(0))
        if sys.platform == "linux"
        else os.cpu_count() or 1,
        load_1min=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        libraries=libraries,
    )


def _notes(endpoints: Sequence[Endpoint], dropped_traces: int) -> tuple[str, ...]:
    notes = []
    if dropped_traces:
        notes.append(f"{dropped_traces} requests were not kept: the writer did not keep up.")
    slices = sum(endpoint.dropped_slices_count for endpoint in endpoints)
    if slices:
        notes.append(
            f"{slices} slices were not kept: a trace reached its bound (setting slices_per_trace)."
        )
    return tuple(notes)

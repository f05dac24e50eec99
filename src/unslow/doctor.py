"""The product as one sentence: what was recorded becomes a report."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from heapq import heappop, heappush
from math import inf
from pathlib import Path
from typing import Final, NamedTuple

from . import __version__
from .diagnose.run import LEAST_ROUND_TRIP_MS, Diagnosis, calm_ones, diagnose, round_trips_ms
from .diagnose.sources import Sources
from .diagnose.views import Run, counts
from .fixes.patches.files import text_of
from .fixes.patches.patch import Subject
from .model.checked import Checked, checked_of
from .model.compared import Compared
from .model.finding import Finding
from .model.proof import FASTER, Trial
from .model.proof_codec import Tried, tried_of
from .model.receipt import Seen
from .model.report import Blocked, Endpoint, Holder, Machine, Report
from .model.trace import Coverage, Process, Trace
from .prove.named_checks import NamedCheck, two_checks
from .prove.two_checks import RunMeasured, compared, measured
from .record.blame import LoopLedger, merged_blocked, merged_holders, pool_holders
from .record.endpoints import endpoints_of, kept_of
from .record.receipt import receipt_of
from .report.ranking import causes
from .store import Recorded, StoreMissingError, StoreReader, reading

_RUNS_TOLD: Final = 5
_CLEARED_WITHIN_NS: Final = 10_000_000
_AT_ONCE_S: Final = 60.0
"""A run that ended longer ago was on a machine whose load is no longer known."""


def report_of_store(
    folder: Path,
    run: str | None = None,
    *,
    target: str = "",
    newest_count: int | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Report:
    """The report of a run in a store, by the beginning of its name; else of the newest.

    Args:
        folder: The folder of the store.
        run: The beginning of a run's name.
        target: What was run, for the head of the report.
        newest_count: About how many requests are looked at, the newest ones; None for all.
        on_progress: Is told the share that is done, 0.0 to 1.0.

    Raises:
        StoreMissingError: there is no store, or no such run in it.
        StoreFormatError: another version of unslow wrote the store, or another program.
        StoreDamagedError: the store cannot be read.
    """
    with reading(folder) as reader:
        runs = reader.runs()
        found = [name for name in runs if name.startswith(run or "")]
        if not found:
            raise StoreMissingError(_no_such_run(folder, run, runs))
        text = reader.check(found[-1])
        checked = None if text is None else checked_of(text)
        since, tried = _tried(reader, found[-1])
        # All of a check belongs together, and it is bounded.
        recorded = reader.run(found[-1], newest_count if checked is None else None)
    name = target or ("" if checked is None else checked.target)
    recorded = _before(recorded, since)
    report = report_of(recorded, target=name, checked=checked, on_progress=on_progress)
    if tried is None:
        return report
    return replace(report, trials=tried.trials, proven_total=tried.total, trials_left=tried.left)


def _tried(reader: StoreReader, run: str) -> tuple[float, Tried | None]:
    """Since when trials went on in a run, and what they brought."""
    found = reader.tried(run)
    return (inf, None) if found is None else (found[0], tried_of(found[1]))


def _before(recorded: Sequence[Recorded], moment: float) -> tuple[Recorded, ...]:
    """What was recorded before a moment, in seconds since 1970."""
    return tuple(
        one._replace(traces=tuple(each for each in one.traces if each.started_at < moment))
        for one in recorded
    )


def _no_such_run(folder: Path, run: str | None, runs: Sequence[str]) -> str:
    if not runs:
        return (
            f"{folder} holds no run yet. Record one, for example with: unslow run MODULE:APP, and"
            " send it some requests."
        )
    told = ", ".join(repr(name) for name in runs[: -_RUNS_TOLD - 1 : -1])
    older = f" and {len(runs) - _RUNS_TOLD} older ones" if len(runs) > _RUNS_TOLD else ""
    return (
        f"{folder} holds no run whose name begins with {run!r}; the newest are {told}{older}."
        " Name one by its beginning, or leave --run out for the newest."
    )


def report_of(
    recorded: Sequence[Recorded],
    *,
    target: str = "",
    checked: Checked | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Report:
    """The report of what one or more processes recorded."""
    return _judged(recorded, target, checked, on_progress)[0]


def subjects_of(folder: Path, run: str, checked: Checked | None) -> tuple[Subject, ...]:
    """The findings of a run that is still going on, with what their fixes have to know.

    Of findings with one cause the worst comes first, and of causes the one with most at stake; the
    others of each cause follow.

    Raises:
        StoreMissingError, StoreFormatError, StoreDamagedError: as `report_of_store` does.
    """
    with reading(folder) as reader:
        since, _ = _tried(reader, run)
        recorded = _before(reader.run(run), since)
    report, looked = _judged(recorded, "", checked, None)
    traces: dict[str, list[Trace]] = defaultdict(list)
    for one in looked.seen:
        if counts(one.trace, looked.run.also_counted):
            traces[f"{one.trace.method} {one.trace.route or '(no route)'}"].append(one.trace)
    found = causes(report, report.findings)
    ordered = [
        *(cause.worst for cause in found),
        *(one for cause in found for one in cause.findings[1:]),
    ]
    texts = _Texts(looked.run.sources)
    # As they are now: a patch of another finding may be written before they are asked for.
    for place in [place for each in ordered for place in (each.place, each.touched) if place]:
        texts.read(place.path)
    return tuple(Subject(one, tuple(traces[one.route]), texts.read) for one in ordered)


class _Texts:
    """Texts of files that are what the run ran, each read once."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._texts: dict[str, str | None] = {}

    def read(self, path: str) -> str | None:
        """The text of a file, with its line ends; None where it is another one by now."""
        if path not in self._texts:
            is_old = self._sources.file(path) is not None
            self._texts[path] = text_of(path) if is_old else None
        return self._texts[path]


class Proven(NamedTuple):
    """A fix that a check has proven, with what it takes to write it."""

    subject: Subject
    trial: Trial


def proven_fixes(folder: Path, run: str | None = None) -> tuple[Checked | None, tuple[Proven, ...]]:
    """What a check has sent, and the fixes that it has proven; of the newest run with trials.

    Raises:
        StoreMissingError: there is no store, or no run in it that has tried anything.
        StoreFormatError, StoreDamagedError: as `report_of_store` does.
    """
    with reading(folder) as reader:
        names = [one for one in reader.runs() if one.startswith(run or "")]
        found = next((one for one in reversed(names) if reader.tried(one)), None)
        if found is None:
            raise StoreMissingError(
                f"{folder} holds no run in which fixes were tried. Check your app first: unslow"
                " check MODULE:APP"
            )
        text = reader.check(found)
        _, tried = _tried(reader, found)
    checked = None if text is None else checked_of(text)
    subjects = {one.finding.id: one for one in subjects_of(folder, found, checked)}
    proven = () if tried is None else (one for one in tried.trials if one.verdict == FASTER)
    known = (Proven(subjects[one.finding], one) for one in proven if one.finding in subjects)
    return checked, tuple(known)


def compared_runs(
    folder: Path, a: str | None = None, b: str | None = None, *, accepted: Collection[str] = ()
) -> Compared:
    """What differs between two checks; `a` and `b` name them as `two_checks` says.

    Args:
        folder: The folder of the store.
        a: The check before; None for the newest two of one target.
        b: The check after; None for the newest of the same target.
        accepted: The ids of findings that are accepted.

    Raises:
        TwoChecksError: they are not there, or it is not clear which ones are meant.
        StoreMissingError, StoreFormatError, StoreDamagedError: as `report_of_store` does.
    """
    before, after = two_checks(folder, a, b)
    # One after the other: the requests of both need not be in memory at once.
    return compared(_run_measured(before, accepted), _run_measured(after, accepted))


def _run_measured(named: NamedCheck, accepted: Collection[str]) -> RunMeasured:
    with reading(named.folder) as reader:
        since, tried = _tried(reader, named.run)
        recorded = _before(reader.run(named.run), since)
    report, looked = _judged(recorded, "", named.checked, None)
    return measured(
        named,
        replace(report, trials=None if tried is None else tried.trials),
        looked.seen,
        (one.process for one in recorded),
        accepted=accepted,
        first_at=min((one.started_at for each in recorded for one in each.traces), default=inf),
    )


def _judged(
    recorded: Sequence[Recorded],
    target: str,
    checked: Checked | None,
    on_progress: Callable[[float], None] | None,
) -> tuple[Report, LookedAt]:
    if checked is not None:
        recorded = _measured(recorded, checked)
    tell = _Progress(sum(len(one.traces) for one in recorded), on_progress)
    looked = looked_at(recorded, checked, tell.one)
    seen, run = looked.seen, looked.run
    diagnosis = diagnose(seen, run)
    timed = _timed(seen)
    endpoints = _with_findings(endpoints_of(timed), timed, run, diagnosis)
    tell.end()
    now = time.time()
    processes = [one.process for one in recorded]
    report = Report(
        target=target,
        created=_moment(now),
        recorded=_moment(looked.recorded_at),
        unslow=__version__,
        machine=_machine(processes, at_once=now - looked.recorded_at < _AT_ONCE_S),
        endpoints=endpoints,
        coverage=run.coverage,
        blocked=run.blocked,
        holders=run.holders,
        processes_count=len(recorded),
        traces_count=len(seen),
        dropped_traces_count=sum(process.dropped_traces_count for process in processes),
        notes=_notes(endpoints, recorded, checked),
        outcomes=diagnosis.outcomes,
        checked=checked,
        round_trip_ms=run.round_trip_ms,
    )
    return report, looked


class LookedAt(NamedTuple):
    """What was worked out of a run, ready to be judged."""

    seen: tuple[Seen, ...]
    run: Run
    recorded_at: float
    """When the last request began, in seconds since 1970."""


def looked_at(
    recorded: Sequence[Recorded],
    checked: Checked | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> LookedAt:
    """Works out the receipts of all requests, and who waited for whom.

    Args:
        recorded: What the processes of a run recorded.
        checked: What a check has sent, where the run is one.
        on_step: Called twice for each request.
    """
    seen: list[Seen] = []
    blocked: list[Blocked] = []
    holders: list[Holder] = []
    for one in recorded:
        traces = one.traces
        cost = one.process.slice_cost_ns
        receipts = []
        for trace in traces:
            receipts.append(kept_of(receipt_of(trace, cost)))
            on_step()
        ledger = LoopLedger(traces, one.stalls)
        waits = []
        for index in range(len(traces)):
            waits.append(ledger.waited(index))
            on_step()
        rows = zip(traces, receipts, waits, _alone(traces), _open_counts(traces), strict=True)
        seen.extend(Seen(*row, slice_cost_ns=cost) for row in rows)
        blocked.extend(ledger.blocked(waits))
        holders.extend(pool_holders(traces, receipts))
    last = max((one.trace.started_at for one in seen), default=time.time())
    trips_ms = round_trips_ms(calm_ones(seen))
    run = Run(
        round_trip_ms=min(trips_ms.values(), default=LEAST_ROUND_TRIP_MS),
        round_trips_ms=trips_ms,
        coverage=_coverage(recorded),
        blocked=merged_blocked(blocked),
        holders=merged_holders(holders),
        sources=Sources(last),
        also_counted=frozenset() if checked is None else checked.also_counted,
    )
    return LookedAt(tuple(seen), run, last)


def _timed(seen: Sequence[Seen]) -> Sequence[Seen]:
    """Without the requests that were watched, of each route that was asked without it too."""
    routes = {(one.trace.method, one.trace.route) for one in seen if one.trace.usages is None}
    return [
        one
        for one in seen
        if one.trace.usages is None or (one.trace.method, one.trace.route) not in routes
    ]


def _measured(recorded: Sequence[Recorded], checked: Checked) -> tuple[Recorded, ...]:
    """Without the requests that warmed up, of each route that was asked again later."""
    since = checked.measured_since
    routes = {
        (one.method, one.route)
        for each in recorded
        for one in each.traces
        if one.started_at >= since
    }
    return tuple(
        each._replace(
            traces=tuple(
                one
                for one in each.traces
                if (one.started_at >= since or (one.method, one.route) not in routes)
                and f"{one.method} {one.route}" not in checked.own_routes
            )
        )
        for each in recorded
    )


def _with_findings(
    endpoints: Sequence[Endpoint], seen: Sequence[Seen], run: Run, diagnosis: Diagnosis
) -> tuple[Endpoint, ...]:
    findings: dict[str, list[Finding]] = defaultdict(list)
    for finding in diagnosis.findings:
        findings[finding.route].append(finding)
    counted = Counter(
        (one.trace.method, one.trace.route) for one in seen if counts(one.trace, run.also_counted)
    )
    return tuple(
        replace(
            one,
            findings=tuple(findings[f"{one.method} {one.route or '(no route)'}"]),
            requests_counted=counted[one.method, one.route],
        )
        for one in endpoints
    )


class _Progress:
    """Tells the share of the work that is done; each trace is gone through twice."""

    def __init__(self, traces_count: int, on_progress: Callable[[float], None] | None) -> None:
        self._whole = 2 * traces_count
        self._done = 0
        self._tell = on_progress

    def one(self) -> None:
        """One trace more was gone through."""
        self._done += 1
        if self._tell is not None and self._done < self._whole:
            self._tell(self._done / self._whole)

    def end(self) -> None:
        """All is done."""
        if self._tell is not None:
            self._tell(1.0)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _alone(traces: Sequence[Trace]) -> list[bool]:
    """For each trace, whether no other of its process was open meanwhile.

    What an app clears away right behind a response does not count: a client that asks one thing
    after the other meets it each time.
    """
    order = sorted(range(len(traces)), key=lambda index: traces[index].start_ns)
    alone = [True] * len(traces)
    latest_end = latest = -1
    for index in order:
        trace = traces[index]
        if trace.start_ns < latest_end:
            alone[index] = alone[latest] = False
        is_soon_over = trace.end_ns - trace.response_end_ns < _CLEARED_WITHIN_NS
        end = trace.response_end_ns if is_soon_over else trace.end_ns
        if end > latest_end:
            latest_end, latest = end, index
    return alone


def _open_counts(traces: Sequence[Trace]) -> list[int]:
    """For each trace, how many waited for their response when it began, itself included."""
    counts = [1] * len(traces)
    ends: list[int] = []
    for index in sorted(range(len(traces)), key=lambda index: traces[index].start_ns):
        while ends and ends[0] <= traces[index].start_ns:
            heappop(ends)
        heappush(ends, traces[index].response_end_ns)
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


def _machine(processes: Sequence[Process], *, at_once: bool) -> Machine:
    """What the run was on; the load is that of now, which says nothing about a run long ago."""
    libraries = {name: version for one in processes for name, version in one.libraries}
    return Machine(
        system=platform.system(),
        python=processes[0].python if processes else platform.python_version(),
        cores_count=len(os.sched_getaffinity(0))
        if sys.platform == "linux"
        else os.cpu_count() or 1,
        load_1min=os.getloadavg()[0] if at_once and hasattr(os, "getloadavg") else None,
        libraries=libraries,
    )


def _notes(
    endpoints: Sequence[Endpoint], recorded: Sequence[Recorded], checked: Checked | None
) -> tuple[str, ...]:
    notes = []
    if checked is not None and checked.stopped_by:
        notes.append(f"The check did not come to its end: {checked.stopped_by}.")
    older = sum(one.older_count for one in recorded)
    if older:
        newest = sum(len(one.traces) for one in recorded)
        notes.append(
            f"Only the newest {newest:,} of {newest + older:,} requests were looked at; for all of"
            f" them: unslow report --newest {newest + older}."
        )
    damaged = sum(one.damaged_count for one in recorded)
    if damaged:
        notes.append(
            f"The store is damaged: {damaged} of its parts cannot be read, and the"
            " requests in them are missing here."
        )
    dropped = sum(one.process.dropped_traces_count for one in recorded)
    if dropped:
        notes.append(f"{dropped} requests were not kept: the writer did not keep up.")
    slices = sum(endpoint.dropped_slices_count for endpoint in endpoints)
    if slices:
        notes.append(
            f"{slices} slices were not kept: a trace reached its bound (setting slices_per_trace)."
        )
    return tuple(notes)

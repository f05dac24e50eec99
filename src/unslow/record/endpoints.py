"""What the requests of one route say together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from ..model.receipt import BLOCKS_LOOP, Piece, Receipt, Seen
from ..model.report import Detail, Endpoint, Spread, StatementShape
from ..model.trace import (
    BLOCKING,
    CACHE,
    CONNECT,
    LOOP_BUSY,
    OWN_CODE,
    POOL_WAIT,
    REMOTE,
    ROWS,
    SEGMENTS,
    SQL,
    UNEXPLAINED,
    Place,
    Slice,
)
from .receipt import after_response

_DETAILED: Final = (OWN_CODE, REMOTE, CACHE, BLOCKING, POOL_WAIT, CONNECT, UNEXPLAINED)
_USED: Final = frozenset((*_DETAILED, SQL, ROWS))
"""The segments whose pieces are looked at again; the others are in the receipt's sums."""
_SHORTEST_AFTER_MS: Final = 0.05
_FEWEST_ALONE: Final = 3
_FEWEST_CROWDED: Final = 5


def kept_of(receipt: Receipt) -> Receipt:
    """The receipt with the pieces that are looked at again: without them many requests fit."""
    pieces = tuple(piece for piece in receipt.pieces if piece.segment in _USED)
    return replace(receipt, pieces=pieces)


def endpoints_of(seen: Iterable[Seen]) -> tuple[Endpoint, ...]:
    """One endpoint for each method and route, most total time first."""
    groups: dict[tuple[str, str], list[Seen]] = defaultdict(list)
    for one in seen:
        groups[one.trace.method, one.trace.route].append(one)
    endpoints = [_endpoint_with_alone(group) for group in groups.values()]
    endpoints.sort(key=lambda one: -one.wall_ms.mean * one.requests_count)
    return tuple(endpoints)


def _endpoint_with_alone(group: list[Seen]) -> Endpoint:
    endpoint = _endpoint(group)
    alone = [one for one in group if one.alone]
    if len(alone) < _FEWEST_ALONE or len(group) - len(alone) < _FEWEST_CROWDED:
        return endpoint
    return replace(endpoint, alone=_endpoint(alone))


def _endpoint(group: list[Seen]) -> Endpoint:
    first = group[0].trace
    count = len(group)
    by_wall = sorted(group, key=lambda one: one.receipt.wall_ns)
    walls = [one.receipt.wall_ns / 1e6 for one in by_wall]
    statements = sorted(len(one.trace.statements) for one in group)
    sizes = sorted(one.trace.response_bytes for one in group)
    off_cpu = [one.receipt.off_cpu_ns for one in group if one.receipt.off_cpu_ns is not None]
    uncertain = sum(one.waited.most_ns - one.waited.certain_ns for one in group) / count / 1e6
    receipt = _mean_receipt(group)
    return Endpoint(
        method=first.method,
        route=first.route,
        requests_count=count,
        errors_count=sum(one.trace.status >= 500 or one.trace.status == 0 for one in group),
        wall_ms=Spread(sum(walls) / count, *(percentile(walls, p) for p in (50, 95, 99))),
        receipts_ms={
            "mean": receipt,
            "p50": _mean_receipt(_between(by_wall, 49, 51)),
            "p95": _mean_receipt(_between(by_wall, 94, 96)),
        },
        requests_per_s=_rate(group),
        concurrency_max=max(one.open_count for one in group),
        statements_p50=int(percentile(statements, 50)),
        statements_max=statements[-1],
        response_bytes_p50=int(percentile(sizes, 50)),
        response_bytes_max=sizes[-1],
        blocked_loop_ms=sum(_blocked_loop_ns(one.receipt) for one in group) / count / 1e6,
        off_cpu_ms=sum(off_cpu) / count / 1e6 if off_cpu else None,
        overlap_ms=sum(one.receipt.overlap_ns for one in group) / count / 1e6,
        dropped_slices_count=sum(one.trace.dropped_count for one in group),
        loop_busy_most_ms=receipt[SEGMENTS[LOOP_BUSY]] + uncertain,
        details=_details(group),
        statements=_statements(group),
        after_response_ms=_after_response(group),
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value below which `percent` of the ordered values lie, by nearest rank."""
    index = max(0, min(len(ordered) - 1, -(-len(ordered) * percent // 100) - 1))
    return ordered[int(index)]


def _between(by_wall: list[Seen], low: float, high: float) -> list[Seen]:
    """The requests between two percentiles of the wall time; at least the nearest one."""
    first = int(len(by_wall) * low / 100)
    last = int(-(-len(by_wall) * high // 100))
    return by_wall[first : max(last, first + 1)] or by_wall[-1:]


def _mean_receipt(group: Sequence[Seen]) -> dict[str, float]:
    totals = [0] * len(SEGMENTS)
    for one in group:
        for index, ns in enumerate(one.receipt.segments_ns):
            totals[index] += ns
    return {name: totals[index] / len(group) / 1e6 for index, name in enumerate(SEGMENTS)}


def _rate(group: Sequence[Seen]) -> float:
    begin = min(one.trace.started_at for one in group)
    end = max(one.trace.started_at + one.receipt.wall_ns / 1e9 for one in group)
    return len(group) / (end - begin) if end > begin else 0.0


def _blocked_loop_ns(receipt: Receipt) -> int:
    return sum(
        piece.end_ns - piece.start_ns
        for piece in receipt.pieces
        if piece.on_loop and piece.segment in BLOCKS_LOOP
    )


def _details(group: Sequence[Seen]) -> dict[str, tuple[Detail, ...]]:
    totals: dict[int, dict[tuple[str, Place | None, str], float]] = defaultdict(
        lambda: defaultdict(float)
    )
    counts: dict[int, dict[tuple[str, Place | None, str], int]] = defaultdict(
        lambda: defaultdict(int)
    )
    most: dict[tuple[str, Place | None, str], float] = defaultdict(float)
    for one in group:
        for piece in one.receipt.pieces:
            if piece.segment in _DETAILED and piece.segment != OWN_CODE:
                key = (_what(piece), piece.place, "")
                totals[piece.segment][key] += piece.end_ns - piece.start_ns
        for lane in one.trace.lanes:
            for part in lane.slices:
                if part.segment in _DETAILED:
                    counts[part.segment][_what(part), part.place, ""] += 1
        for place, ns in _own_places(one).items():
            totals[OWN_CODE]["", place, ""] += ns
        for who, (least_ns, most_ns) in one.waited.by_culprit.items():
            culprit = (who.what, who.place, who.route)
            totals[LOOP_BUSY][culprit] += least_ns
            most[culprit] += most_ns
    return {
        SEGMENTS[segment]: tuple(
            Detail(
                ms=ns / len(group) / 1e6,
                place=place,
                what=what,
                route=route,
                count=counts[segment][what, place, route] / len(group) or None,
                most_ms=_upper_bound(segment, ns, most[what, place, route], len(group)),
            )
            for (what, place, route), ns in sorted(
                found.items(), key=lambda item: -max(item[1], most[item[0]])
            )
        )
        for segment, found in sorted(totals.items())
    }


def _upper_bound(segment: int, least_ns: float, most_ns: float, count: int) -> float | None:
    if segment != LOOP_BUSY or most_ns <= least_ns:
        return None
    return most_ns / count / 1e6


def _what(piece: Piece | Slice) -> str:
    what = piece.what
    if isinstance(what, tuple):
        return str(what[0])
    return what if isinstance(what, str) else ""


def _own_places(one: Seen) -> dict[Place | None, float]:
    """Own code by line: its time, split by the weights of the samples that fell into it."""
    places: dict[Place | None, float] = defaultdict(float)
    samples = [lane.samples for lane in one.trace.lanes]
    for piece in one.receipt.pieces:
        if piece.segment != OWN_CODE:
            continue
        inside = [
            sample
            for sample in samples[piece.lane]
            if sample.place is not None and piece.start_ns < sample.at_ns <= piece.end_ns
        ]
        weight = sum(sample.weight_ns for sample in inside)
        length = piece.end_ns - piece.start_ns
        if not weight:
            places[piece.place] += length
        for sample in inside:
            places[sample.place] += length * sample.weight_ns / weight
    return places


def _statements(group: Sequence[Seen]) -> tuple[StatementShape, ...]:
    calls: dict[tuple[str, Place | None, str], list[float]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for one in group:
        spent: dict[int, int] = defaultdict(int)
        for piece in one.receipt.pieces:
            if piece.segment in (SQL, ROWS) and isinstance(piece.what, int):
                spent[piece.what] += piece.end_ns - piece.start_ns
        for index, statement in enumerate(one.trace.statements):
            row = calls[statement.shape, statement.place, statement.relationship]
            row[0] += 1
            row[1] += spent[index]
            row[2] = max(row[2], spent[index])
            if statement.rows_count is not None:
                row[3] += statement.rows_count
                row[4] += 1
    found = [
        StatementShape(
            shape=shape,
            place=place,
            relationship=relationship,
            calls_per_request=times / len(group),
            ms_per_request=ns / len(group) / 1e6,
            slowest_ms=slowest / 1e6,
            rows_per_request=rows / len(group) if counted else None,
        )
        for (shape, place, relationship), (times, ns, slowest, rows, counted) in calls.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.ms_per_request))


def _after_response(group: Sequence[Seen]) -> dict[str, float]:
    totals = [0] * len(SEGMENTS)
    for one in group:
        if one.trace.end_ns > one.trace.response_end_ns:
            receipt = after_response(one.trace, one.slice_cost_ns)
            for index, ns in enumerate(receipt.segments_ns):
                totals[index] += ns
    if sum(totals) / len(group) / 1e6 < _SHORTEST_AFTER_MS:
        return {}
    return {
        name: totals[index] / len(group) / 1e6
        for index, name in enumerate(SEGMENTS)
        if totals[index]
    }

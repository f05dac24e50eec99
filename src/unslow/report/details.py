"""What stands below an endpoint's bar: where in the code its time went, and who took it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.text import Text

from ..model.report import Detail, Endpoint, Holder, StatementShape
from ..model.trace import (
    BLOCKING,
    CACHE,
    LOOP_BUSY,
    POOL_WAIT,
    REMOTE,
    RUNS,
    SEGMENTS,
    SQL,
)
from ..numbers import (
    average,
    bare_milliseconds,
    counted,
    interval,
    milliseconds,
    percent,
)
from .lines import Item, flow, sentence, shorten_shape
from .page import MARGIN, Page
from .ranking import name_of

_LABEL_WIDTH: Final = 14
_AMOUNT_WIDTH: Final = 13
_TEXT_AT: Final = MARGIN + _LABEL_WIDTH + _AMOUNT_WIDTH + 2
_PARTS_COUNT: Final = 3
_TOLD_COUNT: Final = 2
"""Of each kind, where not everything is told."""
_LINES_COUNT: Final = 8
"""Below one bar, where not everything is told."""
_SMALLEST_MS: Final = 0.05
_SMALLEST_SHARE: Final = 0.05
_SMALLEST_REMARK_SHARE: Final = 0.1
_DUST_SHARE: Final = 0.005
"""Below it a row is left out even where everything is told: there are hundreds of them."""
_MANY_CALLS: Final = 10
_QUICK_MS: Final = 5.0
_GROWN: Final = 1.2
_WAITS: Final = frozenset(SEGMENTS) - {SEGMENTS[index] for index in RUNS}

Row = list[Text]


def details(endpoint: Endpoint, holders: Sequence[Holder], page: Page) -> Iterator[Text]:
    """The lines below an endpoint's bar; a quick one with nothing long in it has none.

    What says most stands first, and what does not fit in some lines is left out.
    """
    if endpoint.dropped_slices_count:
        yield from _dropped(endpoint, page)
    if is_quick(endpoint) and not page.everything:
        return
    left_count = _LINES_COUNT
    for row in _rows_of(endpoint, holders, page):
        left_count -= len(row)
        if left_count < 0 and not page.everything:
            return
        yield from row


def _rows_of(endpoint: Endpoint, holders: Sequence[Holder], page: Page) -> Iterator[Row]:
    yield from _crowd(endpoint, page)
    yield from _tail(endpoint, page)
    yield from _blocked_loop(endpoint, page)
    for segment in _segments(endpoint):
        found = endpoint.details.get(segment, ())
        if segment == SEGMENTS[SQL]:
            yield from _statements(endpoint, page)
        yield from _rows(segment, found, endpoint, page)
        if segment == SEGMENTS[POOL_WAIT] and _told(found, endpoint, page):
            yield from _held_by(found, endpoint, holders, page)
    yield from _remarks(endpoint, page)


def is_quick(endpoint: Endpoint) -> bool:
    """Whether it is fast on average, without a wait that is most of its time."""
    mean_ms = endpoint.wall_ms.mean
    receipt = endpoint.receipts_ms.get("mean", {})
    longest_wait_ms = max((ms for name, ms in receipt.items() if name in _WAITS), default=0.0)
    return mean_ms < _QUICK_MS and longest_wait_ms <= mean_ms / 2


def _segments(endpoint: Endpoint) -> list[str]:
    """The segments with details, longest first."""
    longest = dict(endpoint.receipts_ms.get("mean", {}))
    longest[SEGMENTS[LOOP_BUSY]] = endpoint.loop_busy_most_ms
    names = {*endpoint.details, *([SEGMENTS[SQL]] if endpoint.statements else [])}
    return sorted(names, key=lambda name: (-longest.get(name, 0.0), name))


def _row(label: str, amount: str, items: Sequence[Item], page: Page) -> Row:
    return flow(items, page.width, first=_begin(label, amount), indent=_TEXT_AT)


def _remark(label: str, amount: str, text: str, page: Page) -> Row:
    return sentence(text, page.width, first=_begin(label, amount), indent=_TEXT_AT)


def _begin(label: str, amount: str) -> str:
    return f"{'':{MARGIN}}{label:<{_LABEL_WIDTH}}{amount:>{_AMOUNT_WIDTH}}  "


def _matters(ms: float, endpoint: Endpoint, page: Page, share: float = _SMALLEST_SHARE) -> bool:
    share = _DUST_SHARE if page.everything else share
    return ms >= max(_SMALLEST_MS, share * endpoint.wall_ms.mean)


def _told(found: Sequence[Detail], endpoint: Endpoint, page: Page) -> Sequence[Detail]:
    return page.first([d for d in found if _matters(_most(d), endpoint, page)], _TOLD_COUNT)


def _rows(segment: str, found: Sequence[Detail], endpoint: Endpoint, page: Page) -> Iterator[Row]:
    told = _told(found, endpoint, page)
    label = "" if segment == SEGMENTS[SQL] and endpoint.statements else segment
    for detail in told:
        items = page.items(
            detail.route,
            detail.what,
            _times(segment, detail),
            place=detail.place,
            brief=segment == SEGMENTS[LOOP_BUSY],
        )
        if not items:
            items = ["no line is known"]
        yield _row(label, interval(detail.ms, _most(detail)), items, page)
        label = ""
    left = found[len(told) :]
    left_ms = sum(map(_most, left))
    if told and left and _matters(left_ms, endpoint, page):
        yield _row(label, milliseconds(left_ms), [f"in {len(left)} more"], page)


def _most(detail: Detail) -> float:
    return detail.ms if detail.most_ms is None else detail.most_ms


def _times(segment: str, detail: Detail) -> str:
    """How often a request did this, where it is a call that can be counted."""
    if segment not in {SEGMENTS[REMOTE], SEGMENTS[CACHE], SEGMENTS[BLOCKING]}:
        return ""
    if detail.count is None or round(detail.count, 1) == 1:
        return ""
    return f"{average(detail.count)} times a request"


def _statements(endpoint: Endpoint, page: Page) -> Iterator[Row]:
    shapes = sorted(endpoint.statements, key=lambda one: -one.ms_per_request)
    told = shapes if page.everything else [s for s in shapes if _counts(s, endpoint, page)]
    told = list(page.first(told, _TOLD_COUNT))
    calls_width = max((len(average(one.calls_per_request)) for one in told), default=0)
    label = SEGMENTS[SQL]
    for one in told:
        calls = f"{average(one.calls_per_request):>{calls_width}} x  "
        shape = shorten_shape(one.shape, page.width - _TEXT_AT - len(calls))
        row = _row(label, milliseconds(one.ms_per_request), [calls + shape], page)
        items = _about(one, page)
        about = flow(items, page.width, first=" " * _TEXT_AT, indent=_TEXT_AT) if items else []
        for line in about:
            line.stylize("dim")
        yield [*row, *about]
        label = ""
    left = [one for one in shapes if one not in told]
    left_ms = sum(one.ms_per_request for one in left)
    if left and told and _matters(left_ms, endpoint, page):
        shapes_left = counted(len(left), "more shape")
        yield _row(label, milliseconds(left_ms), [f"in {shapes_left}"], page)


def _counts(one: StatementShape, endpoint: Endpoint, page: Page) -> bool:
    return one.calls_per_request >= _MANY_CALLS or _matters(one.ms_per_request, endpoint, page)


def _about(one: StatementShape, page: Page) -> list[Item]:
    items = page.items(one.relationship)
    if one.rows_per_request is not None:
        rows = average(one.rows_per_request)
        items.append(f"{rows} {'row' if rows == '1' else 'rows'}")
    if page.everything:
        items.append(f"slowest {milliseconds(one.slowest_ms)}")
    return [*items, *page.items(place=one.place)]


def _held_by(
    found: Sequence[Detail], endpoint: Endpoint, holders: Sequence[Holder], page: Page
) -> Iterator[Row]:
    """Who held the connections of the pools that this endpoint waited for, as shares."""
    pools = {detail.what for detail in found}
    name = name_of(endpoint)
    held = [one for one in holders if one.pool in pools and name in one.waits_ms]
    held.sort(key=lambda one: -one.waits_ms[name])
    whole_ms = sum(one.waits_ms[name] for one in held)
    for holder in page.first(held, _TOLD_COUNT):
        share = f"{percent(holder.waits_ms[name], whole_ms)} held by"
        items = page.items(holder.route, place=holder.place, brief=True)
        yield _row("", share, items or ["no line is known"], page)


def _crowd(endpoint: Endpoint, page: Page) -> Iterator[Row]:
    """What the endpoint takes alone and with others, and which segments make the difference."""
    alone = endpoint.alone
    others_count = endpoint.requests_count - alone.requests_count if alone is not None else 0
    if alone is None or others_count <= 0:
        return
    crowd_ms = _without(
        endpoint.wall_ms.mean, endpoint.requests_count, alone.wall_ms.mean, alone.requests_count
    )
    alone_receipt = alone.receipts_ms.get("mean", {})
    crowd_receipt = {
        name: _without(
            ms, endpoint.requests_count, alone_receipt.get(name, 0.0), alone.requests_count
        )
        for name, ms in endpoint.receipts_ms.get("mean", {}).items()
    }
    most = endpoint.concurrency_max
    around = f"up to {most} at once" if most > 1 else "others"
    items = [
        f"with {around} mean {milliseconds(crowd_ms)}",
        *_growth(alone_receipt, crowd_receipt),
    ]
    yield _row("alone", milliseconds(alone.wall_ms.mean), items, page)


def _without(mean: float, count: int, part_mean: float, part_count: int) -> float:
    """The mean of the others, from the mean of all and that of a part."""
    return max(0.0, (mean * count - part_mean * part_count) / (count - part_count))


def _growth(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    """The two segments that grew most, where the sum grew by more than a fifth."""
    whole_ms = sum(after.values()) - sum(before.values())
    if sum(after.values()) < _GROWN * sum(before.values()) or whole_ms < _SMALLEST_MS:
        return []
    grown = [(ms - before.get(name, 0.0), name) for name, ms in after.items()]
    grown = [(ms, name) for ms, name in sorted(grown, reverse=True) if ms > whole_ms / 10]
    return [f"{name} +{bare_milliseconds(ms)}" for ms, name in grown[:2]]


def _tail(endpoint: Endpoint, page: Page) -> Iterator[Row]:
    """What makes the slow requests slow, where they are far from the middle."""
    p50, p95 = endpoint.wall_ms.p50, endpoint.wall_ms.p95
    receipts = endpoint.receipts_ms
    if p95 < 2 * p50 or p95 - p50 < 1 or not {"p50", "p95"} <= receipts.keys():
        return
    grown = _growth(receipts["p50"], receipts["p95"])
    if grown:
        items = [f"above p50: {grown[0]}", *grown[1:]]
        yield _row("p95", milliseconds(p95), items, page)


def _blocked_loop(endpoint: Endpoint, page: Page) -> Iterator[Row]:
    if _matters(endpoint.blocked_loop_ms, endpoint, page):
        text = "its own waits held the event loop, so nobody else could go on"
        yield _remark("blocked-loop", milliseconds(endpoint.blocked_loop_ms), text, page)


def _remarks(endpoint: Endpoint, page: Page) -> Iterator[Row]:
    """What no bar can show."""
    off_cpu_ms = endpoint.off_cpu_ms
    if off_cpu_ms is not None and _matters(off_cpu_ms, endpoint, page, _SMALLEST_REMARK_SHARE):
        text = "ready, but not on a CPU (run queue, GIL)"
        yield _remark("off-cpu", milliseconds(off_cpu_ms), text, page)
    if _matters(endpoint.overlap_ms, endpoint, page, _SMALLEST_REMARK_SHARE):
        text = "beside what the bar shows, in its other tasks or threads"
        yield _remark("overlap", milliseconds(endpoint.overlap_ms), text, page)
    whole_ms = sum(endpoint.after_response_ms.values())
    if _matters(whole_ms, endpoint, page, _SMALLEST_REMARK_SHARE):
        parts = sorted(endpoint.after_response_ms.items(), key=lambda part: -part[1])
        told = page.first([part for part in parts if part[1] >= _SMALLEST_MS], _PARTS_COUNT)
        items = [f"{name} {bare_milliseconds(ms)}" for name, ms in told]
        yield _row("after-response", milliseconds(whole_ms), items, page)


def _dropped(endpoint: Endpoint, page: Page) -> Row:
    count = counted(endpoint.dropped_slices_count, "slice")
    return _remark("dropped", count, "not kept: their time may be unexplained", page)

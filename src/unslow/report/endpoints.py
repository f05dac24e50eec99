"""Endpoints as text: a line of numbers, a bar and its legend, and what stands below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from ..model.report import Endpoint, Report
from ..numbers import counted, number, percent, size, time_parts
from .bars import OTHER, bar, legend, parts_of
from .columns import GAP, Cell, columns_of, fitting, row_text, rows_of, width_of
from .details import details, is_quick
from .findings import findings_of, verdict
from .lines import one_line, shorten
from .page import MARGIN, Page

BARS_COUNT: Final = 12
"""Endpoints that are shown with a bar where not everything is told."""
CULPRITS_COUNT: Final = 5
_SMALLEST_SHARE: Final = 0.01
_NOTED_GROWTH: Final = 1.1
_ENOUGH_ROUTE_WIDTH: Final = 36


def endpoints(report: Report, page: Page) -> Iterator[Text]:
    """The endpoints by total time: the first ones with bars, each other one on a line."""
    total_ms = sum(map(_total_ms, report.endpoints))
    told = _told(report, total_ms, page)
    head = _Head(told, total_ms, page)
    for endpoint in told:
        yield Text()
        yield from head.lines(endpoint)
        yield from _receipt(endpoint, page)
        found = list(findings_of(endpoint, report, page))
        yield from found
        below = list(details(endpoint, report.holders, page))
        if found and below:
            yield Text()
        yield from below
    others = [one for one in report.endpoints if one not in told]
    if others:
        yield Text()
        yield from _others(others, total_ms, page)


def _told(report: Report, total_ms: float, page: Page) -> Sequence[Endpoint]:
    """Those that get a bar: the first ones, without those that are quick and seldom asked.

    Of the others, those with findings, and those that cost the others most by holding the event
    loop.
    """
    if page.everything:
        return report.endpoints
    least_ms = _SMALLEST_SHARE * total_ms
    culprits = {one.route for one in report.blocked[:CULPRITS_COUNT] if one.victims}
    return [
        one
        for number, one in enumerate(report.endpoints)
        if _name(one) in culprits
        or any(not finding.accepted for finding in one.findings)
        or (number < BARS_COUNT and (not is_quick(one) or _total_ms(one) >= least_ms))
    ]


class _Head:
    """The lines of an endpoint's numbers, in the same columns for all that are shown."""

    def __init__(self, told: Sequence[Endpoint], total_ms: float, page: Page) -> None:
        beside = columns_of(_timings(), told)
        below = rows_of(columns_of(_amounts(total_ms), told), page.width - MARGIN)
        longest = max((cell_len(_name(one)) for one in told), default=0)
        room = page.width - width_of(beside) - GAP
        if longest > room and room < _ENOUGH_ROUTE_WIDTH:
            below = [*rows_of(beside, page.width - MARGIN), *below]
            beside, room = [], page.width
        self._beside = beside
        self._below = below
        self._route_width = min(longest, room)

    def lines(self, endpoint: Endpoint) -> Iterator[Text]:
        """The route and its numbers; what does not fit beside it stands below."""
        yield _named(endpoint, self._route_width, row_text(self._beside, endpoint))
        for row in self._below:
            line = row_text(row, endpoint)
            if line.plain.strip():
                yield Text.assemble(" " * MARGIN, line)


def _named(endpoint: Endpoint, width: int, numbers: Text) -> Text:
    route = shorten(_name(endpoint), width)
    return Text.assemble((route, "bold"), " " * (width - cell_len(route) + GAP), numbers)


def _receipt(endpoint: Endpoint, page: Page) -> Iterator[Text]:
    receipt = endpoint.receipts_ms.get("mean", {})
    line = bar(receipt, page.width - 2 * MARGIN)
    if line.plain:
        yield Text.assemble(" " * MARGIN, line)
        yield from legend(receipt, endpoint.loop_busy_most_ms, page.width)


def _others(others: Sequence[Endpoint], total_ms: float, page: Page) -> Iterator[Text]:
    share = percent(sum(map(_total_ms, others)), total_ms)
    yield Text(f"{counted(len(others), 'more endpoint')}, {share} of all time", "bold")
    longest = max(cell_len(_name(one)) for one in others)
    room = page.width - MARGIN - GAP
    columns = fitting(columns_of(_numbers(), others), room - min(longest, page.width // 3))
    width = min(longest, room - width_of(columns))
    for endpoint in others:
        yield Text.assemble(" " * MARGIN, _named(endpoint, width, row_text(columns, endpoint)))


def _name(endpoint: Endpoint) -> str:
    return one_line(f"{endpoint.method} {endpoint.route or '(no route)'}")


def _total_ms(endpoint: Endpoint) -> float:
    return endpoint.wall_ms.mean * endpoint.requests_count


def _timings() -> tuple[Cell[Endpoint], ...]:
    return (
        Cell(_requests),
        Cell(_mean, before="mean ", style="bold"),
        Cell(lambda one: _short_time(one.wall_ms.p50), before="p50 "),
        Cell(lambda one: _short_time(one.wall_ms.p95), before="p95 "),
        Cell(lambda one: _short_time(one.wall_ms.p99), before="p99 "),
    )


def _amounts(total_ms: float) -> tuple[Cell[Endpoint], ...]:
    return (
        Cell(lambda one: _split(f"{percent(_total_ms(one), total_ms)} of all time")),
        Cell(lambda one: (number(one.requests_per_s), " requests/s")),
        Cell(_statements),
        Cell(_response_bytes),
        Cell(_errors, style="bold red"),
    )


def _numbers() -> tuple[Cell[Endpoint], ...]:
    """The numbers of an endpoint that has one line, those that must not be missed first."""
    return (
        Cell(_requests),
        Cell(_errors, style="bold red"),
        Cell(_mean, before="mean "),
        Cell(lambda one: _split(verdict(one))),
        Cell(lambda one: _short_time(one.wall_ms.p95), before="p95 "),
        Cell(_longest_part),
        Cell(_statements),
        Cell(_response_bytes),
    )


def _split(text: str) -> tuple[str, str]:
    amount, space, after = text.partition(" ")
    return amount, space + after


def _requests(endpoint: Endpoint) -> tuple[str, str]:
    return _split(counted(endpoint.requests_count, "request"))


def _mean(endpoint: Endpoint) -> tuple[str, str]:
    amount, unit = time_parts(endpoint.wall_ms.mean)
    return amount, f" {unit}"


def _short_time(ms: float) -> tuple[str, str]:
    amount, unit = time_parts(ms)
    return amount, "" if unit == "ms" else f" {unit}"


def _statements(endpoint: Endpoint) -> tuple[str, str]:
    middle, most = endpoint.statements_p50, endpoint.statements_max
    text = counted(middle, "statement")
    return _split(f"{text} (max {most:,})" if most > middle * _NOTED_GROWTH else text)


def _response_bytes(endpoint: Endpoint) -> tuple[str, str]:
    middle, most = endpoint.response_bytes_p50, endpoint.response_bytes_max
    text = size(middle)
    return _split(f"{text} (max {size(most)})" if most > middle * _NOTED_GROWTH else text)


def _errors(endpoint: Endpoint) -> tuple[str, str]:
    count = endpoint.errors_count
    return _split(counted(count, "error")) if count else ("", "")


def _longest_part(endpoint: Endpoint) -> tuple[str, str]:
    receipt = endpoint.receipts_ms.get("mean", {})
    named = [part for part in parts_of(receipt) if part.name != OTHER]
    if not named or not endpoint.wall_ms.mean:
        return "", ""
    share = percent(named[0].ms, endpoint.wall_ms.mean)
    return _split(f"{share} {named[0].name}")

"""The whole run in a few lines: where the time of all requests went, and behind whom or in what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from rich.text import Text

from ..model.report import Blocked, Detail, Endpoint, Report
from ..model.trace import LOOP_BUSY, POOL_WAIT, SEGMENTS, SQL, Place
from ..numbers import average, interval, milliseconds, percent
from .bars import fill_of
from .lines import flow
from .page import MARGIN, Page, title
from .words import MEANINGS

_FEWEST_ENDPOINTS: Final = 2
_LINES_COUNT: Final = 5
_CULPRITS_COUNT: Final = 3
_SMALLEST_SHARE: Final = 0.03
_NAME_WIDTH: Final = 14
_TIME_WIDTH: Final = 8
_SHARE_WIDTH: Final = 5
_AMOUNT_WIDTH: Final = 13


class _Cause(NamedTuple):
    """What a part of a segment's time went into."""

    least_ms: float
    most_ms: float
    texts: tuple[str, ...]
    place: Place | None


def summary(report: Report, page: Page) -> Iterator[Text]:
    """The segments that most of all requests' time went to, each with its largest causes."""
    if len(report.endpoints) < _FEWEST_ENDPOINTS:
        return
    totals = _totals(report.endpoints)
    whole_ms = sum(totals.values())
    told = sorted(totals.items(), key=lambda item: -item[1])[:_LINES_COUNT]
    yield from title(f"Where the time of all requests went: {milliseconds(whole_ms)}")
    for segment, ms in told:
        if ms < _SMALLEST_SHARE * whole_ms:
            return
        yield from _segment(segment, ms, whole_ms, page)
        for cause in _causes(segment, report):
            amount = interval(cause.least_ms, cause.most_ms)
            first = f"{'':{2 * MARGIN}}{amount:>{_AMOUNT_WIDTH}}  "
            items = page.items(*cause.texts, place=cause.place, brief=True)
            yield from flow(items, page.width, first=first, indent=len(first))


def _segment(segment: str, ms: float, whole_ms: float, page: Page) -> list[Text]:
    fill = fill_of(segment)
    first = Text.assemble(
        " " * MARGIN,
        (fill.sign, fill.colour),
        (f" {segment:<{_NAME_WIDTH}}", "bold"),
        f"{milliseconds(ms):>{_TIME_WIDTH}} {percent(ms, whole_ms):>{_SHARE_WIDTH}}  ",
    )
    meaning = Text(MEANINGS.get(segment, ""), "dim")
    return flow([meaning], page.width, first=first, indent=2 * MARGIN)


def _totals(endpoints: tuple[Endpoint, ...]) -> dict[str, float]:
    totals: dict[str, float] = defaultdict(float)
    for endpoint in endpoints:
        for name, ms in endpoint.receipts_ms.get("mean", {}).items():
            totals[name] += ms * endpoint.requests_count
    return totals


def _causes(segment: str, report: Report) -> list[_Cause]:
    """The largest causes of a segment's time, the largest first."""
    if segment == SEGMENTS[LOOP_BUSY]:
        causes = list(_culprit_causes(report.blocked))
    elif segment == SEGMENTS[POOL_WAIT]:
        causes = [
            _Cause(one.ms, one.ms, (f"held by {one.route}",), one.place) for one in report.holders
        ]
    elif segment == SEGMENTS[SQL]:
        causes = [cause for one in report.endpoints for cause in _statement_causes(one)]
    else:
        causes = [cause for one in report.endpoints for cause in _detail_causes(segment, one)]
    causes.sort(key=lambda cause: -cause.most_ms)
    causes = [one for one in causes if one.most_ms >= _SMALLEST_SHARE * causes[0].most_ms]
    return causes[: _CULPRITS_COUNT if segment == SEGMENTS[LOOP_BUSY] else 1]


def _culprit_causes(blocked: Sequence[Blocked]) -> Iterator[_Cause]:
    """The routes that others waited behind, with the line of each that cost them most."""
    routes: dict[str, list[Blocked]] = defaultdict(list)
    for one in blocked:
        routes[one.route].append(one)
    for route, group in routes.items():
        worst = max(group, key=lambda one: sum(victim.most_ms for victim in one.victims))
        victims = [victim for one in group for victim in one.victims]
        yield _Cause(
            sum(victim.least_ms for victim in victims),
            sum(victim.most_ms for victim in victims),
            (f"behind {route}", worst.what) if route else (worst.what,),
            worst.place,
        )


def _statement_causes(endpoint: Endpoint) -> Iterator[_Cause]:
    for one in endpoint.statements:
        ms = one.ms_per_request * endpoint.requests_count
        calls = f"{average(one.calls_per_request)} x {one.relationship or 'one statement'}"
        yield _Cause(ms, ms, (f"in {_name(endpoint)}", calls), one.place)


def _detail_causes(segment: str, endpoint: Endpoint) -> Iterator[_Cause]:
    """The endpoint's details, or the endpoint itself where its time has none."""
    for detail in endpoint.details.get(segment) or (
        Detail(endpoint.receipts_ms.get("mean", {}).get(segment, 0.0)),
    ):
        ms = detail.ms * endpoint.requests_count
        yield _Cause(ms, ms, (f"in {_name(endpoint)}", detail.what), detail.place)


def _name(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.route or '(no route)'}"

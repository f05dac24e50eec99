"""The requests of a route together: means that sum, percentiles, details by place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.record.handmade import (
    HERE,
    THERE,
    a_sample,
    a_slice,
    a_step,
    a_task,
    a_trace,
    ns,
)
from unslow.model.receipt import Culprit, Seen, Waited
from unslow.model.report import Endpoint
from unslow.model.trace import (
    BLOCKING,
    HYDRATION,
    LOOP_BUSY,
    OWN_CODE,
    REMOTE,
    ROWS,
    SEGMENTS,
    SQL,
    Statement,
    Trace,
)
from unslow.record.endpoints import endpoints_of, percentile
from unslow.record.receipt import receipt_of

SELECT = Statement("SELECT ?", "asyncpg", HERE, rows_count=3)


def seen(
    trace: Trace, waited: Waited | None = None, *, alone: bool = True, open_count: int = 1
) -> Seen:
    return Seen(trace, receipt_of(trace), waited or Waited(), alone, open_count, slice_cost_ns=0)


def one_endpoint(*traces: Trace) -> Endpoint:
    (endpoint,) = endpoints_of([seen(trace) for trace in traces])
    return endpoint


def a_request(wall_ms: float, start_ms: float = 0) -> Trace:
    """A request of a given length, half of it own code."""
    end = start_ms + wall_ms
    own = a_slice(start_ms, start_ms + wall_ms / 2, OWN_CODE, place=HERE)
    return a_trace(a_task(start_ms, end, own))


def test_the_mean_receipt_sums_to_the_mean_wall_and_has_every_line() -> None:
    endpoint = one_endpoint(a_request(10), a_request(20), a_request(60))

    assert endpoint.wall_ms.mean == pytest.approx(30)
    assert tuple(endpoint.receipts_ms["mean"]) == SEGMENTS
    assert sum(endpoint.receipts_ms["mean"].values()) == pytest.approx(30)
    assert endpoint.receipts_ms["mean"]["own-code"] == pytest.approx(15)


def test_requests_are_grouped_by_method_and_route_and_the_costliest_group_comes_first() -> None:
    cheap = replace(a_request(10), route="/cheap")
    costly = replace(a_request(30), route="/costly")
    posted = replace(costly, method="POST")

    found = endpoints_of([seen(one) for one in (cheap, posted, cheap, costly, costly)])

    assert [(one.method, one.route, one.requests_count) for one in found] == [
        ("GET", "/costly", 2),
        ("POST", "/costly", 1),
        ("GET", "/cheap", 2),
    ]


def test_percentiles_are_of_the_nearest_rank() -> None:
    endpoint = one_endpoint(*(a_request(wall) for wall in range(1, 101)))

    assert (endpoint.wall_ms.p50, endpoint.wall_ms.p95, endpoint.wall_ms.p99) == (50, 95, 99)
    assert percentile([4.0], 99) == 4.0
    assert percentile([1.0, 2.0], 0) == 1.0


def test_the_receipt_at_a_percentile_is_the_mean_of_the_requests_around_it() -> None:
    endpoint = one_endpoint(*(a_request(wall) for wall in range(1, 101)))

    assert sum(endpoint.receipts_ms["p95"].values()) == pytest.approx((95 + 96) / 2)
    assert sum(endpoint.receipts_ms["p50"].values()) == pytest.approx((50 + 51) / 2)


def test_a_single_request_is_its_own_percentile() -> None:
    endpoint = one_endpoint(a_request(8))

    assert endpoint.receipts_ms["p50"] == endpoint.receipts_ms["p95"]
    assert sum(endpoint.receipts_ms["p95"].values()) == pytest.approx(8)
    assert endpoint.concurrency_max == 1


def test_the_rate_is_over_the_time_in_which_requests_came() -> None:
    endpoint = one_endpoint(a_request(100), a_request(100, 100), a_request(100, 900))

    assert endpoint.requests_per_s == pytest.approx(3)


def test_the_most_requests_at_once_are_counted() -> None:
    (endpoint,) = endpoints_of([seen(a_request(50), open_count=count) for count in (1, 3, 2)])

    assert endpoint.concurrency_max == 3


def test_an_error_is_a_5xx_or_a_request_without_a_response() -> None:
    requests = [replace(a_request(1), status=status) for status in (200, 404, 500, 503, 0)]

    assert one_endpoint(*requests).errors_count == 3


def test_statements_and_bytes_are_counted_per_request() -> None:
    few = replace(a_request(1), statements=(SELECT,), response_bytes=10)
    many = replace(a_request(1), statements=(SELECT,) * 52, response_bytes=2_000)

    endpoint = one_endpoint(few, many, few)

    assert (endpoint.statements_p50, endpoint.statements_max) == (1, 52)
    assert (endpoint.response_bytes_p50, endpoint.response_bytes_max) == (10, 2_000)


def test_only_waits_that_held_the_loop_block_it() -> None:
    held = a_task(0, 30, a_slice(1, 11, BLOCKING, "time.sleep", HERE), a_slice(12, 16, SQL, 0))
    awaited = a_task(
        0, 30, a_slice(1, 21, SQL, 0), steps=(a_step(0, 2), a_step(20, 30)), samples=()
    )

    assert one_endpoint(a_trace(held)).blocked_loop_ms == 14
    assert one_endpoint(a_trace(awaited)).blocked_loop_ms == 0


def test_off_cpu_is_what_was_seen_per_request_and_not_known_where_nothing_was_measured() -> None:
    measured = a_task(0, 10, samples=(replace(a_sample(5, 5), cpu_ns=ns(2)),))

    assert one_endpoint(a_trace(a_task(0, 10))).off_cpu_ms is None
    assert one_endpoint(a_trace(measured), a_trace(a_task(0, 10))).off_cpu_ms == 1.5


def test_remote_time_is_detailed_by_host_and_line() -> None:
    lane = a_task(
        0,
        50,
        a_slice(0, 10, REMOTE, "one:80", HERE),
        a_slice(10, 30, REMOTE, "two:80", THERE),
        a_slice(30, 40, REMOTE, "one:80", HERE),
    )

    endpoint = one_endpoint(a_trace(lane), a_trace(a_task(0, 50)))

    details = [(one.what, one.place, one.ms, one.count) for one in endpoint.details["remote"]]
    assert sorted(details, key=lambda detail: detail[0]) == [
        ("one:80", HERE, 10, 1),
        ("two:80", THERE, 10, 0.5),
    ]


def test_own_code_is_detailed_by_the_lines_that_were_seen() -> None:
    samples = (a_sample(5, 5), a_sample(10, 5), a_sample(15, 5, THERE), a_sample(18, 3, None))
    lane = a_task(0, 20, a_slice(0, 20, OWN_CODE, place=THERE), samples=samples)

    endpoint = one_endpoint(a_trace(lane))

    ms = {one.place: one.ms for one in endpoint.details["own-code"]}
    assert ms == {HERE: pytest.approx(20 * 2 / 3), THERE: pytest.approx(20 / 3)}


def test_own_code_in_which_no_line_was_seen_stands_under_its_functions_place() -> None:
    endpoint = one_endpoint(a_request(10))

    assert [(one.place, one.ms) for one in endpoint.details["own-code"]] == [(HERE, 5)]


def test_time_waited_for_the_loop_is_detailed_by_culprit_with_its_bounds() -> None:
    lane = a_task(0, 50, a_slice(0, 50, REMOTE), steps=(a_step(0, 1), a_step(40, 50, ready_ms=20)))
    waited = Waited(certain_ns=ns(20), most_ns=ns(28))
    waited.by_culprit[Culprit("GET /slow", "time.sleep", HERE)] = [ns(20), ns(28)]

    (endpoint,) = endpoints_of([seen(a_trace(lane), waited)])

    assert endpoint.receipts_ms["mean"][SEGMENTS[LOOP_BUSY]] == 20
    assert endpoint.loop_busy_most_ms == 28
    (detail,) = endpoint.details["loop-busy"]
    assert (detail.route, detail.what, detail.place) == ("GET /slow", "time.sleep", HERE)


def test_statements_of_one_shape_from_one_line_are_added_up() -> None:
    lane = a_task(
        0,
        20,
        a_slice(0, 2, SQL, 0),
        a_slice(3, 4, ROWS, 0),
        a_slice(4, 5, HYDRATION, 0),
        a_slice(5, 11, SQL, 1),
        a_slice(12, 13, SQL, 2),
    )
    other = replace(SELECT, place=THERE, rows_count=None)
    trace = a_trace(lane, statements=(SELECT, SELECT, other))

    first, second = one_endpoint(trace, a_trace(a_task(0, 10))).statements

    assert (first.place, first.calls_per_request, first.rows_per_request) == (HERE, 1, 3)
    assert (first.ms_per_request, first.slowest_ms) == (4.5, 6)
    assert (second.place, second.calls_per_request, second.rows_per_request) == (THERE, 0.5, None)


def test_what_ran_after_the_response_is_a_receipt_of_its_own() -> None:
    lane = a_task(0, 30, a_slice(10, 30, OWN_CODE))
    background = a_trace(lane, response_end_ms=20)

    endpoint = one_endpoint(background, a_request(20))

    assert endpoint.after_response_ms == {"own-code": 5}
    assert endpoint.wall_ms.mean == 20
    assert one_endpoint(a_request(20)).after_response_ms == {}


def test_slices_that_were_not_kept_are_counted() -> None:
    dropped = replace(a_request(1), dropped_count=7)

    assert one_endpoint(dropped, dropped, a_request(1)).dropped_slices_count == 14


def test_requests_that_were_alone_are_also_shown_apart_when_others_were_not() -> None:
    alone = [seen(a_request(10)) for _ in range(3)]
    crowded = [seen(a_request(50), alone=False) for _ in range(5)]

    (both,) = endpoints_of([*alone, *crowded])
    (few,) = endpoints_of([*alone[:2], *crowded])

    assert both.requests_count == 8
    assert both.alone is not None
    assert (both.alone.requests_count, both.alone.wall_ms.mean) == (3, 10)
    assert few.alone is None

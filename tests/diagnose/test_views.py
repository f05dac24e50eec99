"""Requests as rules look at them: what statements took, what belongs together, what counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.diagnose.story import ENDPOINT, LINE, RUN, Story, listing, look_up, seen
from tests.record.handmade import MS, a_slice, a_task, a_thread, a_trace, ns
from unslow.diagnose.sources import Sources
from unslow.diagnose.views import (
    Calls,
    Cost,
    Request,
    Requests,
    Run,
    counts,
    is_control,
    is_select,
    is_write,
)
from unslow.model.report import Blocked, Victim
from unslow.model.trace import (
    CONNECT,
    GC,
    HYDRATION,
    ORM,
    OWN_CODE,
    REMOTE,
    ROWS,
    SEND,
    SQL,
    UNEXPLAINED,
    Place,
    Slice,
    Statement,
    Trace,
)


def statements(count: int) -> tuple[Statement, ...]:
    return tuple(look_up(number) for number in range(count))


def request_of(*slices: Slice, count: int = 2, end_ms: float = 100) -> Request:
    """A request in one task, with its slices in the order of their ends."""
    lane = a_task(0, end_ms, *slices)
    return Request(seen(a_trace(lane, statements=statements(count))))


def milliseconds(cost: Cost) -> tuple[float, ...]:
    return tuple(part / MS for part in cost)


# What statements take.


def test_a_statement_takes_what_its_slices_last() -> None:
    request = request_of(
        a_slice(0, 3, SQL, 0), a_slice(3, 4, ROWS, 0), a_slice(4, 9, HYDRATION, 0), count=1
    )

    (cost,) = request.costs
    assert milliseconds(cost) == (3, 1, 5, 0)
    assert (cost.whole / MS, cost.per_call / MS) == (9, 3)


def test_what_the_orm_does_around_a_statement_is_part_of_its_call() -> None:
    (cost,) = request_of(a_slice(2, 5, SQL, 0), a_slice(0, 8, ORM), count=1).costs

    assert milliseconds(cost) == (3, 0, 0, 5)
    assert cost.per_call == cost.whole == 8 * MS


def test_what_the_orm_does_around_several_statements_is_shared_by_them() -> None:
    costs = request_of(a_slice(1, 2, SQL, 0), a_slice(3, 5, SQL, 1), a_slice(0, 9, ORM)).costs

    assert [milliseconds(one) for one in costs] == [(1, 0, 0, 3), (2, 0, 0, 3)]


def test_rows_and_objects_within_what_the_orm_does_are_not_counted_twice() -> None:
    (cost,) = request_of(
        a_slice(1, 3, SQL, 0),
        a_slice(3, 4, ROWS, 0),
        a_slice(4, 8, HYDRATION, 0),
        a_slice(0, 10, ORM),
        count=1,
    ).costs

    assert milliseconds(cost) == (2, 1, 4, 3)
    assert cost.whole == 10 * MS


def test_a_slice_of_the_orm_around_another_one_adds_only_its_own() -> None:
    (cost,) = request_of(
        a_slice(3, 5, SQL, 0), a_slice(2, 7, ORM), a_slice(0, 10, ORM), count=1
    ).costs

    assert milliseconds(cost) == (2, 0, 0, 8)


def test_what_surrounds_a_statement_and_a_flush_is_the_statements_own() -> None:
    costs = request_of(
        a_slice(2, 3, SQL, 0), a_slice(1, 4, ORM), a_slice(5, 6, SQL, 1), a_slice(0, 10, ORM)
    ).costs

    assert [milliseconds(one) for one in costs] == [(1, 0, 0, 2), (1, 0, 0, 6)]


def test_objects_that_an_eager_load_fetches_are_not_their_parents_work() -> None:
    costs = request_of(
        a_slice(0, 2, SQL, 0),
        a_slice(4, 6, SQL, 1),
        a_slice(6, 9, HYDRATION, 1),
        a_slice(3, 10, HYDRATION, 0),
    ).costs

    assert [milliseconds(one) for one in costs] == [(2, 0, 2, 0), (2, 0, 3, 0)]


def test_what_the_orm_does_without_a_statement_is_nobodys() -> None:
    (cost,) = request_of(
        a_slice(0, 2, ORM), a_slice(2, 3, SQL, 0), a_slice(4, 9, ORM), count=1
    ).costs

    assert milliseconds(cost) == (1, 0, 0, 0)


def test_a_note_of_what_was_awaited_takes_nothing_of_a_statement() -> None:
    (cost,) = request_of(a_slice(1, 9, UNEXPLAINED, "fetch"), a_slice(0, 10, SQL, 0), count=1).costs

    assert milliseconds(cost) == (10, 0, 0, 0)


def test_a_collection_within_what_the_orm_does_is_not_the_orms() -> None:
    (cost,) = request_of(
        a_slice(1, 2, SQL, 0), a_slice(3, 7, GC), a_slice(0, 8, ORM), count=1
    ).costs

    assert milliseconds(cost) == (1, 0, 0, 3)


def test_each_lane_is_looked_at_for_itself() -> None:
    trace = a_trace(
        a_task(0, 10, a_slice(0, 10, ORM)),
        a_thread(2, 8, a_slice(3, 5, SQL, 0)),
        statements=statements(1),
    )

    (cost,) = Request(seen(trace)).costs
    assert milliseconds(cost) == (2, 0, 0, 0)


def test_slices_of_statements_that_were_not_kept_are_passed_over() -> None:
    assert request_of(a_slice(0, 1, SQL, 7), a_slice(0, 2, ORM), count=0).costs == ()


class Nested:
    """Slices within slices, made at random: each takes one more than what is inside."""

    def __init__(self, shape: Any) -> None:
        self.slices: list[Slice] = []
        self.own = dict.fromkeys((SQL, ROWS, HYDRATION, ORM), 0)
        self._now = 0
        self.count = 0
        for one in shape:
            self._tell(one)

    def _tell(self, shape: Any) -> None:
        segment, inside = shape
        start, self._now = self._now, self._now + 1
        if segment == SQL:
            inside = []
            self.count += 1
        what = None if segment == ORM else max(0, self.count - 1)
        for one in inside:
            self._tell(one)
        self._now += 1
        self.own[segment] += 2
        self.slices.append(Slice(start, self._now, segment, what))


SHAPES: st.SearchStrategy[Any] = st.recursive(
    st.tuples(st.just(SQL), st.just([])),
    lambda inner: st.tuples(
        st.sampled_from([SQL, ROWS, HYDRATION, ORM]), st.lists(inner, max_size=4)
    ),
    max_leaves=25,
)


@settings(max_examples=50)
@given(st.lists(SHAPES, max_size=6))
def test_however_slices_are_nested_no_instant_is_counted_twice(shape: list[Any]) -> None:
    nested = Nested(shape)
    lane = replace(a_task(0, 1, *nested.slices), end_ns=10**6)
    costs = Request(seen(a_trace(lane, statements=statements(max(1, nested.count))))).costs

    for index, segment in enumerate((SQL, ROWS, HYDRATION)):
        assert sum(one[index] for one in costs) == nested.own[segment]
    # What the ORM does where nothing is sent is nobody's, and shares are rounded down.
    assert sum(one.orm for one in costs) <= nested.own[ORM]


# When they were sent.


def test_a_statement_starts_with_its_first_slice_and_ends_with_its_last_row() -> None:
    request = request_of(
        a_slice(2, 3, SQL, 0), a_slice(4, 6, SQL, 1), a_slice(7, 9, ROWS, 0), count=3
    )

    assert request.starts_ns == (ns(2), ns(4), 0)
    assert request.ends_ns == (ns(9), ns(6), 0)


def test_what_is_sent_after_the_response_is_not_part_of_it() -> None:
    lane = a_task(0, 20, a_slice(2, 3, SQL, 0), a_slice(12, 13, SQL, 1), a_slice(15, 16, CONNECT))
    request = Request(seen(a_trace(lane, response_end_ms=10, statements=statements(2))))

    assert [request.is_in_response(index) for index in range(2)] == [True, False]
    assert [one.start_ns for _, one in request.slices(SQL)] == [ns(2)]
    assert list(request.slices(CONNECT)) == []


# Calls of other services.

CALL = ("shop:80", 3, True)


def remote(start_ms: float, end_ms: float, what: Any = CALL, place: Place | None = LINE) -> Slice:
    return a_slice(start_ms, end_ms, REMOTE, what, place)


def test_a_call_has_the_lines_that_called_one_another() -> None:
    callers = ("/app/shop.py", 3, "price"), ("/app/shop.py", 9, "list_orders")

    (call,) = request_of(remote(0, 5, (*CALL, False, *callers))).remote_calls()

    assert (call.host, call.pool, call.is_bounded, call.ms) == ("shop:80", 3, True, 5)
    assert call.chain == (LINE, Place(*callers[0]), Place(*callers[1]))
    assert call.place == LINE


def test_a_call_of_no_line_of_the_users_has_no_chain() -> None:
    (call,) = request_of(remote(0, 5, CALL, None)).remote_calls()

    assert (call.chain, call.place) == ((), None)


def test_what_only_reads_on_is_part_of_the_call_before() -> None:
    calls = list(
        request_of(
            remote(0, 5, (*CALL, False)),
            remote(7, 9, (*CALL, True)),
            remote(10, 12, (*CALL, True)),
            remote(20, 21, (*CALL, False)),
        ).remote_calls()
    )

    assert [(one.start_ns, one.end_ns) for one in calls] == [(0, ns(12)), (ns(20), ns(21))]


def test_an_answer_that_is_read_after_another_call_belongs_to_its_own() -> None:
    other = ("mail:25", 4, False)

    first, second = request_of(
        remote(0, 5, (*CALL, False)), remote(6, 7, (*other, False)), remote(8, 9, (*CALL, True))
    ).remote_calls()

    assert (first.end_ns, second.end_ns) == (ns(9), ns(7))


def test_what_reads_on_without_a_call_is_none() -> None:
    assert list(request_of(remote(0, 5, (*CALL, True))).remote_calls()) == []


def test_calls_after_the_response_and_their_answers_do_not_count() -> None:
    slices = (
        remote(0, 5, (*CALL, False)),
        remote(12, 13, (*CALL, False)),
        remote(14, 18, (*CALL, True)),
    )
    request = Request(seen(a_trace(a_task(0, 20, *slices), response_end_ms=10)))

    assert [one.ms for one in request.remote_calls()] == [5]


def test_calls_of_several_lanes_name_theirs() -> None:
    trace = a_trace(
        a_task(0, 10, remote(6, 9)), a_task(0, 10, remote(1, 3), remote(4, 5)), a_thread(0, 10)
    )

    calls = list(Request(seen(trace)).remote_calls())

    assert [(one.lane, one.ms) for one in calls] == [(0, 3), (1, 2), (1, 1)]


def test_slices_that_tell_a_host_only_are_no_calls() -> None:
    assert list(request_of(remote(0, 5, "shop:80"), remote(0, 5, None)).remote_calls()) == []


# Which statements are which.


@pytest.mark.parametrize(
    ("shape", "control", "write", "select"),
    [
        ("SELECT a FROM t", False, False, True),
        ("select a from t for update", False, False, True),
        ("WITH x AS (SELECT ?) SELECT * FROM x", False, False, True),
        ("WITH x AS (SELECT last_update FROM t) SELECT * FROM x", False, False, True),
        ("WITH x AS (SELECT ?) SELECT * FROM t FOR UPDATE SKIP LOCKED", False, False, True),
        ("WITH x AS (SELECT ?) SELECT * FROM t FOR NO KEY UPDATE OF t", False, False, True),
        ("(SELECT a FROM t) UNION (SELECT b FROM u)", False, False, True),
        ("TABLE t", False, False, True),
        ("VALUES (?)", False, False, True),
        ("WITH x AS (SELECT ?) INSERT INTO t SELECT * FROM x", False, True, False),
        ("WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x", False, True, False),
        ("WITH x AS (UPDATE t SET a = ? RETURNING a) SELECT * FROM x", False, True, False),
        ("WITH x AS (SELECT ?) MERGE INTO t USING x ON TRUE", False, True, False),
        ("INSERT INTO t VALUES (?) RETURNING a", False, True, False),
        ("update t set a = ?", False, True, False),
        ("DELETE FROM t", False, True, False),
        ("MERGE INTO t USING u ON TRUE", False, True, False),
        ("COPY t FROM STDIN", False, True, False),
        ("TRUNCATE t", False, True, False),
        ("BEGIN ISOLATION LEVEL SERIALIZABLE", True, False, False),
        ("begin", True, False, False),
        ("COMMIT", True, False, False),
        ("ROLLBACK TO SAVEPOINT ?", True, False, False),
        ("SAVEPOINT ?", True, False, False),
        ("RELEASE SAVEPOINT ?", True, False, False),
        ("START TRANSACTION", True, False, False),
        ("SET search_path = ?", True, False, False),
        ("SHOW server_version", True, False, False),
        ("FETCH FORWARD ? FROM c", True, False, False),
        ("DEALLOCATE ALL", True, False, False),
        ("LOCK TABLE t", False, False, False),
        ("CREATE TABLE t (a int)", False, False, False),
        ("", False, False, False),
    ],
)
def test_what_a_statement_does(shape: str, control: bool, write: bool, select: bool) -> None:
    assert (is_control(shape), is_write(shape), is_select(shape)) == (control, write, select)


# The requests of a route.


def requests_of(*traces: Trace, run: Run = RUN, open_count: int = 1) -> Requests:
    return Requests("GET", "/orders", [seen(one, open_count=open_count) for one in traces], run)


@pytest.mark.parametrize(
    ("status", "error", "disconnected", "does"),
    [
        (200, "", False, True),
        (204, "", False, True),
        (299, "", False, True),
        (199, "", False, False),
        (304, "", False, False),
        (404, "", False, False),
        (500, "", False, False),
        (0, "", False, False),
        (200, "ValueError", False, False),
        (200, "", True, False),
    ],
)
def test_a_request_counts_that_was_answered_well_and_whole(
    status: int, error: str, disconnected: bool, does: bool
) -> None:
    trace = replace(Story().answers().trace(), status=status, error=error)

    assert counts(replace(trace, disconnected=disconnected)) == does


def test_only_requests_that_count_are_looked_at_and_all_are_known() -> None:
    good, bad = Story().answers().trace(), Story().answers().trace(status=404)
    requests = requests_of(good, bad, good)

    assert len(requests) == len(list(requests)) == 2
    assert [one.trace.status for one in requests.every] == [200, 404, 200]


def test_times_of_watched_requests_do_not_count_where_there_are_others() -> None:
    plain = Story().waits(SQL, 5).trace()
    watched = Story().waits(SQL, 500).trace(usages=())
    requests = requests_of(plain, watched, plain)

    assert requests.mean_wall_ms == 5
    assert [one.wall_ms for one in requests.watched] == [500]


def test_where_all_were_watched_their_times_are_all_there_is() -> None:
    watched = Story().waits(SQL, 500).trace(usages=())
    requests = requests_of(watched, watched)

    assert requests.mean_wall_ms == 500
    assert len(requests.counted) == len(requests.watched) == 2


def test_means_are_over_the_requests_that_count() -> None:
    requests = requests_of(
        Story().waits(SQL, 2).waits(REMOTE, 3).trace(),
        Story().waits(SQL, 4).trace(),
        Story().waits(SQL, 400).trace(status=500),
    )

    assert requests.segment_ms(SQL) == 3
    assert requests.segment_ms(SQL, REMOTE) == 4.5
    assert requests.mean(lambda one: len(list(one.slices(SQL)))) == 1


def loop(rows: int, calls: int) -> Trace:
    story = Story().sends(Statement("BEGIN", "asyncpg", LINE)).sends(listing(rows), 1)
    for number in range(calls):
        story.sends(look_up(number), 0.5)
    return story.answers().trace()


def calls_of(requests: Requests, shape: str) -> Calls:
    (found,) = [one for one in requests.groups if shape in one.shape]
    return found


def test_statements_are_grouped_by_shape_and_line_over_all_requests() -> None:
    requests = requests_of(loop(4, 4), loop(6, 6), loop(0, 0))

    look_ups = calls_of(requests, "WHERE id")
    assert len(requests.groups) == 2
    assert (look_ups.place, look_ups.relationship) == (LINE, "")
    assert [len(indices) for _, indices in look_ups.by_request] == [4, 6]
    assert look_ups.most_count == 6
    assert look_ups.mean_count == pytest.approx(10 / 3)
    assert look_ups.mean_ms() == pytest.approx(10 * 0.5 / 3)
    assert look_ups.saved_ms() == pytest.approx((3 + 5) * 0.5 / 3)


def test_other_lines_and_other_relationships_are_other_groups() -> None:
    one = look_up(1)
    story = Story().sends(one).sends(replace(one, place=ENDPOINT))
    story.sends(replace(one, relationship="User.posts"))

    assert len(requests_of(story.trace()).groups) == 3


def test_statements_after_the_response_are_in_no_group() -> None:
    story = Story().sends(look_up(1)).answers()
    end_ns = story.now_ns
    trace = replace(story.sends(look_up(2)).trace(), response_end_ns=end_ns)

    ((_, indices),) = calls_of(requests_of(trace), "WHERE id").by_request
    assert indices == [0]


def test_calls_grow_with_the_rows_that_came_before_them() -> None:
    growth = calls_of(requests_of(*(loop(rows, rows) for rows in (3, 5, 9))), "WHERE id").growth

    assert growth is not None
    assert growth.slope == pytest.approx(1)
    assert growth.is_per_row


def test_the_rows_of_later_statements_are_not_what_calls_grow_with() -> None:
    def asked_first(rows: int) -> Trace:
        story = Story()
        for number in range(rows):
            story.sends(replace(look_up(number), rows_count=None))
        return story.sends(listing(rows)).trace()

    assert calls_of(requests_of(*map(asked_first, (3, 5, 9))), "WHERE id").growth is None


def test_rows_before_a_statement_are_those_of_all_calls_before_it() -> None:
    story = Story().sends(listing(3)).sends(listing(4)).sends(look_up(0)).sends(listing(90))
    requests = requests_of(story.trace())
    (request,) = requests

    assert calls_of(requests, "LIMIT").rows_before(request, 2) == 7
    assert calls_of(requests, "LIMIT").rows_before(request, 0) is None
    assert calls_of(requests, "WHERE id").rows_before(request, 2) is None


def test_no_more_can_be_saved_than_requests_took() -> None:
    # Side by side in several tasks, statements take more than the request.
    lanes = [a_task(0, 10, a_slice(0, 10, SQL, number)) for number in range(5)]
    trace = a_trace(*lanes, statements=statements(5))

    saved = calls_of(requests_of(trace), "WHERE id").saved_ms()

    assert saved == 10


def test_a_finding_without_a_line_is_at_the_endpoint() -> None:
    requests = requests_of(Story().answers().trace())

    assert requests.finding("It is slow.", None).place == ENDPOINT
    assert requests.finding("It is slow.", LINE).place == LINE


def test_the_endpoint_is_where_its_function_begins_below_decorators(tmp_path: Path) -> None:
    path = tmp_path / "shop.py"
    path.write_text("@router.get('/')\n@cached\nasync def list_orders():\n    pass\n")
    trace = Story().answers().trace(endpoint=Place(str(path), 1, "list_orders"))

    assert requests_of(trace).endpoint == Place(str(path), 3, "list_orders")
    assert requests_of(replace(trace, endpoint=None)).endpoint is None
    run = Run(round_trip_ms=0.2, sources=Sources(newest_at=0))
    assert requests_of(trace, run=run).endpoint == Place(str(path), 1, "list_orders")


def blocked(route: str, what: str, place: Place, *most_ms: float) -> Blocked:
    victims = tuple(Victim("GET /others", 1, 0.0, most) for most in most_ms)
    return Blocked(route, place, what, sum(most_ms), 1, victims)


def test_others_wait_for_what_held_the_loop_at_a_line() -> None:
    run = Run(
        round_trip_ms=0.2,
        blocked=(
            blocked("GET /orders", "time.sleep", LINE, 3, 4),
            blocked("GET /orders", "time.sleep", ENDPOINT, 10),
            blocked("GET /orders", "sql", LINE, 100),
            blocked("GET /items", "time.sleep", LINE, 1_000),
        ),
    )
    requests = requests_of(Story().answers().trace(), run=run)

    assert requests.others_waited_ms("time.sleep", LINE) == 7
    assert requests.others_waited_ms("time.sleep") == 17
    assert requests.others_waited_ms("nothing") == 0


@pytest.mark.parametrize(("parts", "streams"), [(1, False), (2, False), (3, True)])
def test_an_answer_in_many_parts_is_a_stream(parts: int, streams: bool) -> None:
    (request,) = requests_of(Story().answers(parts=parts).trace())

    assert request.sends_count == parts + 1
    assert request.is_streamed == streams


def test_pieces_are_those_of_the_receipt() -> None:
    (request,) = requests_of(Story().runs(3).waits(SQL, 2).answers().trace())

    def lengths(segment: int) -> Iterator[float]:
        return ((one.end_ns - one.start_ns) / MS for one in request.pieces(segment))

    assert list(lengths(OWN_CODE)) == [3]
    assert list(lengths(SQL)) == [2]
    assert list(lengths(SEND)) == []
    assert request.segment_ms(SEND) == 0.2

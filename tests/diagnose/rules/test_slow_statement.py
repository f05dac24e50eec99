"""Statements that the database works long for, and requests that take long for something else."""

from dataclasses import replace

import pytest

from tests.diagnose.story import (
    OTHER_LINE,
    RUN,
    Story,
    found,
    judged,
    listing,
    look_up,
    only,
)
from tests.diagnose.story import seen as seen_as
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.slow_statement import slow_statement
from unslow.diagnose.views import Requests, Run
from unslow.model.finding import Finding
from unslow.model.trace import BLOCKING, REMOTE, ROWS, Trace

REPORT = listing(5)


def slow(ms: float, *, rest_ms: float = 0) -> Trace:
    """A statement, and something else after it."""
    return Story().sends(REPORT, ms=ms).runs(rest_ms).trace()


def test_it_fires_at_the_threshold_at_the_line_of_the_statement() -> None:
    finding = only(found(slow_statement, slow(50 * 0.2)))

    assert ("slow-statement", OTHER_LINE, None) == (finding.rule, finding.place, finding.touched)


def test_it_is_silent_just_below_and_says_how_near_it_was() -> None:
    (one,) = judged(slow_statement, slow(50 * 0.2 - 0.1, rest_ms=1.1))

    assert Nearly("a statement takes 9.9 ms, 90 % of its request") == one


def test_what_is_far_from_it_is_not_even_near() -> None:
    assert [] == judged(slow_statement, slow(3.3))


def test_it_says_how_long_it_takes_and_how_much_of_the_request_that_is() -> None:
    finding = only(found(slow_statement, slow(1_500, rest_ms=500)))

    assert finding.says == (
        "The database takes 1.5 s for it, 75 % of the request and 7,500 times a round trip."
    )
    assert {"sql_ms": 1_500.0, "share": 0.75} == finding.evidence
    assert REPORT.shape == finding.shape


def test_what_could_be_saved_is_all_but_the_round_trip() -> None:
    finding = only(found(slow_statement, slow(80, rest_ms=20)))

    assert 80 - 0.2 == pytest.approx(finding.could_save_ms)
    # The statement is sent all the same.
    assert finding.could_save_ms == finding.could_save_at_ms(5)


def test_requests_that_do_not_send_it_count_in_the_mean() -> None:
    others = [Story().runs(200).trace()] * 3

    finding = only(found(slow_statement, slow(80), *others))

    assert (80 - 0.2) / 4 == pytest.approx(finding.could_save_ms)
    assert 1.0 == finding.evidence["share"]


def test_of_two_orders_of_one_query_each_counts_for_its_own_requests() -> None:
    by_name = replace(REPORT, shape="SELECT * FROM orders ORDER BY name LIMIT ?")

    findings = found(slow_statement, slow(40), Story().sends(by_name, ms=40).trace())

    assert [(40 - 0.2) / 2] * 2 == pytest.approx([one.could_save_ms for one in findings])


def test_the_round_trip_is_that_of_its_own_driver() -> None:
    run = Run(round_trip_ms=0.2, round_trips_ms={"asyncpg": 1.0})

    assert [] == found(slow_statement, slow(49), run=run)
    assert "50 times a round trip" in only(found(slow_statement, slow(50), run=run)).says


def test_of_several_requests_the_middle_one_counts() -> None:
    assert [] == found(slow_statement, slow(4), slow(5), slow(900))
    assert 20.0 == only(found(slow_statement, slow(5), slow(20), slow(900))).evidence["sql_ms"]


def test_requests_that_ran_alone_say_what_it_takes() -> None:
    def finding(alone_ms: float) -> list[Finding]:
        mine = [seen_as(slow(alone_ms)), *[seen_as(slow(90), open_count=8)] * 4]
        every = slow_statement.apply(Requests("GET", "/orders", mine, RUN))
        return [one for one in every if isinstance(one, Finding)]

    assert [] == finding(5)
    assert 30.0 == only(finding(30)).evidence["sql_ms"]


def test_half_of_the_request_is_most_of_it() -> None:
    assert found(slow_statement, slow(50, rest_ms=50))
    assert [] == judged(slow_statement, slow(50, rest_ms=50.1))


def test_two_at_once_are_still_looked_at() -> None:
    story = Story().sends(REPORT, ms=90).sends(REPORT, ms=90)

    assert 90.0 == only(found(slow_statement, story.trace())).evidence["sql_ms"]


def test_many_quick_ones_are_no_slow_one() -> None:
    story = Story()
    for number in range(400):
        story.sends(look_up(number))

    assert [] == judged(slow_statement, story.trace())


def test_three_slow_ones_are_a_question_of_how_many() -> None:
    story = Story()
    for number in range(3):
        story.sends(look_up(number), ms=60)

    assert [] == judged(slow_statement, story.trace())


@pytest.mark.parametrize("segment", [REMOTE, BLOCKING])
def test_a_slow_service_is_no_slow_statement(segment: int) -> None:
    story = Story().sends(REPORT, ms=20).waits(segment, 200)

    assert [] == judged(slow_statement, story.trace())


def test_many_rows_take_long_on_the_way_not_in_the_database() -> None:
    story = Story().sends(REPORT, ms=2).waits(ROWS, 100, 0)

    assert [] == judged(slow_statement, story.trace())


def test_what_is_sent_after_the_answer_keeps_nobody_waiting() -> None:
    trace = Story().answers().sends(REPORT, ms=100).trace()
    answered = replace(trace, response_end_ns=trace.lanes[0].slices[1].end_ns)

    assert [] == judged(slow_statement, answered)

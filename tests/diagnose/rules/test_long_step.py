"""Computing that holds the loop: how long, how often, and where."""

import pytest

from tests.diagnose.story import LINE, OTHER_LINE, RUN, Story, found, judged, listing, only, seen
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.long_step import long_step
from unslow.diagnose.views import Requests, Run
from unslow.model.finding import OTHERS
from unslow.model.report import Blocked, Victim
from unslow.model.trace import SERIALIZATION, Place, Trace

HELPER = Place("/app/prices.py", 30, "best_price")


def computing(ms: float, place: Place = LINE) -> Trace:
    return Story().sends(listing(5)).runs(ms, place).answers().trace()


def test_it_fires_at_the_threshold_at_the_line_that_runs() -> None:
    finding = only(found(long_step, computing(20)))

    assert ("long-step", LINE, OTHERS) == (finding.rule, finding.place, finding.saves_for)
    assert "Own code runs for 20.0 ms without giving the event loop up." == finding.says
    assert pytest.approx(20) == finding.could_save_ms
    assert {"step_ms": pytest.approx(20), "requests": 1} == finding.evidence


def test_just_below_it_is_nearly_one() -> None:
    assert [Nearly("own code held the loop for 19.9 ms in a step")] == judged(
        long_step, computing(19.9)
    )


def test_a_few_milliseconds_of_computing_are_nothing() -> None:
    assert [] == judged(long_step, computing(5))


def test_the_same_in_a_thread_holds_no_loop() -> None:
    assert [] == judged(long_step, Story(in_thread=True).runs(200).trace())


def test_many_short_stretches_with_waits_in_between_are_no_long_one() -> None:
    story = Story()
    for _ in range(20):
        story.sends(listing(5)).runs(5)

    assert [] == judged(long_step, story.answers().trace())


def test_a_step_that_is_mostly_not_own_code_is_not_meant() -> None:
    story = Story().runs(22).runs(30, segment=SERIALIZATION).answers()

    assert [] == judged(long_step, story.trace())


def test_the_line_is_the_one_that_was_seen_most_of_the_function_that_was() -> None:
    story = Story().runs(8, HELPER).runs(6, LINE).runs(10, OTHER_LINE).answers()

    assert OTHER_LINE == only(found(long_step, story.trace())).place


def test_two_functions_have_findings_of_their_own() -> None:
    story = Story().runs(30, HELPER).sends(listing(5)).runs(40, LINE).answers()

    assert {HELPER: pytest.approx(30), LINE: pytest.approx(40)} == {
        one.place: one.could_save_ms for one in found(long_step, story.trace())
    }


def test_it_says_how_long_a_step_is_and_could_save_what_a_request_has_of_them() -> None:
    twice = Story().runs(30).sends(listing(5)).runs(20).answers().trace()

    finding = only(found(long_step, twice))

    assert "Own code runs for 25.0 ms" in finding.says
    assert pytest.approx(50) == finding.could_save_ms


@pytest.mark.parametrize(("long", "every"), [(3, 6), (3, 12), (3, 15), (4, 20)])
def test_three_requests_and_a_fifth_of_them_are_enough(long: int, every: int) -> None:
    finding = only(found(long_step, *[computing(30)] * long, *[computing(2)] * (every - long)))

    assert finding.says.endswith(f"the event loop up, in {long} of {every} requests.")
    assert pytest.approx(30 * long / every) == finding.could_save_ms
    assert [Nearly("own code held the loop for 30.0 ms in a step")] == judged(
        long_step, *[computing(30)] * (long - 1), *[computing(2)] * (every - long + 1)
    )


def test_half_of_a_few_requests_have_to_have_one() -> None:
    finding = only(found(long_step, computing(30), computing(2)))

    assert "Own code runs for 30.0 ms" in finding.says
    assert pytest.approx(15) == finding.could_save_ms
    assert 1 == finding.evidence["requests"]
    assert [Nearly("own code held the loop for 30.0 ms in a step")] == judged(
        long_step, computing(30), computing(2), computing(2)
    )


def test_several_in_one_request_are_one_request() -> None:
    often = Story().runs(30).sends(listing(5)).runs(30).sends(listing(5)).runs(30).answers()

    assert [] == found(long_step, often.trace(), *[computing(1)] * 4)


def test_requests_that_ran_beside_others_do_not_count_where_there_are_calm_ones() -> None:
    calm, busy = computing(5), computing(40)
    views = [seen(calm), seen(busy, open_count=4), seen(busy, open_count=4)]

    assert [] == list(long_step.apply(Requests("GET", "/orders", views, RUN)))
    assert found(long_step, busy, busy, open_count=4)


def test_it_says_what_others_waited_for_it() -> None:
    blocked = Blocked("GET /orders", LINE, "own-code", 90, 3, (Victim("GET /health", 4, 50, 80),))
    run = Run(round_trip_ms=RUN.round_trip_ms, blocked=(blocked,))

    assert 80 == only(found(long_step, computing(30), run=run)).others_waited_ms

"""Connections that are held while something else than the database is waited for."""

from dataclasses import replace

import pytest

from tests.diagnose.story import (
    LINE,
    OTHER_LINE,
    Story,
    found,
    judged,
    listing,
    only,
)
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.held_connection import held_connection
from unslow.model.finding import OTHERS
from unslow.model.trace import BLOCKING, CACHE, REMOTE, SEND, SQL, UNEXPLAINED, Lane, Slice, Trace

POOL = "asyncpg 127.0.0.1:5432/shop pool 5-5"
SERVICE = ("billing:443", 1, True)


def held(query_ms: float, wait_ms: float, segment: int = REMOTE) -> Trace:
    """A connection is taken, used, and kept while something else is waited for."""
    story = Story().takes(POOL).sends(listing(1), ms=query_ms)
    return story.waits(segment, wait_ms, None, OTHER_LINE).gives_back().trace()


def nearly(*traces: Trace) -> str:
    (one,) = judged(held_connection, *traces)
    assert isinstance(one, Nearly)
    return one.says


def test_it_fires_at_the_threshold() -> None:
    finding = only(found(held_connection, held(6, 4)))

    assert "held-connection" == finding.rule


def test_it_is_silent_just_below_and_says_how_near_it_was() -> None:
    assert f"{POOL} is held for 4.0 ms of other waits a request" == nearly(held(6.01, 3.99))


def test_the_place_is_where_the_connection_is_taken_and_the_touch_where_it_is_not_used() -> None:
    finding = only(found(held_connection, held(5, 50)))

    assert (LINE, OTHER_LINE) == (finding.place, finding.touched)


def test_it_says_how_long_it_is_held_and_for_what() -> None:
    finding = only(found(held_connection, held(5, 50)))

    assert finding.says == (
        f"A connection of {POOL} is held for 55.0 ms a request, 50.0 ms of it in `remote`."
    )
    assert {"pool": POOL, "held_ms": 55.0, "idle_ms": 50.0} == finding.evidence
    assert finding.shape == "asyncpg"


def test_what_could_be_saved_is_the_wait_and_it_is_others_who_save_it() -> None:
    free = Story().runs(1).trace()

    finding = only(found(held_connection, held(5, 50), free))

    assert (25.0, OTHERS) == (finding.could_save_ms, finding.saves_for)
    assert finding.could_save_ms == finding.could_save_at_ms(5)


@pytest.mark.parametrize(
    ("segment", "words"),
    [
        (REMOTE, "`remote`"),
        (CACHE, "`cache`"),
        (BLOCKING, "`blocking`"),
        (UNEXPLAINED, "waits for something else"),
    ],
)
def test_whatever_is_waited_for_is_told(segment: int, words: str) -> None:
    assert f"50.0 ms of it in {words}." in only(found(held_connection, held(5, 50, segment))).says


def test_several_waits_are_told_the_longest_first_without_small_ones() -> None:
    story = Story().takes(POOL).sends(listing(1))
    story.waits(CACHE, 20, None, LINE).waits(REMOTE, 60, SERVICE, OTHER_LINE).waits(BLOCKING, 2)

    finding = only(found(held_connection, story.trace()))

    assert "82.0 ms of it in `remote` and `cache`." in finding.says
    assert OTHER_LINE == finding.touched


def test_a_wait_of_less_than_a_millisecond_is_near_at_most() -> None:
    assert "1.0 ms" in nearly(held(0.2, 0.99))
    assert found(held_connection, held(0.2, 1))


def test_a_wait_that_is_a_tenth_of_them_is_told() -> None:
    story = Story().takes(POOL).waits(REMOTE, 90, SERVICE).waits(CACHE, 10)
    less = Story().takes(POOL).waits(REMOTE, 91, SERVICE).waits(CACHE, 10)

    assert "in `remote` and `cache`." in only(found(held_connection, story.trace())).says
    assert "in `remote`." in only(found(held_connection, less.trace())).says


def test_it_is_held_from_where_it_is_taken_and_all_requests_count_in_the_mean() -> None:
    story = Story().runs(30).takes(POOL).sends(listing(1), ms=5).waits(REMOTE, 45, SERVICE)
    free = Story().runs(1).trace()

    finding = only(found(held_connection, story.trace(), free))

    assert "held for 25.0 ms a request, 22.5 ms of it" in finding.says
    assert {"pool": POOL, "held_ms": 25.0, "idle_ms": 22.5} == finding.evidence


def test_each_line_that_takes_connections_is_judged_by_itself() -> None:
    story = Story().takes(POOL, LINE).sends(listing(1), ms=20).waits(CACHE, 2).gives_back()
    story.takes(POOL, OTHER_LINE).sends(listing(1)).waits(REMOTE, 40, SERVICE).gives_back()

    assert OTHER_LINE == only(found(held_connection, story.trace())).place


def test_asking_the_service_first_is_silent() -> None:
    story = Story().waits(REMOTE, 50, SERVICE).takes(POOL).sends(listing(1)).gives_back()

    assert [] == judged(held_connection, story.trace())


def test_asking_the_service_after_the_session_is_closed_is_silent() -> None:
    story = Story().takes(POOL).sends(listing(1)).gives_back().waits(REMOTE, 50, SERVICE)

    assert [] == judged(held_connection, story.trace())


def test_a_connection_that_is_given_back_in_between_is_silent() -> None:
    story = Story().takes(POOL).sends(listing(1)).gives_back().waits(REMOTE, 50, SERVICE)
    story.takes(POOL).sends(listing(1)).gives_back()

    assert [] == judged(held_connection, story.trace())


def test_the_database_is_what_a_connection_is_held_for() -> None:
    assert [] == judged(held_connection, held(500, 0))


def test_computing_and_sending_are_no_waits_for_something_else() -> None:
    story = Story().takes(POOL).sends(listing(1)).runs(80).waits(SEND, 80)

    assert [] == judged(held_connection, story.trace())


def test_what_is_waited_for_after_the_answer_is_not_looked_at() -> None:
    trace = Story().takes(POOL).sends(listing(1)).answers().waits(REMOTE, 50, SERVICE).trace()
    answered = replace(trace, response_end_ns=trace.lanes[0].slices[2].end_ns)

    assert [] == judged(held_connection, answered)


def test_what_is_taken_after_the_answer_takes_nothing_off_what_was_held_before() -> None:
    story = Story().takes(POOL).sends(listing(1), ms=5).waits(CACHE, 4).gives_back().answers()
    answered_ns = story.now_ns
    after = story.waits(SEND, 10).takes(POOL).sends(listing(1), ms=5).trace()

    (says,) = judged(held_connection, replace(after, response_end_ns=answered_ns), held(5, 0.1))

    assert isinstance(says, Nearly)


def test_while_another_task_of_the_request_is_with_the_database_nothing_is_held_in_vain() -> None:
    trace = Story().takes(POOL).sends(listing(1), ms=50).trace()
    calling = Lane("task", 7, 0, 0, 50_000_000, (), (Slice(0, 50_000_000, REMOTE, SERVICE),))

    assert SQL == trace.lanes[0].slices[0].segment
    assert [] == judged(held_connection, replace(trace, lanes=(*trace.lanes, calling)))


def test_requests_that_take_no_connection_are_silent() -> None:
    assert [] == judged(held_connection, Story().waits(REMOTE, 50, SERVICE).trace())

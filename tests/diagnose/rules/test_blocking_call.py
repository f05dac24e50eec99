"""A wait that holds the loop: what holds it, and what only looks so."""

from dataclasses import replace
from typing import Any

import pytest

from tests.diagnose.story import LINE, OTHER_LINE, RUN, Story, found, judged, listing, only
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.blocking_call import blocking_call
from unslow.diagnose.views import Run
from unslow.model.finding import OTHERS
from unslow.model.report import Blocked, Victim
from unslow.model.trace import BLOCKING, CACHE, REMOTE, SQL, Place, Statement, Trace

HELPER = Place("/app/files.py", 5, "read_rates")
SERVICE = ("prices.example:443", 1, True, False)


def sleeping(ms: float) -> Trace:
    return Story().blocks(BLOCKING, ms, "time.sleep", LINE).answers().trace()


def test_it_fires_at_the_threshold_at_the_line_that_calls() -> None:
    finding = only(found(blocking_call, sleeping(1)))

    assert ("blocking-call", LINE, OTHERS) == (finding.rule, finding.place, finding.saves_for)
    assert "time.sleep holds the event loop for 1.0 ms a request (`blocking`)." == finding.says
    assert pytest.approx(1) == finding.could_save_ms
    assert ("blocking", "time.sleep") == (finding.evidence["segment"], finding.evidence["what"])
    assert pytest.approx(1) == finding.evidence["blocked_ms"]


def test_just_below_it_is_nearly_one_as_the_reading_of_a_small_file_is() -> None:
    story = Story().blocks(BLOCKING, 0.99, "open", LINE).answers()

    assert [Nearly("open holds the loop for 1.0 ms a request")] == judged(
        blocking_call, story.trace()
    )


@pytest.mark.parametrize(
    ("segment", "what", "says"),
    [
        (REMOTE, SERVICE, "A call of another service holds the event loop"),
        (CACHE, "redis 127.0.0.1:6379", "redis 127.0.0.1:6379 holds the event loop"),
        (SQL, 0, "A statement holds the event loop"),
    ],
)
def test_a_wait_for_a_network_fires_at_a_tenth_of_it(segment: int, what: Any, says: str) -> None:
    def waiting(ms: float) -> Trace:
        story = Story().sends(Statement("SELECT ?", "psycopg", OTHER_LINE), 0.01)
        return story.blocks(segment, ms, what, LINE).answers().trace()

    finding = only(found(blocking_call, waiting(0.1)))

    assert LINE == finding.place
    assert finding.says.startswith(says)
    assert [] == found(blocking_call, waiting(0.09))


def test_a_statement_is_told_at_its_own_line() -> None:
    story = Story().sends(listing(5, place=None), 0.01)
    story.sends_and_blocks(listing(5, place=OTHER_LINE), 3).answers()

    assert OTHER_LINE == only(found(blocking_call, story.trace())).place


def test_an_asynchronous_drivers_own_work_is_no_call_that_blocks() -> None:
    story = Story().sends(listing(5), 1).sends_and_blocks(listing(5), 0.5).answers()

    assert [] == judged(blocking_call, story.trace())


def test_what_gives_the_loop_up_meanwhile_blocks_nobody() -> None:
    story = Story().asks(20).sends(listing(5), 30).waits(CACHE, 5, "redis", LINE).answers()

    assert [] == judged(blocking_call, story.trace())


def test_the_same_call_in_a_thread_blocks_nobody() -> None:
    story = Story(in_thread=True).blocks(BLOCKING, 50, "time.sleep", LINE)
    story.asks(50, holds_loop=True)

    assert [] == judged(blocking_call, story.trace())


def test_the_start_of_a_thread_is_no_call_of_the_users() -> None:
    story = Story().blocks(BLOCKING, 5, "threading.Thread.start", LINE).answers()

    assert [] == judged(blocking_call, story.trace())


def test_what_lay_in_a_buffer_when_it_was_read_is_no_wait() -> None:
    story = Story().asks(20).runs(1).reads_on(2, holds_loop=True).answers()

    assert [] == judged(blocking_call, story.trace())


def test_a_wait_within_another_one_counts_once() -> None:
    trace = Story().blocks(BLOCKING, 30, "subprocess.Popen.wait", LINE).answers().trace()
    (lane,) = trace.lanes
    inner, *rest = lane.slices
    outer = replace(inner, what="subprocess.Popen.communicate")
    nested = replace(trace, lanes=(replace(lane, slices=(inner, outer, *rest)),))

    finding = only(found(blocking_call, nested))

    assert pytest.approx(30) == finding.could_save_ms
    assert "subprocess.Popen.communicate" == finding.evidence["what"]


def test_a_function_has_one_finding_for_a_kind_of_wait_at_its_longest_line() -> None:
    story = Story().blocks(BLOCKING, 2, "open", LINE).blocks(BLOCKING, 5, "time.sleep", OTHER_LINE)

    finding = only(found(blocking_call, story.answers().trace()))

    assert (OTHER_LINE, "time.sleep") == (finding.place, finding.evidence["what"])
    assert pytest.approx(7) == finding.could_save_ms


def test_two_functions_and_two_kinds_of_wait_have_findings_of_their_own() -> None:
    story = Story().blocks(BLOCKING, 2, "open", HELPER).blocks(BLOCKING, 5, "time.sleep", LINE)
    story.asks(3, holds_loop=True).answers()

    findings = found(blocking_call, story.trace())

    assert {(HELPER, "blocking"), (LINE, "blocking"), (LINE, "remote")} == {
        (one.place, one.evidence["segment"]) for one in findings
    }
    assert 3 == len({one.id for one in findings})


def test_what_it_takes_is_the_mean_over_the_requests() -> None:
    calm = Story().answers().trace()

    finding = only(found(blocking_call, sleeping(3), calm, calm))

    assert pytest.approx(1) == finding.could_save_ms
    assert [] == found(blocking_call, sleeping(2), calm, calm)


def test_it_says_what_others_waited_for_it() -> None:
    victims = (Victim("GET /health", 4, 50, 80), Victim("GET /orders", 1, 10, 10))
    blocked = Blocked("GET /orders", LINE, "time.sleep", 100, 2, victims)
    elsewhere = Blocked("GET /other", LINE, "time.sleep", 100, 2, victims)
    run = Run(round_trip_ms=RUN.round_trip_ms, blocked=(blocked, elsewhere))

    finding = only(found(blocking_call, sleeping(50), run=run))

    assert 90 == finding.others_waited_ms
    assert finding.says.endswith("; others waited up to 90.0 ms for it in all.")

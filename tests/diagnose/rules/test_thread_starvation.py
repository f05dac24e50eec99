"""Waiting for a worker thread: of a crowd, for threads that were all busy."""

from pathlib import Path

import pytest

from tests.diagnose.story import (
    ENDPOINT,
    RUN,
    App,
    Story,
    found,
    judged,
    listing,
    only,
    seen,
    side_by_side,
)
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.thread_starvation import thread_starvation
from unslow.diagnose.run import diagnose
from unslow.diagnose.views import Requests, Run
from unslow.model.finding import NOT_CHECKED
from unslow.model.trace import THREAD_QUEUE, Place, Trace


def waiting(
    ms: float, rest_ms: float = 10, *, pool: str | None = "40 threads", endpoint: Place = ENDPOINT
) -> Trace:
    story = Story().waits(THREAD_QUEUE, ms, pool).sends(listing(5), rest_ms)
    return story.trace(endpoint=endpoint)


def test_it_fires_at_the_threshold_at_the_endpoint() -> None:
    finding = only(found(thread_starvation, *[waiting(3, 97)] * 3, open_count=50))

    assert ("thread-starvation", ENDPOINT) == (finding.rule, finding.place)
    assert finding.says == (
        "3 of 3 requests waited for one of 40 threads, all of which were busy: 3.0 ms on average,"
        " with up to 50 requests at once."
    )
    assert pytest.approx(3) == finding.could_save_ms
    assert (3, 50) == (finding.evidence["requests_waited"], finding.evidence["open_at_once"])
    assert pytest.approx(0.03) == finding.evidence["share"]


def test_just_below_it_is_nearly_one() -> None:
    assert [Nearly("3 requests waited for a thread, 3 % of their time")] == judged(
        thread_starvation, *[waiting(3, 98)] * 3, open_count=50
    )


def test_two_requests_that_waited_are_nearly_one() -> None:
    assert [Nearly("2 requests waited for a thread, 75 % of their time")] == judged(
        thread_starvation, waiting(30), waiting(30), waiting(0, 0), open_count=3
    )


def test_the_place_is_the_line_of_the_function_where_its_source_is_known(tmp_path: Path) -> None:
    app = App(tmp_path, "@app.get('/orders')\ndef list_orders():\n    return []\n")
    first = app.at("@app.get")

    finding = only(
        found(
            thread_starvation,
            *[waiting(5, endpoint=first)] * 3,
            run=Run(round_trip_ms=0.2),
            open_count=9,
        )
    )

    assert app.at("def list_orders") == finding.place


def test_the_start_of_a_thread_is_no_wait_for_one() -> None:
    assert [] == judged(thread_starvation, *[waiting(30, pool=None)] * 5, open_count=5)


def test_waits_as_short_as_a_turn_at_the_interpreter_are_none() -> None:
    assert [] == judged(thread_starvation, *[waiting(1.9, 10)] * 5, open_count=5)


def test_with_nobody_beside_it_is_not_checked() -> None:
    diagnosis = diagnose([seen(waiting(30))] * 5, RUN, [thread_starvation])

    assert () == diagnosis.findings
    assert [(NOT_CHECKED, "no two requests were open at once")] == [
        (one.state, one.why) for one in diagnosis.outcomes
    ]


def test_calm_requests_do_not_water_the_share_down_but_gain_nothing_either() -> None:
    views = [seen(waiting(6, 94), open_count=20)] * 3 + [seen(waiting(0, 100))] * 9

    (finding,) = thread_starvation.apply(Requests("GET", "/orders", views, RUN))

    assert not isinstance(finding, Nearly)
    assert "3 of 3 requests waited" in finding.says
    assert pytest.approx(0.06) == finding.evidence["share"]
    assert pytest.approx(6 * 3 / 12) == finding.could_save_ms


def test_each_function_that_runs_in_a_thread_waits_for_one() -> None:
    story = Story().waits(THREAD_QUEUE, 4, "40 threads").sends(listing(5))
    trace = story.waits(THREAD_QUEUE, 6, "40 threads").trace()

    finding = only(found(thread_starvation, *[trace] * 3, open_count=50))

    assert pytest.approx(10) == finding.could_save_ms


def test_functions_that_wait_side_by_side_save_no_more_than_the_request_takes() -> None:
    trace = side_by_side(*[waiting(30, 10)] * 8)

    finding = only(found(thread_starvation, *[trace] * 3, open_count=50))

    assert pytest.approx(40) == finding.could_save_ms

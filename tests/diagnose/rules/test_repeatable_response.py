"""The same expensive answer each time, and what makes it another one."""

from dataclasses import replace

import pytest

from tests.diagnose.story import ENDPOINT, JSON, RUN, Story, found, judged, listing, only
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.repeatable_response import repeatable_response
from unslow.diagnose.views import Run
from unslow.model.trace import Response, Trace

SAME = replace(JSON, digest="same")
WAITS_MS = 20 * RUN.round_trip_ms


def answer(
    ms: float = WAITS_MS,
    response: Response | None = SAME,
    *,
    rows: int = 10,
    method: str = "GET",
    route: str = "/totals",
) -> Trace:
    """Waits so long for the database, beside the way there and back."""
    story = Story().sends(listing(rows), ms + RUN.round_trip_ms).runs(1)
    return story.trace(response=response, method=method, route=route)


def test_it_fires_at_the_threshold_at_the_endpoint() -> None:
    finding = only(found(repeatable_response, *[answer()] * 3))

    assert ("repeatable-response", ENDPOINT) == (finding.rule, finding.place)
    assert finding.says == (
        "3 answers were the same, for 5.2 ms each, and nothing says how long they stay so."
    )
    assert pytest.approx(5.2) == finding.could_save_ms
    assert {"answers": 3} == finding.evidence


def test_just_below_it_is_nearly_one() -> None:
    assert [Nearly("answers are the same, and cheap: 5.1 ms")] == judged(
        repeatable_response, *[answer(WAITS_MS - 0.1)] * 3
    )


def test_the_way_to_the_database_is_measured_by_its_driver() -> None:
    slow_way = Run(round_trip_ms=RUN.round_trip_ms, round_trips_ms={"asyncpg": 0.5})

    assert [] == found(repeatable_response, *[answer()] * 3, run=slow_way)


def test_many_rows_are_much_work_however_quickly_they_come() -> None:
    assert found(repeatable_response, *[answer(0.1, rows=500)] * 3)
    assert [] == found(repeatable_response, *[answer(0.1, rows=499)] * 3)


def test_the_answer_of_another_service_is_work_too() -> None:
    trace = Story().asks(WAITS_MS).trace(response=SAME)

    assert found(repeatable_response, *[trace] * 3)


def test_computing_alone_is_no_matter_of_this_rule() -> None:
    trace = Story().runs(50).trace(response=SAME)

    assert [] == found(repeatable_response, *[trace] * 3)


@pytest.mark.parametrize(
    "response",
    [
        replace(SAME, has_query=True),
        replace(SAME, is_personal=True),
        replace(SAME, has_validator=True),
    ],
    ids=["parameters", "login", "validator"],
)
def test_answers_that_hang_on_the_request_or_say_how_long_they_stay_are_nearly_one(
    response: Response,
) -> None:
    assert [
        Nearly("answers are the same, and hang on the request or say how long they stay so")
    ] == judged(repeatable_response, *[answer()] * 3, answer(response=response))


def test_an_answer_that_changes_is_made_for_a_reason() -> None:
    assert [] == judged(
        repeatable_response, *[answer()] * 3, answer(response=replace(SAME, digest="another"))
    )


def test_two_answers_are_too_few_to_tell() -> None:
    assert [] == judged(repeatable_response, *[answer()] * 2)


def test_answers_that_were_not_compared_do_not_count() -> None:
    uncompared = [answer(response=JSON), answer(response=None)]

    assert [] == judged(repeatable_response, *[answer()] * 2, *uncompared)
    assert "3 answers" in only(found(repeatable_response, *[answer()] * 3, *uncompared)).says


@pytest.mark.parametrize(
    ("method", "route"), [("POST", "/totals"), ("HEAD", "/totals"), ("GET", "/users/{id}")]
)
def test_other_methods_and_parameters_in_the_path_are_not_meant(method: str, route: str) -> None:
    assert [] == judged(repeatable_response, *[answer(method=method, route=route)] * 3)

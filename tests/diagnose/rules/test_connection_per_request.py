"""Connections that requests open for themselves, and those that a pool opens to keep."""

from dataclasses import replace

import pytest

from tests.diagnose.story import ENDPOINT, LINE, OTHER_LINE, Story, found, judged, listing, only
from unslow.diagnose.rules.connection_per_request import connection_per_request
from unslow.model.finding import Finding
from unslow.model.trace import Trace, What

SERVER = "asyncpg 127.0.0.1:5432/shop"
POOL = "postgresql+psycopg 127.0.0.1:5432/shop pool 5+10"
NULL_POOL = "postgresql+psycopg 127.0.0.1:5432/shop NullPool"


def opening(what: What = SERVER, ms: float = 5) -> Trace:
    return Story().connects(what, ms).sends(listing(1)).trace()


def warm() -> Trace:
    return Story().sends(listing(1)).trace()


def findings(*later: Trace) -> list[Finding]:
    """What is found where the first half of the requests opened nothing."""
    return found(connection_per_request, *[warm() for _ in later], *later)


def test_it_fires_when_seven_of_ten_later_requests_open_one() -> None:
    finding = only(findings(*[opening()] * 7, *[warm()] * 3))

    assert ("connection-per-request", LINE) == (finding.rule, finding.place)


def test_it_is_silent_when_fewer_do() -> None:
    assert [] == findings(*[opening()] * 6, *[warm()] * 4)


def test_it_says_how_many_requests_open_one_and_what_that_takes() -> None:
    finding = only(findings(*[opening(ms=8)] * 3, warm()))

    assert finding.says == (
        "3 of the last 4 requests opened a connection of their own, 6.0 ms a request."
    )
    assert {"requests": 3, "of": 4, "connect_ms": 6.0} == finding.evidence
    assert finding.shape == "asyncpg"


def test_what_could_be_saved_is_the_opening() -> None:
    finding = only(findings(*[opening(ms=8)] * 3, warm()))

    assert 6 == pytest.approx(finding.could_save_ms)


def test_a_request_that_opens_two_is_one_request_that_takes_both() -> None:
    twice = Story().connects(ms=4).connects(ms=6, place=OTHER_LINE).trace()

    finding = only(findings(twice, twice))

    assert "2 of the last 2 requests" in finding.says
    assert 10 == pytest.approx(finding.could_save_ms)
    assert [] == findings(twice, warm())


def test_where_no_line_is_known_it_is_at_the_endpoint() -> None:
    nowhere = Story().connects(place=None).trace()

    assert ENDPOINT == only(findings(nowhere, nowhere)).place


def test_a_pool_that_keeps_nothing_is_none() -> None:
    assert findings(*[opening((NULL_POOL, 1, False))] * 4)
    assert findings(*[opening((NULL_POOL, 1, True))] * 4)


def test_an_engine_that_is_made_in_the_request_is_none_to_share() -> None:
    # A new engine has a new pool, and that another number.
    assert findings(*[opening((POOL, number, False)) for number in range(1, 5)])


def test_what_the_first_requests_open_warms_the_pools() -> None:
    assert [] == found(connection_per_request, *[opening()] * 5, *[warm()] * 5)


def test_a_single_request_tells_nothing() -> None:
    assert [] == found(connection_per_request, opening((POOL, 1, False)))
    assert [] == found(connection_per_request, opening())


def test_each_worker_warms_its_own_pool() -> None:
    workers = [replace(opening((POOL, 1, False)), process_id=number) for number in range(8)]

    assert [] == found(connection_per_request, *workers)


def test_a_pool_that_opens_several_is_left_to_another_rule() -> None:
    assert [] == findings(*[opening((POOL, 1, False))] * 4)
    assert [] == findings(*[opening((POOL, number, True)) for number in range(1, 5)])


def test_a_pool_of_a_driver_is_known_by_what_is_held() -> None:
    name = f"{SERVER} pool 1-10"
    held = Story().connects(SERVER).takes(name).sends(listing(1)).trace()

    assert [] == findings(held, held)


def test_a_ping_a_reset_or_the_way_back_opens_nothing() -> None:
    assert [] == judged(connection_per_request, *[opening(None)] * 8)


def test_what_is_opened_after_the_answer_keeps_nobody_waiting() -> None:
    trace = Story().sends(listing(1)).answers().connects().trace()
    answered = replace(trace, response_end_ns=trace.lanes[0].slices[2].end_ns)

    assert [] == findings(answered, answered)

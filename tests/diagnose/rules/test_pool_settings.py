"""Pools that open and close connections all the time, and pools that grow once and stay."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.diagnose.story import LINE, RUN, Story, found, judged, listing, only, seen
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.pool_settings import pool_settings
from unslow.diagnose.views import Requests
from unslow.model.finding import Finding
from unslow.model.trace import CLOSED, GIVEN_BACK, PINGED, Trace

SMALL = "postgresql+psycopg 127.0.0.1:5432/shop pool 1+20"
SERVER = "asyncpg 127.0.0.1:5432/shop"


def opening(number: int = 1, *, again: bool = True, ms: float = 5) -> Trace:
    return Story().connects((SMALL, number, again), ms).sends(listing(1)).trace()


def warm() -> Trace:
    return Story().sends(listing(1)).trace()


def findings(*later: Trace) -> list[Finding]:
    """What is found where the first half of the requests opened nothing."""
    return found(pool_settings, *[warm() for _ in later], *later)


def in_crowd(later: Sequence[Trace], open_count: int) -> list[Finding | Nearly]:
    """What is said where so many requests were open at once."""
    every = [*[warm() for _ in later], *later]
    mine = [
        seen(replace(one, started_at=float(at)), open_count=open_count)
        for at, one in enumerate(every)
    ]
    return list(pool_settings.apply(Requests("GET", "/orders", mine, RUN)))


def test_it_fires_when_one_is_opened_for_each_five_later_requests() -> None:
    finding = only(findings(*[opening()] * 2, *[warm()] * 8))

    assert ("pool-settings", LINE) == (finding.rule, finding.place)


def test_it_is_silent_when_fewer_are_and_says_how_near_it_was() -> None:
    later = [opening()] * 2 + [warm()] * 9

    says = judged(pool_settings, *[warm() for _ in later], *later)

    assert [Nearly("2 connections were opened in the last 11 requests")] == says


def test_it_says_which_pool_opened_how_many() -> None:
    finding = only(findings(*[opening(ms=8)] * 3, warm()))

    assert f"3 connections were opened in the last 4 requests, by {SMALL}." == finding.says
    assert {"opened": 3, "requests": 4, "connect_ms": 6.0} == finding.evidence
    assert finding.shape == "postgresql+psycopg"


def test_what_could_be_saved_is_the_opening() -> None:
    assert 6 == pytest.approx(only(findings(*[opening(ms=8)] * 3, warm())).could_save_ms)


def test_overflow_is_opened_in_a_place_of_its_own_each_time() -> None:
    overflow = [opening(again=False)] * 12 + [warm()] * 20

    (finding,) = in_crowd(overflow, open_count=8)

    assert isinstance(finding, Finding)
    assert 12 == finding.evidence["opened"]


def test_a_pool_that_grows_in_a_crowd_and_stays_is_silent() -> None:
    grows = [opening(again=False)] * 8 + [warm()] * 12

    assert [Nearly("8 connections were opened in the last 20 requests")] == in_crowd(grows, 8)


def test_each_worker_has_a_pool_that_grows() -> None:
    grows = [
        replace(opening(again=False), process_id=worker) for worker in (1, 2) for _ in range(4)
    ]
    stays = [replace(warm(), process_id=worker) for worker in (1, 2) for _ in range(4)]

    (says,) = in_crowd([*grows, *stays], open_count=4)

    assert isinstance(says, Nearly)


def test_a_pool_that_throws_away_soon_opens_in_the_same_place_again() -> None:
    recycled = [opening(again=True)] * 4

    assert isinstance(in_crowd(recycled, open_count=8)[0], Finding)


def test_a_pool_of_a_driver_is_known_by_what_is_held() -> None:
    name = f"{SERVER} pool 1-10"
    held = Story().connects(SERVER).takes(name).sends(listing(1)).trace()

    assert f"4 connections were opened in the last 4 requests, by {SERVER}." == (
        only(findings(held, held, held, held)).says
    )


def test_what_the_first_requests_open_warms_the_pools() -> None:
    assert [] == judged(pool_settings, *[opening(again=False)] * 5, *[warm()] * 5)


@pytest.mark.parametrize("what", [PINGED, GIVEN_BACK, CLOSED])
def test_what_else_is_done_with_connections_opens_none(what: tuple[str]) -> None:
    busy = Story().connects(what).sends(listing(1)).trace()

    assert [] == judged(pool_settings, *[busy] * 8)


def test_a_single_request_tells_nothing() -> None:
    assert [] == judged(pool_settings, opening())


def test_connections_without_a_pool_are_left_to_another_rule() -> None:
    null_pool = Story().connects((SMALL.replace("pool 1+20", "NullPool"), 1, False)).trace()

    assert [] == findings(null_pool, null_pool)
    assert [] == findings(*[Story().connects(SERVER).trace()] * 4)


def test_pools_that_are_made_for_one_request_are_left_to_another_rule() -> None:
    assert [] == findings(*[opening(number, again=False) for number in range(1, 5)])


def test_it_judges_requests_that_ran_beside_others() -> None:
    assert pool_settings.in_crowd

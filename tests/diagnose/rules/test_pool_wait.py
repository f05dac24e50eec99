"""Waiting for a connection of a pool, in requests that run beside others."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.diagnose.story import (
    LINE,
    OTHER_LINE,
    RUN,
    Story,
    found,
    judged,
    listing,
    only,
    seen,
)
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.pool_wait import pool_wait
from unslow.diagnose.views import Requests
from unslow.model.finding import Finding
from unslow.model.report import Holder
from unslow.model.trace import CONNECT, LOOP_BUSY, POOL_WAIT, Place, Trace

POOL = "asyncpg 127.0.0.1:5432/shop pool 2-2"
CROWD = 8


def waiting(ms: float, *, rest_ms: float = 10, pool: str = POOL, place: Place = LINE) -> Trace:
    """A request that waits for a connection and then works with it."""
    story = Story().waits(POOL_WAIT, ms, pool, place).takes(pool)
    return story.sends(listing(5), ms=rest_ms).trace()


def in_crowd(*traces: Trace) -> list[Finding]:
    return found(pool_wait, *traces, open_count=CROWD)


def nearly(*traces: Trace) -> str:
    (one,) = judged(pool_wait, *traces, open_count=CROWD)
    assert isinstance(one, Nearly)
    return one.says


def beside_others(crowd: Sequence[Trace], alone: Sequence[Trace]) -> list[Finding | Nearly]:
    mine = [*(seen(one, open_count=CROWD) for one in crowd), *map(seen, alone)]
    return list(pool_wait.apply(Requests("GET", "/orders", mine, RUN)))


def test_it_fires_at_the_threshold_at_the_line_that_waits() -> None:
    finding = only(in_crowd(*[waiting(2, rest_ms=18)] * 3))

    assert ("pool-wait", LINE, None) == (finding.rule, finding.place, finding.touched)


def test_it_is_silent_just_below_and_says_how_near_it_was() -> None:
    assert f"3 requests waited for {POOL}" == nearly(*[waiting(2, rest_ms=18.1)] * 3)


def test_it_says_who_waited_how_long_for_what() -> None:
    finding = only(in_crowd(*[waiting(30)] * 4, waiting(0)))

    assert f"4 of 5 requests waited for {POOL}, 24.0 ms on average." == finding.says
    assert (POOL, 4) == (finding.evidence["pool"], finding.evidence["requests_waited"])
    assert 120 / 170 == pytest.approx(finding.evidence["share"])
    assert finding.shape == "asyncpg"


def test_it_names_who_held_the_connections() -> None:
    mine = {"GET /orders": 80.0}
    other = Holder("another pool", "GET /other", LINE, 900, {"GET /orders": 900})
    holder = Holder(POOL, "GET /reports", OTHER_LINE, 80, mine)
    shorter = Holder(POOL, "GET /brief", OTHER_LINE, 700, {"GET /orders": 20, "GET /posts": 680})
    run = replace(RUN, holders=(other, shorter, holder))

    finding = only(found(pool_wait, *[waiting(30)] * 3, run=run, open_count=CROWD))

    assert "on average; GET /reports held them longest." in finding.says
    assert OTHER_LINE == finding.touched


def test_who_held_them_while_only_other_routes_waited_is_not_named() -> None:
    holder = Holder(POOL, "GET /reports", OTHER_LINE, 800, {"GET /posts": 800})
    run = replace(RUN, holders=(holder,))

    finding = only(found(pool_wait, *[waiting(30)] * 3, run=run, open_count=CROWD))

    assert (True, None) == (finding.says.endswith("on average."), finding.touched)


def test_what_could_be_saved_is_the_wait_per_request_of_the_route() -> None:
    (finding,) = beside_others([waiting(30)] * 4, [waiting(0)] * 4)

    assert isinstance(finding, Finding)
    assert 30 / 2 == pytest.approx(finding.could_save_ms)
    assert finding.could_save_ms == finding.could_save_at_ms(5)


def test_the_line_that_waits_longest_is_the_place() -> None:
    traces = [waiting(5, place=OTHER_LINE)] * 3 + [waiting(40, place=LINE)]

    assert LINE == only(in_crowd(*traces)).place


def test_each_pool_is_judged_by_itself() -> None:
    story = Story()
    for pool, ms in ((POOL, 20), ("redis pool", 15)):
        story.waits(POOL_WAIT, ms, pool, LINE)

    assert [POOL, "redis pool"] == [one.evidence["pool"] for one in in_crowd(*[story.trace()] * 3)]


def test_two_requests_that_waited_are_too_few() -> None:
    assert f"2 requests waited for {POOL}" == nearly(*[waiting(50)] * 2, waiting(0))


def test_the_way_to_a_free_connection_is_no_wait() -> None:
    assert [] == judged(pool_wait, *[waiting(0.9, rest_ms=2)] * 20, open_count=CROWD)
    assert in_crowd(*[waiting(1, rest_ms=2)] * 3)


def test_two_at_once_are_a_crowd() -> None:
    assert found(pool_wait, *[waiting(30)] * 3, open_count=2)
    assert [] == found(pool_wait, *[waiting(30)] * 3, open_count=1)


def test_where_the_loop_is_waited_for_even_longer_more_connections_would_not_help() -> None:
    def busy(loop_ms: float) -> Trace:
        story = Story().waits(POOL_WAIT, 30, POOL, LINE).waits(LOOP_BUSY, loop_ms)
        return story.sends(listing(5), ms=10).trace()

    assert f"3 requests waited for {POOL}, and longer for the event loop" == nearly(*[busy(31)] * 3)
    assert LINE == only(in_crowd(*[busy(29)] * 3)).place


def test_where_the_app_computes_all_the_while_more_connections_would_not_help() -> None:
    def computing(ms: float) -> list[Trace]:
        # Three wait for 30 ms, during which the fourth computes.
        waits = Story().waits(POOL_WAIT, 30, POOL, LINE).trace()
        return [*[waits] * 3, Story().runs(ms).trace()]

    assert "3 requests waited" in nearly(*computing(21.5))
    assert nearly(*computing(21.5)).endswith("and the app computed for 72 % of that time")
    assert 0.5 == pytest.approx(only(in_crowd(*computing(15))).evidence["computed_share"])


def test_a_pool_that_is_large_enough_is_silent() -> None:
    assert [] == judged(pool_wait, *[waiting(0)] * 20, open_count=CROWD)


def test_opening_a_connection_is_no_wait_for_others() -> None:
    story = Story().connects((POOL, 1, False), ms=30).sends(listing(5))

    assert CONNECT in {one.segment for one in story.trace().lanes[0].slices}
    assert [] == judged(pool_wait, *[story.trace()] * 5, open_count=CROWD)


def test_requests_that_ran_alone_wait_for_nobody() -> None:
    assert [] == beside_others([waiting(0)] * 3, [waiting(50)] * 3)


def test_it_needs_requests_beside_others() -> None:
    assert ("crowd",) == pool_wait.needs
    assert pool_wait.in_crowd

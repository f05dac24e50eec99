"""Findings: what their ids hang on, and what is at stake."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.model.finding import CLEAN, STATES, Finding, Outcome
from unslow.model.trace import Place

LINE = Place("/app/shop.py", 14, "list_orders")
FINDING = Finding(
    "It is sent 10 times.",
    LINE,
    could_save_ms=4.0,
    round_trips=9.0,
    shape="SELECT a FROM t WHERE id = ?",
    rule="repeated-query",
    route="GET /orders",
)


def test_an_id_is_the_rules_name_and_six_digits() -> None:
    assert re.fullmatch(r"repeated-query-[0-9a-f]{6}", FINDING.id)


def test_an_id_is_the_same_in_each_process() -> None:
    assert FINDING.id == "repeated-query-a71ba3"


@pytest.mark.parametrize(
    "moved",
    [
        {"place": replace(LINE, line=99)},
        {"place": replace(LINE, path="/elsewhere/shop.py")},
        {"says": "It is sent 11 times."},
        {"could_save_ms": 99.0},
        {"round_trips": None},
        {"touched": LINE},
        {"evidence": {"statements": 11}},
        {"title": "Another title"},
        {"fixes": ("batch-by-key",)},
        {"code": "rows = session.execute(query)"},
    ],
    ids=lambda moved: next(iter(moved)),
)
def test_an_id_stays_while_lines_move_and_times_change(moved: dict[str, object]) -> None:
    assert replace(FINDING, **moved).id == FINDING.id  # type: ignore[arg-type]  # of any field


@pytest.mark.parametrize(
    "other",
    [
        {"shape": "SELECT b FROM t WHERE id = ?"},
        {"shape": ""},
        {"route": "GET /items"},
        {"rule": "duplicate-query"},
        {"place": replace(LINE, function="get_order")},
        {"place": None},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_rule_route_function_or_shape_is_another_finding(other: dict[str, object]) -> None:
    assert replace(FINDING, **other).id[-6:] != FINDING.id[-6:]  # type: ignore[arg-type]  # as above


def test_what_ends_one_part_does_not_begin_the_next() -> None:
    one = replace(FINDING, route="GET /a", place=replace(LINE, function="b"), shape="c")
    other = replace(FINDING, route="GET /ab", place=replace(LINE, function=""), shape="c")

    assert one.id != other.id


@given(st.text(), st.text())
def test_whatever_it_is_made_of_an_id_can_be_typed(function: str, shape: str) -> None:
    finding = replace(FINDING, place=replace(LINE, function=function), shape=shape)

    assert re.fullmatch(r"[a-z-]+-[0-9a-f]{6}", finding.id)


def test_where_round_trips_take_longer_more_is_at_stake() -> None:
    assert FINDING.could_save_at_ms(0) == 4
    assert FINDING.could_save_at_ms(1) == 13
    assert FINDING.could_save_at_ms(5) == 49


def test_what_sends_no_statements_saves_the_same_everywhere() -> None:
    assert replace(FINDING, round_trips=None).could_save_at_ms(5) == 4


def test_what_is_not_about_time_saves_none_anywhere() -> None:
    assert replace(FINDING, could_save_ms=None).could_save_at_ms(5) is None


@given(st.floats(0, 1e6), st.floats(0, 1e3), st.floats(0, 50))
def test_a_longer_way_never_makes_less_of_it(save: float, trips: float, way: float) -> None:
    finding = replace(FINDING, could_save_ms=save, round_trips=trips)
    near, far = finding.could_save_at_ms(way), finding.could_save_at_ms(way + 1)

    assert near is not None
    assert far is not None
    assert save <= near <= far


@pytest.mark.parametrize(
    ("could_save_ms", "others_waited_ms", "at_stake_ms"),
    [(4.0, None, 40), (None, 7.0, 7), (4.0, 7.0, 40), (4.0, 70.0, 70), (None, None, 0)],
)
def test_in_all_requests_together_the_larger_of_own_and_others_time_is_at_stake(
    could_save_ms: float | None, others_waited_ms: float | None, at_stake_ms: float
) -> None:
    finding = replace(FINDING, could_save_ms=could_save_ms, others_waited_ms=others_waited_ms)

    assert finding.at_stake_ms(10) == at_stake_ms


def test_what_may_become_of_a_rule_are_four_words() -> None:
    assert STATES == ("found", "clean", "not-checked", "broke")
    assert Outcome("repeated-query", "GET /orders", CLEAN).why == ""

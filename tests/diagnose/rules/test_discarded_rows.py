"""Rows that are loaded and thrown away, in requests that were watched."""

from dataclasses import replace

import pytest

from tests.diagnose.story import (
    OTHER_LINE,
    Story,
    eager_load,
    found,
    judged,
    listing,
    only,
    usage,
)
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.discarded_rows import discarded_rows
from unslow.model.trace import HYDRATION, ROWS, Returned, Trace
from unslow.model.usage import Profile, Usage

USE = ("number", "status", "total")


def told(*usages: Usage, returned: Returned | None = None) -> Trace:
    """A list of orders: 1 ms until the answer comes, 2 for its rows, 3 for the objects."""
    story = Story().sends(listing(usages[0].rows_count), ms=1)
    story.waits(ROWS, 2, 0).blocks(HYDRATION, 3, 0)
    return story.trace(usages=usages, returned=returned)


def read(rows: int, *profile: Profile) -> Trace:
    return told(usage(rows, profile=profile))


def nearly(*traces: Trace) -> str:
    (one,) = judged(discarded_rows, *traces)
    assert isinstance(one, Nearly)
    return one.says


def a_list_of(count: int) -> Returned:
    return Returned("dict", count, is_typed=True, is_own_model=False, is_fast=True)


def test_it_fires_at_the_threshold_at_the_line_of_the_query() -> None:
    finding = only(found(discarded_rows, read(120, (USE, 20))))

    assert ("discarded-rows", OTHER_LINE, None) == (finding.rule, finding.place, finding.touched)


def test_it_is_silent_just_below_and_says_how_near_it_was() -> None:
    assert "99 of 119 rows of Order were not used" == nearly(read(119, (USE, 20)))


def test_it_says_how_many_rows_are_used() -> None:
    finding = only(found(discarded_rows, read(1_500, (USE, 20))))

    assert finding.says == (
        "20 of 1,500 rows of Order are used; of the others nothing is read, or only what they"
        " were chosen by."
    )
    assert {"rows": 1_500, "discarded": 1_480} == finding.evidence


def test_what_could_be_saved_is_the_share_of_rows_and_objects() -> None:
    finding = only(found(discarded_rows, read(200, (USE, 20))))

    assert (2 + 3) * 180 / 200 == pytest.approx(finding.could_save_ms)
    # The statement is sent all the same.
    assert finding.could_save_ms == finding.could_save_at_ms(5)


def test_rows_that_are_only_counted_are_thrown_away() -> None:
    assert "0 of 500 rows" in only(found(discarded_rows, read(500))).says


def test_rows_are_chosen_by_what_is_read_of_all_and_used_by_more() -> None:
    chosen = read(1_000, (("status",), 980), (USE, 15), ((*USE, "note"), 5))

    assert "20 of 1,000 rows" in only(found(discarded_rows, chosen)).says
    assert found(discarded_rows, read(1_000, (USE[:2], 900), ((*USE, "note"), 100)))


def test_of_several_requests_the_middle_one_counts() -> None:
    few, many = read(200, (USE, 20)), read(200, (USE, 200))

    assert found(discarded_rows, few, few, many)
    assert [] == found(discarded_rows, few, many, many)


def test_rows_that_are_all_read_for_a_total_are_used() -> None:
    assert [] == judged(discarded_rows, read(1_000, (("total",), 1_000)))


def test_rows_of_which_some_are_read_a_little_more_are_used() -> None:
    more = (*USE, "note")

    assert [] == judged(discarded_rows, read(1_000, (USE, 900), (more, 100)))
    assert [] == judged(discarded_rows, read(1_000, (USE[:2], 900), (USE, 100)))


def test_rows_that_are_all_answered_are_used_however_little_is_read_of_most() -> None:
    mixed = usage(1_000, profile=((("number",), 900), (USE, 100)))

    assert [] == found(discarded_rows, told(mixed, returned=a_list_of(1_000)))
    assert found(discarded_rows, told(mixed, returned=a_list_of(100)))


def test_rows_read_in_ways_that_have_nothing_in_common_are_used() -> None:
    assert [] == judged(discarded_rows, read(1_000, (("status",), 900), (("total", "number"), 100)))


def test_rows_that_are_written_are_used() -> None:
    assert [] == judged(discarded_rows, told(usage(500, profile=(), written=500)))


def test_a_list_of_which_a_third_is_used_is_near_at_most() -> None:
    assert "690 of 1,000 rows of Order were not used" == nearly(read(1_000, (USE, 310)))
    assert found(discarded_rows, read(1_000, (USE, 300)))


def test_a_page_with_a_limit_is_used_whole() -> None:
    assert [] == judged(discarded_rows, read(20, (USE, 20)))


def test_one_row_too_many_that_tells_of_a_next_page_is_not_spoken_of() -> None:
    assert [] == judged(discarded_rows, read(21, (USE, 20)))


def test_objects_of_a_relationship_are_left_to_another_rule() -> None:
    story = Story().sends(listing(10)).sends(eager_load(relationship="Order.lines", rows=500))
    lines = usage(500, statement=1, entity="Line", profile=())

    assert [] == judged(discarded_rows, story.trace(usages=(usage(10), lines)))


def test_only_what_was_watched_is_judged() -> None:
    bounded = replace(usage(500, profile=((USE, 500),)), unwatched_rows_count=9_500)

    assert [] == judged(discarded_rows, told(bounded))


def test_without_watched_requests_nothing_is_said() -> None:
    assert ("usage",) == discarded_rows.needs
    assert [] == judged(discarded_rows, Story().sends(listing(500)).trace())

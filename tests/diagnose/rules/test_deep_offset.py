"""Pages that are reached by skipping rows, and pages that are not far in."""

import pytest

from tests.diagnose.story import LINE, OTHER_LINE, Story, found, judged, only
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.deep_offset import deep_offset
from unslow.model.trace import ROWS, Place, Statement, Trace

SHAPE = "SELECT * FROM posts ORDER BY id LIMIT ? OFFSET ?"


def page(skipped: int | None, rows: int | None = 20, place: Place = OTHER_LINE) -> Statement:
    return Statement(SHAPE, "psycopg", place, rows_count=rows, offset_rows_count=skipped)


def asked(skipped: int | None, rows: int | None = 20, *, ms: float = 0.2) -> Trace:
    return Story().sends(page(skipped, rows), ms=ms).trace()


def test_it_fires_at_the_threshold_at_the_line_of_the_query() -> None:
    finding = only(found(deep_offset, asked(1_000)))

    assert ("deep-offset", OTHER_LINE, None) == (finding.rule, finding.place, finding.touched)


def test_it_is_silent_just_below_and_says_how_near_it_was() -> None:
    assert [Nearly("OFFSET is used, for pages that are near")] == judged(deep_offset, asked(900))


def test_it_says_how_many_rows_are_skipped_and_how_often() -> None:
    finding = only(found(deep_offset, asked(2_000), asked(50_000), asked(20)))

    assert "Up to 50,000 rows are skipped to reach a page, in 2 of 3 requests." == finding.says
    assert {"rows_skipped": 50_000, "requests": 2} == finding.evidence
    assert SHAPE == finding.shape


def test_a_request_with_several_such_pages_is_one_request() -> None:
    story = Story()
    for number in range(1, 6):
        story.sends(page(1_000 * number))

    finding = only(found(deep_offset, story.trace()))

    assert "Up to 5,000 rows are skipped to reach a page, in 1 of 1 requests." == finding.says
    assert 1 == finding.evidence["requests"]


def test_what_could_be_saved_is_the_database_time_of_the_skipped_rows() -> None:
    story = Story().sends(page(9_000, 100), ms=10).waits(ROWS, 5, 0).runs(30)
    near = asked(20, ms=3)

    finding = only(found(deep_offset, story.trace(), near))

    assert 10 * 9_000 / 9_100 / 2 == pytest.approx(finding.could_save_ms)
    # The page is asked for all the same.
    assert finding.could_save_ms == finding.could_save_at_ms(5)


def test_each_query_is_judged_by_itself() -> None:
    story = Story().sends(page(5_000)).sends(page(5_000, place=LINE))

    assert [OTHER_LINE, LINE] == [one.place for one in found(deep_offset, story.trace())]


def test_a_page_behind_the_last_one_may_have_skipped_next_to_nothing() -> None:
    assert [] == found(deep_offset, asked(4_000, 0), asked(4_000, 0))
    # As a loop over pages that ends with an empty one.
    story = Story().sends(page(0, 20)).sends(page(1_000, 0))
    assert [] == found(deep_offset, story.trace())


def test_rows_that_were_not_counted_break_nothing() -> None:
    assert found(deep_offset, asked(1_000, None))


def test_the_first_pages_of_a_large_size_are_near() -> None:
    assert [] == found(deep_offset, asked(4_000, 500))
    assert found(deep_offset, asked(5_000, 500))


def test_the_first_page_is_not_even_near() -> None:
    assert [] == judged(deep_offset, asked(0))


def test_pages_by_key_skip_nothing() -> None:
    keyset = Statement(
        "SELECT * FROM posts WHERE id < ? ORDER BY id DESC LIMIT ?",
        "psycopg",
        OTHER_LINE,
        rows_count=20,
    )

    assert [] == judged(deep_offset, Story().sends(keyset, ms=50).trace())


def test_an_offset_that_nobody_knows_is_not_judged() -> None:
    assert [] == judged(deep_offset, asked(None))

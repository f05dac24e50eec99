"""Joins that pair each row of one list with each of another."""

from dataclasses import replace

import pytest

from tests.diagnose.story import OTHER_LINE, Story, found, judged, only
from unslow.diagnose.rules.cartesian_join import cartesian_join
from unslow.model.trace import HYDRATION, ROWS, Statement, Trace

JOIN = "SELECT * FROM posts LEFT JOIN tags ON true LEFT JOIN comments ON true"


def joined(
    rows: int | None = 200,
    lists: tuple[int, int] | None = (20, 10),
    *,
    shape: str = JOIN,
    ms: float = 1,
) -> Trace:
    """A join of so many rows, for parents that have two lists of such lengths."""
    statement = Statement(shape, "psycopg", OTHER_LINE, rows_count=rows, multiplied=lists)
    return Story().sends(statement, ms=ms).waits(ROWS, 4, 0).blocks(HYDRATION, 15, 0).trace()


def test_it_fires_at_the_threshold_at_the_line_of_the_statement() -> None:
    finding = only(found(cartesian_join, joined(50, (5, 10))))

    assert ("cartesian-join", OTHER_LINE, None) == (finding.rule, finding.place, finding.touched)


def test_it_is_silent_just_below() -> None:
    assert [] == judged(cartesian_join, joined(49, (7, 7)))


def test_it_says_how_long_the_lists_are_and_how_many_rows_would_do() -> None:
    finding = only(found(cartesian_join, joined(1_500, (50, 30))))

    assert finding.says == (
        "Lists of 50 and 30 are joined with each other: 1,500 rows come where 80 would do."
    )
    assert {"rows": 1_500, "rows_needed": 80} == finding.evidence
    assert JOIN == finding.shape


def test_rows_of_several_parents_are_counted_together() -> None:
    finding = only(found(cartesian_join, joined(400, (5, 4))))

    assert "400 rows come where 180 would do" in finding.says


def test_what_could_be_saved_is_the_share_of_the_rows_that_are_too_many() -> None:
    finding = only(found(cartesian_join, joined(200, (20, 10), ms=1)))

    assert (1 + 4 + 15) * (1 - 30 / 200) == pytest.approx(finding.could_save_ms)
    # The second list takes a statement of its own.
    assert finding.could_save_ms == finding.could_save_at_ms(5)


def test_requests_that_do_not_send_it_count_in_the_mean() -> None:
    finding = only(found(cartesian_join, joined(), Story().runs(5).trace()))

    assert 20 * (1 - 30 / 200) / 2 == pytest.approx(finding.could_save_ms)


def test_one_statement_in_many_that_multiplies_is_enough() -> None:
    assert found(cartesian_join, *[joined(3, None)] * 5, joined())


def test_one_list_that_is_joined_multiplies_nothing() -> None:
    assert [] == judged(cartesian_join, joined(5_000, None))


def test_a_second_list_that_is_loaded_by_itself_is_silent() -> None:
    one_list = "SELECT * FROM posts LEFT JOIN tags ON true"
    tags = Statement(one_list, "psycopg", OTHER_LINE, rows_count=200)
    comments = replace(
        tags, shape="SELECT * FROM comments WHERE post_id IN (?)", relationship="Post.comments"
    )

    assert [] == judged(cartesian_join, Story().sends(tags).sends(comments).trace())


@pytest.mark.parametrize("words", ["GROUP BY day, shop", "group by day, shop"])
def test_a_report_by_two_things_has_a_row_for_each_pair(words: str) -> None:
    assert [] == judged(cartesian_join, joined(shape=f"{JOIN} {words}"))


def test_what_writes_is_no_join_to_split() -> None:
    assert [] == judged(cartesian_join, joined(shape=f"INSERT INTO pairs {JOIN}"))


def test_rows_that_nobody_counted_are_not_judged() -> None:
    assert [] == judged(cartesian_join, joined(None))

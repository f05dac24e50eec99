"""Columns that are loaded and not read, in requests that were watched."""

from dataclasses import replace

import pytest

from tests.diagnose.story import (
    LINE,
    OTHER_LINE,
    Story,
    found,
    judged,
    lazy_load,
    listing,
    only,
    usage,
)
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.unused_columns import unused_columns
from unslow.model.trace import HYDRATION, ROWS, Trace
from unslow.model.usage import Usage

TITLE = ((("title",), 50),)
TITLE_AND_BODY = ((("body", "title"), 50),)


def articles(body_bytes: int, **more: int) -> Usage:
    """Fifty articles, of which only the titles are read."""
    sizes = {"id": 400, "author_id": 400, "title": 1_000, "body": body_bytes, **more}
    return usage(50, entity="Article", sizes=sizes, profile=TITLE)


def told(*usages: Usage, is_watched: bool = True) -> Trace:
    """A list of articles: 1 ms until the answer comes, 2 for its rows, 3 for the objects."""
    story = Story().sends(listing(50), ms=1).waits(ROWS, 2, 0).blocks(HYDRATION, 3, 0)
    return story.trace(usages=usages if is_watched else None)


def nearly(*traces: Trace) -> str:
    (one,) = judged(unused_columns, *traces)
    assert isinstance(one, Nearly)
    return one.says


def test_it_fires_at_the_threshold_at_the_line_of_the_query() -> None:
    finding = only(found(unused_columns, told(articles(20_000))))

    assert ("unused-columns", OTHER_LINE, None) == (finding.rule, finding.place, finding.touched)


def test_it_is_silent_just_below_and_says_how_near_it_was() -> None:
    assert "not read of Article: body, 20.0 kB a request" == nearly(told(articles(19_999)))


def test_it_says_which_columns_are_not_read_and_what_they_weigh() -> None:
    finding = only(found(unused_columns, told(articles(30_000, teaser=1_500))))

    assert finding.says == (
        "2 of 3 columns of Article are never read (body, teaser): 31.5 kB a request,"
        " 97 % of what is loaded, in 50 rows."
    )
    assert {"unread": "body, teaser", "bytes": 31_500} == finding.evidence


def test_it_names_four_columns() -> None:
    few = {f"note_{number}": 30_000 for number in range(3)}

    finding = only(found(unused_columns, told(articles(0, **few))))

    assert "(body, note_0, note_1, note_2):" in finding.says


def test_it_names_the_first_four_of_more_columns() -> None:
    many = {f"note_{number}": 30_000 for number in range(6)}

    finding = only(found(unused_columns, told(articles(0, **many))))

    assert "(body, note_0, note_1, note_2, ...)" in finding.says
    assert "body, note_0, note_1, note_2, note_3, note_4, note_5" == finding.evidence["unread"]


def test_what_could_be_saved_is_the_share_of_rows_and_objects() -> None:
    finding = only(found(unused_columns, told(articles(30_000, teaser=1_500))))

    assert (2 + 3) * 2 / 3 == pytest.approx(finding.could_save_ms)
    # The statement is sent all the same.
    assert finding.could_save_ms == finding.could_save_at_ms(5)


def test_times_are_those_of_requests_that_were_not_watched() -> None:
    quick = Story().sends(listing(50), ms=1).waits(ROWS, 0.2, 0).trace()

    finding = only(found(unused_columns, told(articles(30_000)), quick))

    assert 0.2 / 2 == pytest.approx(finding.could_save_ms)


def test_bytes_of_several_requests_are_a_mean() -> None:
    assert found(unused_columns, told(articles(35_000)), told(articles(5_000)))
    assert "15.0 kB" in nearly(told(articles(25_000)), told(articles(5_000)))


def test_bytes_of_several_statements_of_a_request_are_a_sum() -> None:
    def one_by_one() -> Trace:
        story = Story().sends(listing(50))
        usages = []
        for number in range(25):
            story.sends(lazy_load(number, relationship="Order.article"))
            article = usage(
                1, entity="Article", sizes={"title": 20, "body": 1_000}, profile=((("title",), 1),)
            )
            usages.append(replace(article, statement=number + 1))
        return story.trace(usages=tuple(usages))

    finding = only(found(unused_columns, one_by_one(), one_by_one()))

    assert LINE == finding.place
    assert "25.0 kB a request, 98 % of what is loaded, in 25 rows" in finding.says


def test_each_class_of_a_join_is_judged_by_itself() -> None:
    author = usage(10, entity="Author", sizes={"name": 500, "biography": 40_000}, profile=())
    read = replace(author, read_columns=("name",), read_rows_count=10)

    finding = only(found(unused_columns, told(articles(100), read)))

    assert "Author" in finding.says
    assert finding.shape.startswith("Author SELECT")


def test_columns_that_the_response_model_reads_are_used() -> None:
    assert [] == judged(unused_columns, told(replace(articles(90_000), read_columns=("body",))))


def test_a_column_that_one_request_reads_is_used() -> None:
    reads = usage(
        50, entity="Article", sizes={"title": 1_000, "body": 90_000}, profile=TITLE_AND_BODY
    )

    assert [] == judged(unused_columns, *[told(articles(90_000))] * 4, told(reads))


def test_a_smaller_part_of_the_bytes_is_nothing_to_speak_of() -> None:
    less = usage(50, sizes={"title": 50_000, "body": 49_999}, profile=TITLE)
    half = usage(50, sizes={"title": 50_000, "body": 50_000}, profile=TITLE)

    assert [] == judged(unused_columns, told(less))
    assert found(unused_columns, told(half))


def test_columns_that_are_not_loaded_cost_nothing() -> None:
    load_only = usage(50, sizes={"id": 400, "title": 90_000}, profile=TITLE)

    assert [] == judged(unused_columns, told(load_only))


def test_few_rows_with_small_columns_are_near_at_most() -> None:
    assert "800 B" in nearly(told(usage(1, sizes={"title": 20, "body": 800}, profile=TITLE)))


def test_keys_are_for_the_orm_to_read() -> None:
    keys = usage(50, sizes={"id": 90_000, "author_id": 90_000, "title": 400}, profile=TITLE)

    assert [] == judged(unused_columns, told(keys))


def test_rows_that_are_thrown_away_are_left_to_another_rule() -> None:
    few_used = usage(50, sizes={"title": 100, "body": 90_000}, profile=((("title",), 24),))
    half_used = usage(50, sizes={"title": 100, "body": 90_000}, profile=((("title",), 25),))

    assert [] == judged(unused_columns, told(few_used))
    assert found(unused_columns, told(half_used))


def test_rows_that_are_written_are_used() -> None:
    written = usage(50, sizes={"title": 100, "body": 90_000}, profile=(), written=50)

    assert found(unused_columns, told(written))


def test_without_watched_requests_nothing_is_said() -> None:
    assert ("usage",) == unused_columns.needs
    assert [] == judged(unused_columns, told(articles(90_000), is_watched=False))

"""Lists without an end: what is answered whole, and what has a bound after all."""

from dataclasses import replace

import pytest

from tests.diagnose.story import (
    OTHER_LINE,
    Story,
    eager_load,
    found,
    judged,
    lazy_load,
    only,
)
from unslow.diagnose.rule import Nearly
from unslow.diagnose.rules.unbounded_list import unbounded_list
from unslow.model.trace import HYDRATION, REMOTE, ROWS, SERIALIZATION, Statement, Trace

EVERYTHING = "SELECT * FROM orders ORDER BY id"


def query(rows: int | None, shape: str = EVERYTHING) -> Statement:
    return Statement(shape, "asyncpg", OTHER_LINE, rows_count=rows)


def answered(rows: int | None, shape: str = EVERYTHING, *, row_bytes: int = 100) -> Trace:
    """A query, and its rows as the answer."""
    story = Story().sends(query(rows, shape)).answers()
    return story.trace(response_bytes=(rows or 0) * row_bytes)


def nearly(*traces: Trace) -> str:
    (one,) = judged(unbounded_list, *traces)
    assert isinstance(one, Nearly)
    return one.says


def test_it_fires_at_the_threshold_at_the_line_of_the_query() -> None:
    finding = only(found(unbounded_list, answered(500)))

    assert ("unbounded-list", OTHER_LINE, None) == (finding.rule, finding.place, finding.touched)


def test_it_is_silent_just_below_and_says_how_near_it_was() -> None:
    assert "a query without LIMIT brings 499 rows" == nearly(answered(499))


def test_a_small_table_of_reference_is_not_even_near() -> None:
    assert [] == judged(unbounded_list, answered(100))


def test_it_says_how_many_rows_are_answered() -> None:
    finding = only(found(unbounded_list, answered(2_500)))

    assert finding.says == (
        "2,500 rows are fetched and answered each time; nothing bounds the list."
    )
    assert {"rows": 2_500, "response_bytes": 250_000} == finding.evidence
    assert EVERYTHING == finding.shape


def test_what_could_be_saved_is_all_that_grows_with_the_rows_but_a_page() -> None:
    story = Story().waits(REMOTE, 40, ("billing", 1, True))
    story.sends(query(1_000), ms=4).waits(ROWS, 6, 0).blocks(HYDRATION, 10, 0)
    story.runs(3).blocks(SERIALIZATION, 20).answers(ms=5)

    finding = only(found(unbounded_list, story.trace(response_bytes=100_000)))

    assert (4 + 6 + 10 + 20 + 2 * 5) * 0.9 == pytest.approx(finding.could_save_ms)
    # The statement is sent all the same.
    assert finding.could_save_ms == finding.could_save_at_ms(5)


def test_of_two_orders_of_one_list_each_counts_for_its_own_requests() -> None:
    by_name = answered(1_000, "SELECT * FROM orders ORDER BY name")

    findings = found(unbounded_list, answered(1_000), by_name)

    # A statement of 0.2 ms, a head and a body of 0.1 ms each.
    assert [0.4 * 0.9 / 2] * 2 == pytest.approx([one.could_save_ms for one in findings])


def test_the_answer_that_counts_is_that_of_the_requests_with_the_list() -> None:
    short = answered(None, "SELECT 1", row_bytes=0)

    assert found(unbounded_list, answered(1_000), short, short)


@pytest.mark.parametrize(
    "shape",
    [
        "SELECT * FROM orders WHERE status NOT IN (?)",
        "SELECT id, (SELECT count(*) FROM lines GROUP BY lines.order_id) FROM orders",
        "WITH sums AS (SELECT sum(x) FROM y GROUP BY z) SELECT * FROM orders JOIN sums ON true",
        "TABLE orders",
    ],
)
def test_what_bounds_only_a_part_of_a_query_does_not_bound_the_list(shape: str) -> None:
    assert found(unbounded_list, answered(1_000, shape))


@pytest.mark.parametrize(
    "shape",
    [
        "SELECT * FROM orders ORDER BY id LIMIT ?",
        "SELECT * FROM orders WHERE id > ? ORDER BY id LIMIT ?",
        "SELECT * FROM orders ORDER BY id OFFSET ? FETCH FIRST ? ROWS ONLY",
        "select * from orders order by id fetch next ? rows only",
        "SELECT * FROM (SELECT * FROM orders LIMIT ?) AS page LEFT JOIN lines ON true",
        "SELECT * FROM orders WHERE id IN (?)",
        "SELECT * FROM orders WHERE id = ANY(?)",
        "SELECT * FROM orders WHERE id =ANY (?)",
    ],
)
def test_a_list_with_a_bound_is_silent(shape: str) -> None:
    assert [] == judged(unbounded_list, answered(1_000, shape))


@pytest.mark.parametrize(
    "shape",
    [
        "SELECT day, sum(total) FROM orders GROUP BY day ORDER BY day",
        "WITH paid AS (SELECT * FROM orders) SELECT day, count(*) FROM paid group by day",
    ],
)
def test_a_report_of_sums_is_silent(shape: str) -> None:
    assert [] == judged(unbounded_list, answered(1_000, shape))


def test_one_number_of_all_rows_is_silent() -> None:
    assert [] == judged(unbounded_list, answered(1, "SELECT count(*) FROM orders"))


def test_a_streamed_export_is_silent() -> None:
    story = Story().sends(query(5_000)).answers(parts=10)

    says = nearly(story.trace(response_bytes=500_000))

    assert "5,000 rows are fetched, and not answered as one list" == says


def test_rows_that_become_a_small_answer_are_silent() -> None:
    assert "not answered as one list" in nearly(answered(1_000, row_bytes=7))
    assert found(unbounded_list, answered(1_000, row_bytes=8))


def test_rows_that_belong_to_those_of_another_query_are_bound_by_it() -> None:
    lines = query(1_000, "SELECT * FROM lines WHERE order_id = ?")
    for child in (
        replace(lines, parent=0),
        replace(lines, relationship="Order.lines"),
        replace(eager_load(rows=1_000), shape=lines.shape),
        replace(lazy_load(1, rows=1_000), shape=lines.shape),
    ):
        story = Story().sends(query(10)).sends(child).answers()

        assert [] == judged(unbounded_list, story.trace(response_bytes=100_000))


def test_what_writes_is_no_list() -> None:
    update = "UPDATE orders SET seen = ? RETURNING id"

    assert [] == judged(unbounded_list, answered(1_000, update))


def test_rows_that_nobody_counted_are_not_judged() -> None:
    assert [] == judged(unbounded_list, answered(None))

"""Joins that pair each row of one list with each of another, told from those that only look so."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unslow.current import OpenTrace
from unslow.model.codec import trace_of
from unslow.record.finish import finished
from unslow.record.multiplied import multiplied_of
from unslow.record.sending import ROWS_KEPT
from unslow.record.shape import facts_of

Rows = Sequence[tuple[Any, ...]]
_numbers = itertools.count()


def new_text() -> str:
    """A statement that nobody has looked at before."""
    return f"SELECT * FROM a{next(_numbers)} JOIN b ON TRUE JOIN c ON TRUE"


def found_in(rows: Any, text: str = "", count: int | None = None) -> tuple[int, int] | None:
    """What is said of a statement whose rows these are."""
    statement = OpenTrace("GET", 100).root.new_statement(text or new_text(), "asyncpg", None)
    statement.rows = rows
    statement.rows_count = len(rows) if count is None and rows is not None else count
    return multiplied_of(statement, facts_of(statement.text))


def product(parent: int, firsts: int, seconds: int) -> list[tuple[Any, ...]]:
    """The rows of one parent: its columns, those of one list, those of another."""
    return [
        (parent, f"parent {parent}", parent * 100 + a, f"first {a}", parent * 1000 + b, b % 3 == 0)
        for a in range(firsts)
        for b in range(seconds)
    ]


def test_two_lists_of_one_parent_are_seen_with_their_lengths() -> None:
    assert found_in(product(1, 12, 7)) == (12, 7)


def test_two_lists_of_many_parents_are_seen_with_their_mean_lengths() -> None:
    rows = [row for parent in range(20) for row in product(parent, 3 + parent % 3, 5)]

    assert found_in(rows) == (4, 5)


def test_the_order_of_rows_does_not_matter() -> None:
    rows = [row for parent in range(8) for row in product(parent, 4, 5)]

    assert found_in(sorted(rows, key=lambda row: (row[4] % 1000, row[2], row[0]))) == (4, 5)


def test_where_one_list_is_empty_for_some_parents_it_is_seen_by_the_others() -> None:
    rows: list[tuple[Any, ...]] = []
    for parent in range(12):
        rows += product(parent, 6, 5)
        # Of a LEFT JOIN: a parent with one list only, and one with none.
        rows += [(100 + parent, "few", 5000 + parent * 10 + a, "a", None, None) for a in range(2)]
        rows.append((200 + parent, "none", None, None, None, None))

    assert found_in(rows) is not None


def test_where_the_second_list_is_nearly_always_empty_nothing_is_multiplied() -> None:
    rows = [
        (parent, "p", parent * 100 + a, "a", None, None) for parent in range(12) for a in range(6)
    ]

    assert found_in(rows) is None


def test_rows_that_were_cut_in_the_middle_of_a_parent_do_not_hide_the_others() -> None:
    rows = [row for parent in range(300) for row in product(parent, 3, 4)]

    assert found_in(rows[: ROWS_KEPT - 5], count=len(rows)) == (3, 4)


def test_a_list_below_another_one_is_part_of_it() -> None:
    # Posts with their comments, and orders: each comment stands beside each order.
    rows = [
        (user, user * 10 + post, user * 100 + post * 10 + comment, user * 1000 + order)
        for user in range(6)
        for post in range(2)
        for comment in range(3)
        for order in range(5)
    ]

    assert found_in(rows) == (6, 5)


def test_columns_that_cannot_be_hashed_do_not_matter() -> None:
    rows = [(*row, {"json": [row[2]]}, bytearray(b"x")) for row in product(1, 12, 7)]

    assert found_in(rows) == (12, 7)


def test_rows_may_be_dicts() -> None:
    names = ("id", "name", "a", "a_name", "b", "flag")

    assert found_in([dict(zip(names, row, strict=True)) for row in product(1, 9, 8)]) == (9, 8)


def test_two_lists_of_two_bring_no_more_rows_than_needed() -> None:
    assert found_in([row for parent in range(30) for row in product(parent, 2, 2)]) is None


def test_a_single_list_is_no_product() -> None:
    assert found_in([row for parent in range(30) for row in product(parent, 1, 6)]) is None
    assert found_in([row for parent in range(30) for row in product(parent, 6, 1)]) is None


def test_few_rows_are_not_looked_at() -> None:
    assert found_in(product(1, 7, 7)) is None
    assert found_in(product(1, 10, 5)) == (10, 5)


def test_rows_that_are_not_known_tell_nothing() -> None:
    assert found_in(None, count=500) is None
    assert found_in([], count=500) is None


def test_rows_that_cannot_be_read_do_not_keep_a_request_from_being_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Unreadable:
        def __iter__(self) -> Iterator[Any]:
            raise ValueError("a date of the year 10000")

    trace = OpenTrace("GET", 100)
    statement = trace.root.new_statement(new_text(), "psycopg", None)
    statement.rows, statement.rows_count = Unreadable(), 100
    trace.close()

    with caplog.at_level(logging.ERROR, "unslow"):
        (told,) = trace_of(finished(trace)).statements

    assert (told.rows_count, told.multiplied) == (100, None)
    assert "whether a join multiplies" in caplog.text


# One list is joined, and all else is looked up for its rows.


def test_a_list_with_what_each_of_its_rows_belongs_to_is_no_product() -> None:
    rows = [
        (order, order * 10 + line, (order * 7 + line * 3) % 5, f"kind {(order + line) % 5}")
        for order in range(20)
        for line in range(10)
    ]

    assert found_in(rows) is None


def test_generated_data_that_meets_in_each_pair_once_is_no_product() -> None:
    # With the number of the row modulo 7 and modulo 11 each pair comes once in 77 rows.
    rows = [(number, number % 7, number % 11, f"{number}") for number in range(77)]

    assert found_in(rows) is None


@pytest.mark.parametrize("sizes", [(10, 10), (7, 11), (8, 9), (20, 5)])
def test_a_table_with_one_row_for_each_pair_is_no_product(sizes: tuple[int, int]) -> None:
    # What a shop has of each product, or GROUP BY of two columns: the last column is of the pair.
    first, second = sizes
    rows = [(a, f"a{a}", b, f"b{b}", a * 31 + b) for a in range(first) for b in range(second)]

    assert found_in(rows) is None


def test_a_table_of_pairs_is_none_also_where_the_rows_have_no_key_of_their_own() -> None:
    rows = [(a, b, (a * b) % 4) for a in range(10) for b in range(10)]

    assert found_in(rows) is None


def test_for_each_parent_a_table_of_pairs_is_no_product() -> None:
    rows = [
        (year, month, shop, year * 10_000 + month * 100 + shop * shop)
        for year in range(6)
        for month in range(1, 13)
        for shop in range(4)
    ]

    assert found_in(rows) is None


def test_a_last_parent_with_most_of_the_rows_makes_no_product_of_the_others() -> None:
    rows = [("small", 1, number) for number in range(5)]
    rows += [("narrow", number, 1) for number in range(5)]
    rows += [("large", number % 9, number % 7) for number in range(100)]

    assert found_in(rows) is None


def test_flags_and_measures_are_no_lists() -> None:
    rows = [(number, number % 2 == 0, number % 10 / 2, number // 10) for number in range(100)]

    assert found_in(rows) is None


@settings(max_examples=60)
@given(st.integers(2, 12), st.integers(2, 12), st.integers(1, 8))
def test_each_product_that_brings_more_rows_than_both_lists_have_is_seen(
    firsts: int, seconds: int, parents: int
) -> None:
    rows = [row for parent in range(parents) for row in product(parent, firsts, seconds)]
    is_worse = firsts * seconds >= 1.5 * (firsts + seconds)

    # Of two parents the last one, which may have been cut, is too much to do without.
    if is_worse and len(rows) >= 50 and parents != 2:
        assert found_in(rows) == (firsts, seconds)


@settings(max_examples=60)
@given(st.integers(2, 9), st.integers(2, 9), st.integers(1, 4), st.data())
def test_a_product_with_a_hole_is_none(
    firsts: int, seconds: int, times: int, data: st.DataObject
) -> None:
    parents = max(1, -(-60 // (firsts * seconds))) * times
    rows = [row for parent in range(parents) for row in product(parent, firsts, seconds)]
    first_group = data.draw(st.integers(0, firsts * seconds - 1))
    del rows[first_group]

    found = found_in(rows)

    # Without that one row the lists of the first parent may still be whole, and shorter.
    assert found is None or min(firsts, seconds) == 2


@settings(max_examples=30)
@given(st.randoms(use_true_random=False), st.integers(50, 150), st.integers(2, 8))
def test_rows_with_a_key_of_their_own_are_no_product(
    random: Random, count: int, columns: int
) -> None:
    sizes = [random.randint(2, 12) for _ in range(columns)]

    rows = [(number, *(random.randrange(size) for size in sizes)) for number in range(count)]

    assert found_in(rows) is None


def test_a_shape_that_was_seen_to_multiply_is_known_from_then_on() -> None:
    text = new_text()

    assert found_in(product(1, 12, 7), text) == (12, 7)
    assert found_in([(number, number) for number in range(60)], text) == (12, 7)


def test_rows_of_one_shape_are_looked_at_a_few_times_only() -> None:
    text = new_text()
    for _ in range(5):
        assert found_in([(number, number) for number in range(60)], text) is None

    assert found_in(product(1, 12, 7), text) is None
    assert found_in(product(1, 12, 7)) == (12, 7)


class Cell(int):
    """A value that counts how often it is looked at."""

    looks = 0

    def __hash__(self) -> int:
        Cell.looks += 1
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Cell.looks += 1
        return super().__eq__(other)


def wide_lists() -> Rows:
    """Two lists of twenty columns each, any of which may be the key."""
    return [
        tuple([a + column * 50 for column in range(20)] + [b + column * 70 for column in range(20)])
        for a in range(20)
        for b in range(25)
    ]


def wide_numbers() -> Rows:
    """Forty columns of which many pairs have as many values as a product would have."""
    return [tuple(n * (c + 3) % (2 + c * 7) for c in range(40)) for n in range(500)]


def wide_table_of_pairs() -> Rows:
    """Forty columns that make pairs of twenty by twenty-five, and one cell that is of the pair."""
    return [(*row[:-1], number % 37) for number, row in enumerate(wide_lists())]


@pytest.mark.parametrize("make", [wide_lists, wide_numbers, wide_table_of_pairs])
def test_however_wide_rows_are_each_cell_is_looked_at_some_times_only(
    make: Callable[[], Rows],
) -> None:
    rows = [tuple(map(Cell, row)) for row in make()]
    Cell.looks = 0

    found_in(rows)

    # And not once for each of 780 pairs of columns, and that for each parent.
    assert 40 * len(rows) < Cell.looks < 20 * 40 * len(rows)

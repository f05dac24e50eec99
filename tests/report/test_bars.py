from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from unslow.model.trace import SEGMENTS
from unslow.report.bars import FILLS, OTHER, bar, cells_of, legend, parts_of

AMOUNTS = st.lists(st.floats(min_value=0, max_value=1e6, allow_nan=False), max_size=25)
RECEIPTS = st.fixed_dictionaries(
    dict.fromkeys(SEGMENTS, st.floats(min_value=0, max_value=1e5, allow_nan=False))
)


@given(AMOUNTS, st.integers(min_value=1, max_value=200))
def test_the_cells_of_a_bar_sum_to_its_width(amounts: list[float], width: int) -> None:
    cells = cells_of(amounts, width)

    assert (width if any(amounts) else 0) == sum(cells)
    assert all(count >= 0 for count in cells)


@given(AMOUNTS)
def test_each_part_above_one_percent_has_a_cell_and_none_is_far_from_its_share(
    amounts: list[float],
) -> None:
    width, total = 96, sum(amounts)

    for amount, count in zip(amounts, cells_of(amounts, width), strict=True):
        if total:
            assert count >= 1 or amount / total <= 0.01
            # Each of 25 small parts may take a cell of the longest.
            assert abs(count - amount / total * width) <= 25


def test_a_bar_with_fewer_cells_than_parts_shows_the_longest() -> None:
    assert [1, 0, 1, 0] == cells_of([40, 10, 30, 20], 2)


def test_a_bar_of_nothing_has_no_cells() -> None:
    assert "" == bar(dict.fromkeys(SEGMENTS, 0.0), 96).plain


@given(RECEIPTS)
def test_what_a_legend_names_sums_to_the_receipt(receipt: dict[str, float]) -> None:
    parts = parts_of(receipt)

    assert abs(sum(receipt.values()) - sum(part.ms for part in parts)) < 1e-6
    assert "unexplained" in {part.name for part in parts}
    named = [part.ms for part in parts if part.name not in {OTHER, "unexplained"}]
    assert sorted(named, reverse=True) == named


def test_parts_that_do_not_matter_are_folded_into_one_that_stands_last() -> None:
    receipt = {"sql": 20.0, "gc": 0.04, "orm": 30.0, "send": 0.2, "rows": 0.0, "unexplained": 0.01}

    found = {part.name: part.ms for part in parts_of(receipt)}

    assert ["orm", "sql", "unexplained", "other"] == list(found)
    assert abs(0.24 - found["other"]) < 1e-9


def test_a_single_part_that_does_not_matter_keeps_its_name() -> None:
    receipt = {"sql": 20.0, "gc": 0.04, "unexplained": 0.3}

    assert ["sql", "unexplained", "gc"] == [part.name for part in parts_of(receipt)]


def test_each_segment_has_a_sign_of_its_own_one_cell_wide_also_in_ascii() -> None:
    assert {*SEGMENTS, OTHER} == FILLS.keys()
    for signs in (
        [fill.sign for fill in FILLS.values()],
        [fill.plain_sign for fill in FILLS.values()],
    ):
        assert len(signs) == len(set(signs))
        assert {1} == {cell_len(sign) for sign in signs}
    assert all(fill.plain_sign.isascii() for fill in FILLS.values())


def test_a_legend_names_each_part_behind_the_sign_that_fills_the_bar() -> None:
    receipt = {"sql": 10.0, "orm": 29.5, "unexplained": 0.5}

    (line,) = legend(receipt, 0.0, 100)

    assert "  ▓ orm 29.5 · ░ sql 10.0 · ? unexplained 0.5" == line.plain
    assert "▓" * 59 + "░" * 20 + "?" == bar(receipt, 80).plain


def test_a_legend_says_how_much_more_the_loop_may_have_been_busy() -> None:
    receipt = {"loop-busy": 12.1, "unexplained": 1.0}

    assert "loop-busy 12.1 (at most 40.3)" in legend(receipt, 40.3, 100)[0].plain
    assert "at most" not in legend(receipt, 12.1, 100)[0].plain


def test_a_segment_that_a_later_version_recorded_is_drawn_all_the_same() -> None:
    assert "+" * 10 == bar({"quantum": 3.0}, 10).plain

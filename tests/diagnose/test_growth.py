"""Straight lines through counts: exact ones, noisy ones, and what is none."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unslow.diagnose.growth import FEWEST_COUNTS, LEAST_BOUND, LEAST_SLOPE, Growth, growth_of

COUNTS = st.lists(st.integers(0, 5_000), min_size=FEWEST_COUNTS, max_size=30).filter(
    lambda xs: len(set(xs)) >= FEWEST_COUNTS
)
SLOPES = st.floats(-3, 3)


def found(xs: list[int], ys: list[float]) -> Growth:
    growth = growth_of(xs, ys)
    assert growth is not None
    return growth


@settings(max_examples=40)
@given(COUNTS, SLOPES, st.floats(-100, 100))
def test_an_exact_line_is_found_and_certain(xs: list[int], slope: float, start: float) -> None:
    growth = found(xs, [start + slope * x for x in xs])

    assert growth.slope == pytest.approx(slope, abs=1e-6)
    assert growth.least == pytest.approx(slope, abs=1e-4)


@settings(max_examples=40)
@given(COUNTS, st.floats(0, 3))
def test_about_one_call_for_each_row_is_growth_and_half_of_one_is_the_bound(
    xs: list[int], slope: float
) -> None:
    if not math.isclose(slope, LEAST_SLOPE, rel_tol=1e-3):
        assert found(xs, [slope * x for x in xs]).is_per_row == (slope > LEAST_SLOPE)


@settings(max_examples=40)
@given(st.lists(st.integers(0, 5_000), max_size=30), st.integers(0, 9), st.data())
def test_through_fewer_than_three_counts_there_is_no_line(
    ys: list[int], first: int, data: st.DataObject
) -> None:
    xs = data.draw(
        st.lists(st.sampled_from([first, first + 7]), min_size=len(ys), max_size=len(ys))
    )

    assert growth_of(xs, ys) is None


def test_without_requests_there_is_no_line() -> None:
    assert growth_of([], []) is None


@settings(max_examples=40)
@given(COUNTS, SLOPES, st.randoms(use_true_random=False))
def test_noise_moves_the_slope_little_and_the_bound_down(
    xs: list[int], slope: float, random: Random
) -> None:
    noise = [random.uniform(-1, 1) for _ in xs]
    growth = found(xs, [slope * x + one for x, one in zip(xs, noise, strict=True)])

    mean = sum(xs) / len(xs)
    spread = sum((x - mean) ** 2 for x in xs)
    # The most that so much noise can turn a line.
    assert abs(growth.slope - slope) <= math.sqrt(len(xs) / spread) + 1e-9
    assert growth.least <= growth.slope


def test_of_many_noisy_lines_the_bound_lies_below_the_true_slope_of_nearly_all() -> None:
    random = Random(7)
    lines = []
    for _ in range(300):
        xs = [random.randint(1, 100) for _ in range(40)]
        lines.append(found(xs, [x + random.gauss(0, 5) for x in xs]))

    assert sum(one.least < 1 for one in lines) >= 0.98 * len(lines)
    assert all(one.is_per_row for one in lines)


@pytest.mark.parametrize("seed", range(20))
def test_counts_that_have_nothing_to_do_with_rows_do_not_grow_with_them(seed: int) -> None:
    random = Random(seed)
    xs = [random.randint(10, 200) for _ in range(40)]

    assert not found(xs, [random.randint(3, 9) for _ in xs]).is_per_row


@pytest.mark.parametrize("size", [100, 500])
def test_batches_are_no_growth(size: int) -> None:
    xs = list(range(100, 6_000, 250))
    growth = found(xs, [math.ceil(x / size) for x in xs])

    assert growth.slope == pytest.approx(1 / size, rel=0.1)
    assert not growth.is_per_row


def test_a_line_that_only_few_points_speak_for_is_not_certain_enough() -> None:
    growth = found([1, 2, 3], [1, 6, 3])

    assert growth.slope >= LEAST_SLOPE
    assert growth.least < LEAST_BOUND
    assert not growth.is_per_row


@settings(max_examples=40)
@given(COUNTS, st.integers(0, 50), st.randoms(use_true_random=False))
def test_order_and_what_always_comes_on_top_do_not_matter(
    xs: list[int], more: int, random: Random
) -> None:
    pairs = [(x, random.randint(0, 40)) for x in xs]
    mixed = random.sample(pairs, len(pairs))

    one = found([x for x, _ in pairs], [y for _, y in pairs])
    other = found([x for x, _ in mixed], [y + more for _, y in mixed])

    assert other.slope == pytest.approx(one.slope, abs=1e-6)
    assert other.least == pytest.approx(one.least, abs=1e-6)


def test_as_many_of_one_as_of_the_other_are_wanted() -> None:
    with pytest.raises(ValueError, match="zip"):
        growth_of([1, 2, 3], [1, 2])

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.numbers import (
    average,
    bare_milliseconds,
    counted,
    interval,
    milliseconds,
    number,
    percent,
    size,
    times,
)

AMOUNTS = st.floats(min_value=0, max_value=1e7, allow_nan=False)


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 ms"),
        (0.001, "<0.01 ms"),
        (0.04, "0.04 ms"),
        (0.0996, "0.1 ms"),
        (1.24, "1.2 ms"),
        (33.7, "33.7 ms"),
        (99.96, "100 ms"),
        (251.4, "251 ms"),
        (999.4, "999 ms"),
        (999.6, "1.0 s"),
        (4_901, "4.9 s"),
        (82_040, "82.0 s"),
        (3_600_000, "3,600 s"),
    ],
)
def test_a_time_has_three_digits_at_most_where_that_is_enough(ms: float, text: str) -> None:
    assert text == milliseconds(ms)


def test_a_time_without_unit_is_in_milliseconds_and_names_any_other_unit() -> None:
    assert ("41.0", "4.9 s") == (bare_milliseconds(41), bare_milliseconds(4_900))


@pytest.mark.parametrize(
    ("least_ms", "most_ms", "text"),
    [
        (12.1, 40.3, "12.1-40.3 ms"),
        (40.31, 40.34, "40.3 ms"),
        (0, 40.3, "up to 40.3 ms"),
        (0, 0, "0 ms"),
        (3_100, 4_700, "3.1-4.7 s"),
        (251, 1_400, "251 ms-1.4 s"),
    ],
)
def test_an_interval_says_both_bounds_where_they_differ(
    least_ms: float, most_ms: float, text: str
) -> None:
    assert text == interval(least_ms, most_ms)


@given(AMOUNTS)
def test_a_number_is_told_to_a_half_of_its_last_digit(value: float) -> None:
    text = number(value)

    if value < 0.005:
        assert text in {"0", "<0.01"}
    else:
        digits = len(text.partition(".")[2])
        assert abs(float(text.replace(",", "")) - value) <= 0.5 * 10**-digits + 1e-9


@given(AMOUNTS, AMOUNTS)
def test_a_longer_time_never_looks_shorter(one: float, other: float) -> None:
    def told(ms: float) -> float:
        amount, unit = milliseconds(ms).replace(",", "").split(" ")
        return float(amount.removeprefix("<")) * (1000 if unit == "s" else 1)

    shorter, longer = sorted((one, other))

    # What is called "<0.01" is told as its bound.
    assert told(shorter) <= told(longer) + (0.01 if longer < 0.005 else 0)


@pytest.mark.parametrize(
    ("bytes_count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.0 kB"),
        (20_639, "20.6 kB"),
        (999_600, "1.0 MB"),
        (1_234_567, "1.2 MB"),
        (5_000_000_000_000, "5,000 GB"),
    ],
)
def test_bytes_go_in_steps_of_a_thousand(bytes_count: int, text: str) -> None:
    assert text == size(bytes_count)


def test_one_thing_is_singular_and_every_other_count_plural() -> None:
    assert ["0 routes", "1 route", "2,000 routes"] == [counted(n, "route") for n in (0, 1, 2000)]
    assert "2 processes" == counted(2, "process", "processes")
    assert ["1 row", "2.8 rows", "0.5 rows"] == [counted(n, "row") for n in (1.0, 2.8, 0.5)]


def test_what_is_done_once_is_said_without_a_number() -> None:
    assert ["once", "2 times", "2.8 times"] == [times(count) for count in (1.0, 2, 2.8)]


@pytest.mark.parametrize(
    ("count", "text"), [(50.0, "50"), (50.001, "50"), (1.5, "1.5"), (0.04, "0.04"), (0.0, "0")]
)
def test_a_mean_count_is_whole_where_it_is_whole(count: float, text: str) -> None:
    assert text == average(count)


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(62.4, 100, "62 %"), (0.4, 100, "<1 %"), (0, 100, "0 %"), (1, 0, "0 %"), (5, 5, "100 %")],
)
def test_a_share_is_in_whole_percent_and_nothing_is_only_said_of_nothing(
    part: float, whole: float, text: str
) -> None:
    assert text == percent(part, whole)


def test_a_share_may_be_given_as_one_number() -> None:
    assert "25 %" == percent(0.25)

"""What a load says of itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.model.load import Load

QUIET = Load(
    rate_per_s=10.0,
    due_count=100,
    answered_count=100,
    latencies_ms=(3.0,) * 100,
    lags_ms=(0.1,) * 100,
    statuses=((200, 100),),
    errors=(),
    wire_bytes=200,
    unsent_count=0,
    cut_off_count=0,
    duration_ms=10_000.0,
    processor_share=0.1,
)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.sampled_from([1, 50, 90, 99, 100]))
def test_a_percentile_is_the_smallest_latency_that_so_many_do_not_exceed(
    values: list[float], percent: int
) -> None:
    load = replace(QUIET, latencies_ms=tuple(sorted(values)))

    found = load.latency_ms(percent)

    assert found in values
    assert sum(one <= found for one in values) * 100 >= percent * len(values)
    assert sum(one < found for one in values) * 100 < percent * len(values)


def test_a_quiet_sender_is_neither_late_nor_at_its_limit() -> None:
    assert (False, False, 0.0, 10.0) == (
        QUIET.is_late,
        QUIET.is_at_limit,
        QUIET.failed_share,
        QUIET.reached_per_s,
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"lags_ms": (1.1,) * 100},
        {"lags_ms": (0.1,) * 98 + (1.1,) * 2},
        {"lags_ms": (0.1,) * 98 + (21.0,) * 2, "latencies_ms": (500.0,) * 100},
        {"lags_ms": (21.0,) * 100, "latencies_ms": ()},
    ],
)
def test_a_sender_whose_lag_is_much_of_a_latency_or_long_is_late(changes: dict[str, Any]) -> None:
    assert replace(QUIET, **changes).is_late


def test_nothing_due_and_nothing_answered_is_nothing_failed() -> None:
    load = replace(QUIET, due_count=0, statuses=(), latencies_ms=(), lags_ms=(), duration_ms=0.0)

    assert (0.0, 0.0, 0.0, False) == (
        load.failed_share,
        load.reached_per_s,
        load.latency_ms(99),
        load.is_late,
    )


def test_what_failed_is_errors_refusals_by_the_app_and_what_was_never_sent() -> None:
    load = replace(
        QUIET,
        due_count=120,
        cut_off_count=20,
        statuses=((200, 50), (404, 10), (429, 10), (500, 5), (503, 5)),
        errors=(("ReadTimeout", 12),),
        unsent_count=8,
    )

    assert 0.4 == pytest.approx(load.failed_share)

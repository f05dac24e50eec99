"""What recording costs, as it is measured where it records."""

from __future__ import annotations

from unslow.current import LANE, running
from unslow.record.cost import measure


def test_it_is_measured_and_leaves_nothing_behind() -> None:
    cost = measure()

    assert 50 < cost.slice_ns < 1_000_000
    assert 50 < cost.step_ns < 1_000_000
    assert (LANE.get(), running) == (None, {})

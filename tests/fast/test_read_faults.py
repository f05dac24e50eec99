"""Reads are disturbed for a moment; `bench/read_faults.py` does it longer, and stops servers."""

from __future__ import annotations

import pytest

from bench.read_faults import rows


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        ("connections-terminated", 0.25),
        ("clients-cancelled", 0.2),
        ("pool-filled", 0.5),
        ("one-bad-key", 0.2),
    ],
)
def test_no_answer_is_mixed_up_or_stale_and_no_look_up_hangs(
    empty_url: str, fault: str, seconds: float
) -> None:
    for row in rows(empty_url, [fault], seconds=seconds, clients=8):
        assert row.right > 0
        assert [0, 0, {}] == [row.wrong, row.hung, row.unclear]
        assert row.connections_back
        assert row.right_again

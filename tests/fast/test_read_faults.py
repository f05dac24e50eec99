"""Reads are disturbed for a moment; `bench/read_faults.py` does it longer, and stops servers."""

from __future__ import annotations

import pytest

from bench.read_faults import rows


@pytest.mark.parametrize(
    "fault", ["connections-terminated", "clients-cancelled", "pool-filled", "one-bad-key"]
)
def test_no_answer_is_mixed_up_or_stale_and_no_look_up_hangs(empty_url: str, fault: str) -> None:
    for row in rows(empty_url, [fault], seconds=0.4, clients=16):
        assert row.right > 0
        assert [0, 0, {}] == [row.wrong, row.hung, row.unclear]
        assert row.connections_back
        assert row.right_again

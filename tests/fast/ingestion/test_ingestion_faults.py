"""Processes and servers are killed while events come; `bench/ingest_faults.py` does more rounds."""

from __future__ import annotations

import pytest

from bench.ingest_faults import rows
from unslow.errors import EmbeddedPostgresMissingError


@pytest.mark.parametrize(
    ("fault", "rounds"), [("app-killed", 5), ("connections-terminated", 5), ("server-stopped", 2)]
)
def test_no_acknowledged_event_is_lost_and_none_is_doubled(fault: str, rounds: int) -> None:
    try:
        keyed, plain = rows([fault], rounds)
    except EmbeddedPostgresMissingError as error:
        pytest.skip(f"missing server: PostgreSQL. {error}")

    assert keyed.acknowledged > 0
    assert plain.acknowledged > 0
    assert [0, 0, 0, 0] == [keyed.missing, keyed.doubled, plain.missing, plain.doubled]

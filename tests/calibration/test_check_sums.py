"""The check of a whole store: it says what is wrong, and ends with 1."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.record.handmade import a_slice, a_step, a_task, a_trace
from tools import check_sums
from unslow.model.codec import dumps, packed_trace
from unslow.model.receipt import Receipt
from unslow.model.trace import OWN_CODE, Process, Trace
from unslow.record.receipt import receipt_of
from unslow.store import Batch, StoreWriter

FACTS = Process(1, 0.0, "3.11", slice_cost_ns=200, step_cost_ns=500)
EXPLAINED = a_trace(a_task(0, 10, a_slice(2, 8, OWN_CODE)), route="/explained")
IDLE = a_trace(a_task(0, 10, steps=(a_step(0, 6), a_step(8, 10))), route="/idle")


def a_store(folder: Path, *traces: Trace) -> str:
    store = StoreWriter(folder, 1_000_000, "run", FACTS)
    store.write(Batch(tuple(dumps(packed_trace(one)) for one in traces), ()), FACTS)
    store.close()
    return str(folder)


def test_a_store_of_right_receipts_is_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = check_sums.main([a_store(tmp_path, EXPLAINED, EXPLAINED, IDLE)])

    assert ended == 0
    words = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert words == [
        ["3", "traces", "checked,", "the", "largest", "difference", "is", "0.000", "us"],
        [],
        ["route", "requests", "mean", "ms", "unexplained"],
        ["GET", "/explained", "2", "10.00", "0.0", "%"],
        ["GET", "/idle", "1", "10.00", "20.0", "%"],
    ]


@pytest.mark.parametrize(
    ("options", "ended"),
    [
        (("--unexplained", "3"), 1),
        (("--unexplained", "20"), 0),
        (("--unexplained", "3", "--above-ms", "5"), 1),
        (("--unexplained", "3", "--above-ms", "10"), 0),
    ],
)
def test_too_much_unexplained_is_wrong_above_a_time(
    tmp_path: Path, options: tuple[str, ...], ended: int
) -> None:
    assert check_sums.main([a_store(tmp_path, EXPLAINED, IDLE), *options]) == ended


def test_a_line_that_differs_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by(ns: int) -> int:
        def wrong(trace: Trace, cost_ns: int) -> Receipt:
            receipt = receipt_of(trace, cost_ns)
            first, *others = receipt.segments_ns
            return replace(receipt, segments_ns=(first + ns, *others))

        monkeypatch.setattr(check_sums, "receipt_of", wrong)
        return check_sums.main([str(tmp_path)])

    a_store(tmp_path, EXPLAINED)

    assert off_by(1_000) == 0
    assert off_by(1_001) == 1


def test_a_store_without_traces_proves_nothing(tmp_path: Path) -> None:
    assert check_sums.main([a_store(tmp_path)]) == 1

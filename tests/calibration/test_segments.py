"""Each line of the receipt is as long as what the app measured itself, and no other line takes it.

Within 5 % or 0.5 ms, whichever is more, for the median error of five requests (of ten at ten
users). Where the framework alone has the request only the most is known.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest

from tests.calibration.deeds import AWAITED, CALLED
from tests.calibration.driver import (
    OUTSIDE_OF_A_THREAD,
    Seen,
    wrong_lines,
    wrong_lines_in_a_crowd,
)
from tests.calibration.stage import Stage
from unslow.model.trace import SEGMENTS
from unslow.record.receipt import BLOCKS_LOOP

PAIRS = [*pairwise(AWAITED), (list(AWAITED)[-1], next(iter(AWAITED)))]
"""Each deed once first and once second."""

on_asyncio = pytest.mark.parametrize("stage", ["asyncio"], indirect=True)
"""uvloop differs where tasks wait, wake up and crowd; the rest is measured on one loop."""

in_a_thread = partial(wrong_lines, outside=OUTSIDE_OF_A_THREAD)
in_threads = in_a_thread

WAITING_CALLS = [name for name in CALLED if name not in {"own-code", "gc", "session-orm"}]
"""Ten threads that compute wait for each other, and for how long nobody tells them."""


def blocked_loop_ms(one: Seen) -> float:
    held = [p for p in one.receipt.pieces if p.on_loop and p.segment in BLOCKS_LOOP]
    return sum(piece.end_ns - piece.start_ns for piece in held) / 1e6


@pytest.mark.parametrize("deed", AWAITED)
def test_alone(stage: Stage, deed: str) -> None:
    stage.alone(wrong_lines, f"/alone/{deed}")


@on_asyncio
@pytest.mark.parametrize("deed", AWAITED)
def test_under_an_http_middleware(stage: Stage, deed: str) -> None:
    stage.alone(wrong_lines, f"/alone/{deed}", stage.under_middleware)


@on_asyncio
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_in_sequence(stage: Stage, first: str, second: str) -> None:
    stage.alone(wrong_lines, f"/sequence/{first}/{second}")


@on_asyncio
@pytest.mark.parametrize(("first", "second"), PAIRS[::2])
def test_side_by_side(stage: Stage, first: str, second: str) -> None:
    stage.alone(wrong_lines_in_a_crowd, f"/gather/{first}/{second}")


@on_asyncio
@pytest.mark.parametrize(("first", "second"), PAIRS[1::2])
def test_side_by_side_in_a_task_group(stage: Stage, first: str, second: str) -> None:
    stage.alone(wrong_lines_in_a_crowd, f"/group/{second}/{first}")


@pytest.mark.parametrize("deed", AWAITED)
def test_at_ten_users(stage: Stage, deed: str) -> None:
    stage.crowd(wrong_lines_in_a_crowd, f"/alone/{deed}")


@pytest.mark.parametrize("deed", CALLED)
def test_in_the_thread_of_a_plain_endpoint(stage: Stage, deed: str) -> None:
    for one in stage.alone(in_a_thread, f"/def/{deed}"):
        assert blocked_loop_ms(one) == 0


@on_asyncio
@pytest.mark.parametrize("deed", CALLED)
def test_in_a_thread_that_the_endpoint_awaits(stage: Stage, deed: str) -> None:
    for one in stage.alone(wrong_lines, f"/to-thread/{deed}"):
        assert blocked_loop_ms(one) == 0


@on_asyncio
@pytest.mark.parametrize("deed", CALLED)
def test_on_the_loop(stage: Stage, deed: str) -> None:
    for one in stage.alone(wrong_lines, f"/on-loop/{deed}"):
        blocking = sum(one.line_ms(SEGMENTS[segment]) for segment in BLOCKS_LOOP)
        assert blocked_loop_ms(one) == pytest.approx(blocking)


@on_asyncio
@pytest.mark.parametrize("deed", WAITING_CALLS)
def test_in_threads_at_ten_users(stage: Stage, deed: str) -> None:
    stage.crowd(in_threads, f"/def/{deed}")

"""Each line of the receipt is as long as what the app measured itself, and no other line takes it.

Within 5 % or 0.5 ms, whichever is more, for the median error of five requests (of ten at ten
users). Where the framework alone has the request only the most is known.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest

from tests.calibration.deeds import AWAITED, CALLED
from tests.calibration.driver import (
    LEAST_MS,
    OUTSIDE_OF_A_THREAD,
    Seen,
    wrong_lines,
    wrong_lines_in_a_crowd,
)
from tests.calibration.stage import Stage
from unslow.model.receipt import BLOCKS_LOOP
from unslow.model.trace import SEGMENTS

PAIRS = [*pairwise(AWAITED), (list(AWAITED)[-1], next(iter(AWAITED)))]
"""Every other one of them has each deed once."""

on_asyncio = pytest.mark.parametrize("stage", ["asyncio"], indirect=True)
"""uvloop differs where tasks wait, wake up and crowd; the rest is measured on one loop."""

in_a_thread = partial(wrong_lines, outside=OUTSIDE_OF_A_THREAD)
in_threads = in_a_thread

COMPUTING = {"own-code", "gc", "session-orm"}
"""Ten threads that compute wait for each other, and for how long nobody tells them."""
WAITING_CALLS = [name for name in CALLED if name not in COMPUTING | {"psycopg-rows"}]
"""Around a cursor there are statements shorter than a thread's turn at the interpreter's lock."""


# Where SQLAlchemy's work ends and its first fetch begins is only known while nobody else is there.
AT_TEN_USERS = [name for name in AWAITED if name != "engine-rows"]
SOME_AWAITED = ("own-code", "asyncpg-sql", "httpx-remote")
SOME_CALLED = ("own-code", "psycopg-sql", "blocking")


def blocked_loop_ms(seen: Sequence[Seen]) -> float:
    return statistics.median(
        sum(
            piece.end_ns - piece.start_ns
            for piece in one.receipt.pieces
            if piece.on_loop and piece.segment in BLOCKS_LOOP
        )
        / 1e6
        for one in seen
    )


def waited_ms(seen: Sequence[Seen]) -> float:
    """What could have blocked the loop."""
    names = [SEGMENTS[segment] for segment in BLOCKS_LOOP]
    return statistics.median(sum(one.line_ms(name) for name in names) for one in seen)


@pytest.mark.parametrize("deed", AWAITED)
def test_alone(stage: Stage, deed: str) -> None:
    stage.alone(wrong_lines, f"/alone/{deed}")


@on_asyncio
@pytest.mark.parametrize("deed", AWAITED)
def test_under_an_http_middleware(stage: Stage, deed: str) -> None:
    stage.alone(wrong_lines, f"/alone/{deed}", stage.under_middleware)


@on_asyncio
@pytest.mark.parametrize(("first", "second"), PAIRS[::2])
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


@on_asyncio
@pytest.mark.parametrize("deed", SOME_AWAITED)
def test_in_a_dependency(stage: Stage, deed: str) -> None:
    stage.alone(wrong_lines, f"/dependency/{deed}")


@on_asyncio
@pytest.mark.parametrize("path", ["background", "teardown"])
@pytest.mark.parametrize("deed", SOME_AWAITED)
def test_behind_the_response(stage: Stage, path: str, deed: str) -> None:
    def judge(seen: Sequence[Seen]) -> list[str]:
        return wrong_lines([replace(one, receipt=one.after) for one in seen])

    stage.alone(judge, f"/{path}/{deed}")


@pytest.mark.parametrize("deed", AT_TEN_USERS)
def test_at_ten_users(stage: Stage, deed: str) -> None:
    stage.crowd(wrong_lines_in_a_crowd, f"/alone/{deed}")


@pytest.mark.parametrize("deed", CALLED)
def test_in_the_thread_of_a_plain_endpoint(stage: Stage, deed: str) -> None:
    seen = stage.alone(in_a_thread, f"/def/{deed}")

    # To start a thread, now and then, does block it.
    assert blocked_loop_ms(seen) <= LEAST_MS


@on_asyncio
@pytest.mark.parametrize("deed", SOME_CALLED)
def test_in_a_thread_under_an_http_middleware(stage: Stage, deed: str) -> None:
    stage.alone(in_a_thread, f"/def/{deed}", stage.under_middleware)


@on_asyncio
@pytest.mark.parametrize("deed", SOME_CALLED)
def test_on_the_loop_under_an_http_middleware(stage: Stage, deed: str) -> None:
    seen = stage.alone(wrong_lines, f"/on-loop/{deed}", stage.under_middleware)

    assert blocked_loop_ms(seen) == pytest.approx(waited_ms(seen), abs=LEAST_MS)


@on_asyncio
@pytest.mark.parametrize("deed", CALLED)
def test_in_a_thread_that_the_endpoint_awaits(stage: Stage, deed: str) -> None:
    seen = stage.alone(wrong_lines, f"/to-thread/{deed}")

    # To start a thread, now and then, does block it.
    assert blocked_loop_ms(seen) <= LEAST_MS


@on_asyncio
@pytest.mark.parametrize("deed", CALLED)
def test_on_the_loop(stage: Stage, deed: str) -> None:
    seen = stage.alone(wrong_lines, f"/on-loop/{deed}")

    assert blocked_loop_ms(seen) == pytest.approx(waited_ms(seen))


@on_asyncio
@pytest.mark.parametrize("deed", WAITING_CALLS)
def test_in_threads_at_ten_users(stage: Stage, deed: str) -> None:
    stage.crowd(in_threads, f"/def/{deed}")

"""More worker threads for a running loop, and as many as before afterwards."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio
import pytest
import uvloop
from anyio.to_thread import current_default_thread_limiter, run_sync

from tests.fixes.switches.resize_pool.serving import PATIENCE_S, Loop, served, switch_on, until
from unslow.current import OpenArm
from unslow.errors import WireError
from unslow.fixes.switches.resize_pool import loops, threads


async def limiter() -> Any:
    return current_default_thread_limiter()


async def held(count: int, until_when: threading.Event, running: list[int]) -> None:
    def work() -> None:
        running.append(1)
        assert until_when.wait(PATIENCE_S)

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(run_sync, work)


def test_a_loop_has_more_threads_and_who_waits_gets_one(loop: Loop, arm: OpenArm) -> None:
    limited = loop.run(limiter())
    limited.total_tokens = 2
    acquire = type(limited).acquire_on_behalf_of
    end, running = threading.Event(), list[int]()
    asked = loop.start(held(5, end, running))
    until(lambda: limited.statistics().tasks_waiting == 3)

    undo = switch_on(arm, threads=4)

    until(lambda: len(running) == 4)
    waiting = limited.statistics().tasks_waiting
    end.set()
    asked.result(PATIENCE_S)
    undo()
    assert waiting == 1
    assert limited.total_tokens == 2
    assert limited.borrowed_tokens == 0
    assert type(limited).acquire_on_behalf_of is acquire


def test_undo_while_all_are_busy_holds_back_the_next_ones(loop: Loop, arm: OpenArm) -> None:
    limited = loop.run(limiter())
    limited.total_tokens = 1
    end, running = threading.Event(), list[int]()
    undo = switch_on(arm, threads=3)
    asked = loop.start(held(3, end, running))
    until(lambda: len(running) == 3)

    undo()
    more = loop.start(held(1, end, running))
    until(lambda: limited.statistics().tasks_waiting == 1)

    assert len(running) == 3
    end.set()
    asked.result(PATIENCE_S)
    more.result(PATIENCE_S)
    assert limited.total_tokens == 1
    assert arm.fired_count >= 2


def test_each_running_loop_has_its_own_threads(loop: Loop, arm: OpenArm) -> None:
    with served(uvloop.new_event_loop) as other:
        limiters = [one.run(limiter()) for one in (loop, other)]

        undo = switch_on(arm, threads=50)

        during = [one.total_tokens for one in limiters]
        undo()
    assert during == [50, 50]
    assert [one.total_tokens for one in limiters] == [40, 40]


def test_a_loop_that_is_held_is_not_waited_for(
    loop: Loop, arm: OpenArm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loops, "_PATIENCE_S", 0.01)
    end = threading.Event()
    loop.loop.call_soon_threadsafe(end.wait)

    with pytest.raises(WireError, match="was not free"):
        switch_on(arm, threads=50)

    end.set()
    assert loop.run(limiter()).total_tokens == 40


def test_what_cannot_be_undone_now_is_undone_when_the_loop_is_free(
    loop: Loop, arm: OpenArm, monkeypatch: pytest.MonkeyPatch
) -> None:
    undo = switch_on(arm, threads=50)
    limited = loop.run(limiter())
    monkeypatch.setattr(loops, "_PATIENCE_S", 0.01)
    end = threading.Event()
    loop.loop.call_soon_threadsafe(end.wait)

    undo()
    during = limited.total_tokens
    end.set()

    until(lambda: limited.total_tokens == 40)
    assert during == 50


def test_threads_that_suffice_count_nothing(loop: Loop, arm: OpenArm) -> None:
    end, running = threading.Event(), list[int]()
    end.set()

    undo = switch_on(arm, threads=80)
    loop.run(held(3, end, running))
    undo()

    assert arm.fired_count == 0
    assert loop.run(limiter()).total_tokens == 40


def test_what_the_app_sets_meanwhile_stays(loop: Loop, arm: OpenArm) -> None:
    limited = loop.run(limiter())
    undo = switch_on(arm, threads=80)
    limited.total_tokens = 7

    undo()

    assert limited.total_tokens == 7


def test_a_loop_that_has_ended_is_no_matter(arm: OpenArm) -> None:
    async def switched_on() -> Any:
        return switch_on(arm, threads=80)

    undo = asyncio.run(switched_on())

    undo()
    assert arm.fired_count == 0


def test_without_a_loop_there_are_no_threads(arm: OpenArm, monkeypatch: pytest.MonkeyPatch) -> None:
    # Apps of other tests may run in other threads.
    monkeypatch.setattr(threads, "running_loops", list)

    with pytest.raises(WireError, match="No event loop runs"):
        switch_on(arm, threads=80)


def test_no_threads_at_all_are_refused(loop: Loop, arm: OpenArm) -> None:
    with pytest.raises(WireError, match="at least 1"):
        switch_on(arm, threads=0)

"""Requests that take turns in any order never mix: each trace has what its own request did."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import pytest

from tests.calibration.driver import Recording, get
from tests.calibration.stage import LOOPS
from unslow.current import LANE, OpenTrace, clock, running
from unslow.model.trace import OWN_CODE
from unslow.record.middleware import call_traced

INTERLEAVINGS: Final = 10_000
REQUESTS: Final = 3
TURNS: Final = 9
ONE_THREAD_IN: Final = 100
"""A thread costs as much as the rest of a request; one turn in so many takes one."""


@dataclass
class Did:
    """What a request did, by its own account."""

    tag: str
    slices_count: int = 0
    statements_count: int = 0
    lanes_count: int = 1


@dataclass
class Crowd:
    """The requests that take turns with one another."""

    dice: random.Random
    active_count: int = 0
    waiting: list[asyncio.Future[None]] = field(default_factory=list)

    async def turn(self, did: Did) -> None:
        """Lets others run, at times until one of them wakes this one up."""
        lane = LANE.get()
        assert lane is not None
        lane.add(OWN_CODE, clock(), clock(), did.tag)
        did.slices_count += 1
        pick = self.dice.random()
        if pick < 0.4:
            await asyncio.sleep(0)
        elif pick < 0.6:
            self.wake_one()
        elif pick < 0.8 and self.active_count > len(self.waiting) + 1:
            woken = asyncio.get_running_loop().create_future()
            self.waiting.append(woken)
            await woken
        else:
            lane.new_statement(did.tag, "test", None)
            did.statements_count += 1

    def wake_one(self) -> None:
        """Wakes one of those that wait, any."""
        if self.waiting:
            self.waiting.pop(self.dice.randrange(len(self.waiting))).set_result(None)

    async def work(self, did: Did, depth: int) -> None:
        """Takes turns, and has children that do."""
        self.active_count += 1
        children = []
        for _ in range(self.dice.randrange(1, TURNS)):
            await self.turn(did)
            if depth and self.dice.random() < 0.2:
                did.lanes_count += 1
                children.append(asyncio.ensure_future(self.work(did, depth - 1)))
            if self.dice.randrange(ONE_THREAD_IN) == 0:
                did.lanes_count += 1
                await self.in_thread(did)
        # From here on it waits for its children only.
        self.active_count -= 1
        self.wake_one()
        await asyncio.gather(*children)

    async def in_thread(self, did: Did) -> None:
        """A turn in a thread, which does not hold the others up."""
        did.slices_count += 1
        self.active_count -= 1
        self.wake_one()
        await asyncio.to_thread(add_slice, did.tag)
        self.active_count += 1


def add_slice(tag: str) -> None:
    lane = LANE.get()
    assert lane is not None
    lane.add(OWN_CODE, clock(), clock(), tag)


async def interleaved(recording: Recording, seed: int) -> list[tuple[Did, OpenTrace]]:
    """Some requests at once; what each says it did, and its trace."""
    crowd = Crowd(random.Random(seed))

    async def handle(recorded: Did) -> OpenTrace:
        async def app(_scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await crowd.work(recorded, depth=2)
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

        exchange = get("/")
        scope = exchange.scope = exchange.new_scope()
        await call_traced(app, recording.recorder, scope, exchange.receive, exchange.send)
        assert LANE.get() is None
        trace: OpenTrace = scope["unslow"]
        return trace

    did = [Did(f"{seed}-{number}") for number in range(REQUESTS)]
    traces = await asyncio.gather(*map(handle, did))
    recording.recorder.closed.clear()
    return list(zip(did, traces, strict=True))


def check(did: Did, trace: OpenTrace) -> None:
    """A trace has all that its request did, and nothing of another one."""
    noted = [
        one[3]
        for lane in trace.lanes
        for one in lane.slices
        if one[2] == OWN_CODE and one[3] is not None
    ]
    assert noted == [did.tag] * did.slices_count
    assert [one.text for one in trace.statements] == [did.tag] * did.statements_count
    assert len(trace.lanes) == did.lanes_count
    assert all(lane.trace is trace for lane in trace.lanes)
    assert all(lane.steps or lane.kind == "thread" for lane in trace.lanes)
    assert (trace.status, trace.dropped_count) == (204, 0)


def changes_count(traces: list[OpenTrace]) -> int:
    """How often the loop went from one of the requests to another."""
    steps = [
        (step[0], trace.number) for trace in traces for lane in trace.lanes for step in lane.steps
    ]
    numbers = [number for _, number in sorted(steps)]
    return sum(one != other for one, other in pairwise(numbers))


@pytest.mark.parametrize("loop", LOOPS)
def test_interleaved_requests_never_mix(recording: Recording, loop: str) -> None:
    first = random.getrandbits(32)
    count = INTERLEAVINGS // len(LOOPS)

    async def all_of_them() -> int:
        changes = 0
        for seed in range(first, first + count):
            found = await interleaved(recording, seed)
            changes += changes_count([trace for _, trace in found])
            for did, trace in found:
                check(did, trace)
        return changes

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        changes = runner.run(all_of_them())

    assert changes > count * 2 * REQUESTS, "they took too few turns to be a test"
    assert running == {}

"""An app that runs for long does not grow by being recorded.

20,000 requests; UNSLOW_SOAK_REQUESTS=200000 sends as many as one wants.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from fastapi import FastAPI

from tests.calibration.driver import Exchange, get, perform
from unslow.current import LANE
from unslow.model.trace import OWN_CODE, Process
from unslow.record.cost import measure
from unslow.record.recorder import Recorder
from unslow.record.writer import Writer
from unslow.store import FILE, Batch, Ring, StoreWriter

REQUESTS: Final = int(os.environ.get("UNSLOW_SOAK_REQUESTS", "20000"))
AT_ONCE: Final = 10
STORE_BYTES: Final = 2_000_000
RING_TRACES: Final = 200
GROWTH_BYTES: Final = 8_000_000
"""One object left behind by each request is seen in Python's count of blocks. This is for what is
not counted there: half a kilobyte or more for each, while the allocator's own ups and downs are
some megabytes."""


def make_app() -> FastAPI:
    app = FastAPI(openapi_url=None)

    async def child(number: int) -> int:
        lane = LANE.get()
        assert lane is not None
        statement = lane.new_statement(f"SELECT {number}", "test", None)
        lane.add(OWN_CODE, lane.start_ns, lane.start_ns + 1, statement.index)
        await asyncio.sleep(0)
        return number

    @app.get("/items/{number}")
    async def items(number: int) -> int:
        return sum(await asyncio.gather(child(number), child(number + 1)))

    @app.get("/threads/{number}")
    def threads(number: int) -> int:
        return number

    @app.get("/errors/{number}")
    async def errors(number: int) -> int:
        raise LookupError(str(number))

    return app


def request(number: int) -> Exchange:
    kind = "errors" if number % 50 == 0 else "threads" if number % 20 == 0 else "items"
    return get(f"/{kind}/{number}")


class Sink:
    """Where the writer's thread puts what it takes: a store that is soon full, and a ring."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store: StoreWriter | None = None
        self.ring = Ring(RING_TRACES)
        self.traces_count = 0

    def write(self, traces: Any, stalls: Any, facts: Process) -> None:
        if self.store is None:
            self.store = StoreWriter(self.folder, STORE_BYTES, "soak", facts)
        batch = Batch(traces, stalls)
        self.ring.add(batch)
        self.store.write(batch, facts)
        self.traces_count += len(traces)

    def close(self) -> None:
        if self.store is not None:
            self.store.close()


@contextmanager
def writing(recorder: Recorder, folder: Path) -> Iterator[tuple[Writer, Sink]]:
    """A writer with its thread, as in an app."""
    sink = Sink(folder)
    writer = Writer(recorder, sink.write, measure())
    writer.start()
    try:
        yield writer, sink
    finally:
        writer.stop()
        sink.close()


class Memory(NamedTuple):
    """What the process holds when nothing is under way."""

    blocks_count: int
    resident_bytes: int


def memory(writer: Writer) -> Memory:
    writer.flush()
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Memory(sys.getallocatedblocks(), pages * os.sysconf("SC_PAGE_SIZE"))


async def send(app: Any, recorder: Recorder, numbers: range) -> None:
    for first in numbers[::AT_ONCE]:
        exchanges = [request(first + offset) for offset in range(AT_ONCE)]
        await asyncio.gather(*(perform(app, recorder, one) for one in exchanges))


@pytest.mark.usefixtures("recording")
def test_memory_and_store_stay_as_they_are(tmp_path: Path) -> None:
    recorder = Recorder()
    recorder.recording = True
    app = make_app()
    with writing(recorder, tmp_path) as (writer, sink), asyncio.Runner() as runner:
        runner.run(send(app, recorder, range(REQUESTS // 4)))
        before = memory(writer)
        runner.run(send(app, recorder, range(REQUESTS // 4, REQUESTS)))
        after = memory(writer)

    assert after.blocks_count - before.blocks_count < REQUESTS // 4
    assert after.resident_bytes - before.resident_bytes < GROWTH_BYTES
    assert sink.traces_count + recorder.dropped_traces_count == REQUESTS
    assert (tmp_path / FILE).stat().st_size < 2 * STORE_BYTES

"""Traces on disk: several processes, bounds, formats, rights."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unslow import store
from unslow.model.codec import dumps, packed_trace
from unslow.model.trace import Coverage, Process, Stall, Trace
from unslow.store import (
    FILE,
    FORMAT,
    Batch,
    Ring,
    StoreFormatError,
    StoreMissingError,
    StoreReader,
    StoreUnusableError,
    StoreWriter,
)

MIB = 1024 * 1024


def process(process_id: int = 1) -> Process:
    return Process(
        process_id,
        1.5,
        "3.11.7",
        200,
        500,
        (Coverage("asyncpg", "off", "why"),),
        3,
        (("fastapi", "0.1"),),
    )


def trace(number: int, route: str = "/x") -> Trace:
    return Trace(number, 1, "GET", route, 200, 1.0, 10, 20, 30, 5)


def batch(*traces: Trace) -> Batch:
    return Batch(tuple(dumps(packed_trace(one)) for one in traces), ())


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "s", MIB, "run", process())
    stalls = ((7, 1, 2, ("a.py", 3, "f")),)
    writer.write(Batch(batch(trace(1), trace(2)).traces, stalls), process())
    writer.close()

    reader = StoreReader(tmp_path / "s")
    (recorded,) = reader.run("run")
    reader.close()

    assert recorded.traces == (trace(1), trace(2))
    assert [(one.start_ns, one.place and one.place.line) for one in recorded.stalls] == [(1, 3)]
    assert isinstance(recorded.stalls[0], Stall)
    assert recorded.process == process()


def test_what_an_app_put_in_the_place_of_json_is_not_asked_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> str:
        raise AssertionError

    with monkeypatch.context() as app:
        app.setattr(json, "dumps", fails)
        app.setattr(json, "loads", fails)
        writer = StoreWriter(tmp_path, MIB, "run", process())
        writer.write(batch(trace(1)), process())
        writer.close()

    reader = StoreReader(tmp_path)
    (recorded,) = reader.run("run")
    reader.close()
    assert recorded.process == process()
    assert recorded.traces == (trace(1),)


def test_runs_are_kept_apart_and_ordered(tmp_path: Path) -> None:
    for run in ("first", "second"):
        writer = StoreWriter(tmp_path, MIB, run, process())
        writer.write(batch(trace(1, run)), process())
        writer.close()

    reader = StoreReader(tmp_path)

    assert reader.runs() == ("first", "second")
    assert [one.route for one in reader.run("second")[0].traces] == ["second"]
    reader.close()


WRITES = """
import sys
from pathlib import Path
from unslow.model.codec import dumps, packed_trace
from unslow.model.trace import Process, Trace
from unslow.store import Batch, StoreWriter

facts = Process(int(sys.argv[2]), 1.0, "", 0, 0)
writer = StoreWriter(Path(sys.argv[1]), 2**26, "run", facts)
for number in range(50):
    one = Trace(number, int(sys.argv[2]), "GET", "/", 200, 1.0, 1, 2, 3, 4)
    writer.write(Batch((dumps(packed_trace(one)),), ()), facts)
"""


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path), str(number)])
        for number in range(4)
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0, 0]

    reader = StoreReader(tmp_path)
    recorded = reader.run("run")
    reader.close()

    assert sorted(one.process.process_id for one in recorded) == [0, 1, 2, 3]
    assert {len(one.traces) for one in recorded} == {50}


@pytest.mark.parametrize("is_let_go", [True, False])
def test_a_new_file_that_another_process_is_making_is_waited_for(
    is_let_go: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite3.connect(tmp_path / FILE)
    other.execute("BEGIN IMMEDIATE")
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if is_let_go and len(waits) == 2:
            other.commit()

    monkeypatch.setattr(time, "sleep", wait)
    if is_let_go:
        store.open_for_writing(tmp_path).close()
        assert 2 == len(waits)
    else:
        with pytest.raises(StoreUnusableError, match="database is locked"):
            store.open_for_writing(tmp_path)
        assert pytest.approx(5) == sum(waits)
    other.close()


def test_the_file_keeps_to_its_bound_and_loses_the_oldest(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path, MIB, "run", process())
    for number in range(400):
        writer.write(batch(trace(number, route="/" + "x" * 10_000)), process())
    writer.close()

    reader = StoreReader(tmp_path)
    numbers = [one.number for one in reader.run("run")[0].traces]
    reader.close()

    assert (tmp_path / FILE).stat().st_size < 1.5 * MIB
    assert numbers == list(range(numbers[0], 400))
    assert 40 < len(numbers) < 110


def test_only_the_owner_may_read_and_git_does_not_see_it(tmp_path: Path) -> None:
    folder = tmp_path / ".unslow"
    StoreWriter(folder, MIB, "run", process()).close()

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o600
    assert (folder / ".gitignore").read_text() == "*\n"


def test_a_newer_format_is_refused_for_reading_and_writing(tmp_path: Path) -> None:
    StoreWriter(tmp_path, MIB, "run", process()).close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    connection.close()

    with pytest.raises(StoreFormatError, match=f"has format {FORMAT + 1}; this unslow reads"):
        StoreReader(tmp_path)
    with pytest.raises(StoreFormatError, match="delete the file"):
        StoreWriter(tmp_path, MIB, "run", process())


def test_a_missing_store_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreMissingError, match="unslow run MODULE:APP"):
        StoreReader(tmp_path)


def test_a_file_that_is_no_store_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("no database at all, only words" * 50)

    with pytest.raises(StoreFormatError, match="not a store of unslow"):
        StoreReader(tmp_path)


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StoreUnusableError, match="Give a folder that can be written"):
        StoreWriter(tmp_path / "file" / "s", MIB, "run", process())


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A real network mount needs rights that a test does not have.
    monkeypatch.setattr(store, "file_system_of", lambda _folder: "nfs4")

    with pytest.raises(StoreUnusableError, match=r"network file system \(nfs4\)"):
        StoreWriter(tmp_path, MIB, "run", process())


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's table of mounts")
def test_the_file_system_of_a_folder_is_found() -> None:
    assert store.file_system_of(Path("/proc")) == "proc"
    assert store.file_system_of(Path(os.getcwd())) not in ("", "proc")


def test_the_ring_keeps_the_newest() -> None:
    ring = Ring(3)
    ring.add(batch(*(trace(number) for number in range(1, 6))))

    assert [packed[0] for _, packed in ring.since(0)] == [3, 4, 5]
    assert [(position, packed[0]) for position, packed in ring.since(4)] == [(5, 5)]


def test_the_ring_misses_no_request_that_began_earlier_and_ended_later() -> None:
    ring = Ring(10)
    ring.add(batch(trace(7)))
    (position, _) = next(ring.since(0))
    ring.add(batch(trace(2)))

    assert [packed[0] for _, packed in ring.since(position)] == [2]

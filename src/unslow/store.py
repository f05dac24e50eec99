"""Where traces are kept: a ring in memory, and a SQLite file that several processes write."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from .errors import UnslowError
from .model.codec import Packed, dumps, loads, stall_of, trace_of
from .model.trace import Coverage, Process, Stall, Trace

FORMAT: Final = 2
FILE: Final = "traces.sqlite"
_BUSY_MS = 5_000
_BUSY_AGAIN_MS = 5
_DAMAGED: Final = (ValueError, EOFError, TypeError, KeyError)
"""What the codec raises at bytes that are not whole, and JSON at texts that are not."""
_NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afs", "ceph", "glusterfs", "9p"}
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS processes (
    id INTEGER PRIMARY KEY, run TEXT NOT NULL, process_id INTEGER NOT NULL,
    started_at REAL NOT NULL, facts TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY, process INTEGER NOT NULL REFERENCES processes (id),
    count INTEGER NOT NULL, packed BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS batches_process ON batches (process);
CREATE TABLE IF NOT EXISTS checks (run TEXT PRIMARY KEY, facts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS trials (run TEXT PRIMARY KEY, since REAL NOT NULL, facts TEXT NOT NULL);
"""


class StoreUnusableError(UnslowError):
    """The folder for traces cannot be written; the message says why and what to do."""


class StoreFormatError(UnslowError):
    """The store was written by another version of unslow."""


class StoreMissingError(UnslowError):
    """There is no store where one was asked for."""


class StoreDamagedError(UnslowError):
    """The store's file is there, but cannot be read."""


class Batch(NamedTuple):
    """What a process wrote at once: traces as bytes, each by itself, and packed stalls."""

    traces: tuple[bytes, ...]
    stalls: tuple[Packed, ...]


class Ring:
    """The newest traces of this process, as bytes, bounded in number."""

    def __init__(self, traces_count: int) -> None:
        self._traces: deque[tuple[int, bytes]] = deque(maxlen=traces_count)
        self._added_count = 0

    def add(self, batch: Batch) -> None:
        """Keeps a batch's traces; the oldest go when the ring is full."""
        for data in batch.traces:
            self._added_count += 1
            self._traces.append((self._added_count, data))

    def since(self, position: int) -> Iterator[tuple[int, Packed]]:
        """What was added behind a position, oldest first, each with its own position.

        Not by the traces' numbers: a request that began earlier may end later.
        """
        for one, data in tuple(self._traces):
            if one > position:
                yield one, loads(data)


class StoreWriter:
    """One process's way into the file; used from one thread.

    Raises:
        StoreUnusableError: the folder cannot be made or written, or lies on a network file system.
    """

    def __init__(self, folder: Path, bound_bytes: int, run: str, facts: Process) -> None:
        self._bound_bytes = bound_bytes
        self._connection = open_for_writing(folder)
        with self._connection as connection:
            cursor = connection.execute(
                "INSERT INTO processes (run, process_id, started_at, facts) VALUES (?, ?, ?, ?)",
                (run, facts.process_id, facts.started_at, _facts_as_json(facts)),
            )
        self._process = cursor.lastrowid

    def write(self, batch: Batch, facts: Process) -> None:
        """Writes a batch and what is known of the process by now, and keeps to the bound."""
        with self._connection as connection:
            if batch.traces or batch.stalls:
                connection.execute(
                    "INSERT INTO batches (process, count, packed) VALUES (?, ?, ?)",
                    (self._process, len(batch.traces), dumps(tuple(batch))),
                )
            connection.execute(
                "UPDATE processes SET facts = ? WHERE id = ?",
                (_facts_as_json(facts), self._process),
            )
            self._make_room(connection)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        free = connection.execute("PRAGMA freelist_count").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        over = (pages - free) * size - self._bound_bytes
        if over <= 0:
            return
        # A tenth more than needed, so that a full store does not delete at every write.
        wanted = over + self._bound_bytes // 10
        for identity, length in connection.execute(
            "SELECT id, length(packed) FROM batches ORDER BY id"
        ).fetchall():
            connection.execute("DELETE FROM batches WHERE id = ?", (identity,))
            wanted -= length
            if wanted <= 0:
                return

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()


def open_for_writing(folder: Path) -> sqlite3.Connection:
    """The store's file in a folder that is made when missing, readable by its owner only.

    Raises:
        StoreUnusableError: it cannot be written, or lies on a network file system.
        StoreFormatError: a newer unslow wrote it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
        kind = file_system_of(folder)
        if kind in _NETWORK_FILE_SYSTEMS:
            raise StoreUnusableError(
                f"{folder} lies on a network file system ({kind}), where SQLite's log is not safe. "
                "Give a local folder: --folder PATH or UNSLOW_FOLDER=PATH."
            )
        file = folder / FILE
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(file, timeout=_BUSY_MS / 1000, check_same_thread=False)
        _prepare(connection, file)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnusableError(
            f"Cannot write traces to {folder}: {error}. "
            "Give a folder that can be written: --folder PATH or UNSLOW_FOLDER=PATH."
        ) from error
    return connection


def write_check(folder: Path, run: str, facts: str) -> None:
    """Notes on a run that it is a check, and what that has sent.

    Raises:
        StoreUnusableError, StoreFormatError: as `open_for_writing` does.
    """
    connection = open_for_writing(folder)
    try:
        with connection:
            connection.execute("INSERT OR REPLACE INTO checks VALUES (?, ?)", (run, facts))
    finally:
        connection.close()


def write_tried(folder: Path, run: str, since: float, facts: str) -> None:
    """Notes on a run what was tried, and since when: what was recorded later belongs to trials.

    Raises:
        StoreUnusableError, StoreFormatError: as `open_for_writing` does.
    """
    connection = open_for_writing(folder)
    try:
        with connection:
            connection.execute(
                "INSERT OR REPLACE INTO trials VALUES (?, ?, ?)", (run, since, facts)
            )
    finally:
        connection.close()


def _prepare(connection: sqlite3.Connection, file: Path) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found not in (0, FORMAT):
        connection.close()
        raise _wrong_format(file, found)
    _log_ahead(connection)
    connection.execute("PRAGMA synchronous = OFF")
    with connection:
        connection.executescript(_SCHEMA)
        connection.execute(f"PRAGMA user_version = {FORMAT}")


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Turns the write-ahead log on, which is the one change that SQLite does not wait for."""
    for waited_ms in range(0, _BUSY_MS + 1, _BUSY_AGAIN_MS):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # Another process opens the new file at this moment.
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or waited_ms == _BUSY_MS:
                raise
            time.sleep(_BUSY_AGAIN_MS / 1000)
        else:
            return


def _exists(file: Path) -> bool:
    try:
        return file.exists()
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: OSError | sqlite3.Error) -> UnslowError:
    """What to say of a store that is there and cannot be read."""
    if isinstance(error, OSError | sqlite3.OperationalError):
        return StoreDamagedError(
            f"{file} cannot be read: {error}. Who reads it has to be allowed to write beside it: be"
            " the user who recorded it, or give another folder: --folder PATH"
        )
    if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
        return StoreFormatError(
            f"{file} is not a store of unslow ({error}). Delete it, or give another folder:"
            " --folder PATH"
        )
    return StoreDamagedError(
        f"{file} is damaged: {error}. Delete it and record again, or give another folder:"
        " --folder PATH"
    )


def _wrong_format(file: Path, found: int) -> StoreFormatError:
    return StoreFormatError(
        f"{file} has format {found}; this unslow reads format {FORMAT}. "
        "Use the unslow that wrote it, or delete the file."
    )


def file_system_of(folder: Path) -> str:
    """The kind of file system a folder lies on, such as `ext4`; empty where that is not told."""
    if sys.platform != "linux":
        return ""
    best, kind = "", ""
    path = str(folder.resolve())
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
        for line in mounts:
            left, _, right = line.partition(" - ")
            point = left.split(" ")[4].replace("\\040", " ")
            inside = path == point or path.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= len(best):
                best, kind = point, right.split(" ")[0]
    return kind


# Not `json.dumps`: an app, or its tests, may have put something else in its place.
_json = json.JSONEncoder()


def _facts_as_json(facts: Process) -> str:
    return _json.encode(
        {
            "process_id": facts.process_id,
            "started_at": facts.started_at,
            "python": facts.python,
            "slice_cost_ns": facts.slice_cost_ns,
            "step_cost_ns": facts.step_cost_ns,
            "coverage": [[one.what, one.state, one.why] for one in facts.coverage],
            "dropped_traces_count": facts.dropped_traces_count,
            "libraries": facts.libraries,
        }
    )


def process_from_json(text: str) -> Process:
    """The facts of a process, as the store and the wire carry them."""
    facts: dict[str, Any] = json.loads(text)
    coverage = tuple(Coverage(*one) for one in facts.pop("coverage"))
    libraries = tuple((name, version) for name, version in facts.pop("libraries"))
    return Process(coverage=coverage, libraries=libraries, **facts)


class Recorded(NamedTuple):
    """What one process recorded."""

    process: Process
    traces: tuple[Trace, ...]
    stalls: tuple[Stall, ...]
    older_count: int = 0
    """Traces that were left out because only the newest were asked for."""
    damaged_count: int = 0
    """Batches that could not be read."""


class StoreReader:
    """A store, read.

    Raises:
        StoreMissingError: there is none in this folder.
        StoreFormatError: another version of unslow wrote it, or another program.
        StoreDamagedError: it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        file = folder / FILE
        if not _exists(file):
            raise StoreMissingError(
                f"No traces in {folder}: {file} does not exist. "
                "Record some first, for example with: unslow run MODULE:APP"
            )
        try:
            self._connection = sqlite3.connect(file, timeout=_BUSY_MS / 1000)
            found = self._connection.execute("PRAGMA user_version").fetchone()[0]
            tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        except sqlite3.Error as error:
            raise _unreadable(file, error) from error
        self._is_empty = not tables
        if found != FORMAT and tables:
            self._connection.close()
            raise _wrong_format(file, found)

    def runs(self) -> tuple[str, ...]:
        """The runs in the store, oldest first."""
        if self._is_empty:
            return ()
        rows = self._connection.execute("SELECT run FROM processes GROUP BY run ORDER BY min(id)")
        return tuple(row[0] for row in rows)

    def check(self, run: str) -> str | None:
        """What the check has sent that a run is; None where it is no check."""
        row = self._connection.execute("SELECT facts FROM checks WHERE run = ?", (run,)).fetchone()
        return None if row is None else str(row[0])

    def tried(self, run: str) -> tuple[float, str] | None:
        """Since when trials went on in a run, and what was tried; None where nothing was."""
        tables = "SELECT count(*) FROM sqlite_master WHERE name = 'trials'"
        if not self._connection.execute(tables).fetchone()[0]:
            # A version of before has written it.
            return None
        row = self._connection.execute(
            "SELECT since, facts FROM trials WHERE run = ?", (run,)
        ).fetchone()
        return None if row is None else (float(row[0]), str(row[1]))

    def traces_count(self, run: str) -> int:
        """How many traces a run has."""
        (count,) = self._connection.execute(
            "SELECT coalesce(sum(count), 0) FROM batches JOIN processes"
            " ON processes.id = batches.process WHERE run = ?",
            (run,),
        ).fetchone()
        return int(count)

    def run(self, run: str, newest_count: int | None = None) -> tuple[Recorded, ...]:
        """What the processes of a run recorded: all of it, or about that many newest traces."""
        first = self._first_batch(run, newest_count)
        processes = self._connection.execute(
            "SELECT id, process_id, started_at, facts FROM processes WHERE run = ? ORDER BY id",
            (run,),
        ).fetchall()
        return tuple(
            self._recorded(identity, process_id, started_at, facts, first)
            for identity, process_id, started_at, facts in processes
        )

    def _first_batch(self, run: str, newest_count: int | None) -> int:
        """The batch from which on a run has so many traces; 0 for all of them."""
        missing = newest_count
        if missing is None:
            return 0
        for identity, count in self._connection.execute(
            "SELECT batches.id, batches.count FROM batches JOIN processes"
            " ON processes.id = batches.process WHERE run = ? ORDER BY batches.id DESC",
            (run,),
        ):
            missing -= count
            if missing <= 0:
                return int(identity)
        return 0

    def _recorded(
        self, identity: int, process_id: int, started_at: float, facts: str, first_batch: int
    ) -> Recorded:
        traces: list[Trace] = []
        stalls: list[Stall] = []
        damaged_count = 0
        for (packed,) in self._connection.execute(
            "SELECT packed FROM batches WHERE process = ? AND id >= ? ORDER BY id",
            (identity, first_batch),
        ):
            try:
                batch = Batch(*loads(packed))
                traces += [trace_of(loads(data)) for data in batch.traces]
                stalls += [stall_of(stall) for stall in batch.stalls]
            except _DAMAGED:
                damaged_count += 1
        (older_count,) = self._connection.execute(
            "SELECT coalesce(sum(count), 0) FROM batches WHERE process = ? AND id < ?",
            (identity, first_batch),
        ).fetchone()
        try:
            process = process_from_json(facts)
        except _DAMAGED:
            process = Process(process_id, started_at, "", 0, 0)
            damaged_count += 1
        return Recorded(process, tuple(traces), tuple(stalls), older_count, damaged_count)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()


@contextmanager
def reading(folder: Path) -> Iterator[StoreReader]:
    """A store, closed at the end.

    Raises:
        StoreMissingError, StoreFormatError: as `StoreReader` does.
        StoreDamagedError: it cannot be read, at once or half way.
    """
    reader = StoreReader(folder)
    try:
        yield reader
    except sqlite3.Error as error:
        raise _unreadable(folder / FILE, error) from error
    finally:
        reader.close()

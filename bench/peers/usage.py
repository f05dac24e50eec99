"""CPU time of a peer and of its database, as Linux counts it in /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, Final

_PROC: Final = Path("/proc")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_NOTED_WITHIN_S: Final = 0.3
"""So soon after its end the server has noted what a process spent."""

# What serves our database, and what serves all of them: the writers, the checkpointer.
_PROCESSES: Final = """
SELECT pid FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND (datname = current_database() OR datid IS NULL)
"""


def _fields(process_id: int) -> list[str] | None:
    """The fields of a process after its name (proc(5): the first is its state)."""
    try:
        text = (_PROC / str(process_id) / "stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def own_s(process_id: int) -> float | None:
    """CPU seconds of a process, without its children; None when it is gone or cannot be read."""
    fields = _fields(process_id)
    return None if fields is None else (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def tree_s(process_id: int) -> dict[int, float]:
    """CPU seconds by process, of one and all that it started and that still run."""
    parents = {}
    for path in _PROC.iterdir():
        if path.name.isdigit() and (fields := _fields(int(path.name))):
            parents[int(path.name)] = int(fields[1])
    family, found = {process_id}, {process_id}
    while found:
        found = {child for child, parent in parents.items() if parent in found}
        family |= found
    return {one: seconds for one in family if (seconds := own_s(one)) is not None}


class DatabaseUsage:
    """The CPU time of a database's processes, where they run on this machine."""

    def __init__(self, connection: Any) -> None:
        """Looks for the server.

        Args:
            connection: A psycopg connection to the database, in autocommit.
        """
        self._connection = connection
        backend = connection.info.backend_pid
        fields = _fields(backend) if self._is_here(backend) else None
        self._postmaster = int(fields[1]) if fields else None

    def _is_here(self, backend: int) -> bool:
        try:
            name = (_PROC / str(backend) / "comm").read_text().strip()
        except OSError:
            return False
        return name.startswith("postgres") and self._connection.info.hostaddr in {
            "",
            "127.0.0.1",
            "::1",
        }

    def by_process_s(self, with_ended: bool = False) -> dict[int, float] | None:
        """CPU seconds by process; None when the server is elsewhere.

        Args:
            with_ended: Whether all processes that the server had and that have ended count too,
                under the number 0: those of other databases as well.
        """
        if self._postmaster is None:
            return None
        rows = self._connection.execute(_PROCESSES).fetchall()
        processes = [self._postmaster, *(row[0] for row in rows)]
        found = {one: seconds for one in processes if (seconds := own_s(one)) is not None}
        if with_ended and (ended_s := self._ended_s(self._postmaster)) is not None:
            found[0] = ended_s
        return found

    @staticmethod
    def _ended_s(postmaster: int) -> float | None:
        time.sleep(_NOTED_WITHIN_S)
        fields = _fields(postmaster)
        return None if fields is None else (int(fields[13]) + int(fields[14])) / _TICKS_PER_S


def spent_s(before: dict[int, float] | None, after: dict[int, float] | None) -> float | None:
    """What was spent between two looks; a process that came in between began with nothing."""
    if before is None or after is None:
        return None
    return sum(seconds - before.get(one, 0.0) for one, seconds in after.items())

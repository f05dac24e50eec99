"""Checks as a store keeps them, made by hand."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from unslow.model.checked import Checked, checked_text
from unslow.model.codec import dumps, packed_trace
from unslow.model.trace import OWN_CODE, Lane, Place, Process, Slice, Statement, Step, Trace
from unslow.store import Batch, StoreWriter, write_check

MS = 1_000_000
SINCE = 1_772_366_400.0
"""When the measured requests of each check begin."""
USERS = "/users/{user_id}"
OLDER = "2026-03-01T12:00:00 aaaa"
NEWER = "2026-03-02T12:00:00 bbbb"
LINE = Place("/srv/shop/users.py", 97, "get_user")


def request(number: float, ms: float, route: str = USERS, **changes: Any) -> Trace:
    """A request that computes in one line; it begins so many seconds after the first one."""
    start = round(number * 1_000 * MS)
    end = start + round(ms * MS)
    part = Slice(start, end, changes.pop("segment", OWN_CODE), None, LINE)
    lane = Lane("task", 5, -1, start, end, (Step(start, end),), (part,))
    statements = changes.pop("statements", 1) * (Statement("SELECT a FROM b", "asyncpg"),)
    told: dict[str, Any] = {
        "number": 1,
        "process_id": 1,
        "method": "GET",
        "route": route,
        "status": 200,
        "started_at": SINCE + number,
        "start_ns": start,
        "response_end_ns": end,
        "end_ns": end,
        "response_bytes": 312,
        "lanes": (lane,),
        "statements": statements,
    }
    return Trace(**told | changes)


def requests(ms: float, route: str = USERS, count: int = 40, **changes: Any) -> tuple[Trace, ...]:
    """Requests one after the other, with a little noise that is the same each time.

    Those of several routes begin at times of their own.
    """
    random = Random(route)
    first = 1_000 * random.randrange(1, 1_000)
    return tuple(
        request(first + number, ms * random.lognormvariate(0, 0.03), route, **changes)
        for number in range(count)
    )


def save(
    folder: Path,
    run: str,
    *traces: Trace,
    python: str = "3.11.7",
    libraries: tuple[tuple[str, str], ...] = (("fastapi", "0.165.0"),),
    slice_cost_ns: int = 400,
    **changes: Any,
) -> None:
    """Writes a check into a store; what warmed up comes first, as in each check."""
    facts = Process(
        7, SINCE, python, slice_cost_ns=slice_cost_ns, step_cost_ns=0, libraries=libraries
    )
    writer = StoreWriter(folder, 2**30, run, facts)
    kept = (request(-1.0, 5.0, "/warm"), *traces)
    writer.write(Batch(tuple(dumps(packed_trace(one)) for one in kept), ()), facts)
    writer.close()
    write_check(folder, run, checked_text(checked(**changes)))


def checked(**changes: Any) -> Checked:
    told: dict[str, Any] = {
        "target": "shop.main:app",
        "measured_since": SINCE,
        "operations_count": 1,
        "counted_count": 1,
        "left_out": (),
        "concurrency": 20,
        "own_routes": ("GET /warm",),
    }
    return Checked(**told | changes)

"""The database connections that requests opened when the process was warm."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

from ..model.trace import CLOSED, CONNECT, GIVEN_BACK, PINGED, Place
from .views import Request, Requests


class Opening(NamedTuple):
    """A connection that a request opened."""

    request: Request
    name: str
    """The server, or the pool that it was opened for."""
    pool: int
    """A number of that pool; 0 where none is known."""
    is_again: bool
    """Whether the pool had a connection in this place before."""
    place: Place | None
    ms: float


class Opened(NamedTuple):
    """What the later half of a route's requests opened, process by process."""

    openings: tuple[Opening, ...]
    requests_count: int
    pools: Counter[tuple[int, int]]
    """By process and number of a pool, how often it opened one."""


def opened(requests: Requests) -> Opened:
    """What was opened in the later half of each process, when its pools are warm."""
    by_process: dict[int, list[Request]] = defaultdict(list)
    for one in sorted(requests.counted, key=lambda one: one.trace.started_at):
        by_process[one.trace.process_id].append(one)
    # A single request is the one that warms them.
    later = [one for mine in by_process.values() for one in mine[(len(mine) + 1) // 2 :]]
    found = tuple(opening for one in later for opening in _of(one))
    pools = Counter((one.request.trace.process_id, one.pool) for one in found)
    return Opened(found, len(later), pools)


def _of(request: Request) -> list[Opening]:
    found = []
    for _, one in request.slices(CONNECT):
        ms = (one.end_ns - one.start_ns) / 1e6
        if isinstance(one.what, str):
            found.append(Opening(request, one.what, 0, False, one.place, ms))
        elif isinstance(one.what, tuple) and one.what not in (PINGED, GIVEN_BACK, CLOSED):
            name, number, is_again = one.what[:3]
            found.append(Opening(request, name, number, is_again, one.place, ms))
    return found


def pooled(opening: Opening, seen: Opened) -> bool:
    """Whether a connection was opened for a pool that lives longer than a request.

    A pool that opened a single one may have been made for this very request.
    """
    if opening.pool:
        key = opening.request.trace.process_id, opening.pool
        return " pool " in opening.name and (opening.is_again or seen.pools[key] > 1)
    return any(
        " pool " in hold.pool and hold.pool.startswith(opening.name)
        for hold in opening.request.trace.holds
    )

"""What the probes of HTTP clients note alike."""

from __future__ import annotations

import itertools
from typing import Any, Final
from weakref import WeakKeyDictionary

from ..current import Lane, clock
from ..model.trace import REMOTE
from .place import caller_place

Peer = tuple[str, int, bool]
"""The `what` of a remote slice: `host:port`, the number of the pool that keeps the connections,
and whether a timeout bounds the wait for the answer."""

_TOGETHER_NS: Final = 20_000
"""A read that follows the slice before it within this time continues it: the caller did nothing
between the two but collect, and a download is then one slice and not one per buffer."""

_SHORTEST_READ_NS: Final = 100_000
"""A read below this found its bytes there (10 to 40 us in httpx): that is work, not a wait."""

_numbers = itertools.count(1)
_number_by_pool: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


def pool_number(pool: Any) -> int:
    """A small number for the object that keeps a client's connections; a new object, a new number.

    A client that is made for every request shows as many numbers for one host.
    """
    number = _number_by_pool.get(pool)
    if number is None:
        number = _number_by_pool[pool] = next(_numbers)
    return number


def address(host: str, port: int) -> str:
    """`host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def add_read(lane: Lane, peer: Peer, start_ns: int) -> None:
    """Keeps the reading of a part of an answer's body that ends now, if it had to wait."""
    end = clock()
    slices = lane.slices
    if slices:
        start, last_end, _, what, place = slices[-1]
        is_same = what is peer or (type(what) is tuple and what[:-1] == peer)
        if is_same and 0 <= start_ns - last_end < _TOGETHER_NS:
            slices[-1] = (start, end, REMOTE, what, place)
            return
    if end - start_ns >= _SHORTEST_READ_NS:
        lane.add(REMOTE, start_ns, end, (*peer, True), caller_place())

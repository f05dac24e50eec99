"""When the bytes that a task waited for reached this machine.

A loop that is busy reads late: the kernel knows how long the bytes lay there. It counts that in its
own ticks, 4 ms on most machines.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import Any, Final

from ..current import Lane, clock

LEAST_WAIT_NS: Final = 5_000_000
"""Shorter waits are not looked at: the kernel's clock is too coarse for them."""

_INFO_BYTES: Final = 56
_LAST_DATA_RECEIVED: Final = slice(52, 56)
"""In Linux's `struct tcp_info`: 8 fields of one byte, then the twelfth field of 4 bytes."""

_TCP_INFO: Final[int | None] = (
    getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
)
_TCP_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_COARSE: Final = 6
"""Linux's CLOCK_MONOTONIC_COARSE, which moves once a tick."""


def _tick_ns() -> int:
    try:
        return round(time.clock_getres(_COARSE) * 1e9)
    except OSError:
        return 4_000_000


_TICK_NS: Final = _tick_ns()


def note_arrival(lane: Lane, source: Any, waited_since_ns: int) -> None:
    """Sets `lane.arrival_ns` to when the bytes that ended a wait arrived, where that can be known.

    It is known on Linux, for TCP, after a wait of more than 5 ms in which the lane gave up its
    event loop, and when the arrival lies within the wait; else the lane is left as it is. What is
    set is not early, and late by at most two ticks: no delay is said longer than it was.

    Args:
        lane: The lane that waited; it runs again in the step that the answer woke.
        source: The connection's socket, or its file descriptor.
        waited_since_ns: When the wait began.
    """
    if _TCP_INFO is None or clock() - waited_since_ns <= LEAST_WAIT_NS:
        return
    resumed_ns = lane.step_start_ns
    if resumed_ns <= waited_since_ns:
        return
    age_ms = _age_ms(source)
    if age_ms is None:
        return
    # The ticks that are counted lie anywhere within theirs, both that of the bytes and that of now.
    # (The time of the last one cannot be asked: the kernel's coarse clock may be a whole tick
    # behind it.) What woke the step was there before it, however coarse the answer is.
    arrival_ns = min(clock() - age_ms * 1_000_000 + _TICK_NS, resumed_ns)
    if arrival_ns > waited_since_ns:
        lane.arrival_ns = arrival_ns


def _age_ms(source: Any) -> int | None:
    """How long ago the last bytes came in; None where that cannot be asked."""
    try:
        if not isinstance(source, int):
            return _age_of(source)
        with _opened(source) as copy:
            return _age_of(copy)
    except (AttributeError, OSError, ValueError):
        # Closed meanwhile (a ValueError of uvloop's sockets), not TCP, or only like a socket.
        return None


def _opened(descriptor: int) -> socket.socket:
    """A socket on a copy of the descriptor, so that closing it leaves the connection's open."""
    copy = os.dup(descriptor)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise


def _age_of(source: Any) -> int | None:
    if source.family not in _TCP_FAMILIES:
        return None
    information: bytes = source.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _INFO_BYTES)
    if len(information) < _INFO_BYTES:
        return None
    return int.from_bytes(information[_LAST_DATA_RECEIVED], sys.byteorder)

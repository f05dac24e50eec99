"""What a request does beside answering: a check sends it once only."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final, NamedTuple

from ..diagnose.views import is_write
from ..model.trace import REMOTE, Place, Trace

_MAIL: Final = "smtp "
_HERE: Final = frozenset({"localhost", ""})


class Effect(NamedTuple):
    """Something that a request did beside answering."""

    says: str
    place: Place | None
    is_write: bool
    host: str = ""
    """The other service; empty for the database."""


def effects_of(trace: Trace) -> tuple[Effect, ...]:
    """What a request wrote, and which services it called that are not on this machine."""
    found = {one.says: one for one in (*_writes(trace), *_calls(trace))}
    return tuple(found.values())


def _writes(trace: Trace) -> Iterator[Effect]:
    for one in trace.statements:
        if is_write(one.shape):
            words = one.shape.split(" ")
            yield Effect(f"it writes: {' '.join(words[:3])}", one.place, is_write=True)


def _calls(trace: Trace) -> Iterator[Effect]:
    for lane in trace.lanes:
        for one in lane.slices:
            if one.segment != REMOTE or not isinstance(one.what, tuple):
                continue
            host = str(one.what[0])
            if host.startswith(_MAIL):
                yield Effect(f"it sends a mail by {host.removeprefix(_MAIL)}", one.place, True)
            elif not is_here(host_of(host)):
                yield Effect(f"it calls {host}", one.place, is_write=False, host=host_of(host))


def host_of(address: str) -> str:
    """The host of `host:port`, without the brackets of IPv6."""
    host, colon, port = address.rpartition(":")
    return (host if colon and port.isdigit() else address).strip("[]")


def is_here(host: str) -> bool:
    """Whether a host is this machine."""
    if host in _HERE or host.startswith("/") or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_near(host: str) -> bool:
    """Whether a host is this machine, or has a private address or a name without a domain."""
    if is_here(host):
        return True
    try:
        return ip_address(host).is_private
    except ValueError:
        # As containers call one another.
        return "." not in host

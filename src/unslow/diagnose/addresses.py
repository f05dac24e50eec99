"""What of an address is the same wherever the app runs, for the ids of findings."""

from __future__ import annotations

from typing import Final

from ..hosts import host_of, is_near

_NEAR: Final = "near"
"""Instead of an address that another machine, or the next start, has another of."""


def driver_of(name: str) -> str:
    """The driver of a pool or a server: its host, database and size are a matter of the place."""
    return name.partition(" ")[0]


def steady(host: str) -> str:
    """A host with its port, or `near` where that is this machine or in a private network.

    Tests, containers and stubs get such addresses and names, and other ones elsewhere.
    """
    kind, space, address = host.rpartition(" ")
    return f"{kind}{space}{_NEAR if is_near(host_of(address)) else address}"

"""What of an address is the same wherever the app runs, for the ids of findings."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

_NEAR: Final = "near"
"""Instead of an address that another machine, or the next start, has another of."""


def driver_of(name: str) -> str:
    """The driver of a pool or a server: its host, database and size are a matter of the place."""
    return name.partition(" ")[0]


def steady(host: str) -> str:
    """A host with its port, or `near` where that is one of this machine or of a private network.

    Such addresses are what tests, containers and stubs get, and new ones each time.
    """
    kind, space, address = host.rpartition(" ")
    return f"{kind}{space}{_NEAR if _is_near(address) else address}"


def _is_near(address: str) -> bool:
    name = address.rpartition(":")[0].strip("[]")
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_private
    except ValueError:
        return False

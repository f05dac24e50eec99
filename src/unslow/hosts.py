"""Hosts: which are this machine, and which are near it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


def host_of(address: str) -> str:
    """The host of `host:port`, in lower case and without the brackets of IPv6."""
    host, colon, port = address.strip().lower().rpartition(":")
    is_host = "]" in host or ":" not in host or _ip(host) is not None
    if not (colon and port.isdigit() and host and is_host):
        # An IPv6 address alone ends like one with a port.
        host = address.strip().lower()
    return host.strip("[]")


def is_here(host: str) -> bool:
    """Whether a host is this machine."""
    name = host.lower().removesuffix(".")
    if name in ("", "localhost") or name.startswith("/") or name.endswith(".localhost"):
        return True
    address = _ip(name)
    return address is not None and (address.is_loopback or address.is_unspecified)


def is_near(host: str) -> bool:
    """Whether a host is this machine, or has a private address or a name without a domain."""
    if is_here(host):
        return True
    address = _ip(host)
    # A name without a domain is how containers call one another.
    return "." not in host and ":" not in host if address is None else address.is_private


def _ip(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address

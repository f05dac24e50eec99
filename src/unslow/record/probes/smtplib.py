"""Records smtplib: the connection to a mail server, and each mail that is handed over.

Its time is `remote`; the host is told as `smtp HOST:PORT`, so that a mail is known as one.
"""

from __future__ import annotations

import functools
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

from ...current import LANE, clock
from ...model.trace import REMOTE
from ..place import Chain, caller_chain
from ..probe import Installation, require
from ..remote import Peer, address, pool_number

_CALLS: Final = (
    ("connect", ("self", "host", "port")),
    ("login", ("self", "user", "password")),
    ("sendmail", ("self", "from_addr", "to_addrs", "msg")),
    ("quit", ("self",)),
)
"""What a client calls; `send_message` calls `sendmail`."""


def install(installation: Installation, module: str) -> None:
    """Replaces what waits for the mail server."""
    library = sys.modules[module]
    for name, parameters in _CALLS:
        require(library.SMTP, name, *parameters)
    for name, _ in _CALLS:
        installation.patches.replace(library.SMTP, name, _exchange(installation))
    installation.cover("smtplib")


def _described(installation: Installation, client: Any) -> tuple[Peer | None, Chain | None]:
    try:
        timeout = client.timeout
        is_bounded = isinstance(timeout, int | float) or socket.getdefaulttimeout() is not None
        host = address(str(client._host), _port_of(client))
        peer = f"smtp {host}", pool_number(client), is_bounded
    except Exception as error:
        installation.broke(error)
        return None, None
    return peer, caller_chain()


def _port_of(client: Any) -> int:
    """The port that a client speaks to; its usual one as long as it is not connected."""
    try:
        return int(client.sock.getpeername()[1])
    except (AttributeError, OSError, IndexError, ValueError):
        return int(client.default_port)


def _exchange(installation: Installation) -> Callable[[Any], Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            lane = LANE.get()
            if lane is None:
                return original(self, *args, **kwargs)
            start = clock()
            try:
                return original(self, *args, **kwargs)
            finally:
                end = clock()
                peer, place = _described(installation, self)
                lane.add(REMOTE, start, end, peer, place)

        return call

    return make

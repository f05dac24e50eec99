"""Records smtplib: the connection to a mail server, and each mail that is handed over.

Its time is `remote`; the host is told as `smtp HOST:PORT`, so that a mail is known as one.
"""

from __future__ import annotations

import functools
import socket
import sys
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from ...current import LANE, clock
from ...model.trace import REMOTE
from ..place import Chain, caller_chain
from ..probe import Installation, require
from ..remote import Peer, address, pool_number

_CONNECT: Final = "connect"
_CALLS: Final = (
    (_CONNECT, ("self", "host", "port")),
    ("starttls", ("self",)),
    ("login", ("self", "user", "password")),
    ("sendmail", ("self", "from_addr", "to_addrs", "msg")),
    ("quit", ("self",)),
)
"""What a client calls; `send_message` calls `sendmail`."""

_Patch = Callable[[Callable[..., Any]], Callable[..., Any]]


def install(installation: Installation, module: str) -> None:
    """Replaces what waits for the mail server."""
    library = sys.modules[module]
    for name, parameters in _CALLS:
        require(library.SMTP, name, *parameters)
    servers: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
    for name, _ in _CALLS:
        patch = _exchange(installation, servers, is_first=name == _CONNECT)
        installation.patches.replace(library.SMTP, name, patch)
    installation.cover("smtplib")


def _server(client: Any, host: Any = "localhost", port: Any = 0, *_args: Any, **_rest: Any) -> str:
    """The server that `connect` is called for; its port may stand behind the host."""
    name = str(host)
    if not port and name.count(":") == 1:
        return name
    return address(name, port or client.default_port)


def _exchange(
    installation: Installation, servers: WeakKeyDictionary[Any, str], *, is_first: bool
) -> _Patch:
    def described(
        client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Peer | None, Chain | None]:
        try:
            if is_first:
                servers[client] = _server(client, *args, **kwargs)
            timeout = client.timeout
            is_bounded = isinstance(timeout, int | float) or socket.getdefaulttimeout() is not None
            server = servers.get(client) or client._host
            peer = f"smtp {server}", pool_number(client), is_bounded
        except Exception as error:
            installation.broke(error)
            return None, None
        return peer, caller_chain()

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            lane = LANE.get()
            if lane is None:
                if is_first:
                    described(self, args, kwargs)
                return original(self, *args, **kwargs)
            peer, place = described(self, args, kwargs)
            start = clock()
            try:
                return original(self, *args, **kwargs)
            finally:
                lane.add(REMOTE, start, clock(), peer, place)

        return call

    return make

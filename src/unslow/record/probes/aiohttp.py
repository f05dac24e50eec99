"""Records aiohttp's client: each call, the reading of its body, waits for a connection.

A call is one slice with its redirects and retries in it, under the host that was asked first:
aiohttp goes through them inside of one private function. Its own door, a `TraceConfig`, is open
only to sessions that are made with one.
"""

from __future__ import annotations

import functools
import importlib.metadata
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from ...current import LANE, Lane, clock
from ...model.trace import POOL_WAIT, REMOTE
from ..arrival import LEAST_WAIT_NS, note_arrival
from ..place import Chain, caller_chain, caller_place
from ..probe import Installation, ProbeOffError
from ..remote import Peer, add_read, address, pool_number

_REQUEST: Final = "_request"
"""A private name of aiohttp 3.9 to 3.14: what `get`, `post` ... and `ws_connect` call."""

_WAIT: Final = "_wait"
"""A private name of aiohttp 3.9 to 3.14: all ways to read a body call it when bytes are missing."""

_WAIT_FOR_CONNECTION: Final = "_wait_for_available_connection"
"""A private name of aiohttp 3.11 to 3.14; before, the wait is a part of `connect`."""


def install(installation: Installation, module: str) -> None:
    """Starts the recording of aiohttp's client."""
    from aiohttp.client import ClientSession
    from aiohttp.client_reqrep import ClientResponse
    from aiohttp.connector import BaseConnector
    from aiohttp.streams import StreamReader
    from yarl import URL

    version = importlib.metadata.version(module.partition(".")[0])
    _check(version, ClientSession, _REQUEST, ("self", "method", "str_or_url"))
    _check(version, StreamReader, _WAIT, ("self", "func_name"))
    _check(version, ClientResponse, "start", ("self", "connection"))
    bodies: WeakKeyDictionary[Any, Peer] = WeakKeyDictionary()
    replace = installation.patches.replace
    replace(ClientSession, _REQUEST, _request(installation, URL, bodies))
    replace(ClientResponse, "start", _start(installation))
    replace(StreamReader, _WAIT, _wait(installation, bodies))
    installation.cover(f"aiohttp {version}")
    if hasattr(BaseConnector, _WAIT_FOR_CONNECTION):
        replace(BaseConnector, _WAIT_FOR_CONNECTION, _wait_for_connection(installation))
    else:
        why = f"aiohttp {version} has no {_WAIT_FOR_CONNECTION}"
        installation.cover("aiohttp waits for a connection", "off", why)


def _check(version: str, owner: Any, name: str, parameters: tuple[str, ...]) -> None:
    function = getattr(owner, name, None)
    if function is None or not inspect.iscoroutinefunction(function):
        raise ProbeOffError(f"aiohttp {version} has no coroutine {owner.__name__}.{name}")
    names = tuple(inspect.signature(function).parameters)[: len(parameters)]
    if names != parameters:
        raise ProbeOffError(f"aiohttp {version}: {owner.__name__}.{name} takes {names}")


def _address(session: Any, asked: Any, url_class: Any) -> str | None:
    """The host and port of what was asked for; None where it is no address."""
    try:
        url = asked if isinstance(asked, url_class) else url_class(asked)
    except (TypeError, ValueError):
        return None
    if url.raw_host is None:
        url = getattr(session, "_base_url", None) or url
    return address(url.raw_host or "", url.port or 0)


def _is_bounded(session: Any, options: dict[str, Any]) -> bool:
    timeout = options.get("timeout", ...)
    if timeout is None or isinstance(timeout, int | float):
        return timeout is not None
    if not hasattr(timeout, "sock_read"):
        # Not given, or the library's mark for that.
        timeout = session.timeout
    return timeout.total is not None or timeout.sock_read is not None


def _described(
    installation: Installation, session: Any, asked: Any, options: dict[str, Any], url_class: Any
) -> tuple[Peer | None, Chain | None]:
    place = caller_chain()
    try:
        connector = session.connector
        host = _address(session, asked, url_class)
        if connector is None or host is None:
            return None, place
        return (host, pool_number(connector), _is_bounded(session, options)), place
    except Exception as error:
        installation.broke(error)
        return None, place


def _request(
    installation: Installation, url_class: Any, bodies: WeakKeyDictionary[Any, Peer]
) -> Callable[[Any], Any]:
    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def _request(self: Any, method: str, str_or_url: Any, **options: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return await original(self, method, str_or_url, **options)
            peer, place = _described(installation, self, str_or_url, options, url_class)
            start = clock()
            try:
                response = await original(self, method, str_or_url, **options)
            finally:
                lane.add(REMOTE, start, clock(), peer, place)
            try:
                # None: the body came with the head, nobody will wait for it.
                connection = response.connection
                if connection is not None and peer is not None:
                    bodies[connection.protocol] = peer
            except Exception as error:
                installation.broke(error)
            return response

        return _request

    return make


def _start(installation: Installation) -> Callable[[Any], Any]:
    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def start(self: Any, connection: Any) -> Any:
            lane = LANE.get()
            if lane is None:
                return await original(self, connection)
            since = clock()
            # The connection may be back in its pool when the head has come.
            transport = connection.transport
            result = await original(self, connection)
            _arrived(installation, lane, transport, since)
            return result

        return start

    return make


def _wait(installation: Installation, bodies: WeakKeyDictionary[Any, Peer]) -> Callable[[Any], Any]:
    def make(original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def _wait(self: Any, func_name: str) -> None:
            lane = LANE.get()
            if lane is None or (peer := bodies.get(self._protocol)) is None:
                await original(self, func_name)
                return
            start = clock()
            transport = self._protocol.transport
            try:
                await original(self, func_name)
            finally:
                add_read(lane, peer, start)
                _arrived(installation, lane, transport, start)

        return _wait

    return make


def _arrived(installation: Installation, lane: Lane, transport: Any, waited_since_ns: int) -> None:
    """Notes when the bytes came in that ended a wait."""
    if transport is None or clock() - waited_since_ns <= LEAST_WAIT_NS:
        return
    try:
        note_arrival(lane, transport.get_extra_info("socket"), waited_since_ns)
    except Exception as error:
        installation.broke(error)


def _wait_for_connection(installation: Installation) -> Callable[[Any], Any]:
    def pool_name(connector: Any, key: Any) -> str | None:
        try:
            if connector.limit_per_host:
                host = address(key.host, key.port or 0)
                return f"aiohttp {host} pool {connector.limit_per_host}"
            return f"aiohttp pool {connector.limit}"
        except Exception as error:
            installation.broke(error)
            return None

    def make(original: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def _wait_for_available_connection(self: Any, key: Any, *args: Any) -> None:
            lane = LANE.get()
            if lane is None:
                await original(self, key, *args)
                return
            name = pool_name(self, key)
            start = clock()
            try:
                await original(self, key, *args)
            finally:
                lane.add(POOL_WAIT, start, clock(), name, caller_place())

        return _wait_for_available_connection

    return make

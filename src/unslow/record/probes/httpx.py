"""Records httpx and httpx2: exchanges, the reading of their bodies, waits for a connection.

The door is the transport that owns the network. What a client does in-process (ASGITransport,
WSGITransport, MockTransport, a cache) is so never remote, and each redirect and each round of an
authentication is a slice of its own, under its own host.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Final

from ...current import LANE, Lane, clock
from ...model.trace import POOL_WAIT, REMOTE
from ..arrival import LEAST_WAIT_NS, note_arrival
from ..place import Chain, caller_chain, caller_place
from ..probe import Installation, ProbeOffError
from ..remote import Peer, add_read, address, pool_number

_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}

_POOL_WAITS: Final = (
    ("_sync.connection_pool", "PoolRequest", "wait_for_connection"),
    ("_async.connection_pool", "AsyncPoolRequest", "wait_for_connection"),
)
"""Private names of httpcore 1.0 and httpcore2 2; called always, they wait only when they must."""

_USER_OF: Final = {"httpcore": "httpx", "httpcore2": "httpx2"}


def install(installation: Installation, module: str) -> None:
    """Starts the recording of one of the two libraries, or of the pool that it stands on.

    The two parts come apart because a client imports its pool late, if ever.
    """
    library = importlib.import_module(module)
    if library.__name__ != module:
        # `httpx2.alias_httpx()` makes this name another name of httpx2, or of its pool.
        return
    if module in _USER_OF:
        _install_pool_waits(installation, library)
        return
    _check(library.HTTPTransport.handle_request, module)
    _check(library.AsyncHTTPTransport.handle_async_request, module)
    replace = installation.patches.replace
    replace(library.HTTPTransport, "handle_request", _exchange(installation, library))
    replace(
        library.AsyncHTTPTransport, "handle_async_request", _async_exchange(installation, library)
    )
    installation.cover(f"{module} {library.__version__}")


def _check(handle: Callable[..., Any], module: str) -> None:
    names = tuple(inspect.signature(handle).parameters)
    if names != ("self", "request"):
        raise ProbeOffError(f"{module}: {handle.__qualname__} takes {names}, not (self, request)")


def _install_pool_waits(installation: Installation, core: Any) -> None:
    user = _USER_OF[core.__name__]
    try:
        owners = [
            (getattr(importlib.import_module(f"{core.__name__}.{inner}"), owner), name)
            for inner, owner, name in _POOL_WAITS
        ]
        (plain, name), (awaited, async_name) = owners
        installation.patches.replace(plain, name, _pool_wait(installation, user))
        installation.patches.replace(awaited, async_name, _async_pool_wait(installation, user))
    except (ImportError, AttributeError) as error:
        installation.patches.undo()
        why = f"{core.__name__} {core.__version__}: {error}"
        installation.cover(f"{user} waits for a connection", "off", why)


def _described(
    installation: Installation, transport: Any, request: Any
) -> tuple[Peer | None, Chain | None]:
    try:
        url = request.url
        port = url.port or _DEFAULT_PORTS.get(url.scheme, 0)
        timeout = request.extensions.get("timeout")
        bounded = timeout is not None and timeout.get("read") is not None
        peer = address(url.raw_host.decode("ascii"), port), pool_number(transport), bounded
    except Exception as error:
        installation.broke(error)
        return None, None
    return peer, caller_chain()


def _exchange(installation: Installation, library: Any) -> Callable[[Any], Any]:
    timed_stream = _timed_stream(library)

    def make(original: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        @functools.wraps(original)
        def handle_request(self: Any, request: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return original(self, request)
            peer, place = _described(installation, self, request)
            start = clock()
            try:
                response = original(self, request)
            finally:
                lane.add(REMOTE, start, clock(), peer, place)
            try:
                if peer is not None:
                    response.stream = timed_stream(response.stream, peer)
            except Exception as error:
                installation.broke(error)
            return response

        return handle_request

    return make


def _async_exchange(installation: Installation, library: Any) -> Callable[[Any], Any]:
    timed_stream = _async_timed_stream(installation, library)

    def make(original: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Any]:
        @functools.wraps(original)
        async def handle_async_request(self: Any, request: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return await original(self, request)
            peer, place = _described(installation, self, request)
            start = clock()
            try:
                response = await original(self, request)
            finally:
                lane.add(REMOTE, start, clock(), peer, place)
            try:
                if peer is not None:
                    network = response.extensions.get("network_stream")
                    _arrived(installation, lane, network, start)
                    response.stream = timed_stream(response.stream, peer, network)
            except Exception as error:
                installation.broke(error)
            return response

        return handle_async_request

    return make


def _arrived(installation: Installation, lane: Lane, network: Any, waited_since_ns: int) -> None:
    """Notes when the bytes came in that ended a wait."""
    if network is None or clock() - waited_since_ns <= LEAST_WAIT_NS:
        return
    try:
        note_arrival(lane, network.get_extra_info("socket"), waited_since_ns)
    except Exception as error:
        installation.broke(error)


class _Reads:
    """The chunks of a body, each timed as it is asked for."""

    __slots__ = ("_chunks", "_peer")

    def __init__(self, chunks: Generator[bytes, None, None], peer: Peer) -> None:
        self._chunks = chunks
        self._peer = peer

    def __iter__(self) -> _Reads:
        return self

    def __next__(self) -> bytes:
        lane = LANE.get()
        if lane is None:
            return next(self._chunks)
        start = clock()
        try:
            return next(self._chunks)
        finally:
            add_read(lane, self._peer, start)

    def close(self) -> None:
        self._chunks.close()


class _AsyncReads(AsyncGenerator[bytes, None]):
    """The chunks of a body, each timed as it is awaited; a generator, as what it stands for is."""

    __slots__ = ("_chunks", "_installation", "_network", "_peer")

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        peer: Peer,
        network: Any,
        installation: Installation,
    ) -> None:
        self._chunks = chunks
        self._peer = peer
        self._network = network
        self._installation = installation

    async def __anext__(self) -> bytes:
        lane = LANE.get()
        if lane is None:
            return await self._chunks.__anext__()
        start = clock()
        try:
            return await self._chunks.__anext__()
        finally:
            add_read(lane, self._peer, start)
            _arrived(self._installation, lane, self._network, start)

    async def asend(self, value: None) -> bytes:
        return await self._chunks.asend(value)

    async def athrow(self, *error: Any) -> bytes:
        return await self._chunks.athrow(*error)

    async def aclose(self) -> None:
        await self._chunks.aclose()


def _timed_stream(library: Any) -> Callable[[Any, Peer], Any]:
    class TimedStream(library.SyncByteStream):  # type: ignore[misc]  # the base is known at run time
        """A body whose reading is timed."""

        def __init__(self, stream: Any, peer: Peer) -> None:
            self._stream = stream
            self._peer = peer

        def __iter__(self) -> _Reads:
            return _Reads(iter(self._stream), self._peer)

        def close(self) -> None:
            self._stream.close()

    return TimedStream


def _async_timed_stream(
    installation: Installation, library: Any
) -> Callable[[Any, Peer, Any], Any]:
    class AsyncTimedStream(library.AsyncByteStream):  # type: ignore[misc]  # as above
        """A body whose reading is timed."""

        def __init__(self, stream: Any, peer: Peer, network: Any) -> None:
            self._stream = stream
            self._peer = peer
            self._network = network

        def __aiter__(self) -> AsyncIterator[bytes]:
            chunks = self._stream.__aiter__()
            return _AsyncReads(chunks, self._peer, self._network, installation)

        async def aclose(self) -> None:
            await self._stream.aclose()

    return AsyncTimedStream


def _pool_name(installation: Installation, library: str, request: Any) -> str | None:
    try:
        url = request.url
        port = url.port or _DEFAULT_PORTS.get(url.scheme.decode("ascii"), 0)
        return f"{library} {address(url.host.decode('ascii'), port)} pool"
    except Exception as error:
        installation.broke(error)
        return None


def _pool_wait(installation: Installation, library: str) -> Callable[[Any], Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def wait_for_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
            lane = LANE.get()
            if lane is None or self.connection is not None:
                return original(self, *args, **kwargs)
            pool = _pool_name(installation, library, self.request)
            start = clock()
            try:
                return original(self, *args, **kwargs)
            finally:
                lane.add(POOL_WAIT, start, clock(), pool, caller_place())

        return wait_for_connection

    return make


def _async_pool_wait(installation: Installation, library: str) -> Callable[[Any], Any]:
    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def wait_for_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
            lane = LANE.get()
            if lane is None or self.connection is not None:
                return await original(self, *args, **kwargs)
            pool = _pool_name(installation, library, self.request)
            start = clock()
            try:
                return await original(self, *args, **kwargs)
            finally:
                lane.add(POOL_WAIT, start, clock(), pool, caller_place())

        return wait_for_connection

    return make

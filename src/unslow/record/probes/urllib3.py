"""Records urllib3, and with it requests, botocore and all else that is built on it.

The door is `HTTPConnectionPool.urlopen`, the public call behind all others: a redirect or a retry
goes through it again and is a slice of its own (a retry within the slice of its call). What answers
before it, such as a mocked adapter of requests, is not remote.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import socket
from collections.abc import Callable, Generator
from typing import Any, Final
from weakref import WeakKeyDictionary

from ...current import LANE, clock
from ...model.trace import POOL_WAIT, REMOTE
from ..place import Chain, caller_chain, caller_place
from ..probe import Installation, ProbeOffError
from ..remote import Peer, add_read, address, pool_number

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_TIMEOUT_POSITION: Final = 5
"""Of `timeout` among the arguments of `urlopen` behind `method` and `url`."""

Chunks = Generator[bytes, None, None]

_GET_CONNECTION: Final = "_get_conn"
"""A private name of urllib3 1.26 to 2.8: takes a connection; waits for one if the pool blocks."""


def install(installation: Installation, module: str) -> None:
    """Starts the recording of urllib3; of requests there is nothing left to patch."""
    version = getattr(importlib.import_module(module), "__version__", "")
    if module != "urllib3":
        installation.cover(f"{module} {version}", why="through urllib3")
        return
    from urllib3 import HTTPConnectionPool, HTTPResponse, Timeout

    names = tuple(inspect.signature(HTTPConnectionPool.urlopen).parameters)
    if names[:3] != ("self", "method", "url") or names.index("timeout") != _TIMEOUT_POSITION + 3:
        raise ProbeOffError(f"urllib3 {version}: urlopen takes {names}, which is not known")
    bodies: WeakKeyDictionary[Any, Peer] = WeakKeyDictionary()
    replace = installation.patches.replace
    replace(HTTPConnectionPool, "urlopen", _urlopen(installation, HTTPResponse, Timeout, bodies))
    replace(HTTPResponse, "read", _read(bodies))
    if hasattr(HTTPResponse, "read1"):
        # Of urllib3 2.1 and later; before it is the one of the standard library's base class.
        replace(HTTPResponse, "read1", _read(bodies))
    replace(HTTPResponse, "read_chunked", _read_chunked(bodies))
    installation.cover(f"urllib3 {version}")
    if hasattr(HTTPConnectionPool, _GET_CONNECTION):
        replace(HTTPConnectionPool, _GET_CONNECTION, _get_connection(installation))
    else:
        installation.cover(
            "urllib3 waits for a connection",
            "off",
            f"urllib3 {version} has no {_GET_CONNECTION}",
        )


def _address(pool: Any) -> str:
    return address(pool.host, pool.port or _DEFAULT_PORTS.get(pool.scheme, 0))


def _is_bounded(pool: Any, timeout: Any, timeout_class: Any) -> bool:
    """Whether something bounds the wait for the answer."""
    if timeout is None or isinstance(timeout, int | float):
        return timeout is not None
    if not isinstance(timeout, timeout_class):
        # Not given, or the library's mark for that.
        timeout = pool.timeout
    if isinstance(timeout.total, int | float):
        return True
    read = timeout.read_timeout
    if read is timeout_class.DEFAULT_TIMEOUT:
        return socket.getdefaulttimeout() is not None
    return read is not None


def _urlopen(
    installation: Installation,
    response_class: Any,
    timeout_class: Any,
    bodies: WeakKeyDictionary[Any, Peer],
) -> Callable[[Any], Any]:
    def described(
        pool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Peer | None, Chain | None]:
        try:
            if len(args) > _TIMEOUT_POSITION:
                timeout = args[_TIMEOUT_POSITION]
            else:
                timeout = kwargs.get("timeout", ...)
            bounded = _is_bounded(pool, timeout, timeout_class)
            peer = _address(pool), pool_number(pool), bounded
        except Exception as error:
            installation.broke(error)
            return None, None
        return peer, caller_chain()

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def urlopen(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql:
                return original(self, method, url, *args, **kwargs)
            peer, place = described(self, args, kwargs)
            start = clock()
            try:
                response = original(self, method, url, *args, **kwargs)
            finally:
                lane.add(REMOTE, start, clock(), peer, place)
            if peer is not None and isinstance(response, response_class):
                bodies[response] = peer
            return response

        return urlopen

    return make


def _read(bodies: WeakKeyDictionary[Any, Peer]) -> Callable[[Any], Any]:
    def make(original: Callable[..., bytes]) -> Callable[..., bytes]:
        @functools.wraps(original)
        def read(self: Any, *args: Any, **kwargs: Any) -> bytes:
            lane = LANE.get()
            if lane is None:
                return original(self, *args, **kwargs)
            peer = bodies.get(self)
            if peer is None:
                # Read before `urlopen` returned: within its slice.
                return original(self, *args, **kwargs)
            start = clock()
            try:
                return original(self, *args, **kwargs)
            finally:
                add_read(lane, peer, start)

        return read

    return make


def _read_chunked(bodies: WeakKeyDictionary[Any, Peer]) -> Callable[[Any], Any]:
    def timed(chunks: Chunks, peer: Peer) -> Chunks:
        try:
            while True:
                lane = LANE.get()
                start = clock()
                try:
                    chunk = next(chunks)
                except StopIteration:
                    return
                finally:
                    if lane is not None:
                        add_read(lane, peer, start)
                yield chunk
        finally:
            chunks.close()

    def make(original: Callable[..., Chunks]) -> Callable[..., Chunks]:
        @functools.wraps(original)
        def read_chunked(self: Any, *args: Any, **kwargs: Any) -> Chunks:
            chunks = original(self, *args, **kwargs)
            peer = bodies.get(self)
            return chunks if peer is None else timed(chunks, peer)

        return read_chunked

    return make


def _get_connection(installation: Installation) -> Callable[[Any], Any]:
    def pool_name(pool: Any) -> str | None:
        """The pool, if all its connections are out and it makes its callers wait."""
        try:
            if pool.block and pool.pool is not None and pool.pool.empty():
                return f"urllib3 {_address(pool)} pool {pool.pool.maxsize}"
        except Exception as error:
            installation.broke(error)
        return None

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def _get_conn(self: Any, *args: Any, **kwargs: Any) -> Any:
            lane = LANE.get()
            if lane is None or lane.inside_sql or (name := pool_name(self)) is None:
                return original(self, *args, **kwargs)
            start = clock()
            try:
                return original(self, *args, **kwargs)
            finally:
                lane.add(POOL_WAIT, start, clock(), name, caller_place())

        return _get_conn

    return make

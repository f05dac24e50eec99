"""Records redis-py, sync and asyncio: commands, pipelines, clusters, waits for a connection.

The doors are the public methods that all commands go through. Waiting for messages of a
subscription is not recorded: it is not a cache that is slow then.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from ...current import LANE, Lane, clock
from ...model.trace import CACHE, POOL_WAIT
from ..arrival import LEAST_WAIT_NS, note_arrival
from ..place import caller_place
from ..probe import Installation, ProbeOffError
from ..remote import address

_COMMANDS: Final = (
    ("client", "Redis", "execute_command"),
    ("client", "Pipeline", "execute"),
    ("client", "Pipeline", "immediate_execute_command"),
    ("cluster", "RedisCluster", "execute_command"),
    ("cluster", "ClusterPipeline", "execute"),
)
"""The same in `redis` and in `redis.asyncio`, from redis-py 5 to 8."""

_DEFAULT_HOST: Final = "localhost"
_DEFAULT_PORT: Final = 6379


def install(installation: Installation, module: str) -> None:
    """Starts the recording of the sync or of the asyncio half."""
    version = importlib.metadata.version("redis")
    awaited = module == "redis.asyncio"
    names: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
    timed = _async_command(installation, names) if awaited else _command(installation, names)
    for inner, owner_name, name in _COMMANDS:
        owner = getattr(importlib.import_module(f"{module}.{inner}"), owner_name, None)
        function = getattr(owner, name, None)
        if function is None or inspect.iscoroutinefunction(function) != awaited:
            raise ProbeOffError(f"{module} {version}: {owner_name}.{name} is not as it was known")
        installation.patches.replace(owner, name, timed)
    installation.cover(f"{module} {version}")
    connection: Any = importlib.import_module(f"{module}.connection")
    wait = _async_get_connection if awaited else _get_connection
    installation.patches.replace(
        connection.BlockingConnectionPool, "get_connection", wait(installation, names)
    )
    if awaited:
        installation.patches.replace(
            connection.AbstractConnection, "read_response", _read_response(installation)
        )


def _server(pool: Any) -> str:
    """`host:port` of the server behind a pool of connections, never its login, database or path."""
    service = getattr(pool, "service_name", None)
    if service is not None:
        return f"sentinel {service}"
    options = pool.connection_kwargs
    if "path" in options:
        return "unix socket"
    return address(options.get("host", _DEFAULT_HOST), options.get("port", _DEFAULT_PORT))


def _name_of(
    installation: Installation, names: WeakKeyDictionary[Any, str], pool: Any
) -> str | None:
    """`redis host:port`; a cluster has no pool of its own, its nodes have."""
    if pool is None:
        return "redis cluster"
    try:
        name = names.get(pool)
        if name is None:
            name = names[pool] = f"redis {_server(pool)}"
        return name
    except Exception as error:
        installation.broke(error)
        return None


def _command(
    installation: Installation, names: WeakKeyDictionary[Any, str]
) -> Callable[[Any], Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def timed(self: Any, *args: Any, **kwargs: Any) -> Any:
            lane = LANE.get()
            if lane is None:
                return original(self, *args, **kwargs)
            name = _name_of(installation, names, getattr(self, "connection_pool", None))
            place = caller_place()
            start = clock()
            try:
                return original(self, *args, **kwargs)
            finally:
                lane.add(CACHE, start, clock(), name, place)

        return timed

    return make


def _async_command(
    installation: Installation, names: WeakKeyDictionary[Any, str]
) -> Callable[[Any], Any]:
    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def timed(self: Any, *args: Any, **kwargs: Any) -> Any:
            lane = LANE.get()
            if lane is None:
                return await original(self, *args, **kwargs)
            name = _name_of(installation, names, getattr(self, "connection_pool", None))
            place = caller_place()
            start = clock()
            try:
                return await original(self, *args, **kwargs)
            finally:
                lane.add(CACHE, start, clock(), name, place)

        return timed

    return make


def _waiting_for(
    installation: Installation, names: WeakKeyDictionary[Any, str], pool: Any
) -> str | None:
    """The name of a blocking pool whose connections are all out; None where nobody has to wait."""
    try:
        can_get = getattr(pool, "can_get_connection", None)
        # The sync pool is a queue with a place for each connection that may still be made.
        free = can_get() if can_get is not None else not pool.pool.empty()
    except Exception as error:
        installation.broke(error)
        return None
    if free:
        return None
    return f"{_name_of(installation, names, pool)} pool {pool.max_connections}"


def _get_connection(
    installation: Installation, names: WeakKeyDictionary[Any, str]
) -> Callable[[Any], Any]:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def get_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
            lane = LANE.get()
            if lane is None or (name := _waiting_for(installation, names, self)) is None:
                return original(self, *args, **kwargs)
            start = clock()
            try:
                return original(self, *args, **kwargs)
            finally:
                lane.add(POOL_WAIT, start, clock(), name, caller_place())

        return get_connection

    return make


def _async_get_connection(
    installation: Installation, names: WeakKeyDictionary[Any, str]
) -> Callable[[Any], Any]:
    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def get_connection(self: Any, *args: Any, **kwargs: Any) -> Any:
            lane = LANE.get()
            if lane is None or (name := _waiting_for(installation, names, self)) is None:
                return await original(self, *args, **kwargs)
            start = clock()
            try:
                return await original(self, *args, **kwargs)
            finally:
                lane.add(POOL_WAIT, start, clock(), name, caller_place())

        return get_connection

    return make


def _read_response(installation: Installation) -> Callable[[Any], Any]:
    def arrived(lane: Lane, connection: Any, waited_since_ns: int) -> None:
        """Notes when the bytes came in that ended a wait."""
        try:
            # A private name of redis-py 5 to 8; None when the connection has been lost.
            writer = getattr(connection, "_writer", None)
            if writer is not None:
                note_arrival(lane, writer.get_extra_info("socket"), waited_since_ns)
        except Exception as error:
            installation.broke(error)

    def make(original: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(original)
        async def read_response(self: Any, *args: Any, **kwargs: Any) -> Any:
            lane = LANE.get()
            if lane is None:
                return await original(self, *args, **kwargs)
            start = clock()
            try:
                return await original(self, *args, **kwargs)
            finally:
                if clock() - start > LEAST_WAIT_NS:
                    arrived(lane, self, start)

        return read_response

    return make

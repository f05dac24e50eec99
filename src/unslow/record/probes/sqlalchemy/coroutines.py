"""What SQLAlchemy's asyncio extension does: each of its coroutines runs a method in a greenlet.

Recorded where it hands the method over, with all that this takes, and not once more in there.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from functools import wraps
from types import MethodType
from typing import Any, Final

from ....current import LANE, Lane, clock
from ....model.trace import ORM
from ...place import caller_place
from ...probe import Installation, ProbeOffError, require
from .engine import originals

_MODULES: Final = ("engine", "result", "session")
_SPAWN: Final = "greenlet_spawn"
"""Not public, and the same from 2.0 to 2.1; each module has the name for itself."""


def install(installation: Installation) -> None:
    """Replaces what hands methods over to greenlets."""
    modules = [importlib.import_module(f"sqlalchemy.ext.asyncio.{name}") for name in _MODULES]
    try:
        for module in modules:
            require(module, _SPAWN, "fn", "args")
    except ProbeOffError as reason:
        installation.cover("sqlalchemy asyncio", "off", str(reason))
        return
    for module in modules:
        installation.patches.replace(module, _SPAWN, _spawning)


def _spawning(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(original)
    def greenlet_spawn(fn: Any, *args: Any, **options: Any) -> Awaitable[Any]:
        lane = LANE.get()
        if lane is None or lane.inside_sql:
            return original(fn, *args, **options)
        plain = originals.get(getattr(fn, "__func__", None))
        if plain is not None:
            fn = MethodType(plain, fn.__self__)
        elif not _is_theirs(fn):
            # `run_sync`: the user's own function.
            return original(fn, *args, **options)
        return _spawned(lane, original(fn, *args, **options))

    return greenlet_spawn


def _is_theirs(function: Any) -> bool:
    module = getattr(function, "__module__", None)
    return isinstance(module, str) and module.startswith("sqlalchemy.")


async def _spawned(lane: Lane, work: Awaitable[Any]) -> Any:
    outer_place = lane.place
    lane.place = place = caller_place()
    start = clock()
    try:
        return await work
    finally:
        lane.add(ORM, start, clock(), None, place)
        lane.place = outer_place

"""Seeing what the app reads of objects, and what the session does with them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from . import loads

if TYPE_CHECKING:
    from .watch import Watch

_STATE: Final = "_sa_instance_state"
"""Where an object keeps its state: `sqlalchemy.orm.base.DEFAULT_STATE_ATTR`."""

_FILLS_COLLECTIONS: Final = frozenset(
    {
        "sqlalchemy.orm.collections",
        "sqlalchemy.orm.mapped_collection",
        "sqlalchemy.ext.orderinglist",
    }
)
"""Where attributes are read to put objects in their places. What else of SQLAlchemy reads by name
does it for the app: proxies, composites, synonyms."""

_NO_READERS: Final = ("sqlalchemy.", "functools", __name__.partition(".")[0] + ".")
"""Modules that take `__dict__` and mean no column: `cached_property` keeps its own value there."""


def attribute(watch: Watch) -> Callable[[Any], Any]:
    """For the door through which every attribute of an object is read."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def __get__(self: Any, instance: Any, owner: Any) -> Any:  # noqa: N807  # it stands for it
            value = original(self, instance, owner)
            if instance is not None and not watch.is_over:
                try:
                    # Only now: reading may have loaded it.
                    if _caller() not in _FILLS_COLLECTIONS:
                        loads.read(getattr(instance, _STATE), self.key)
                except Exception as error:
                    watch.broke(error)
            return value

        return __get__

    return make


def guarded(watch: Watch, original: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """A class's `__getattribute__` that notes when somebody takes `__dict__`, or a composite.

    Neither asks the attributes of columns for their values.
    """
    composites = watch.composites

    def __getattribute__(self: Any, name: str) -> Any:  # noqa: N807  # it stands for it
        value = original(self, name)
        if name == "__dict__" or name in composites.get(type(self), ()):
            try:
                _taken(watch, self, name, value)
            except Exception as error:
                watch.broke(error)
        return value

    return __getattribute__


def _taken(watch: Watch, instance: Any, name: str, value: Any) -> None:
    if watch.is_over:
        return
    caller = _caller()
    if name != "__dict__":
        if caller not in _FILLS_COLLECTIONS:
            for column in watch.composites[type(instance)][name]:
                loads.read(getattr(instance, _STATE), column)
    elif not caller.startswith(_NO_READERS):
        # An object that is being copied has none yet.
        state = value.get(_STATE) if isinstance(value, dict) else None
        if state is not None:
            loads.read_all(state)


def _caller() -> str:
    """The module that reads an attribute, whatever of ours lies between."""
    frame = sys._getframe(2)
    ours = globals()
    while frame.f_globals is ours and frame.f_back is not None:
        frame = frame.f_back
    # What was compiled from a template may have none.
    return str(frame.f_globals.get("__name__", ""))


def copied(watch: Watch) -> Callable[[Any], Any]:
    """For `InstanceState.__getstate__`: an object is pickled, or copied with all below it."""

    def make(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        @wraps(original)
        def __getstate__(self: Any) -> Any:  # noqa: N807  # it stands for it
            try:
                loads.read_all(self)
            except Exception as error:
                watch.broke(error)
            return original(self)

        return __getstate__

    return make


def key_taken(watch: Watch) -> Callable[[Any], Any]:
    """For what copies an object's key into the row of another one."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def populate(source: Any, *others: Any, **named: Any) -> Any:
            try:
                loads.written(source)
            except Exception as error:
                watch.broke(error)
            return original(source, *others, **named)

        return populate

    return make

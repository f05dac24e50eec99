"""What an app hooks into its sessions and engines, which SQL of our own would go past.

A filter for tenants or deleted rows usually hangs there: where one does, only the ORM is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy.orm import Session

_SESSION_EVENTS: Final = ("do_orm_execute", "after_begin")
_ENGINE_EVENTS: Final = ("before_execute", "before_cursor_execute", "begin")
_SESSION_METHODS: Final = ("execute", "get", "scalars")


def is_of_the_app(listener: Any) -> bool:
    """Whether a listener is the app's: unslow's own recorder only looks on."""
    while hasattr(listener, "func"):
        listener = listener.func
    return not str(getattr(listener, "__module__", "")).startswith("unslow.")


class SessionHooks:
    """The hooks of a session class, looked at again each time: an app may add one late."""

    def __init__(self, kind: type[Session]) -> None:
        # Never used as one: listeners are only to be seen through an instance.
        instance: Any = kind.__new__(kind)
        self._listeners = [(name, getattr(instance.dispatch, name)) for name in _SESSION_EVENTS]
        self._kind = kind
        self._overridden = [
            name for name in _SESSION_METHODS if getattr(kind, name) is not getattr(Session, name)
        ]

    def found(self) -> str | None:
        """The first hook of the app's, if there is one."""
        for name, listeners in self._listeners:
            if listeners and any(is_of_the_app(one) for one in listeners):
                return f"{self._kind.__name__} has a listener for {name}"
        for name in self._overridden:
            return f"{self._kind.__name__} has a {name} of its own"
        return None


def session_classes() -> Iterator[type[Session]]:
    """All classes of sessions that there are; each `sessionmaker` makes one."""
    waiting: list[type[Session]] = [Session]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += one.__subclasses__()


def engine_hook(engine: Any) -> str | None:
    """The first hook of the app's on an async engine, if there is one."""
    dispatch = engine.sync_engine.dispatch
    for event in _ENGINE_EVENTS:
        listeners = getattr(dispatch, event)
        if listeners and any(is_of_the_app(one) for one in listeners):
            return f"the engine has a listener for {event}"
    return None


class Hooks:
    """The hooks that reading for a view would go past.

    With a session factory of the app's only its class counts; without one any class of sessions
    does, for nobody knows which of them the app uses for this table.
    """

    def __init__(self, factory: Any | None) -> None:
        self._factory = factory
        self._known: list[SessionHooks] = []
        self._known_count = -1

    def found(self, engine: Any | None) -> str | None:
        """The first one, if there is one."""
        if engine is not None and (hook := engine_hook(engine)) is not None:
            return hook
        # Looked at before each answer.
        for one in self._sessions():
            if (hook := one.found()) is not None:
                return hook
        return None

    def _sessions(self) -> list[SessionHooks]:
        count = 0 if self._factory is not None else len(Session.__subclasses__())
        if count != self._known_count:
            factory = self._factory
            kinds = session_classes() if factory is None else [sync_class(factory)]
            self._known = [SessionHooks(one) for one in kinds]
            self._known_count = count
        return self._known


def sync_class(factory: Any) -> type[Session]:
    """The class of the sessions behind those of an `async_sessionmaker`."""
    kind: type[Session] = factory.kw.get("sync_session_class", factory.class_.sync_session_class)
    return kind

"""What an app hooks into its sessions and engines, which SQL of our own would go past.

A filter for tenants or deleted rows usually hangs there: where one does, only the ORM is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    """The hooks of session classes, looked at again each time: an app may add one late."""

    def __init__(self, kinds: Sequence[type[Session]]) -> None:
        self._listeners = [one for kind in kinds for one in _listeners_of(kind)]
        self._overridden = next((what for kind in kinds if (what := _overridden(kind))), None)

    def found(self) -> str | None:
        """The first hook of the app's, if there is one."""
        if self._overridden is not None:
            return self._overridden
        for what, listeners in self._listeners:
            if listeners and any(map(is_of_the_app, listeners)):
                return what
        return None


def _listeners_of(kind: type[Session]) -> Iterator[tuple[str, Any]]:
    """What they are called, and who listens."""
    # Never used as one: listeners are only to be seen through an instance.
    instance: Any = kind.__new__(kind)
    for name in _SESSION_EVENTS:
        yield f"{kind.__name__} has a listener for {name}", getattr(instance.dispatch, name)


def _overridden(kind: type[Session]) -> str | None:
    """The first method of a session class that is not SQLAlchemy's, if there is one."""
    for name in _SESSION_METHODS:
        if getattr(kind, name) is not getattr(Session, name):
            return f"{kind.__name__} has a {name} of its own"
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
        self._sessions = SessionHooks([])
        self._known_count = -1

    def found(self, engine: Any | None) -> str | None:
        """The first one, if there is one."""
        if engine is not None and (hook := engine_hook(engine)) is not None:
            return hook
        # Looked at before each answer.
        count = 0 if self._factory is not None else len(Session.__subclasses__())
        if count != self._known_count:
            factory = self._factory
            kinds = session_classes() if factory is None else [sync_class(factory)]
            self._sessions = SessionHooks([*kinds])
            self._known_count = count
        return self._sessions.found()


def sync_class(factory: Any) -> type[Session]:
    """The class of the sessions behind those of an `async_sessionmaker`."""
    kind: type[Session] = factory.kw.get("sync_session_class", factory.class_.sync_session_class)
    return kind

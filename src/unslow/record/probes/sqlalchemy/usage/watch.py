"""Starting to watch, and ending it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

from .....current import LANE, OpenTrace, clock
from ....probe import Installation
from ....recorder import Recorder
from .. import private
from . import eager, loads, reads
from .loads import Fetch

_NAME: Final = "sqlalchemy usage"
_watches: Final[list[Watch]] = []
"""Those that go on, at most one."""


def is_watching() -> bool:
    """Whether reads are seen now, so that a request that begins may have `watched = {}`."""
    return bool(_watches)


def start_watching(recorder: Recorder) -> Callable[[], None]:
    """Watches what is read of the ORM's objects, in requests whose trace has `watched = {}`.

    One watch at a time, while the probe of SQLAlchemy is installed. It makes reading an attribute
    several times dearer, in all requests: the times of a watched pass are of no use.

    Returns:
        What ends the watch. A request that is still open then has no usages.
    """
    installation = Installation(_NAME, recorder)
    if "sqlalchemy.orm" not in sys.modules:
        return installation.patches.undo
    missing = private.unknown(*private.HYDRATION, *private.USAGE)
    if missing:
        installation.cover(_NAME, "off", missing)
        return installation.patches.undo
    watch = Watch(installation)
    try:
        watch.start()
    except Exception as error:
        watch.broke(error)
    else:
        installation.cover(_NAME)
        _watches.append(watch)
    return watch.end


class Watch:
    """One pass of requests in which it is watched what is read."""

    def __init__(self, installation: Installation) -> None:
        self.is_over = False
        self.is_broken = False
        self.ended_ns = 0
        self.composites: dict[type, dict[str, tuple[str, ...]]] = {}
        """By class: its composite attributes, and the columns that each is made of."""
        self._installation = installation
        self._listeners: list[tuple[str, Callable[..., None]]] = []
        self._guarded: set[type] = set()
        self._guarding = Lock()

    def start(self) -> None:
        """Puts everything in its place."""
        from sqlalchemy import event
        from sqlalchemy.orm import Mapper
        from sqlalchemy.orm.attributes import InstrumentedAttribute

        replace = self._installation.patches.replace
        replace(InstrumentedAttribute, "__get__", reads.attribute(self))
        replace(*private.locate(private.COPY_STATE), reads.copied(self))
        for copies in (private.COPY_KEY, private.COPY_KEY_TO_LINK):
            replace(*private.locate(copies), reads.key_taken(self))
        eager.install(self, replace)
        listeners: dict[str, Callable[..., None]] = {
            "load": self._loaded,
            "refresh": self._refreshed,
            "before_update": self._updates,
            "before_delete": self._deletes,
        }
        for name, listener in listeners.items():
            # Before the app's own listeners, which may read.
            event.listen(Mapper, name, listener, raw=True, insert=True)
            self._listeners.append((name, listener))

    def end(self) -> None:
        """Takes everything back."""
        from sqlalchemy import event
        from sqlalchemy.orm import Mapper

        self._stop()
        # Not before: a list of listeners must not change while SQLAlchemy goes through it.
        while self._listeners:
            event.remove(Mapper, *self._listeners.pop())

    def broke(self, error: BaseException) -> None:
        """Ends the watch after a bug of ours; nothing of it is told."""
        self.is_broken = True
        self._stop()
        self._installation.broke(error)

    def _stop(self) -> None:
        with self._guarding:
            self.is_over = True
            if self in _watches:
                _watches.remove(self)
        self.ended_ns = self.ended_ns or clock()
        self._installation.patches.undo()

    def saw_all_of(self, trace: OpenTrace) -> bool:
        """Whether no read of a request can have been missed."""
        return not self.is_broken and (not self.is_over or 0 < trace.end_ns <= self.ended_ns)

    def fetch_of(self, context: Any) -> Fetch | None:
        """The statement that a query context reads, if it belongs to a watched request."""
        lane = LANE.get()
        if lane is None or self.is_over:
            return None
        trace = lane.trace
        watched: dict[int, Fetch] | None = trace.watched
        if watched is None or trace.end_ns:
            return None
        statement = trace.lineage.get(context.runid)
        if statement is None:
            return None
        fetch = watched.get(statement.index)
        if fetch is None:
            fetch = watched.setdefault(statement.index, Fetch(self, trace, statement))
        return fetch

    def guard(self, mapper: Any) -> None:
        """Sees from now on who takes the `__dict__` of a class's objects, or a composite of it."""
        class_ = mapper.class_
        if mapper.composites and class_ not in self.composites:
            self.composites[class_] = {
                one.key: tuple(part.key for part in one.props) for one in mapper.composites
            }
        outermost = mapper.base_mapper.class_
        with self._guarding:
            if self.is_over or outermost in self._guarded:
                return
            self._guarded.add(outermost)
            undo = _replace_getattribute(outermost, reads.guarded(self, outermost.__getattribute__))
            self._installation.patches.on_undo(undo)

    def _loaded(self, state: Any, context: Any) -> None:
        self._note(state, context, None)

    def _refreshed(self, state: Any, context: Any, names: Any) -> None:
        self._note(state, context, names)

    def _note(self, state: Any, context: Any, names: Any) -> None:
        try:
            fetch = self.fetch_of(context)
            if fetch is not None:
                fetch.group_of(state.mapper).add(state, names)
        except Exception as error:
            self.broke(error)

    def _updates(self, _mapper: Any, _connection: Any, state: Any) -> None:
        loads.written(state)

    def _deletes(self, _mapper: Any, _connection: Any, state: Any) -> None:
        loads.deleted(state)


def _replace_getattribute(owner: type, replacement: Any) -> Callable[[], None]:
    """Replaces it past the class's metaclass, which would take it for a change of the mapping."""
    name = "__getattribute__"
    own = vars(owner).get(name)
    type.__setattr__(owner, name, replacement)

    def undo() -> None:
        if vars(owner).get(name) is not replacement:
            return
        if own is None:
            type.__delattr__(owner, name)
        else:
            type.__setattr__(owner, name, own)

    return undo

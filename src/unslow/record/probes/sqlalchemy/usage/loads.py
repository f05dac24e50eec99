"""What a request's statements loaded, object by object, and what was read of each.

An object's state carries its loads, so that a read counts for the request that loaded the object,
in whatever task or thread it happens. Here are names and sizes; no value is kept.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from .....current import OpenStatement, OpenTrace
from .sizes import size_bytes

if TYPE_CHECKING:
    from .watch import Watch

_MARK: Final = "unslow_loads"
"""The attribute of SQLAlchemy's state of an object under which its loads stand."""

_MOST_OBJECTS: Final = 20_000
"""Of one class and statement; each takes some hundred bytes until its request is finished."""


class Fetch:
    """A statement whose rows became objects."""

    __slots__ = ("eager", "groups", "statement", "trace", "watch")

    def __init__(self, watch: Watch, trace: OpenTrace, statement: OpenStatement) -> None:
        self.watch = watch
        self.trace = trace
        self.statement = statement
        self.eager: dict[Any, str] = {}
        """How relationships are loaded that are there as soon as their object is."""
        self.groups: dict[Any, Group] = {}
        """By mapper."""

    def group_of(self, mapper: Any) -> Group:
        """The objects of a class."""
        group = self.groups.get(mapper)
        if group is None:
            self.watch.guard(mapper)
            group = self.groups.setdefault(mapper, Group(self, mapper))
        return group

    def release(self) -> None:
        """Lets go of the request: one object that the app keeps would hold on to all of it."""
        for group in list(self.groups.values()):
            group.loads.clear()
        del self.trace


class Group:
    """The objects of one class that one statement loaded."""

    __slots__ = (
        "_names",
        "columns",
        "columns_bytes",
        "eager",
        "fetch",
        "loads",
        "mapper",
        "primary_key",
        "unwatched_count",
    )

    def __init__(self, fetch: Fetch, mapper: Any) -> None:
        self.fetch = fetch
        self.mapper = mapper
        self.columns: tuple[str, ...] = tuple(mapper.column_attrs.keys())
        self.primary_key = tuple(
            mapper.get_property_by_column(column).key for column in mapper.primary_key
        )
        self.columns_bytes: dict[str, int] = {}
        """By column that was loaded, in the order of loading."""
        self.eager: dict[Any, str] = {}
        """By relationship that was loaded along, how."""
        self.loads: list[Load] = []
        self.unwatched_count = 0
        self._names: dict[frozenset[str], frozenset[str]] = {}

    def add(self, state: Any, asked: Collection[str] | None) -> None:
        """Notes an object that the statement has just loaded, or some more attributes of it.

        Args:
            state: SQLAlchemy's, of the object.
            asked: The attributes that may have been loaded; None for all that are there.
        """
        values = state.dict
        there = values.keys() if asked is None else values.keys() & asked
        names = [name for name in self.columns if name in there]
        along = [one for one in self.fetch.eager.items() if self._has(one[0], there)]
        if not names and not along:
            return
        if len(self.loads) >= _MOST_OBJECTS:
            self.unwatched_count += 1
            return
        sizes = self.columns_bytes
        for name in names:
            sizes[name] = sizes.get(name, 0) + size_bytes(values[name])
        self.eager.update(along)
        self._keep(state, frozenset([*names, *(one.key for one, _ in along)]), asked is None)

    def add_eager(self, state: Any, relationship: Any, how: str) -> None:
        """Notes a relationship that is loaded for an object by a statement of its own."""
        self.eager[relationship] = how
        for load in loads_of(state):
            if load.group is self:
                load.names = self._same(load.names | {relationship.key})
                return
        if len(self.loads) < _MOST_OBJECTS:
            self._keep(state, frozenset([relationship.key]), is_new=False)

    def _keep(self, state: Any, names: frozenset[str], is_new: bool) -> None:
        load = Load(self, self._same(names), _led_by(state) if is_new else None)
        self.loads.append(load)
        # What is replaced as a whole is not read any more; but who brought the row stays known.
        before = loads_of(state)
        older = [one for one in before[:-1] if not one.names <= names]
        state.__dict__[_MARK] = (load, *older, *before[-1:])

    def _has(self, relationship: Any, names: Collection[str]) -> bool:
        return relationship.key in names and self.mapper.isa(relationship.parent)

    def _same(self, names: frozenset[str]) -> frozenset[str]:
        return self._names.setdefault(names, names)


class Load:
    """One object, as one statement loaded it."""

    __slots__ = ("group", "is_deleted", "is_written", "led_by", "names", "read")

    def __init__(self, group: Group, names: frozenset[str], led_by: Any) -> None:
        self.group = group
        self.names = names
        """The attributes that were loaded."""
        self.led_by = led_by
        """The relationship on whose way the object was built; None for what was asked for."""
        self.read: set[str] = set()
        """For the load that brought the row: also what was loaded later, by others."""
        self.is_written = False
        self.is_deleted = False


def loads_of(state: Any) -> tuple[Load, ...]:
    """The loads of an object, the last one first."""
    loads: tuple[Load, ...] = state.__dict__.get(_MARK, ())
    return loads


def read(state: Any, name: str) -> None:
    """Notes that the app read an attribute, be it one that was loaded at the touch."""
    loads = loads_of(state)
    for load in loads:
        if name in load.names:
            load.read.add(name)
            break
    if loads:
        loads[-1].read.add(name)


def read_all(state: Any) -> None:
    """Notes that the app took all that an object holds."""
    for load in loads_of(state):
        load.read.update(load.names)


def written(state: Any) -> None:
    """Notes that an object, or its key, went into the database."""
    for load in loads_of(state):
        load.is_written = True


def deleted(state: Any) -> None:
    """Notes that an object's row goes, and with it what its relationships hold."""
    for load in loads_of(state):
        load.is_written = load.is_deleted = True


def _led_by(state: Any) -> Any:
    path = state.load_path.path
    if len(path) < 3:
        return None
    step = path[-2]
    return step if getattr(step, "is_property", False) else None

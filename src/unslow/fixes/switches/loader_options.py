"""Loader options: a chain of them, as it is tried, and those that a statement has already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ...errors import UnslowError

SELECTIN: Final = "selectinload"
JOINED: Final = "joinedload"
SUBQUERY: Final = "subqueryload"
KEPT: Final = "defaultload"
"""The relationship is loaded as it was; only what hangs on it is changed."""
UNDEFER: Final = "undefer"
LOADERS: Final = (SELECTIN, JOINED, SUBQUERY, KEPT, UNDEFER)

_KINDS: Final = {"selectin": SELECTIN, "joined": JOINED, "subquery": SUBQUERY}
"""By what SQLAlchemy calls a strategy: the loader that asks for it."""
_ONE_BY_ONE: Final = {"dynamic", "write_only"}
_NEVER: Final = "noload"
_LAZY: Final = "select"


class CannotLoadError(UnslowError):
    """A chain cannot be put on a statement; the message is a sentence that says why."""


class Step(NamedTuple):
    """A hop of a chain, found in the models."""

    loader: str
    """The option that is added."""
    kind: str
    """How the relationship is then loaded: one of `LOADERS`, or empty."""
    attribute: Any
    entity: type
    """The class that has the attribute."""
    is_collection: bool


class OwnOption(NamedTuple):
    """A loader option that the app has put on a statement."""

    names: tuple[str, ...]
    """The attributes on the way; a wildcard is not among them."""
    is_wildcard: bool
    strategy: Mapping[str, Any]
    """As SQLAlchemy has it: `lazy` of relationships, `deferred` of columns; empty: unchanged."""
    is_of_type: bool


def steps_of(entity: type, chain: Sequence[tuple[str, str]]) -> list[Step]:
    """The chain from an entity on.

    Raises:
        CannotLoadError: A name is none of an attribute that could be loaded so.
    """
    steps = []
    for loader, name in chain:
        step = _step(entity, loader, name)
        steps.append(step)
        if loader != UNDEFER:
            entity = step.attribute.property.mapper.class_
    return steps


def _step(entity: type, loader: str, name: str) -> Step:
    from sqlalchemy.orm import ColumnProperty, RelationshipProperty

    attribute: Any = getattr(entity, name, None)
    said = f"{entity.__name__}.{name}"
    mapped = getattr(attribute, "property", None)
    if loader == UNDEFER:
        if not isinstance(mapped, ColumnProperty):
            raise CannotLoadError(f"{said} is no mapped column")
        return Step(loader, "", attribute, entity, False)
    if not isinstance(mapped, RelationshipProperty):
        raise CannotLoadError(f"{said} is no relationship")
    lazy = str(mapped.lazy)
    if lazy in _ONE_BY_ONE or lazy == _NEVER:
        raise CannotLoadError(f"{said} is mapped as {lazy}, which no loader option changes")
    kind = _KINDS.get(lazy, "") if loader == KEPT else loader
    return Step(loader, kind, attribute, entity, bool(mapped.uselist))


def fitted(steps: Sequence[Step], own: Sequence[OwnOption]) -> Sequence[Step]:
    """The steps, with relationships that the statement's own options load left to them.

    Raises:
        CannotLoadError: The statement's own options and the steps contradict each other.
    """
    changing = [one for one in own if one.strategy]
    if not changing:
        return steps
    names = tuple(step.attribute.key for step in steps)
    return [_fitted(step, names[: at + 1], names, changing) for at, step in enumerate(steps)]


def _fitted(
    step: Step, way: tuple[str, ...], names: tuple[str, ...], own: Sequence[OwnOption]
) -> Step:
    said = f"{step.entity.__name__}.{step.attribute.key}"
    for one in own:
        lazy = one.strategy.get("lazy")
        if one.is_wildcard and one.names == way[:-1] and lazy not in {None, _LAZY}:
            raise CannotLoadError(f"an option of the statement's own holds for all, also {said}")
    mine = [one for one in own if one.names == way and not one.is_wildcard]
    if not mine or (step.loader == UNDEFER and not mine[-1].strategy.get("deferred")):
        return step
    kind = _KINDS.get(str(mine[-1].strategy.get("lazy")), "")
    if way == names or mine[-1].is_of_type or step.loader not in {kind, KEPT} or not kind:
        raise CannotLoadError(f"the statement has an option of its own for {said}")
    return step._replace(loader=KEPT, kind=kind)


def columns_options(
    entity: type,
    steps: Sequence[Step],
    columns: Mapping[str, Sequence[str]],
    own: Sequence[OwnOption],
) -> dict[int, list[Any]]:
    """By the number of the step (-1: the entity itself): the columns that are to be loaded.

    Raises:
        CannotLoadError: A column is unknown, or the statement picks columns itself.
    """
    found: dict[int, list[Any]] = {}
    if not columns:
        return found
    related = [step.attribute.property.mapper.class_ for step in steps if step.loader != UNDEFER]
    picking = [one for one in own if "deferred" in one.strategy]
    names = tuple(step.attribute.key for step in steps)
    for at, target in enumerate((entity, *related), -1):
        wanted = next(
            (columns[one.__name__] for one in target.__mro__ if one.__name__ in columns), None
        )
        if wanted is None:
            continue
        way = names[: at + 1]
        if any((one.names if one.is_wildcard else one.names[:-1]) == way for one in picking):
            raise CannotLoadError(f"the statement picks columns of {target.__name__} itself")
        missing = [name for name in wanted if not hasattr(target, name)]
        if missing:
            raise CannotLoadError(f"{target.__name__} has no {missing[0]}")
        found[at] = [getattr(target, name) for name in wanted]
    return found


def built(entity: type, steps: Sequence[Step], columns: Mapping[int, Sequence[Any]]) -> Any:
    """The options as one, as `statement.options(...)` takes it."""
    from sqlalchemy.orm import Load

    option: Any = Load(entity)
    if -1 in columns:
        option = option.load_only(*columns[-1])
    for at, step in enumerate(steps):
        option = getattr(option, step.loader)(step.attribute)
        if at in columns:
            option = option.load_only(*columns[at])
    return option


def own_options(statement: Any, entity: type) -> list[OwnOption]:
    """The loader options that a statement has for an entity and what hangs on it.

    SQLAlchemy has no public name for them; those that are read here hold from 2.0.0 to 2.1.9.
    """
    if not statement._with_options:
        return []
    from sqlalchemy import inspect
    from sqlalchemy.orm.interfaces import LoaderOption

    mapper: Any = inspect(entity)
    loaders = [one for one in statement._with_options if isinstance(one, LoaderOption)]
    return [one for option in loaders for one in _parts(option, mapper)]


def _parts(option: Any, mapper: Any) -> Iterator[OwnOption]:
    # An option for all relationships of whatever entity is its own only part.
    for part in getattr(option, "context", (option,)):
        way = tuple(getattr(part.path, "path", part.path))
        if not (isinstance(way[0], str) or _are_related(mapper, way[0])):
            continue
        yield OwnOption(
            tuple(one.key for one in way if getattr(one, "is_property", False)),
            isinstance(way[-1], str),
            dict(part.strategy or ()),
            getattr(part, "_of_type", None) is not None,
        )


def _are_related(mapper: Any, other: Any) -> Any:
    """Whether one is of a class above the other's; an alias is of none."""
    is_mapper = bool(getattr(other, "is_mapper", False))
    return is_mapper and (mapper.isa(other) or other.isa(mapper))

"""Loads relationships with the rows of a statement: `eager-load`.

Loader options are added to the statement as it is executed; the app's source stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any, Final, NamedTuple

from ...current import OpenArm
from ...errors import WireError
from . import Parameters, Tools, Undo
from .loader_options import (
    JOINED,
    LOADERS,
    SUBQUERY,
    UNDEFER,
    CannotLoadError,
    Step,
    built,
    columns_options,
    fitted,
    own_options,
    steps_of,
)
from .orm_statements import (
    is_eager_load,
    is_hand_written,
    is_streaming,
    listen,
    load_option,
    run_changed,
    spot_of,
    tell_unlike,
    unlike_a_query,
)

_SHAPES_KEPT: Final = 500


class _Chain(NamedTuple):
    entity: str
    hops: tuple[tuple[str, str], ...]
    columns: Mapping[str, Sequence[str]]


class _Changed(NamedTuple):
    statement: Any
    is_multiplied: bool
    """Whether a row of the entity comes once for each of its related rows."""


def switch_on(arm: OpenArm, parameters: Parameters, tools: Tools) -> Undo:
    """Loads a chain of relationships with the statement of one place.

    Args:
        arm: The arm.
        parameters: `path`, `line` (0: any of the function) and `function` that send the statement;
            `entity`: the class that the chain begins at; `chain`: loader and attribute per hop;
            `load_only`: by class, the columns to load.
        tools: Of the agent.

    Raises:
        WireError: The chain names what is no loader.
    """
    from sqlalchemy.orm import Session

    chain = _chain_of(parameters)
    spot = spot_of(parameters)
    froms = _Froms()

    def prepared(execution: Any) -> _Changed | None:
        if is_eager_load(execution):
            return None
        entity, why = _entity_of(execution, chain.entity)
        if (entity is None and arm.fired_count) or not spot.is_here(tools):
            return None
        if entity is None:
            tell_unlike(arm, why)
            return None
        try:
            return _changed(execution, entity, chain, froms)
        except CannotLoadError as error:
            arm.did_not(str(error))
            return None

    def act(execution: Any) -> Any:
        try:
            changed = prepared(execution)
        except Exception as error:
            arm.failed(type(error).__name__)
            return None
        if changed is None:
            return None
        finished = _each_once if changed.is_multiplied else None
        return run_changed(arm, execution, changed.statement, finished)

    return listen(arm, Session, "do_orm_execute", act)


def _chain_of(parameters: Parameters) -> _Chain:
    hops = tuple((str(loader), str(name)) for loader, name in parameters.get("chain", ()))
    for at, (loader, _) in enumerate(hops):
        if loader not in LOADERS or (loader == UNDEFER and at + 1 < len(hops)):
            raise WireError(
                f"A chain has {loader!r} for hop {at + 1}; each is one of {', '.join(LOADERS)}, "
                f"and {UNDEFER} the last."
            )
    return _Chain(str(parameters["entity"]), hops, parameters.get("load_only", {}))


def _entity_of(execution: Any, name: str) -> tuple[type | None, str]:
    """The class of that name, or one below it, whose objects a statement selects; or why none."""
    why = unlike_a_query(execution)
    if why:
        return None, why
    why = f"the statement selects no {name}"
    for one in getattr(execution.statement, "column_descriptions", ()):
        entity = one.get("entity")
        if entity is None:
            continue
        if one.get("aliased"):
            if _is_named(_class_of_alias(entity), name):
                why = "the entity is aliased"
        elif _is_named(entity, name):
            if one.get("expr") is entity:
                return entity, ""
            why = "the statement selects columns, not objects"
    return None, why


def _class_of_alias(alias: Any) -> type:
    from sqlalchemy import inspect

    found: type = inspect(alias).mapper.class_
    return found


def _is_named(entity: type, name: str) -> bool:
    return any(one.__name__ == name for one in entity.__mro__)


def _changed(execution: Any, entity: type, chain: _Chain, froms: _Froms) -> _Changed:
    statement = execution.statement
    if is_streaming(execution):
        raise CannotLoadError("it streams its rows (yield_per)")
    found = steps_of(entity, chain.hops)
    _see_to_hand_written(statement, found)
    own = own_options(statement, entity)
    steps = fitted(found, own)
    columns = columns_options(entity, steps, chain.columns, own)
    repeated = takewhile(lambda step: step.kind in {JOINED, SUBQUERY}, steps)
    joined = [
        step
        for step in takewhile(lambda step: step.kind == JOINED, steps)
        # Where the app joins a collection itself, it makes the rows unique, or wants them all.
        if step.loader == JOINED
    ]
    is_multiplied = any(step.is_collection for step in joined)
    _see_to_repeated(statement, repeated)
    _see_to_joined(execution, entity, joined, froms if is_multiplied else None)
    return _Changed(statement.options(built(entity, steps, columns)), is_multiplied)


def _see_to_hand_written(statement: Any, steps: Sequence[Step]) -> None:
    from sqlalchemy import Select

    if is_hand_written(statement):
        # No join can be added, and what subqueryload repeats SQLAlchemy sends once for each row.
        if any(step.kind == JOINED for step in steps[:1]) or any(
            step.kind == SUBQUERY for step in steps
        ):
            raise CannotLoadError("the statement is written by hand (from_statement)")
    elif not isinstance(statement, Select):
        raise CannotLoadError("what the statement has of its own is hidden (lambda_stmt)")


def _see_to_repeated(statement: Any, steps: Iterable[Step]) -> None:
    if not any(step.loader == SUBQUERY for step in steps):
        return
    if (
        statement._limit_clause is not None
        or statement._offset_clause is not None
        or statement._fetch_clause is not None
    ) and not statement._order_by_clauses:
        raise CannotLoadError(
            "subqueryload repeats the statement, whose LIMIT has no ORDER BY: other rows may come"
        )


def _see_to_joined(
    execution: Any, entity: type, joined: Sequence[Step], froms: _Froms | None
) -> None:
    if not joined:
        return
    lock = execution.statement._for_update_arg
    if lock is not None and lock.of is None:
        raise CannotLoadError(
            "FOR UPDATE would lock the rows that joinedload adds; PostgreSQL refuses that for an "
            "outer join"
        )
    if froms is None or load_option(execution, "_legacy_uniquing", False):
        # A `Query` drops what comes twice by itself.
        return
    if froms.may_repeat(execution.statement, entity):
        raise CannotLoadError(
            "the statement has a join of its own: joinedload of a collection drops rows that "
            "come twice"
        )


class _Froms:
    """Whether statements select from more than the table of their entity, by their shape.

    SQLAlchemy takes 0.2 ms to tell, on the machine that it was measured on.
    """

    def __init__(self) -> None:
        self._known: dict[Any, bool] = {}

    def may_repeat(self, statement: Any, entity: type) -> bool:
        """Whether an object may come in several rows of the statement's result."""
        key = statement._generate_cache_key()
        shape = None if key is None else key.key
        known = self._known.get(shape) if shape is not None else None
        if known is None:
            known = self._looked_up(statement, entity)
            if shape is not None and len(self._known) < _SHAPES_KEPT:
                self._known[shape] = known
        return known

    @staticmethod
    def _looked_up(statement: Any, entity: type) -> bool:
        from sqlalchemy import inspect
        from sqlalchemy.orm import Load

        entities = [one["entity"] for one in statement.column_descriptions if one["entity"]]
        if _is_distinct(statement) and len(statement.column_descriptions) == 1:
            return False
        # Without what is joined to load relationships, which multiplies rows that are made unique.
        bare = statement.options()
        bare._with_options = tuple(Load(one).lazyload("*") for one in dict.fromkeys(entities))
        froms = bare.get_final_froms()
        return len(froms) != 1 or froms[0] is not inspect(entity).selectable


def _is_distinct(statement: Any) -> bool:
    """Whether no row of a statement's result comes twice; with DISTINCT ON some may."""
    is_on = statement._distinct_on or getattr(statement, "_pre_columns_clause", None) is not None
    return bool(statement._distinct) and not is_on


def _each_once(result: Any) -> Any:
    """The same result with each row once, as the app would have got it without a join.

    What the app then calls on it, also `unique()` and `yield_per()`, does as it does otherwise.
    """
    from sqlalchemy import Row

    frozen = result.unique().freeze()
    if frozen.data and not isinstance(frozen.data[0], Row):
        # Of single objects SQLAlchemy freezes all, before it looks which come twice.
        frozen.data = list({id(one): one for one in frozen.data}.values())
    return frozen()

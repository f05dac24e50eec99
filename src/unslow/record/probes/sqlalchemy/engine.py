"""Engines and their connections: what they do for a statement beside the driver's call."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import CO_VARARGS, CO_VARKEYWORDS
from typing import Any, Final
from weakref import WeakKeyDictionary

from ....current import LANE, clock
from ....model.trace import ORM
from ...place import caller_place
from ...probe import Installation
from . import pool
from .statements import Dialects, Make

_ORM_STATEMENT: Final = "_result_disable_adapt_to_context"
"""The execution option of statements that come from a session, where their time is noted."""


originals: Final[dict[Any, Callable[..., Any]]] = {}
"""By what replaces it: each method whose time is noted as `orm`."""

engines: Final[WeakKeyDictionary[Any, None]] = WeakKeyDictionary()
"""Those that were seen and are still there, in the order in which they came."""


def install(installation: Installation) -> None:
    """Replaces what engines, connections and dialects do for a statement."""
    from sqlalchemy.engine import Connection, Dialect, Engine

    dialects = Dialects(installation)
    dialects.adopt_all()

    def seen(engine: Any) -> None:
        engines[engine] = None
        dialects.adopt(type(engine.dialect))
        installation.cover(f"sqlalchemy engine {engine.dialect.dialect_description}")

    replace = installation.patches.replace
    replace(Dialect, "engine_created", _new_engine(installation, seen))
    replace(Engine, "raw_connection", pool.take(installation, seen))
    replace(Connection, "execute", _execute)
    replace(Connection, "scalar", _execute)
    replace(Connection, "exec_driver_sql", as_orm)
    installation.patches.on_undo(originals.clear)
    installation.patches.on_undo(engines.clear)


def _new_engine(installation: Installation, seen: Callable[[Any], None]) -> Make:
    """Dialects may be loaded after us: those of new engines are recorded when they come."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def engine_created(cls: type, engine: Any) -> None:
            original(cls, engine)
            try:
                seen(engine)
            except Exception as error:
                installation.broke(error)

        return engine_created

    return make


def _execute(original: Callable[..., Any]) -> Callable[..., Any]:
    """Compiling and the rest that is not the driver: for Core statements too it is `orm`."""

    @wraps(original)
    def execute(
        self: Any, statement: Any, parameters: Any = None, *, execution_options: Any = None
    ) -> Any:
        lane = LANE.get()
        if (
            lane is None
            or lane.inside_sql
            or (execution_options and _ORM_STATEMENT in execution_options)
        ):
            return original(self, statement, parameters, execution_options=execution_options)
        outer_place = lane.place
        lane.place = place = caller_place()
        start = clock()
        try:
            return original(self, statement, parameters, execution_options=execution_options)
        finally:
            lane.add(ORM, start, clock(), None, place)
            lane.place = outer_place

    originals[execute] = original
    return execute


def as_orm(original: Callable[..., Any]) -> Callable[..., Any]:
    """The same, with its time as `orm`, less what other slices take of it."""
    if _takes_nothing(original):
        return _as_orm_alone(original)

    @wraps(original)
    def work(self: Any, *args: Any, **kwargs: Any) -> Any:
        lane = LANE.get()
        if lane is None or lane.inside_sql:
            return original(self, *args, **kwargs)
        outer_place = lane.place
        lane.place = place = caller_place()
        start = clock()
        try:
            return original(self, *args, **kwargs)
        finally:
            lane.add(ORM, start, clock(), None, place)
            lane.place = outer_place

    originals[work] = original
    return work


def _takes_nothing(method: Callable[..., Any]) -> bool:
    """Whether a method takes no argument but its object."""
    code = getattr(method, "__code__", None)
    return (
        code is not None
        and (code.co_argcount, code.co_kwonlyargcount) == (1, 0)
        and not code.co_flags & (CO_VARARGS | CO_VARKEYWORDS)
    )


def _as_orm_alone(original: Callable[..., Any]) -> Callable[..., Any]:
    """For methods without arguments, which SQLAlchemy's tests tell by their code."""

    @wraps(original)
    def work(self: Any) -> Any:
        lane = LANE.get()
        if lane is None or lane.inside_sql:
            return original(self)
        outer_place = lane.place
        lane.place = place = caller_place()
        start = clock()
        try:
            return original(self)
        finally:
            lane.add(ORM, start, clock(), None, place)
            lane.place = outer_place

    originals[work] = original
    return work

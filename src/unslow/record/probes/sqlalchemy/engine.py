"""The part for `sqlalchemy.engine`: dialects, results, engines."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from ....current import LANE, clock
from ....model.trace import ORM
from ...probe import Installation
from . import pool, rows
from .statements import Dialects

_ORM_STATEMENT = "_result_disable_adapt_to_context"
"""The execution option of statements that come from a session, where their time is noted."""


def install(installation: Installation) -> None:
    """Replaces what engines, connections, dialects and results do for a statement."""
    import sqlalchemy
    from sqlalchemy.engine import Connection, Engine

    dialects = Dialects(installation)
    dialects.adopt_all()
    replace = installation.patches.replace
    replace(Engine, "__init__", _new_engine(installation, dialects))
    replace(Engine, "raw_connection", pool.take(installation))
    replace(Connection, "execute", _execute)
    rows.install(installation)
    installation.cover(f"sqlalchemy {sqlalchemy.__version__}")


def _new_engine(installation: Installation, dialects: Dialects) -> Callable[[Any], Any]:
    """Dialects may be loaded after us: those of new engines are recorded when they come."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            try:
                dialects.adopt(type(self.dialect))
                installation.cover(
                    f"sqlalchemy engine {self.dialect.name}+{self.dialect.driver}"
                )
            except Exception as error:
                installation.broke(error)

        return init

    return make


def _execute(original: Callable[..., Any]) -> Callable[..., Any]:
    """Compiling and the rest that is not the driver: for Core statements too it is `orm`."""

    @wraps(original)
    def execute(self: Any, statement: Any, parameters: Any = None, **options: Any) -> Any:
        lane = LANE.get()
        if lane is None or _ORM_STATEMENT in (options.get("execution_options") or ()):
            return original(self, statement, parameters, **options)
        start = clock()
        try:
            return original(self, statement, parameters, **options)
        finally:
            lane.add(ORM, start, clock())

    return execute

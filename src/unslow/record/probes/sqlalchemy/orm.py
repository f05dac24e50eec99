"""The part for `sqlalchemy.orm`: what sessions do, objects built from rows, lineage."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Final

from ....current import LANE, clock
from ....model.trace import ORM
from ...place import caller_place
from ...probe import Installation
from . import hydration, private
from .engine import as_orm, originals

_EXECUTES: Final = ("execute", "scalar", "scalars")
_WORK: Final = (
    "add",
    "add_all",
    "bulk_insert_mappings",
    "bulk_save_objects",
    "bulk_update_mappings",
    "close",
    "commit",
    "delete",
    "expire",
    "expire_all",
    "expunge_all",
    "get",
    "merge",
    "refresh",
    "rollback",
)
_INTERNAL_LOAD: Final = "_sa_orm_load_options"
"""The execution option of what a lazy load executes, where the time is noted already."""


def install(installation: Installation) -> None:
    """Replaces what sessions do."""
    from sqlalchemy.orm import Session

    replace = installation.patches.replace
    for name in _EXECUTES:
        replace(Session, name, _execute)
    for name in _WORK:
        replace(Session, name, as_orm)
    for private_name in (private.LAZY_LOAD, private.FLUSH):
        missing = private.unknown(private_name)
        if missing:
            installation.cover(f"sqlalchemy {private_name.path}", "off", missing)
        else:
            replace(*private.locate(private_name), as_orm)
    hydration.install(installation)
    installation.cover("sqlalchemy orm")


def _execute(original: Callable[..., Any]) -> Callable[..., Any]:
    # With its public arguments by name: `*args, **kwargs` would be packed and unpacked each time,
    # which takes as long as all else here.
    no_options: Any = inspect.signature(original).parameters["execution_options"].default

    @wraps(original)
    def execute(
        self: Any,
        statement: Any,
        params: Any = None,
        *,
        execution_options: Any = no_options,
        bind_arguments: Any = None,
        **others: Any,
    ) -> Any:
        lane = LANE.get()
        if lane is None or (execution_options and _INTERNAL_LOAD in execution_options):
            return original(
                self,
                statement,
                params,
                execution_options=execution_options,
                bind_arguments=bind_arguments,
                **others,
            )
        outer_place = lane.place
        lane.place = place = caller_place()
        start = clock()
        try:
            if others:
                return original(
                    self,
                    statement,
                    params,
                    execution_options=execution_options,
                    bind_arguments=bind_arguments,
                    **others,
                )
            return original(
                self,
                statement,
                params,
                execution_options=execution_options,
                bind_arguments=bind_arguments,
            )
        finally:
            lane.add(ORM, start, clock(), None, place)
            lane.place = outer_place

    originals[execute] = original
    return execute

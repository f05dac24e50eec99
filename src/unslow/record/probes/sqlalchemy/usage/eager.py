"""Seeing which relationships are loaded along with their objects, and how."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from .. import private

if TYPE_CHECKING:
    from .watch import Watch

_IN_ROWS: Final = (
    ("joined", private.JOINED_ONE),
    ("joined", private.JOINED_MANY),
    ("subquery", private.SUBQUERY_ONE),
    ("subquery", private.SUBQUERY_MANY),
)
_AFTER_ROWS: Final = (("selectin", private.SELECTIN), ("immediate", private.IMMEDIATE))


def install(watch: Watch, replace: Callable[..., None]) -> None:
    """Replaces what strategies of loading do for a statement."""
    for how, name in _IN_ROWS:
        replace(*private.locate(name), _in_rows(watch, how))
    for how, name in _AFTER_ROWS:
        replace(*private.locate(name), _after_rows(watch, how))


def _in_rows(watch: Watch, how: str) -> Callable[[Any], Any]:
    """The relationship is filled while its object is built."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def create_loader(self: Any, context: Any, *others: Any, **named: Any) -> Any:
            try:
                fetch = watch.fetch_of(context)
                if fetch is not None:
                    fetch.eager[self.parent_property] = how
            except Exception as error:
                watch.broke(error)
            return original(self, context, *others, **named)

        return create_loader

    return make


def _after_rows(watch: Watch, how: str) -> Callable[[Any], Any]:
    """The relationship is filled for many objects at once, when they have been built."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def load_for_path(
            self: Any, context: Any, path: Any, states: Any, *others: Any, **named: Any
        ) -> Any:
            try:
                fetch = watch.fetch_of(context)
                if fetch is not None:
                    relationship = self.parent_property
                    for state, overwrites in states:
                        if overwrites or relationship.key not in state.dict:
                            fetch.group_of(state.mapper).add_eager(state, relationship, how)
            except Exception as error:
                watch.broke(error)
            return original(self, context, path, states, *others, **named)

        return load_for_path

    return make

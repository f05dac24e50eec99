"""Building blocks of a fast API on PostgreSQL: each works alone, on the pool that you already have.

Nothing is loaded before it is asked for: `from unslow.fast import coalesce` loads neither pydantic
nor SQLAlchemy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .gathering import Coalesced as Coalesced
    from .gathering import Rows as Rows
    from .gathering import coalesce as coalesce
    from .view import View as View

_HOMES: Final = {
    "Coalesced": "gathering",
    "Rows": "gathering",
    "View": "view",
    "coalesce": "gathering",
}
"""By name the module that it is in."""

__all__ = ["Coalesced", "Rows", "View", "coalesce"]  # they are there once they are asked for


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)

"""Building blocks of a fast API on PostgreSQL: each works alone, on the pool that you already have.

Nothing is loaded before it is asked for: `from unslow.fast import coalesce` loads neither pydantic
nor SQLAlchemy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .front import bare as bare
    from .gathering import Coalesced as Coalesced
    from .gathering import Rows as Rows
    from .gathering import coalesce as coalesce
    from .keysets import Keyset as Keyset
    from .keysets import PageQuery as PageQuery
    from .ordering import Order as Order
    from .pages import Page as Page
    from .pages import paginate as paginate
    from .view import Filter as Filter
    from .view import View as View

_HOMES: Final = {
    "Coalesced": "gathering",
    "Filter": "view",
    "Keyset": "keysets",
    "Order": "ordering",
    "Page": "pages",
    "PageQuery": "keysets",
    "Rows": "gathering",
    "View": "view",
    "bare": "front",
    "coalesce": "gathering",
    "paginate": "pages",
}
"""By name the module that it is in."""

__all__ = [  # they are there once they are asked for
    "Coalesced",
    "Filter",
    "Keyset",
    "Order",
    "Page",
    "PageQuery",
    "Rows",
    "View",
    "bare",
    "coalesce",
    "paginate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)

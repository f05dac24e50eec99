"""Building blocks of a fast API on PostgreSQL: each works alone, on the pool that you already have.

Nothing is loaded before it is asked for: `from unslow.fast import coalesce` loads neither pydantic
nor SQLAlchemy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .caching.cached_function import Cached as Cached
    from .caching.declaration import cached as cached
    from .caching.declaration import invalidate_tag as invalidate_tag
    from .caching.flights import SingleFlight as SingleFlight
    from .caching.flights import Statistics as Statistics
    from .caching.flights import single_flight as single_flight
    from .caching.redis_store import RedisStore as RedisStore
    from .caching.stores import MemoryStore as MemoryStore
    from .exporting.exports import Export as Export
    from .exporting.exports import export as export
    from .front import bare as bare
    from .gathering import Coalesced as Coalesced
    from .gathering import Rows as Rows
    from .gathering import coalesce as coalesce
    from .ingestion.batches import Added as Added
    from .ingestion.declaration import Ingest as Ingest
    from .ingestion.declaration import ingest as ingest
    from .paging.keysets import Keyset as Keyset
    from .paging.keysets import PageQuery as PageQuery
    from .paging.ordering import Order as Order
    from .paging.pages import Page as Page
    from .paging.pages import paginate as paginate
    from .pooling.engines import check_engine as check_engine
    from .pooling.engines import engine_settings as engine_settings
    from .pooling.monitoring import health as health
    from .pooling.monitoring import metrics as metrics
    from .pooling.pool_states import PoolState as PoolState
    from .pooling.pool_states import pool_state as pool_state
    from .pooling.pools import Pool as Pool
    from .pooling.pools import pool as pool
    from .view import Filter as Filter
    from .view import View as View

_HOMES: Final = {
    "Added": "ingestion.batches",
    "Cached": "caching.cached_function",
    "Coalesced": "gathering",
    "Export": "exporting.exports",
    "Filter": "view",
    "Ingest": "ingestion.declaration",
    "Keyset": "paging.keysets",
    "MemoryStore": "caching.stores",
    "Order": "paging.ordering",
    "Page": "paging.pages",
    "PageQuery": "paging.keysets",
    "Pool": "pooling.pools",
    "PoolState": "pooling.pool_states",
    "RedisStore": "caching.redis_store",
    "Rows": "gathering",
    "SingleFlight": "caching.flights",
    "Statistics": "caching.flights",
    "View": "view",
    "bare": "front",
    "cached": "caching.declaration",
    "check_engine": "pooling.engines",
    "coalesce": "gathering",
    "engine_settings": "pooling.engines",
    "export": "exporting.exports",
    "health": "pooling.monitoring",
    "ingest": "ingestion.declaration",
    "invalidate_tag": "caching.declaration",
    "metrics": "pooling.monitoring",
    "paginate": "paging.pages",
    "pool": "pooling.pools",
    "pool_state": "pooling.pool_states",
    "single_flight": "caching.flights",
}
"""By name the module that it is in."""

__all__ = [  # they are there once they are asked for
    "Added",
    "Cached",
    "Coalesced",
    "Export",
    "Filter",
    "Ingest",
    "Keyset",
    "MemoryStore",
    "Order",
    "Page",
    "PageQuery",
    "Pool",
    "PoolState",
    "RedisStore",
    "Rows",
    "SingleFlight",
    "Statistics",
    "View",
    "bare",
    "cached",
    "check_engine",
    "coalesce",
    "engine_settings",
    "export",
    "health",
    "ingest",
    "invalidate_tag",
    "metrics",
    "paginate",
    "pool",
    "pool_state",
    "single_flight",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)

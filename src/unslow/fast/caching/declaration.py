"""Caching: an answer is computed once for all who ask for it, and kept for a while.

Everybody who asks with the same key gets the same answer. **Who asks must be part of the key
wherever answers differ by who asks.**
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from typing import Any, Final, ParamSpec, TypeVar
from weakref import WeakSet

from ..errors import DefinitionError
from .answer_codec import AnswerCodec
from .cached_function import Cached
from .call_keys import async_function, name_of
from .lifetime import checked_lifetime
from .stores import MAX_ENTRIES, MemoryStore, Store

Parameters = ParamSpec("Parameters")
Value = TypeVar("Value")

_NUMBERS: Final = count(1)
_OWN_STORES: Final[WeakSet[MemoryStore]] = WeakSet()
"""The stores of functions that were given none."""


def cached(
    ttl: float,
    *,
    key: Callable[..., Any] | None = None,
    tags: Callable[..., Iterable[str]] | Iterable[str] = (),
    stale: float = 0.0,
    early: float | None = None,
    store: Store | None = None,
    type: Any = None,  # noqa: A002  # what the user calls it
    max_entries: int | None = None,
    name: str | None = None,
    version: int | str = 1,
) -> Callable[[Callable[Parameters, Awaitable[Value]]], Cached[Parameters, Value]]:
    """Keeps the answers of an async function, and lets one call at a time compute each of them.

    Errors are not kept; they go to all who waited. The computation sees no context variable of its
    callers, and may outlive the request of the first of them.

    Args:
        ttl: For how long an answer is fresh, in seconds.
        key: By default all arguments are the key; they must be of plain types. Else a function of
            some of the parameters, by their names. What makes answers differ must be in it, also
            *who asks*.
        tags: What the answer is made of, for `invalidate_tag`: a list, or a function of some of the
            parameters, by their names.
        stale: For how many more seconds the old answer is given while a new one is computed, and
            when that fails.
        early: How early an answer is computed anew, in the background, before its end: the beta of
            XFetch; 0 is never. By default 1, or 0 where `key` is given: what else is in the
            arguments may belong to a request that ends.
        store: Where answers are kept; by default in this process.
        type: What the function returns, for a shared store, if its annotation does not say.
        max_entries: The most answers kept in this process, 10,000 by default.
        name: What the function is called in a shared store; by default its module and name.
        version: Change it when the same arguments mean another answer than before.

    Raises:
        DefinitionError: The function is not async, or a setting does not fit; or, at a call, the
            arguments make no key.
    """
    life = checked_lifetime(ttl, stale, early, has_key=key is not None)
    if store is None:
        store = MemoryStore(MAX_ENTRIES if max_entries is None else max_entries)
        _OWN_STORES.add(store)
    elif max_entries is not None:
        raise DefinitionError(
            "got store= and max_entries=; wanted one of them: a store has its own"
        )
    elif not isinstance(store, Store):
        raise DefinitionError(
            f"got {store.__class__.__qualname__} as store; wanted a MemoryStore or a RedisStore"
        )
    own_store = store

    def decorate(
        function: Callable[Parameters, Awaitable[Value]],
    ) -> Cached[Parameters, Value]:
        async_function(function, "cached")
        is_local = isinstance(own_store, MemoryStore)
        called = f"{next(_NUMBERS)}" if is_local else name or _shared_name(function)
        return Cached(
            function,
            life,
            store=own_store,
            key=key,
            tags=tags,
            prefix=f"{called}:{version}:",
            codec=None if is_local else AnswerCodec(function, type),
        )

    return decorate


def _shared_name(function: Any) -> str:
    called = name_of(function)
    if "<locals>" in called or not hasattr(function, "__qualname__"):
        raise DefinitionError(
            f"{called} is made inside another function, and each one made there has the same name "
            "in the shared store; wanted a function of a module, or name= with one of its own"
        )
    return f"{function.__module__}.{called}"


async def invalidate_tag(tag: str, store: Store | None = None) -> bool:
    """Forgets all answers with a tag, whichever function they are of.

    Args:
        tag: One of those that `tags=` gave.
        store: The store they are in; without it, those of all functions that have no `store=`.

    Returns:
        Whether it is certain; see `Cached.invalidate`.
    """
    stores = list(_OWN_STORES) if store is None else [store]
    return all([await one.invalidate_tag(tag) for one in stores])

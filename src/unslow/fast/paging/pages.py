"""Pages of a list: items, the cursor of the next page, and a count only for who asks for one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field

from ..errors import DefinitionError
from .keysets import Keyset
from .listings import Listing, opened_listing

if TYPE_CHECKING:
    from .listings import AnySelect

Item = TypeVar("Item")

Total: TypeAlias = Literal["none", "exact", "estimated"]


class Page(BaseModel, Generic[Item]):
    """A page of a list."""

    # Of the class alone: `Page[User]` is another one, which inherits no docstring.
    model_config = ConfigDict(json_schema_extra={"description": "A page of a list."})

    items: list[Item] = Field(description="The items of this page, in the order of the list.")
    next: str | None = Field(
        default=None, description="The cursor of the next page; null on the last page."
    )
    total: int | None = Field(
        default=None,
        description="How many items the whole list has; null where it is not counted.",
    )


@overload
async def paginate(
    source: Any,
    statement: str | AnySelect,
    keyset: Keyset,
    *,
    arguments: Sequence[Any] = (),
    cursor: str | None = None,
    limit: int | None = None,
    scope: str = "",
    total: Total = "none",
    make: Callable[[Any], Item],
    timeout_s: float | None = None,
) -> Page[Item]: ...


@overload
async def paginate(
    source: Any,
    statement: str | AnySelect,
    keyset: Keyset,
    *,
    arguments: Sequence[Any] = (),
    cursor: str | None = None,
    limit: int | None = None,
    scope: str = "",
    total: Total = "none",
    make: None = None,
    timeout_s: float | None = None,
) -> Page[Any]: ...


async def paginate(
    source: Any,
    statement: str | AnySelect,
    keyset: Keyset,
    *,
    arguments: Sequence[Any] = (),
    cursor: str | None = None,
    limit: int | None = None,
    scope: str = "",
    total: Total = "none",
    make: Callable[[Any], Any] | None = None,
    timeout_s: float | None = None,
) -> Page[Any]:
    """Reads one page of a list.

    Args:
        source: For SQL a pool or an engine; for a `select()` an `AsyncSession`, an
            `AsyncConnection` or an `AsyncEngine`.
        statement: What the list is made of, with its filters, without order and limit. In SQL the
            columns of the keyset are among those that it returns.
        keyset: The order, and the limits.
        arguments: The parameters of SQL.
        cursor: The `next` of the page before.
        limit: How many items at most.
        scope: What the cursors depend on beside the order, such as the filters.
        total: Whether to count all rows (`exact`, which reads them all), to take the planner's
            guess (`estimated`), or neither.
        make: Makes an item of a row. The row has values by position; of a `select()` it is what
            `execute` gives, and where that selects one thing only, the thing itself.
        timeout_s: How long to wait for a free connection, in seconds, where a pool or an engine
            is given.

    Raises:
        BadRequestError: The cursor or the limit is none of this list.
        DefinitionError: Statement, keyset and source do not fit together.
        PoolTimeoutError: No connection became free in time.
    """
    size = keyset.limit(limit)
    values = None if cursor is None else keyset.values(cursor, scope)
    async with opened_listing(source, statement, arguments, keyset, timeout_s) as listing:
        # One more than the page has says whether another follows.
        found = await listing.rows(values, size + 1)
        count = await _total(listing, total)
    following = keyset.cursor(found[size - 1][1], scope) if len(found) > size else None
    rows = [row for row, _ in found[:size]]
    return Page(items=rows if make is None else list(map(make, rows)), next=following, total=count)


async def _total(listing: Listing, total: Total) -> int | None:
    if total == "none":
        return None
    if total == "exact":
        return await listing.exact()
    if total == "estimated":
        plan = await listing.plan()
        # asyncpg gives JSON as text, psycopg as objects.
        plan = json.loads(plan) if isinstance(plan, str | bytes) else plan
        return int(plan[0]["Plan"]["Plan Rows"])
    raise DefinitionError(f"got total={total!r}; wanted 'none', 'exact' or 'estimated'")

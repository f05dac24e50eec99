"""Pages of a view: a statement per page, whose text is written once for each kind of page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.types import Integer

from ..database import Connection
from ..keysets import Keyset
from .assembling import Rows, Values
from .filters import Filters, parameter, scope_of
from .reading import unmarked
from .selections import Written
from .statements import Statement

_LIMIT: Final = "page_limit"


@dataclass(frozen=True, slots=True)
class Asked:
    """What page is wanted."""

    filters: Mapping[str, Any]
    after: tuple[Any, ...] | None
    """The values of the keyset after which it begins."""
    limit: int
    scope: str

    @property
    def shape(self) -> tuple[Any, ...]:
        """Pages of one shape have one text."""
        after = None if self.after is None else tuple(one is None for one in self.after)
        return (tuple(sorted(self.filters)), after)

    @property
    def named(self) -> dict[str, Any]:
        """The arguments; one row more than the page says whether there is another page."""
        found = {parameter(name): value for name, value in self.filters.items()}
        found |= {f"keyset_{place}": value for place, value in enumerate(self.after or ())}
        return {**found, _LIMIT: self.limit + 1}


class Pages:
    """The statements for the pages of one entity."""

    def __init__(self, entity: Any, keyset: Keyset, filters: Filters, where: Sequence[Any]) -> None:
        self.keyset = keyset
        self.filters = filters
        self._entity = entity
        self._where = tuple(where)
        self._orders: list[Any] = [order.column for order in keyset.orders]
        self._kept: dict[Any, Statement] = {}

    def asked(self, filters: Mapping[str, Any], cursor: str | None, limit: int | None) -> Asked:
        """What is wanted, checked.

        Raises:
            BadRequestError: A filter, the cursor or the limit is not what it may be.
        """
        values = self.filters.values(filters)
        scope = scope_of(values)
        after = None if cursor is None else self.keyset.values(cursor, scope)
        return Asked(values, after, self.keyset.limit(limit), scope)

    def selected(self, asked: Asked, *columns: Any) -> Select[Any]:
        """The rows of a page: the columns, then those of the keyset."""
        found = select(*columns, *self._orders).where(*self._conditions(asked))
        return found.order_by(*self.keyset.order_by()).limit(bindparam(_LIMIT, 0, Integer))

    def _conditions(self, asked: Asked) -> list[Any]:
        conditions = [*self._where, *self.filters.conditions(tuple(sorted(asked.filters)))]
        if asked.after is not None:
            conditions.append(self.keyset.after(asked.after))
        return conditions

    def next(self, asked: Asked, rows: Sequence[Any], first: int) -> str | None:
        """The cursor of the next page, if there is one.

        Args:
            asked: The page.
            rows: Its rows, and one of the next page if there is one.
            first: The place of the keyset's first column in a row.
        """
        if len(rows) <= asked.limit:
            return None
        return self.keyset.cursor(tuple(rows[asked.limit - 1][first:]), asked.scope)

    def _statement(
        self, kept: dict[Any, Statement], key: Any, make: Callable[[], Select[Any]]
    ) -> Statement:
        found = kept.get(key)
        if found is None:
            found = kept[key] = Statement(make())
        return found

    async def documents(
        self, connection: Connection, asked: Asked, written: Written
    ) -> tuple[list[bytes] | None, str | None]:
        """The items as JSON, and the next cursor; no items where one can only be made by Python."""
        statement = self._statement(
            written.pages, asked.shape, lambda: self.selected(asked, written.document)
        )
        rows = await connection.fetch(statement.text, statement.arguments(**asked.named))
        found = [unmarked(row[0]) for row in rows[: asked.limit]]
        if any(one is None for one in found):
            return None, None
        return [one for one in found if one is not None], self.next(asked, rows, 1)

    async def values(
        self, connection: Connection, asked: Asked, rows: Rows
    ) -> tuple[list[Values], str | None]:
        """The values of the items, and the next cursor."""
        columns = rows.columns(self._entity)
        statement = self._statement(
            self._kept, ("rows", asked.shape), lambda: self.selected(asked, *columns)
        )
        found = await connection.fetch(statement.text, statement.arguments(**asked.named))
        cut = [row[: len(columns)] for row in found[: asked.limit]]
        return await rows.values(connection, cut), self.next(asked, found, len(columns))

    def counted(self, asked: Asked) -> Select[Any]:
        """The number of items in the whole list."""
        conditions = self._conditions(replace(asked, after=None))
        return select(func.count()).select_from(self._entity).where(*conditions)

    async def count(self, connection: Connection, asked: Asked) -> int:
        """How many items the whole list has."""
        whole = replace(asked, after=None)
        statement = self._statement(self._kept, ("count", whole.shape), lambda: self.counted(whole))
        rows = await connection.fetch(statement.text, statement.arguments(**whole.named))
        return int(rows[0][0])

    async def estimate(self, connection: Connection, asked: Asked) -> int:
        """How many items PostgreSQL's planner expects the whole list to have."""
        whole = replace(asked, after=None)
        rows = select(*self._orders).where(*self._conditions(whole))
        statement = self._statement(self._kept, ("all", whole.shape), lambda: rows)
        text = f"EXPLAIN (FORMAT JSON) {statement.text}"
        ((plan,),) = await connection.fetch(text, statement.arguments(**whole.named))
        found = json.loads(plan) if isinstance(plan, str) else plan
        return int(found[0]["Plan"]["Plan Rows"])


def page_document(items: Sequence[bytes], following: str | None, total: int | None) -> bytes:
    """The JSON of a `Page` whose items are JSON already."""
    said = json.dumps({"next": following, "total": total}, separators=(",", ":"))
    return b'{"items":[' + b",".join(items) + b"]," + said[1:].encode()

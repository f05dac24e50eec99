"""Pages of a view: a statement per page, whose text is written once for each kind of page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Select, func, literal_column, select, union_all

from ..database import Connection
from ..paging.keysets import Keyset
from ..paging.listings import exact_column
from ..statements import Statement
from .assembling import Rows, Values
from .expressions import constant
from .filters import Filters, parameter, scope_of

BETWEEN_ITEMS: Final = b",\n"
"""A line end stands in no document: in texts it is escaped (RFC 8259, section 7)."""


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
        return (tuple(sorted(self.filters)), after, self.limit)

    @property
    def named(self) -> dict[str, Any]:
        """The arguments of its statement; a null of the keyset stands in the text."""
        found = {parameter(name): self.filters[name] for name in sorted(self.filters)}
        after = enumerate(self.after or ())
        return found | {f"keyset_{place}": value for place, value in after if value is not None}

    @property
    def read_count(self) -> Any:
        """One row more than the page, which says whether there is another page.

        It stands in the text, so that a plan for all arguments knows it.
        """
        return literal_column(str(self.limit + 1))


class Pages:
    """The statements for the pages of one entity."""

    def __init__(self, entity: Any, keyset: Keyset, filters: Filters, where: Sequence[Any]) -> None:
        self.keyset = keyset
        self.filters = filters
        self._entity = entity
        self._where = tuple(where)
        self._keys = [
            exact_column(order).label(f"key_{place}") for place, order in enumerate(keyset.orders)
        ]
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

    def asked_for(self, shape: tuple[Any, ...], named: Mapping[str, Any]) -> Asked:
        """A page of a shape, of the arguments of its statement."""
        names, after, limit = shape
        values = None
        if after is not None:
            values = tuple(
                None if is_null else named[f"keyset_{place}"] for place, is_null in enumerate(after)
            )
        return Asked({name: named[parameter(name)] for name in names}, values, limit, "")

    def selected(self, asked: Asked, *columns: Any) -> Select[Any]:
        """The rows of a page: the columns, then those of the keyset."""
        after = [] if asked.after is None else [self.keyset.after(asked.after)]
        return self._ordered(asked, columns, after)

    def _ordered(self, asked: Asked, columns: Sequence[Any], after: Sequence[Any]) -> Select[Any]:
        found = select(*columns, *self._keys).where(*self._conditions(asked), *after)
        return found.order_by(*self.keyset.order_by()).limit(asked.read_count)

    def _conditions(self, asked: Asked) -> list[Any]:
        return [*self._where, *self.filters.conditions(tuple(sorted(asked.filters)))]

    def joined(self, asked: Asked, document: Any, sent: Callable[[Any], Any]) -> Select[Any]:
        """One row: the items that were read, how many, and the keyset of the page's last.

        Args:
            asked: The page.
            document: The JSON of a row.
            sent: Makes the items into what is sent.
        """
        ranges = [] if asked.after is None else self.keyset.ranges(asked.after)
        parts = [self._ordered(asked, [document.label("document")], [one]) for one in ranges]
        # Each is a range of an index, and all its rows come before those of the next.
        if len(parts) > 1:
            page: Any = union_all(*(select(one.subquery()) for one in parts))
            page = page.limit(asked.read_count).subquery()
        else:
            parts = parts or [self._ordered(asked, [document.label("document")], [])]
            page = parts[0].subquery()
        # The row that is too many is cut off by who reads it: to number the rows here would keep
        # each of them once more, and takes a fifth of the statement's time.
        items = func.string_agg(page.c.document, constant(BETWEEN_ITEMS.decode()))
        last: Any = literal_column(str(asked.limit))
        keys = [func.array_agg(page.c[key.name])[last] for key in self._keys]
        return select(sent(func.coalesce(items, constant(""))), func.count(), *keys)

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

    def _statement(self, key: Any, make: Callable[[], Select[Any]]) -> Statement:
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = Statement(make())
        return found

    async def values(
        self, connection: Connection, asked: Asked, rows: Rows
    ) -> tuple[list[Values], str | None]:
        """The values of the items, and the next cursor."""
        columns = rows.columns(self._entity)
        statement = self._statement(("rows", asked.shape), lambda: self.selected(asked, *columns))
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
        statement = self._statement(("count", whole.shape), lambda: self.counted(whole))
        rows = await connection.fetch(statement.text, statement.arguments(**whole.named))
        return int(rows[0][0])

    async def estimate(self, connection: Connection, asked: Asked) -> int:
        """How many items PostgreSQL's planner expects the whole list to have."""
        whole = replace(asked, after=None)
        rows = select(*self._keys).where(*self._conditions(whole))
        statement = self._statement(("all", whole.shape), lambda: rows)
        text = f"EXPLAIN (FORMAT JSON) {statement.text}"
        ((plan,),) = await connection.fetch(text, statement.arguments(**whole.named))
        found = json.loads(plan) if isinstance(plan, str) else plan
        return int(found[0]["Plan"]["Plan Rows"])


def page_document(items: bytes, following: str | None, total: int | None) -> bytes:
    """The JSON of a `Page` whose items are JSON already, with commas between them."""
    # A cursor is of the alphabet of URLs, in which JSON escapes nothing.
    cursor = "null" if following is None else f'"{following}"'
    count = "null" if total is None else total
    return b'{"items":[%b],%b' % (items, f'"next":{cursor},"total":{count}}}'.encode())

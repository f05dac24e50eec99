"""Pages of one shape that are asked for at one moment, read by one statement.

Each page is still read as it would be alone: the statement goes through the arguments of all, and
reads a page for each (a lateral join).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    BindParameter,
    Select,
    bindparam,
    column,
    func,
    literal_column,
    select,
    true,
)
from sqlalchemy.sql.visitors import iterate, replacement_traverse
from sqlalchemy.types import ARRAY, NullType

from ..database import Connection, Database
from ..gathering import Coalesced, Read
from ..statements import Statement
from .lists import BETWEEN_ITEMS, Asked, Pages
from .reading import encoded, unmarked

Found: TypeAlias = tuple[bytes, int, tuple[Any, ...]]
"""The items as JSON, how many rows were read, and the keyset of the page's last."""

_EMPTY: Final[Found] = (b"", 0, ())
_ARGUMENTS: Final = "asked"
"""The name of the arguments in the statement."""


class GatheredPages:
    """Reads pages of documents."""

    def __init__(
        self, database: Database, pages: Pages, document: Any, sent: Callable[[Any], Any]
    ) -> None:
        """Takes what an item is made of, and what makes the items into what is sent."""
        self._database = database
        self._pages = pages
        self._document = document
        self._sent = sent
        self._alone: dict[Any, Statement] = {}
        self._together: dict[Any, Statement | None] = {}
        self._gathered: Coalesced[Any, Found] = Coalesced(self._opened, text=self._text)

    async def read(self, asked: Asked) -> tuple[bytes | None, str | None]:
        """The items as JSON, and the next cursor; no items where one can only be made by Python."""
        arguments = tuple(asked.named.items())
        try:
            hash(arguments)
        except TypeError:
            # Lists, say: such a page is read alone.
            async with self._database.connect() as connection:
                found: Found | None = await self._one(connection, arguments, asked.shape)
        else:
            found = await self._gathered(arguments, caller=asked.shape)
        items, count, keys = found or _EMPTY
        if count <= asked.limit:
            return unmarked(items), None
        # One more than the page was read.
        page = items[: items.rindex(BETWEEN_ITEMS)]
        return unmarked(page), self._pages.keyset.cursor(keys, asked.scope)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Read[Any, Found]]:
        async with self._database.connect() as connection:

            async def read(keys: list[Any], shape: Any) -> Mapping[Any, Found]:
                if len(keys) == 1:
                    return {keys[0]: await self._one(connection, keys[0], shape)}
                return await self._many(connection, keys, shape)

            yield read

    async def _one(self, connection: Connection, key: Any, shape: Any) -> Found:
        statement = self._alone.get(shape)
        if statement is None:
            statement = Statement(self._page(key, shape))
            self._alone[shape] = statement
        (row,) = await connection.fetch(statement.text, statement.arguments(**dict(key)))
        return _found(row)

    async def _many(
        self, connection: Connection, keys: list[Any], shape: Any
    ) -> Mapping[Any, Found]:
        if shape not in self._together:
            together = _together(self._page(keys[0], shape), [name for name, _ in keys[0]])
            self._together[shape] = None if together is None else Statement(together)
        statement = self._together[shape]
        if statement is None:
            return {key: await self._one(connection, key, shape) for key in keys}
        arrays = {
            f"many_{name}": [key[place][1] for key in keys]
            for place, (name, _) in enumerate(keys[0])
        }
        rows = await connection.fetch(statement.text, statement.arguments(**arrays))
        return {keys[row[0] - 1]: _found(row[1:]) for row in rows}

    def _text(self, shape: Any) -> str:
        """The statement for a page of this shape, once one was read."""
        statement = self._alone.get(shape) or self._together.get(shape)
        return "" if statement is None else statement.text

    def _page(self, key: Any, shape: Any) -> Select[Any]:
        asked = self._pages.asked_for(shape, dict(key))
        return self._pages.joined(asked, self._document, self._sent)


def _found(row: Any) -> Found:
    items, count, *keys = row
    return encoded(items), count, tuple(keys)


def _together(page: Select[Any], names: list[str]) -> Select[Any] | None:
    """The page for each of many arguments, with its place among them.

    None where the type of an argument is not known, as in `func.length(value)`: of such values
    there is no array.
    """
    kinds = {
        one.key: one.type
        for one in iterate(page)
        if isinstance(one, BindParameter) and one.key in names
    }
    if kinds.keys() != set(names) or any(isinstance(one, NullType) for one in kinds.values()):
        return None
    arrays = [bindparam(f"many_{name}", [], type_=ARRAY(kinds[name])) for name in names]
    arguments = (
        func.unnest(*arrays)
        .table_valued(
            *(column(name, kinds[name]) for name in names),
            with_ordinality="place",
        )
        .render_derived(name=_ARGUMENTS)
    )

    def of_arguments(element: Any, **_: Any) -> Any:
        if isinstance(element, BindParameter) and element.key in kinds:
            # By its name alone: a column would draw the arguments into each subquery's own FROM.
            return literal_column(f"{_ARGUMENTS}.{element.key}", element.type)
        return None

    replaced: Any = replacement_traverse(page, {}, of_arguments)
    each = replaced.lateral("page")
    return select(arguments.c.place, *each.c).select_from(arguments.join(each, true()))

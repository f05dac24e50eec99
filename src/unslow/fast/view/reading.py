"""Reading the documents and the rows of a view, by key and in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import ColumnElement, select

from ..database import Database
from ..gathering import Coalesced, Read
from ..statements import Statement
from .assembling import Rows, Values
from .expressions import MARK
from .keys import key_arguments, matching
from .needs import Node

_MARK: Final = MARK.encode()


class DocumentsByKey:
    """The JSON of rows by key, many at once: one statement."""

    def __init__(self, database: Database, node: Node, document: Any, where: Sequence[Any]) -> None:
        self._database = database
        keys = list(node.mapper.primary_key)
        self._key_count = len(keys)
        self.statement = Statement(select(*keys, document).where(matching(keys), *where))

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Read[Any, bytes | None]]:
        """Reads on one connection for as long as the block lasts; `None` is for what has a mark."""
        count = self._key_count
        async with self._database.connect() as connection:

            async def read(keys: list[Any], _caller: Any) -> Mapping[Any, bytes | None]:
                arguments = self.statement.arguments(**key_arguments(keys, count))
                rows = await connection.fetch(self.statement.text, arguments)
                if count == 1:
                    return {row[0]: unmarked(row[1]) for row in rows}
                return {tuple(row[:count]): unmarked(row[count]) for row in rows}

            yield read


class RowsByKey:
    """The values of rows by key, many at once: a statement, and one per relationship."""

    def __init__(
        self, database: Database, rows: Rows, where: Sequence[ColumnElement[bool]]
    ) -> None:
        self._database = database
        self._rows = rows
        entity = rows.node.mapper.class_
        keys = list(rows.node.mapper.primary_key)
        self._key_count = len(keys)
        self.statement = Statement(select(*rows.columns(entity)).where(matching(keys), *where))

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Read[Any, Values]]:
        """Reads on one connection for as long as the block lasts."""
        count = self._key_count
        async with self._database.connect() as connection:

            async def read(keys: list[Any], _caller: Any) -> Mapping[Any, Values]:
                arguments = self.statement.arguments(**key_arguments(keys, count))
                rows = await connection.fetch(self.statement.text, arguments)
                values = await self._rows.values(connection, rows)
                found = [row[0] if count == 1 else tuple(row[:count]) for row in rows]
                return dict(zip(found, values, strict=True))

            yield read


def gathered(source: DocumentsByKey | RowsByKey, missing: Any) -> Coalesced[Any, Any]:
    """Concurrent look-ups together."""
    return Coalesced(source.opened, missing=missing, text=lambda _caller: source.statement.text)


def unmarked(sent: bytes | str | None) -> bytes | None:
    """The bytes of what the driver gave; `None` if a value in it can only be written by Python."""
    if sent is None:
        return None
    document = encoded(sent)
    return None if _MARK in document else document


def encoded(sent: bytes | str) -> bytes:
    """What `Documents.sent` has the driver give, as bytes."""
    return sent.encode() if isinstance(sent, str) else sent

"""Whether PostgreSQL hides rows of a table from some callers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Table

from ..database import Database
from ..statements import DIALECT
from .needs import Node

_SECURED = """
SELECT name FROM unnest($1::text[]) AS name
JOIN pg_catalog.pg_class ON pg_class.oid = name::regclass
WHERE pg_class.relrowsecurity
"""


async def secured_tables(database: Database, node: Node) -> list[str]:
    """The tables of a node, and of all below it, that have row-level security on."""
    names = [DIALECT.identifier_preparer.format_table(one) for one in _tables(node)]
    async with database.connect() as connection:
        return [str(row[0]) for row in await connection.fetch(_SECURED, (names,))]


def _tables(node: Node) -> Iterable[Table]:
    found: set[Any] = set()
    for one in node.all_nodes():
        found.add(one.mapper.local_table)
        found |= {r.relationship.secondary for r in one.related}
    return sorted((one for one in found if isinstance(one, Table)), key=lambda one: one.key)

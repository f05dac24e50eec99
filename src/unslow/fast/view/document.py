"""The *json* make: one statement, whose JSON PostgreSQL makes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Column, ColumnElement, func, inspect, literal_column, select
from sqlalchemy.orm import aliased
from sqlalchemy.sql.visitors import replacement_traverse

from .expressions import MARK_TEXT, InexactError, constant, json_text
from .needs import Field, Leaf, Node, Other, Related

Expression = ColumnElement[Any]


class Documents:
    """Writes the JSON of nodes for one driver."""

    def __init__(self, driver: str, limits: Mapping[str, int], *, trust_database: bool) -> None:
        self.driver = driver
        self._limits = limits
        self._trust_database = trust_database

    def document(self, node: Node, entity: Any, path: str = "") -> Expression:
        """The JSON object of a row of an aliased class, as text.

        Raises:
            InexactError: A field has no expression that is sure.
        """
        pieces: list[Expression] = []
        text = "{"
        for field in node.fields:
            text += f"{json.dumps(field.key)}:"
            pieces += [constant(text), self._value(field, entity, path)]
            text = ","
        pieces.append(constant("}" if node.fields else "{}"))
        written = pieces[0]
        for piece in pieces[1:]:
            written = written.concat(piece)
        # What is unexpectedly nothing would vanish from a list.
        return func.coalesce(written, MARK_TEXT)

    def sent(self, text: Expression) -> Expression:
        """The text as the driver takes it with the least work."""
        # asyncpg would decode it, only for us to encode it again: 40 us for 60 kB that are not all
        # ASCII. psycopg has its bytes sent as hexadecimal digits.
        return func.convert_to(text, constant("UTF8")) if self.driver == "asyncpg" else text

    def _value(self, field: Field, entity: Any, path: str) -> Expression:
        if isinstance(field, Leaf):
            column = getattr(entity, field.attribute)
            return json_text(field, column, trust_database=self._trust_database, driver=self.driver)
        if isinstance(field, Other):
            raise InexactError(f"{field.attribute} is no column")
        inner = f"{path}{field.name}"
        write = self._list if field.is_list else self._one
        return write(field, entity, inner)

    def _list(self, field: Related, entity: Any, path: str) -> Expression:
        child = aliased(field.node.mapper.class_)
        document = self.document(field.node, child, f"{path}.")
        rows = (
            select(document.label("document"))
            .where(getattr(entity, field.attribute).of_type(child))
            # In a subquery of its own: an index that has this order then saves the sorting, which
            # inside the aggregate only PostgreSQL 16 and later see.
            .order_by(*order_of(field, child))
            .correlate(entity)
        )
        if (limit := self._limits.get(path)) is not None:
            rows = rows.limit(literal_column(str(limit)))
        items = rows.subquery()
        joined = select(func.string_agg(items.c.document, constant(","))).scalar_subquery()
        return constant("[").concat(func.coalesce(joined, constant(""))).concat(constant("]"))

    def _one(self, field: Related, entity: Any, path: str) -> Expression:
        child = aliased(field.node.mapper.class_)
        document = self.document(field.node, child, f"{path}.")
        condition = getattr(entity, field.attribute).of_type(child)
        found = select(document).where(condition).correlate(entity).scalar_subquery()
        return func.coalesce(found, constant("null") if field.is_optional else MARK_TEXT)


def order_of(field: Related, child: Any) -> Iterator[Any]:
    """The relationship's own order, else that of the primary key: some order, always the same.

    Args:
        field: The relationship.
        child: The alias of its class that rows are read from.
    """
    selectable = inspect(child).selectable

    def of_alias(element: Any, **_: Any) -> Any:
        return selectable.corresponding_column(element) if isinstance(element, Column) else None

    orders = field.relationship.order_by or field.node.mapper.primary_key
    for one in orders:
        yield replacement_traverse(one, {}, of_alias)

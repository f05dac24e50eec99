"""The *rows* make: a statement for the rows and one per relationship, put together as dictionaries.

What stands in the dictionaries is what validation would have read from the objects, by the same
names, so the model checks and serializes it as it would have those.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from sqlalchemy import Select, Text, cast, func, inspect, select
from sqlalchemy.orm import aliased
from sqlalchemy.types import ARRAY, JSON, Enum, Float, Numeric, TypeEngine, Uuid

from ..database import Connection, Row
from ..statements import Statement, result_processor
from .document import order_of
from .keys import key_arguments, matching
from .needs import Node, Related

Values: TypeAlias = dict[str, Any]
Convert: TypeAlias = Callable[[Any], Any]


def converter(kind: TypeEngine[Any]) -> Convert | None:
    """What turns a driver's value into the one that SQLAlchemy gives; none if it is the same."""
    if isinstance(kind, ARRAY):
        convert = converter(kind.item_type)
        return None if convert is None else partial(_each, convert)
    if isinstance(kind, Enum) and kind.enum_class is not None:
        return result_processor(kind)
    if isinstance(kind, JSON):
        return json.loads
    if isinstance(kind, Numeric) and not isinstance(kind, Float) and not kind.asdecimal:
        return float
    if isinstance(kind, Uuid) and not kind.as_uuid:
        return str
    return None


def _each(convert: Convert, values: list[Any]) -> list[Any]:
    """The same for an array, which may hold nulls, or arrays."""
    return [
        _each(convert, one) if isinstance(one, list) else None if one is None else convert(one)
        for one in values
    ]


class Rows:
    """Reads a node and all below it: a statement per relationship, however many rows there are."""

    def __init__(self, node: Node, limits: Mapping[str, int], path: str = "") -> None:
        self.node = node
        self._names = [leaf.given_as for leaf in node.leaves]
        self._converters = [
            (place, convert)
            for place, leaf in enumerate(node.leaves)
            if (convert := converter(leaf.column.type)) is not None
        ]
        self._key_count = len(node.mapper.primary_key)
        self._below = [_Below(one, limits, f"{path}{one.name}") for one in node.related]

    def columns(self, entity: Any) -> list[Any]:
        """What is read of an alias: the primary key, then the model's fields."""
        selectable = inspect(entity).selectable
        keys = [selectable.corresponding_column(one) for one in self.node.mapper.primary_key]
        return [*keys, *(_readable(getattr(entity, leaf.attribute)) for leaf in self.node.leaves)]

    def statements(self) -> Iterator[str]:
        """The statements for what is below, in the order in which they are sent."""
        for below in self._below:
            yield below.statement.text
            yield from below.rows.statements()

    async def values(self, connection: Connection, rows: Sequence[Row]) -> list[Values]:
        """What validation is to be given for rows of `columns`."""
        count = self._key_count
        found = [self._of(row, count) for row in rows]
        keys = [row[0] if count == 1 else tuple(row[:count]) for row in rows]
        for below in self._below:
            by_parent = await below.read(connection, keys, count)
            for key, values in zip(keys, found, strict=True):
                values[below.given_as] = below.of(by_parent.get(key))
        return found

    def _of(self, row: Row, first: int) -> Values:
        values = dict(zip(self._names, row[first:], strict=True))
        for place, convert in self._converters:
            value = row[first + place]
            if value is not None:
                values[self._names[place]] = convert(value)
        return values


class _Below:
    """A relationship of a node: its rows for many parents by one statement."""

    def __init__(self, field: Related, limits: Mapping[str, int], path: str) -> None:
        self.given_as = field.given_as
        self._is_list = field.is_list
        self.rows = Rows(field.node, limits, f"{path}.")
        self.statement = Statement(self._selected(field, limits.get(path)))

    def _selected(self, field: Related, limit: int | None) -> Select[Any]:
        parent, child = aliased(field.relationship.parent.class_), aliased(field.node.mapper.class_)
        keys = [
            inspect(parent).selectable.corresponding_column(one)
            for one in field.relationship.parent.primary_key
        ]
        order = [*order_of(field, child)]
        columns = [*(key.label(f"parent_{n}") for n, key in enumerate(keys))]
        columns += [c.label(f"child_{n}") for n, c in enumerate(self.rows.columns(child))]
        joined = (
            select(*columns)
            .select_from(parent)
            .join(getattr(parent, field.attribute).of_type(child))
            .where(matching(keys))
        )
        if limit is None:
            return joined.order_by(*order)
        place = func.row_number().over(partition_by=keys, order_by=order).label("place")
        numbered = joined.add_columns(place).subquery()
        return (
            select(*(one for one in numbered.c if one.name != "place"))
            .where(numbered.c.place <= limit)
            .order_by(numbered.c.place)
        )

    async def read(
        self, connection: Connection, keys: Sequence[Any], count: int
    ) -> dict[Any, list[Values]]:
        """The values of the rows by the key of their parent."""
        if not keys:
            return {}
        arguments = self.statement.arguments(**key_arguments(keys, count))
        rows = await connection.fetch(self.statement.text, arguments)
        values = await self.rows.values(connection, [row[count:] for row in rows])
        found: dict[Any, list[Values]] = {}
        for row, one in zip(rows, values, strict=True):
            found.setdefault(row[0] if count == 1 else tuple(row[:count]), []).append(one)
        return found

    def of(self, values: list[Values] | None) -> Any:
        """What stands in the parent."""
        if self._is_list:
            return values or []
        return values[0] if values else None


def _readable(column: Any) -> Any:
    # As text, for drivers differ in whether they decode it.
    return cast(column, Text) if isinstance(column.type, JSON) else column

"""The conditions for the rows that come after a row, written for B-tree indexes.

Columns that go in one direction and have no nulls are compared as a row, `(a, b) > ($1, $2)`: one
range of an index on them. Where the direction changes, or where nulls stand, what comes after a row
is several ranges, and a single condition for them reads more of the index than it gives.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeAlias, TypeVar

from .ordering import Order

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

Condition = TypeVar("Condition")

Places: TypeAlias = range
"""Columns of an order that stand side by side."""

_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


class Writer(Protocol[Condition]):
    """Writes conditions on columns, which are named by their places in the order."""

    def compare(self, places: Places, comparison: str) -> Condition:
        """The columns, as a row if they are several, against their values."""

    def is_null(self, place: int) -> Condition:
        """The column has no value."""

    def is_not_null(self, place: int) -> Condition:
        """The column has a value."""

    def both(self, one: Condition, other: Condition) -> Condition:
        """One and the other."""

    def either(self, conditions: Sequence[Condition]) -> Condition:
        """One of them; of none it is false."""


class After(Generic[Condition]):
    """What comes after a row with these values."""

    def __init__(
        self, orders: Sequence[Order], values: Sequence[Any], writer: Writer[Condition]
    ) -> None:
        self._orders = orders
        self._values = values
        self._writer = writer

    def ranges(self, place: int = 0) -> list[Condition]:
        """Conditions of which each is one range of an index; together all rows, in their order."""
        if place == len(self._orders):
            return []
        if self._is_null(place):
            alike = self._writer.is_null(place)
            found = [self._writer.both(alike, one) for one in self.ranges(place + 1)]
        else:
            run = self._run(place)
            alike = self._writer.compare(run, "=")
            found = [self._writer.both(alike, one) for one in self.ranges(run.stop)]
            found.append(self._writer.compare(run, self._beyond(place)))
        return found + self._across_nulls(place)

    def condition(self) -> Condition:
        """One condition for all of them."""
        return self._writer.either(self._alternatives(0))

    def _alternatives(self, place: int) -> list[Condition]:
        """The same rows as the ranges; only what nulls divide is divided."""
        if place == len(self._orders):
            return []
        writer = self._writer
        rest = self._alternatives(self._run(place).stop)
        if self._is_null(place):
            found = [writer.both(writer.is_null(place), writer.either(rest))] if rest else []
        else:
            found = [self._bounded(self._run(place), rest)]
        return found + self._across_nulls(place)

    def _bounded(self, run: Places, rest: Sequence[Condition]) -> Condition:
        """Beyond the values, or like them and then the rest."""
        writer, beyond = self._writer, self._beyond(run.start)
        outside = writer.compare(run, beyond)
        if not rest:
            return outside
        alike = writer.both(writer.compare(run, "="), writer.either(rest))
        # The first part says nothing new, but an index can begin with it; with OR it cannot.
        return writer.both(writer.compare(run, f"{beyond}="), writer.either([outside, alike]))

    def _across_nulls(self, place: int) -> list[Condition]:
        """What stands on the other side of the border between values and nulls, if it comes."""
        order = self._orders[place]
        if not order.nullable or self._is_null(place) != order.nulls_first:
            return []
        if order.nulls_first:
            return [self._writer.is_not_null(place)]
        return [self._writer.is_null(place)]

    def _is_null(self, place: int) -> bool:
        return self._values[place] is None

    def _beyond(self, place: int) -> str:
        return "<" if self._orders[place].descending else ">"

    def _run(self, place: int) -> Places:
        """From here the columns that can be compared as one row; a nullable one stands alone."""
        first, stop = self._orders[place], place + 1
        if not first.nullable:
            while stop < len(self._orders) and self._goes_on(first, self._orders[stop]):
                stop += 1
        return range(place, stop)

    @staticmethod
    def _goes_on(first: Order, order: Order) -> bool:
        return not order.nullable and order.descending == first.descending


class SQLWriter:
    """Writes SQL with parameters such as `$1`."""

    def __init__(
        self, orders: Sequence[Order], values: Sequence[Any], first_parameter: int
    ) -> None:
        """Numbers the values, from the first parameter on; a null needs none."""
        self._columns = [str(order.column) for order in orders]
        self._parameters: dict[int, str] = {}
        self.arguments: list[Any] = []
        """The values of the parameters."""
        for place, value in enumerate(values):
            if value is not None:
                self._parameters[place] = f"${first_parameter + len(self.arguments)}"
                self.arguments.append(value)

    def compare(self, places: Places, comparison: str) -> str:
        left = ", ".join(self._columns[place] for place in places)
        right = ", ".join(self._parameters[place] for place in places)
        if len(places) == 1:
            return f"{left} {comparison} {right}"
        return f"({left}) {comparison} ({right})"

    def is_null(self, place: int) -> str:
        return f"{self._columns[place]} IS NULL"

    def is_not_null(self, place: int) -> str:
        return f"{self._columns[place]} IS NOT NULL"

    def both(self, one: str, other: str) -> str:
        return f"{one} AND {other}"

    def either(self, conditions: Sequence[str]) -> str:
        if len(conditions) == 1:
            return conditions[0]
        return f"({' OR '.join(conditions)})" if conditions else "false"


class ExpressionWriter:
    """Writes expressions of SQLAlchemy."""

    def __init__(self, orders: Sequence[Order], values: Sequence[Any]) -> None:
        self._columns: list[ColumnElement[Any]] = [order.column for order in orders]
        self._values = values

    def compare(self, places: Places, comparison: str) -> ColumnElement[bool]:
        from sqlalchemy import tuple_

        left = [self._columns[place] for place in places]
        right = [self._value(place) for place in places]
        compare = _OPERATORS[comparison]
        several = len(places) > 1
        condition: ColumnElement[bool] = (
            compare(tuple_(*left), tuple_(*right)) if several else compare(left[0], right[0])
        )
        return condition

    def is_null(self, place: int) -> ColumnElement[bool]:
        return self._columns[place].is_(None)

    def is_not_null(self, place: int) -> ColumnElement[bool]:
        return self._columns[place].is_not(None)

    def both(self, one: ColumnElement[bool], other: ColumnElement[bool]) -> ColumnElement[bool]:
        return one & other

    def either(self, conditions: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
        from sqlalchemy import false, or_

        return or_(false(), *conditions)

    def _value(self, place: int) -> ColumnElement[Any]:
        from sqlalchemy import bindparam
        from sqlalchemy.types import NullType

        # A column without a known type has its value's.
        kind = self._columns[place].type
        known = None if isinstance(kind, NullType) else kind
        # By name, so that who compiled the statement once can give it the next values.
        return bindparam(f"keyset_{place}", self._values[place], known)

"""Keyset pagination: a page begins after the last row of the one before, not at a number of rows.

So each page costs the same however deep it is, and rows that come or go meanwhile neither hide
others nor show them twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from ..errors import BadRequestError, DefinitionError, MissingLibraryError
from .conditions import After, ExpressionWriter, SQLWriter
from .cursors import MAX_LENGTH, Cursors, Secret
from .ordering import Order, check_unique, order_of

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200


@dataclass(frozen=True, slots=True)
class PageQuery:
    """What a client asks for in the query of its URL."""

    cursor: str | None = None
    """The `next` of the page before; None for the first page."""
    limit: int | None = None
    """How many items at most; None for as many as usual."""


class Keyset:
    """The order of a list, the cursors in it, and the limits of its pages."""

    def __init__(
        self,
        *orderings: Any,
        secret: Secret,
        default_limit: int = DEFAULT_LIMIT,
        max_limit: int = MAX_LIMIT,
    ) -> None:
        """Declares a list.

        Args:
            orderings: The columns, the first one first: expressions of SQLAlchemy, such as
                `User.created_at.desc().nulls_last(), User.id`; or for SQL an `Order` each. No two
                rows may have the same values in all of them.
            secret: Signs the cursors: at least 16 bytes, the same in all processes. Of several the
                first signs and all are known, so that a new one can be put in front.
            default_limit: How many items a page has when nobody asks, at most.
            max_limit: How many may be asked for.

        Raises:
            DefinitionError: There is no column, two rows may share the values, the secret is too
                short, or the limits are none.
        """
        self.orders = tuple(order_of(ordering) for ordering in orderings)
        """The columns."""
        _check_orders(self.orders)
        self._has_enums = any(order.is_enum for order in self.orders)
        if not 1 <= default_limit <= max_limit:
            raise DefinitionError(
                f"got default_limit={default_limit} and max_limit={max_limit}; "
                "wanted 1 <= default_limit <= max_limit"
            )
        self.default_limit = default_limit
        self.max_limit = max_limit
        binding = json.dumps([order.fingerprint for order in self.orders])
        self._cursors = Cursors(secret, binding)

    def order_by(self) -> tuple[ColumnElement[Any], ...]:
        """The order, for `statement.order_by(*keyset.order_by())`.

        Raises:
            DefinitionError: The columns are SQL.
        """
        self._need_expressions()
        return tuple(order.expression() for order in self.orders)

    def order_by_sql(self) -> str:
        """The order in SQL, as it stands behind ORDER BY.

        Raises:
            DefinitionError: The columns are expressions of SQLAlchemy.
        """
        self._need_sql()
        return ", ".join(order.sql() for order in self.orders)

    def after(self, values: Sequence[Any]) -> ColumnElement[bool]:
        """The condition for the rows after the one with these values.

        An index on the columns is read from there on; where the direction changes or nulls stand,
        rows that are alike in the columns before are read again: `ranges` spares that.

        Raises:
            DefinitionError: The columns are SQL, or the values are not of them.
        """
        return self._after(values).condition()

    def ranges(self, values: Sequence[Any]) -> list[ColumnElement[bool]]:
        """The same in parts: the rows of one all come before those of the next.

        Each part is one range of an index on the columns. Read one after another, until the page
        is full, they cost no more than the page.

        Raises:
            DefinitionError: The columns are SQL, or the values are not of them.
        """
        return self._after(values).ranges()

    def after_sql(
        self, values: Sequence[Any], first_parameter: int = 1
    ) -> tuple[str, tuple[Any, ...]]:
        """The condition for the rows after the one with these values, in SQL, to be joined by AND.

        Args:
            values: The values of the columns.
            first_parameter: The number of its first parameter: with 3 it begins with `$3`.

        Returns:
            The condition and its arguments; a null takes none.

        Raises:
            DefinitionError: The columns are expressions, or the values are not of them.
        """
        after, arguments = self._after_sql(values, first_parameter)
        return after.condition(), arguments

    def ranges_sql(
        self, values: Sequence[Any], first_parameter: int = 1
    ) -> tuple[list[str], tuple[Any, ...]]:
        """The same in parts, for branches of one UNION ALL: the arguments are those of all.

        Raises:
            DefinitionError: The columns are expressions, or the values are not of them.
        """
        after, arguments = self._after_sql(values, first_parameter)
        return after.ranges(), arguments

    def cursor(self, values: Sequence[Any], scope: str = "") -> str:
        """The cursor after a row.

        Args:
            values: The row's values in the columns of the order.
            scope: What else the list depends on, such as its filters: the cursor is refused with
                any other.

        Raises:
            DefinitionError: The values are not of the columns, of a type that no cursor carries, or
                too long for one.
        """
        self._check(values)
        given = list(map(_written, self.orders, values)) if self._has_enums else values
        return self._cursors.sign(given, scope)

    def values(self, cursor: str, scope: str = "") -> tuple[Any, ...]:
        """The values of a row after which a page begins.

        Raises:
            BadRequestError: The cursor is none of this list, order and scope.
        """
        found = self._cursors.values(cursor, scope)
        return tuple(map(_read, self.orders, found)) if self._has_enums else found

    def limit(self, asked: int | None = None) -> int:
        """How many items a page has at most.

        Raises:
            BadRequestError: More are asked for than allowed, or none.
        """
        if asked is None:
            return self.default_limit
        if not 1 <= asked <= self.max_limit:
            raise BadRequestError(
                f"limit is {asked}; wanted 1 to {self.max_limit}, "
                f"or no limit for {self.default_limit}"
            )
        return asked

    def parameters(self) -> Callable[..., PageQuery]:
        """Reads `cursor` and `limit` from the query, for `Depends` of FastAPI.

        Raises:
            MissingLibraryError: FastAPI is not installed.
        """
        try:
            from fastapi import Query
        except ImportError as error:
            raise MissingLibraryError(
                "Keyset.parameters() is for FastAPI, which is not installed: install it, or make "
                "a PageQuery from the query yourself"
            ) from error

        def page_query(
            cursor: str | None = Query(
                None,
                description="The `next` of the page before; none for the first page.",
                max_length=MAX_LENGTH,
            ),
            limit: int = Query(
                self.default_limit,
                description="How many items at most.",
                ge=1,
                le=self.max_limit,
            ),
        ) -> PageQuery:
            return PageQuery(cursor, limit)

        return page_query

    def _after(self, values: Sequence[Any]) -> After[ColumnElement[bool]]:
        self._need_expressions()
        self._check(values)
        return After(self.orders, values, ExpressionWriter(self.orders, values))

    def _after_sql(
        self, values: Sequence[Any], first_parameter: int
    ) -> tuple[After[str], tuple[Any, ...]]:
        self._need_sql()
        self._check(values)
        writer = SQLWriter(self.orders, values, first_parameter)
        return After(self.orders, values, writer), tuple(writer.arguments)

    def _check(self, values: Sequence[Any]) -> None:
        if len(values) != len(self.orders):
            raise DefinitionError(
                f"got {len(values)} values; wanted one for each of the {len(self.orders)} columns "
                "of the order"
            )
        for order, value in zip(self.orders, values, strict=True):
            order.check(value)

    def _need_sql(self) -> None:
        if not self.orders[0].is_text:
            raise DefinitionError(
                "the order is made of expressions of SQLAlchemy, and SQL was asked for; "
                'declare it with Order("id", type=int, nullable=False) and the like'
            )

    def _need_expressions(self) -> None:
        if self.orders[0].is_text:
            raise DefinitionError(
                "the order is SQL, and expressions of SQLAlchemy were asked for; "
                "declare it with User.id.desc() and the like"
            )


def _check_orders(orders: Sequence[Order]) -> None:
    if not orders:
        raise DefinitionError("got no column to order by; wanted some, the last of them unique")
    kinds = {order.is_text for order in orders}
    if len(kinds) > 1:
        raise DefinitionError(
            "got columns in SQL and expressions of SQLAlchemy in one order; wanted one kind"
        )
    if kinds == {False}:
        check_unique(orders)


def _written(order: Order, value: Any) -> Any:
    """The value as a cursor carries it: a member of an enum by its name."""
    return value.name if order.is_enum and isinstance(value, Enum) else value


def _read(order: Order, value: Any) -> Any:
    if not order.is_enum or value is None:
        return value
    members: Any = order.type
    return members[value]

"""The order of a list by several columns, in SQL or in expressions of SQLAlchemy."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import DefinitionError
from .cursors import TYPES

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

Type: TypeAlias = type[Any]


@dataclass(frozen=True, slots=True)
class Order:
    """One column of an order.

    Raises:
        DefinitionError: Its type is none that a cursor carries.
    """

    column: Any
    """The column in SQL, as it is to be written; or an expression of SQLAlchemy."""
    _: KW_ONLY
    nullable: bool
    """Whether it may have nulls. Rows with nulls that were denied are missed."""
    type: Type | None = None
    """The Python type of its values; text in SQL has none of its own."""
    descending: bool = False
    nulls_first: bool | None = None
    """Whether nulls stand before all values: where descending, if not said, as in PostgreSQL."""
    unique: bool = False
    """Whether no two rows have the same value, where SQLAlchemy cannot know."""

    def __post_init__(self) -> None:
        if self.nulls_first is None:
            object.__setattr__(self, "nulls_first", self.descending)
        if self.type is None and isinstance(self.column, str):
            raise DefinitionError(
                f"got {self.column!r} as order without a type; "
                f"wanted one, such as Order({self.column!r}, type=int, nullable=False)"
            )
        # The driver gives the name of a member, where SQLAlchemy gives the member.
        carried = TYPES if self.is_text else (*TYPES, Enum)
        if self.type is not None and not issubclass(self.type, carried):
            kinds = ", ".join(kind.__name__ for kind in TYPES)
            raise DefinitionError(
                f"got {self.type.__name__} as type of {self.column}; "
                f"wanted one that a cursor carries: {kinds}"
            )

    @property
    def is_text(self) -> bool:
        """Whether the column is written in SQL."""
        return isinstance(self.column, str)

    @property
    def is_enum(self) -> bool:
        """Whether its values are members of an enum."""
        return self.type is not None and issubclass(self.type, Enum)

    @property
    def is_float(self) -> bool:
        """Whether its values are floats."""
        return self.type is not None and issubclass(self.type, float)

    @property
    def has_usual_nulls(self) -> bool:
        """Whether nulls stand where PostgreSQL puts them if nothing is said."""
        return self.nulls_first == self.descending

    @property
    def fingerprint(self) -> list[str | bool | None]:
        """What a cursor of this order depends on."""
        kind = None if self.type is None else self.type.__name__
        return [str(self.column), kind, self.descending, self.nulls_first]

    def check(self, value: Any) -> None:
        """Refuses a value that is none of the column.

        Raises:
            DefinitionError: It is a null that was denied, or of another type than was declared.
        """
        if value is None:
            if not self.nullable:
                raise DefinitionError(
                    f"got a null in {self.column}, which is declared as not nullable: rows are "
                    "missed so; use Order(..., nullable=True), also where an outer join makes nulls"
                )
        # A type of SQLAlchemy may give other values than it says.
        elif self.type is not None and self.is_text and not isinstance(value, self.type):
            raise DefinitionError(
                f"got a value of {type(value).__qualname__} for {self.column}; wanted one of "
                f"{self.type.__qualname__}, as it is declared: see the order of the columns"
            )

    def sql(self, column: str | None = None) -> str:
        """The order as in ORDER BY, of another name for the column if one is given."""
        written = (column or str(self.column)) + (" DESC" if self.descending else "")
        if self.has_usual_nulls:
            return written
        return f"{written} NULLS {'FIRST' if self.nulls_first else 'LAST'}"

    def expression(self) -> ColumnElement[Any]:
        """The order as in `order_by`."""
        written: ColumnElement[Any] = self.column.desc() if self.descending else self.column
        if self.has_usual_nulls:
            return written
        return written.nulls_first() if self.nulls_first else written.nulls_last()


def order_of(ordering: Any) -> Order:
    """An order as it was given: an `Order`, or an expression such as `User.id.desc()`.

    Raises:
        DefinitionError: It is neither.
    """
    if not isinstance(ordering, Order):
        return _order_of_clause(_clause(ordering))
    if ordering.is_text:
        return ordering
    column = _clause(ordering.column)
    if _modifier(column):
        raise DefinitionError(
            f"got {column} as the column of an Order; "
            "wanted the column alone, with descending= and nulls_first= beside it"
        )
    return replace(ordering, column=column, type=ordering.type or _python_type(column))


def _clause(ordering: Any) -> ColumnElement[Any]:
    element = getattr(ordering, "__clause_element__", lambda: ordering)()
    # Who has an expression has loaded its library.
    kind = getattr(sys.modules.get("sqlalchemy"), "ColumnElement", None)
    if kind is not None and isinstance(element, kind):
        found: ColumnElement[Any] = element
        return found
    raise DefinitionError(
        f"got {ordering!r} as order; wanted an expression of SQLAlchemy, such as User.id.desc(), "
        'or for SQL an Order, such as Order("id", type=int, nullable=False)'
    )


def _order_of_clause(clause: ColumnElement[Any]) -> Order:
    modifiers = set()
    while modifier := _modifier(clause):
        modifiers.add(modifier)
        clause = clause.element
    if clause.__visit_name__ == "textual_label_reference":
        raise DefinitionError(
            f"got the text {str(clause)!r} as order; wanted the column itself, such as User.id"
        )
    says_where = modifiers & {"nulls_first_op", "nulls_last_op"}
    return Order(
        clause,
        # What is computed may be null, whatever it is made of.
        nullable=bool(getattr(clause, "nullable", True)),
        type=_python_type(clause),
        descending="desc_op" in modifiers,
        nulls_first="nulls_first_op" in modifiers if says_where else None,
    )


def _modifier(clause: ColumnElement[Any]) -> str | None:
    """The name of what `desc()` and its like put around an expression, if they did."""
    modifier = getattr(clause, "modifier", None)
    name: str | None = getattr(modifier, "__name__", None)
    return name if name in {"asc_op", "desc_op", "nulls_first_op", "nulls_last_op"} else None


def _python_type(column: ColumnElement[Any]) -> Type | None:
    try:
        kind = column.type.python_type
    except NotImplementedError:
        return None
    # What SQLAlchemy says where it cannot know.
    return None if kind is object else kind


def check_unique(orders: Sequence[Order]) -> None:
    """Refuses columns of SQLAlchemy that two rows may share.

    Raises:
        DefinitionError: No primary key and no unique constraint is among them.
    """
    columns: dict[Any, set[str]] = {}
    for order in orders:
        if order.unique:
            return
        for column in getattr(order.column, "base_columns", ()):
            # The table that is asked for tells a table from its alias.
            asked = getattr(order.column, "table", None)
            columns.setdefault((asked, getattr(column, "table", None)), set()).add(column.key)
    for (_, table), names in columns.items():
        if any(key <= names for key in _keys(table)):
            return
    written = ", ".join(order.sql() for order in orders)
    raise DefinitionError(
        f"got an order by {written}, which several rows may share: some would be missed between "
        "two pages; add the primary key as the last column, or Order(..., unique=True) where "
        "SQLAlchemy cannot know"
    )


def _keys(table: Any) -> Iterator[set[str]]:
    """The sets of columns whose values no two rows of a table share."""
    from sqlalchemy import Column, PrimaryKeyConstraint, Table, UniqueConstraint

    if not isinstance(table, Table):
        return
    found: list[list[Any]] = [
        list(constraint.columns)
        for constraint in table.constraints
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint)
    ]
    found += [
        list(index.expressions)
        for index in table.indexes
        if index.unique and index.dialect_kwargs.get("postgresql_where") is None
    ]
    for columns in found:
        # Nulls are equal to nothing, so a unique column may have many.
        if columns and all(isinstance(one, Column) and not one.nullable for one in columns):
            yield {one.key for one in columns}

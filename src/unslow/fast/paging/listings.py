"""What pages are read from: the rows of a statement in SQL, or of a `select()` of SQLAlchemy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from ..database import Connection, EngineDatabase, Source, database
from ..errors import DefinitionError, UnsupportedSourceError
from .keysets import Keyset
from .ordering import Order

if TYPE_CHECKING:
    from sqlalchemy import Select

    AnySelect: TypeAlias = Select[*tuple[Any, ...]]

Found: TypeAlias = tuple[Any, Sequence[Any]]
"""A row, and its values in the columns of the order."""

_KEY: Final = "unslow_key_"
"""How the columns are called that are read for the cursor, beside those of the statement."""


class Listing(Protocol):
    """A list in a database, on an open connection."""

    async def rows(self, values: Sequence[Any] | None, count: int) -> list[Found]:
        """So many rows after the one with these values; from the first row on without them."""

    async def exact(self) -> int:
        """How many rows there are."""

    async def plan(self) -> Any:
        """What EXPLAIN (FORMAT JSON) says."""


@asynccontextmanager
async def opened_listing(
    source: Source,
    statement: str | AnySelect,
    arguments: Sequence[Any],
    keyset: Keyset,
    timeout_s: float | None,
) -> AsyncIterator[Listing]:
    """The list that a statement makes, on a connection of its own until the end of the block.

    Raises:
        DefinitionError: Statement, keyset and source do not fit together.
        PoolTimeoutError: No connection became free in time.
    """
    if isinstance(statement, str):
        async with database(source).connect(timeout_s) as connection:
            yield SQLListing(connection, statement, arguments, keyset)
        return
    _check_select(statement)
    if arguments:
        raise DefinitionError(
            f"got {len(arguments)} arguments for a select(); wanted them in the statement itself"
        )
    _refuse_outer_joins(statement, keyset)
    async with _executing(source, timeout_s) as executing:
        yield SelectListing(executing, statement, keyset)


def _check_select(statement: Any) -> None:
    from sqlalchemy import Select

    if not isinstance(statement, Select):
        raise DefinitionError(
            f"got a {type(statement).__qualname__} as the statement of a list; wanted SQL or a "
            "select(), which takes anything else by its subquery()"
        )


@asynccontextmanager
async def _executing(source: Any, timeout_s: float | None) -> AsyncIterator[Any]:
    """What has `execute` for statements of SQLAlchemy."""
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session

    if isinstance(source, AsyncSession | AsyncConnection | async_scoped_session):
        yield source
        return
    opened = database(source)
    door = opened if isinstance(opened, EngineDatabase) else database(opened.source)
    if not isinstance(door, EngineDatabase):
        kind = type(door.source)
        raise UnsupportedSourceError(
            f"got a {kind.__module__}.{kind.__qualname__} for a statement of SQLAlchemy; wanted an "
            "AsyncSession, an AsyncConnection or an AsyncEngine, or the statement as SQL"
        )
    async with door.opened(timeout_s) as connection:
        yield connection


def exact_column(order: Order) -> Any:
    """The column, read so that its value is equal to it again.

    psycopg reads a `real` as its shortest text and sends a double: 0.1 is not 0.1 then.
    """
    if not order.is_float:
        return order.column
    if order.is_text:
        return f"CAST({order.column} AS double precision)"
    from sqlalchemy import cast
    from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION

    return cast(order.column, DOUBLE_PRECISION)


class SQLListing:
    """A statement in SQL."""

    def __init__(
        self, connection: Connection, sql: str, arguments: Sequence[Any], keyset: Keyset
    ) -> None:
        self._connection = connection
        # A comment in its last line ends with the line.
        self._sql = sql.strip().removesuffix(";") + "\n"
        self._arguments = tuple(arguments)
        self._keyset = keyset

    async def rows(self, values: Sequence[Any] | None, count: int) -> list[Found]:
        if values is None:
            sql, arguments = self._page(None, count), ()
        else:
            ranges, arguments = self._keyset.ranges_sql(values, len(self._arguments) + 1)
            sql = self._pages(ranges, count)
        width = len(self._keyset.orders)
        found = await self._connection.fetch(sql, (*self._arguments, *arguments))
        return [(tuple(row[:-width]), tuple(row[-width:])) for row in found]

    def _pages(self, ranges: Sequence[str], count: int) -> str:
        """The first rows of all ranges: PostgreSQL begins with the next when one has ended."""
        if len(ranges) < 2:
            return self._page(ranges[0] if ranges else "false", count)
        orders = self._keyset.orders
        order = ", ".join(one.sql(f"{_KEY}{place}") for place, one in enumerate(orders))
        branches = " UNION ALL ".join(f"({self._page(one, count)})" for one in ranges)
        return f"SELECT * FROM ({branches}) AS pages ORDER BY {order} LIMIT {count}"  # noqa: S608  # made of the statement, the columns' own names and a number

    def _page(self, condition: str | None, count: int) -> str:
        orders = self._keyset.orders
        keys = ", ".join(
            f"{exact_column(one)} AS {_KEY}{place}" for place, one in enumerate(orders)
        )
        # The limit stands in the text, so that a plan for all arguments knows it.
        return (
            f"SELECT page.*, {keys} FROM ({self._sql}) AS page"  # noqa: S608  # as above
            + (f" WHERE {condition}" if condition else "")
            + f" ORDER BY {self._keyset.order_by_sql()} LIMIT {count}"
        )

    async def exact(self) -> int:
        sql = f"SELECT count(*) FROM ({self._sql}) AS page"  # noqa: S608  # as above
        return int((await self._connection.fetch(sql, self._arguments))[0][0])

    async def plan(self) -> Any:
        sql = f"EXPLAIN (FORMAT JSON) {self._sql}"
        return (await self._connection.fetch(sql, self._arguments))[0][0]


class SelectListing:
    """A statement of SQLAlchemy."""

    def __init__(self, executing: Any, statement: AnySelect, keyset: Keyset) -> None:
        self._executing = executing
        self._statement = statement.order_by(None)
        self._keyset = keyset

    async def rows(self, values: Sequence[Any] | None, count: int) -> list[Found]:
        if values is None:
            return await self._read(self._statement, count)
        found: list[Found] = []
        for one in self._keyset.ranges(values):
            if len(found) < count:
                found += await self._read(self._statement.where(one), count - len(found))
        return found

    async def _read(self, statement: AnySelect, count: int) -> list[Found]:
        orders = self._keyset.orders
        keys = [exact_column(one).label(f"{_KEY}{place}") for place, one in enumerate(orders)]
        statement = statement.add_columns(*keys).order_by(*self._keyset.order_by()).limit(count)
        result = await self._executing.execute(statement)
        if self._has_entities(statement):
            # Collections that are loaded by a join come with a row for each of their members.
            result = result.unique()
        width = len(result.keys()) - len(keys)
        frozen = result.freeze()
        rows = frozen().columns(*range(width))
        cursors = frozen().columns(*range(width, width + len(keys)))
        return list(zip(rows.scalars() if width == 1 else rows, cursors, strict=True))

    def _has_entities(self, statement: AnySelect) -> bool:
        from sqlalchemy.ext.asyncio import AsyncConnection

        return not isinstance(self._executing, AsyncConnection) and any(
            one["entity"] is not None and one["expr"] is one["entity"]
            for one in statement.column_descriptions
        )

    async def exact(self) -> int:
        from sqlalchemy import func, select

        counted = select(func.count()).select_from(self._statement.subquery())
        return int((await self._executing.execute(counted)).scalar_one())

    async def plan(self) -> Any:
        from sqlalchemy import literal_column

        explained = _explained()(literal_column("1")).select_from(self._statement.subquery())
        return (await self._executing.execute(explained)).scalar_one()


@cache
def _explained() -> Any:
    """A kind of `select()` that asks for its plan: the app's listeners see a `select()` as ever."""
    from sqlalchemy import Select
    from sqlalchemy.ext.compiler import compiles

    class Explained(Select[Any]):
        inherit_cache = True

    @compiles(Explained)
    def explain(element: Any, compiler: Any, **arguments: Any) -> str:
        return f"EXPLAIN (FORMAT JSON) {compiler.visit_select(element, **arguments)}"

    return Explained


def _refuse_outer_joins(statement: AnySelect, keyset: Keyset) -> None:
    """Refuses columns that an outer join fills with nulls and that are said to have none."""
    from sqlalchemy.sql import visitors
    from sqlalchemy.sql.selectable import Join

    keyset.order_by()
    joins = [
        one
        for root in statement.get_final_froms()
        for one in visitors.iterate(root)
        if isinstance(one, Join) and (one.isouter or one.full)
    ]
    for order in keyset.orders:
        table = getattr(order.column, "table", None)
        for join in joins if table is not None and not order.nullable else ():
            if join.right.is_derived_from(table) or (
                join.full and join.left.is_derived_from(table)
            ):
                raise DefinitionError(
                    f"got an order by {order.column}, which has nulls after the outer join of the "
                    "statement; declare it with Order(..., nullable=True)"
                )

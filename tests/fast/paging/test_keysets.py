"""Walks through lists of random rows, in random orders, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import DateTime, Enum, func, insert, select
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from unslow.fast.errors import BadRequestError, DefinitionError
from unslow.fast.paging.keysets import Keyset
from unslow.fast.paging.ordering import Order
from unslow.fast.paging.pages import paginate

SECRET = "sixteen bytes or more"
EXAMPLES = 40

Row = tuple[Any, ...]
Direction = tuple[bool, bool | None]


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    size: Mapped[int]
    rank: Mapped[int | None]
    name: Mapped[str | None]
    moment: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    price: Mapped[Decimal | None]
    weight: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)


COLUMNS: dict[str, tuple[type, Sequence[Any]]] = {
    "id": (int, ()),
    "size": (int, (1, 2)),
    "rank": (int, (None, -1, 0, 1)),
    "name": (str, (None, "", "A", "a", "ä", "b'")),
    "moment": (
        datetime,
        (None, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 0, 1, UTC)),
    ),
    "price": (Decimal, (None, Decimal("1.10"), Decimal("1.1"), Decimal("NaN"))),
    "weight": (float, (None, -0.0, 0.0, 0.1, float("nan"), float("inf"))),
}
NOT_NULL = {"id", "size"}
DIRECTIONS = st.tuples(st.booleans(), st.sampled_from([None, True, False]))
ORDERS = st.builds(
    lambda chosen, last: [*chosen.items(), ("id", last)],
    st.dictionaries(st.sampled_from(sorted(COLUMNS.keys() - {"id"})), DIRECTIONS, max_size=3),
    DIRECTIONS,
)
BODIES = st.tuples(*(st.sampled_from(one) for _, one in list(COLUMNS.values())[1:]))
TABLES = st.dictionaries(st.integers(-30, 30), BODIES, max_size=30).map(
    lambda found: {key: (key, *body) for key, body in found.items()}
)


def text_keyset(orders: Sequence[tuple[str, Direction]]) -> Keyset:
    return Keyset(
        *(
            Order(
                name,
                type=COLUMNS[name][0],
                nullable=name not in NOT_NULL,
                descending=descending,
                nulls_first=nulls_first,
            )
            for name, (descending, nulls_first) in orders
        ),
        secret=SECRET,
    )


def mapped_keyset(orders: Sequence[tuple[str, Direction]]) -> Keyset:
    def written(name: str, direction: Direction) -> Any:
        column = getattr(Item, name)
        column = column.desc() if direction[0] else column.asc()
        if direction[1] is None:
            return column
        return column.nulls_first() if direction[1] else column.nulls_last()

    return Keyset(*(written(*one) for one in orders), secret=SECRET)


class Items:
    """The table, on an event loop of its own."""

    def __init__(
        self, run: Callable[[Coroutine[Any, Any, Any]], Any], pool: Any, engine: AsyncEngine
    ) -> None:
        self.run = run
        self.pool = pool
        self.engine = engine

    async def replace(self, rows: Sequence[Row]) -> None:
        await self.pool.execute("DELETE FROM items")
        await self.add(rows)

    async def add(self, rows: Sequence[Row]) -> None:
        await self.pool.copy_records_to_table("items", records=rows, columns=list(COLUMNS))

    async def remove(self, ids: Sequence[int]) -> None:
        await self.pool.execute("DELETE FROM items WHERE id = ANY($1::int[])", ids)

    async def in_order(self, keyset: Keyset) -> list[int]:
        rows = await self.pool.fetch(f"SELECT id FROM items ORDER BY {keyset.order_by_sql()}")
        return [row["id"] for row in rows]


@pytest.fixture(scope="module")
def items(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[Items]:
    with new_database() as url, asyncio.Runner() as runner:
        pool = runner.run(opened_pool(url))
        engine = create_async_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))
        yield Items(runner.run, pool, engine)
        runner.run(pool.close())
        runner.run(engine.dispose())


async def opened_pool(url: str) -> Any:
    pool = await asyncpg.create_pool(url, min_size=1, max_size=1)
    await pool.execute(
        "CREATE TABLE items (id int PRIMARY KEY, size int NOT NULL, rank int, "
        'name text COLLATE "C", moment timestamptz, price numeric, weight float8)'
    )
    return pool


Page = tuple[list[int], str | None]
Read = Callable[[Items, Sequence[tuple[str, Direction]], str | None, int], Awaitable[Page]]


async def page_of_sql(
    items: Items, orders: Sequence[tuple[str, Direction]], cursor: str | None, limit: int
) -> Page:
    page = await paginate(
        items.pool,
        "SELECT * FROM items",
        text_keyset(orders),
        cursor=cursor,
        limit=limit,
        make=lambda row: int(row[0]),
    )
    return page.items, page.next


async def page_of_select(
    items: Items, orders: Sequence[tuple[str, Direction]], cursor: str | None, limit: int
) -> Page:
    page = await paginate(
        items.engine, select(Item.id), mapped_keyset(orders), cursor=cursor, limit=limit
    )
    return page.items, page.next


async def page_after_sql(
    items: Items, orders: Sequence[tuple[str, Direction]], cursor: str | None, limit: int
) -> Page:
    """By hand, as in a statement of one's own."""
    keyset = text_keyset(orders)
    condition, arguments = keyset.after_sql(keyset.values(cursor), 2) if cursor else ("true", ())
    rows = await items.pool.fetch(
        f"SELECT * FROM items WHERE $1 AND {condition} ORDER BY {keyset.order_by_sql()} "
        f"LIMIT {limit}",
        True,
        *arguments,
    )
    following = keyset.cursor([rows[-1][name] for name, _ in orders]) if rows else None
    return [row["id"] for row in rows], following


async def page_after(
    items: Items, orders: Sequence[tuple[str, Direction]], cursor: str | None, limit: int
) -> Page:
    keyset = mapped_keyset(orders)
    statement = select(Item.__table__).order_by(*keyset.order_by()).limit(limit)
    if cursor:
        statement = statement.where(keyset.after(keyset.values(cursor)))
    async with items.engine.connect() as connection:
        rows = (await connection.execute(statement)).all()
    following = keyset.cursor([getattr(rows[-1], name) for name, _ in orders]) if rows else None
    return [row.id for row in rows], following


READS = [page_of_sql, page_of_select, page_after_sql, page_after]


@pytest.mark.parametrize("read", READS)
def test_all_pages_together_give_each_row_once_in_the_order_of_the_list(
    items: Items, read: Read
) -> None:
    @settings(max_examples=EXAMPLES, deadline=None)
    @given(TABLES, ORDERS, st.lists(st.integers(1, 9), min_size=1, max_size=5))
    def check(
        table: dict[int, Row], orders: list[tuple[str, Direction]], limits: list[int]
    ) -> None:
        async def walk() -> tuple[list[int], list[int]]:
            await items.replace(list(table.values()))
            seen: list[int] = []
            found, cursor = await read(items, orders, None, limits[0])
            for number in range(1, len(table) + 2):
                seen += found
                if cursor is None:
                    break
                found, cursor = await read(items, orders, cursor, limits[number % len(limits)])
            return await items.in_order(text_keyset(orders)), seen

        expected, actual = items.run(walk())

        assert expected == actual

    check()


@pytest.mark.parametrize("read", READS)
def test_rows_that_stay_are_neither_missed_nor_doubled_when_others_come_and_go(
    items: Items, read: Read
) -> None:
    @settings(max_examples=EXAMPLES, deadline=None)
    @given(TABLES, TABLES, ORDERS, st.integers(1, 7), st.data())
    def check(
        table: dict[int, Row],
        coming: dict[int, Row],
        orders: list[tuple[str, Direction]],
        limit: int,
        data: st.DataObject,
    ) -> None:
        async def walk() -> tuple[list[int], list[int]]:
            await items.replace(list(table.values()))
            staying, waiting = set(table), {**coming}
            for there in table:
                waiting.pop(there, None)
            expected = await items.in_order(text_keyset(orders))
            seen: list[int] = []
            cursor: str | None = None
            while True:
                found, cursor = await read(items, orders, cursor, limit)
                seen += found
                if cursor is None:
                    return [one for one in expected if one in staying], [
                        one for one in seen if one in staying
                    ]
                # The last row that was shown is the likeliest to matter.
                candidates = sorted(staying | {*found})
                going = data.draw(st.lists(st.sampled_from(candidates), max_size=3))
                await items.remove(going)
                staying -= {*going}
                added = [waiting.popitem()[1] for _ in range(min(3, len(waiting)))]
                await items.add(added)

        expected, actual = items.run(walk())

        assert expected == actual

    check()


class Level(enum.Enum):
    HIGH = 3
    LOW = 1


class Task(Base):
    __tablename__ = "tasks"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    level: Mapped[Level] = mapped_column(Enum(Level, name="level"))


ID = Order("id", type=int, nullable=False)


def test_an_order_by_an_enum_goes_by_the_database_s_own_order(items: Items) -> None:
    async def walk() -> list[str]:
        keyset = Keyset(Task.level, Task.id.desc(), secret=SECRET, default_limit=1)
        async with items.engine.begin() as connection:
            await connection.run_sync(Base.metadata.tables["tasks"].create)
            await connection.execute(
                insert(Task),
                [
                    {"id": 1, "title": "a", "level": Level.LOW},
                    {"id": 2, "title": "b", "level": Level.HIGH},
                    {"id": 3, "title": "c", "level": Level.HIGH},
                ],
            )
        seen: list[str] = []
        page = await paginate(items.engine, select(Task.title), keyset)
        while page.next:
            seen += page.items
            page = await paginate(items.engine, select(Task.title), keyset, cursor=page.next)
        return seen + page.items

    assert ["c", "b", "a"] == items.run(walk())


def test_an_order_by_what_is_computed(items: Items) -> None:
    async def walk() -> list[int]:
        await items.replace(
            [
                (1, 1, 1, "b", None, None, None),
                (2, 1, 1, "A", None, None, None),
                (3, 1, 1, None, None, None, None),
            ]
        )
        keyset = Keyset(func.lower(Item.name).desc(), Item.id, secret=SECRET, default_limit=1)
        seen: list[int] = []
        page = await paginate(items.engine, select(Item.id), keyset)
        while page.next:
            seen += page.items
            page = await paginate(items.engine, select(Item.id), keyset, cursor=page.next)
        return seen + page.items

    assert [3, 1, 2] == items.run(walk())


def test_a_cursor_belongs_to_one_order() -> None:
    cursor = Keyset(Item.size, Item.id, secret=SECRET).cursor((1, 2))

    for other in (
        Keyset(Item.size.desc(), Item.id, secret=SECRET),
        Keyset(Item.size, Item.id.desc(), secret=SECRET),
        Keyset(Item.rank, Item.id, secret=SECRET),
        Keyset(Item.id, Item.size, secret=SECRET),
    ):
        with pytest.raises(BadRequestError):
            other.values(cursor)
    assert (1, 2) == Keyset(Item.size, Item.id, secret=SECRET).values(cursor)


def test_a_limit_that_is_not_given_is_the_usual_one() -> None:
    assert (50, 20) == (
        Keyset(ID, secret=SECRET).limit(),
        Keyset(ID, secret=SECRET, default_limit=20).limit(None),
    )


@pytest.mark.parametrize("asked", [0, -1, 201])
def test_a_limit_out_of_bounds_is_refused_and_not_changed(asked: int) -> None:
    with pytest.raises(BadRequestError, match=f"limit is {asked}; wanted 1 to 200"):
        Keyset(ID, secret=SECRET).limit(asked)


@pytest.mark.parametrize(("default", "most"), [(0, 10), (11, 10), (-1, -1)])
def test_limits_that_allow_nothing_are_refused(default: int, most: int) -> None:
    with pytest.raises(DefinitionError, match="wanted 1 <= default_limit <= max_limit"):
        Keyset(ID, secret=SECRET, default_limit=default, max_limit=most)


def test_an_order_without_columns_is_refused() -> None:
    with pytest.raises(DefinitionError, match="got no column to order by"):
        Keyset(secret=SECRET)


def test_an_order_of_both_kinds_is_refused() -> None:
    with pytest.raises(DefinitionError, match="wanted one kind"):
        Keyset(ID, Item.id, secret=SECRET)


def test_an_order_that_rows_may_share_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"got an order by items\.size"):
        Keyset(Item.size, secret=SECRET)


@pytest.mark.parametrize("values", [(), (1, 2)])
def test_values_that_are_not_one_for_each_column_are_refused(values: tuple[int, ...]) -> None:
    with pytest.raises(DefinitionError, match=f"got {len(values)} values; wanted one for each"):
        Keyset(ID, secret=SECRET).after_sql(values)


def test_a_null_that_was_denied_is_refused_in_every_way_in() -> None:
    keyset = Keyset(Item.size, Item.id, secret=SECRET)

    for use in (keyset.cursor, keyset.after, keyset.ranges):
        with pytest.raises(DefinitionError, match=r"got a null in items\.size"):
            use((None, 1))


def test_sql_and_expressions_are_not_mixed_up() -> None:
    text, mapped = Keyset(ID, secret=SECRET), Keyset(Item.id, secret=SECRET)
    of_sql: list[Callable[[], Any]] = [
        mapped.order_by_sql,
        lambda: mapped.after_sql((1,)),
        lambda: mapped.ranges_sql((1,)),
    ]
    of_expressions: list[Callable[[], Any]] = [
        text.order_by,
        lambda: text.after((1,)),
        lambda: text.ranges((1,)),
    ]

    for use in of_sql:
        with pytest.raises(DefinitionError, match="the order is made of expressions"):
            use()
    for use in of_expressions:
        with pytest.raises(DefinitionError, match="the order is SQL"):
            use()

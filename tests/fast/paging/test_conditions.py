"""What EXPLAIN says of the conditions, on a table of 30,000 rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest
from sqlalchemy import ColumnElement
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.fast.doors import run
from unslow.fast.paging.keysets import Keyset
from unslow.fast.paging.listings import SQLListing
from unslow.fast.paging.ordering import Order

SECRET = "sixteen bytes or more"
COUNT = 30_000
LIMIT = 50


class Base(DeclarativeBase):
    pass


class Event(Base):
    __tablename__ = "events"
    id: Mapped[int] = mapped_column(primary_key=True)
    moment: Mapped[int]
    rank: Mapped[int]
    seen: Mapped[int | None]


ID = Order("id", type=int, nullable=False)
MOMENT = Order("moment", type=int, nullable=False)
RANK_DOWN = Order("rank", type=int, nullable=False, descending=True)
SEEN_DOWN = Order("seen", type=int, nullable=True, descending=True, nulls_first=False)
SEEN_NULLS_FIRST = Order("seen", type=int, nullable=True, nulls_first=True)


class Events:
    """The table, and what a statement on it reads."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def plan(self, sql: str, arguments: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The nodes of a plan, after it ran."""
        with psycopg.RawCursor(self._connection) as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) {sql}".encode(), arguments)
            found = cursor.fetchone()
        assert found is not None
        return list(_nodes(found[0][0]["Plan"]))

    def plan_of_page(self, condition: str, keyset: Keyset, arguments: Sequence[Any]) -> Any:
        sql = f"SELECT * FROM events WHERE {condition} ORDER BY {keyset.order_by_sql()}"
        return self.plan(f"{sql} LIMIT {LIMIT}", arguments)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def read_count(plan: list[dict[str, Any]]) -> int:
    """How many rows were read from tables, shown or not."""
    return sum(
        int(one["Actual Rows"]) + one.get("Rows Removed by Filter", 0)
        for one in plan
        if "Scan" in one["Node Type"] and "Subquery" not in one["Node Type"]
    )


def kinds(plan: list[dict[str, Any]]) -> set[str]:
    return {one["Node Type"] for one in plan}


def index_conditions(plan: list[dict[str, Any]]) -> list[str]:
    return [one["Index Cond"] for one in plan if "Index Cond" in one]


@pytest.fixture(scope="module")
def events(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[Events]:
    with new_database() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE events (id int PRIMARY KEY, moment int NOT NULL, rank int NOT NULL, "
            "seen int)"
        )
        connection.execute(
            "INSERT INTO events SELECT n, n / 2, n % 30, CASE WHEN n % 4 > 0 THEN n / 5 END "
            # In no order that would help one index more than another.
            f"FROM generate_series(1, {COUNT}) AS n ORDER BY hashint4(n)".encode()
        )
        for index in (
            "moment, id",
            "rank DESC, id",
            "seen DESC NULLS LAST, id",
            "seen NULLS FIRST, rank DESC, id",
        ):
            connection.execute(f"CREATE INDEX ON events ({index})".encode())
        connection.execute("VACUUM ANALYZE events")
        yield Events(connection)


def test_columns_of_one_direction_without_nulls_are_compared_as_a_row() -> None:
    keyset = Keyset(MOMENT, ID, secret=SECRET)
    down = Keyset(RANK_DOWN, Order("id", type=int, nullable=False, descending=True), secret=SECRET)

    assert ("(moment, id) > ($1, $2)", (5, 7)) == keyset.after_sql((5, 7))
    assert ("(rank, id) < ($4, $5)", (5, 7)) == down.after_sql((5, 7), first_parameter=4)
    assert ("id > $1", (7,)) == Keyset(ID, secret=SECRET).after_sql((7,))


def test_a_mixed_order_begins_with_what_an_index_can_begin_with() -> None:
    keyset = Keyset(MOMENT, ID, RANK_DOWN, secret=SECRET)

    sql, arguments = keyset.after_sql((5, 7, 1))

    assert (5, 7, 1) == arguments
    assert (
        "(moment, id) >= ($1, $2) AND "
        "((moment, id) > ($1, $2) OR (moment, id) = ($1, $2) AND rank < $3)"
    ) == sql


@pytest.mark.parametrize(
    ("order", "value", "written"),
    [
        (SEEN_DOWN, 5, "(seen <= $1 AND (seen < $1 OR seen = $1 AND id > $2) OR seen IS NULL)"),
        (SEEN_DOWN, None, "seen IS NULL AND id > $1"),
        (SEEN_NULLS_FIRST, 5, "seen >= $1 AND (seen > $1 OR seen = $1 AND id > $2)"),
        (SEEN_NULLS_FIRST, None, "(seen IS NULL AND id > $1 OR seen IS NOT NULL)"),
    ],
)
def test_nulls_stand_where_the_order_puts_them(
    order: Order, value: int | None, written: str
) -> None:
    assert written == Keyset(order, ID, secret=SECRET).after_sql((value, 7))[0]


def test_after_the_last_null_of_the_last_column_comes_nothing() -> None:
    keyset = Keyset(SEEN_DOWN, secret=SECRET)

    assert ("false", ()) == keyset.after_sql((None,))
    assert ([], ()) == keyset.ranges_sql((None,))


def test_a_row_comparison_is_one_range_of_the_index(events: Events) -> None:
    keyset = Keyset(MOMENT, ID, secret=SECRET)
    condition, arguments = keyset.after_sql((10_000, 20_000))
    plan = events.plan_of_page(condition, keyset, arguments)

    assert {"Limit", "Index Scan"} == kinds(plan)
    (found,) = index_conditions(plan)
    assert found.startswith("(ROW(moment, id) > ROW(")
    assert LIMIT == read_count(plan)


def test_a_mixed_order_begins_at_the_value_of_its_first_columns(events: Events) -> None:
    keyset = Keyset(RANK_DOWN, ID, secret=SECRET)
    condition, arguments = keyset.after_sql((15, 3_000))
    plan = events.plan_of_page(condition, keyset, arguments)

    assert {"Limit", "Index Scan"} == kinds(plan)
    (found,) = index_conditions(plan)
    assert found.startswith("(rank <= ")
    # Those that are alike in the first column are read again, and only those.
    assert LIMIT + 3_000 // 30 + 1 >= read_count(plan)


def test_a_nullable_column_uses_the_index_too(events: Events) -> None:
    keyset = Keyset(SEEN_DOWN, ID, secret=SECRET)
    condition, arguments = keyset.after_sql((3_000, 15_001))
    plan = events.plan_of_page(condition, keyset, arguments)

    assert {"Limit", "Index Scan"} == kinds(plan)


@pytest.mark.parametrize(
    ("orders", "values"),
    [
        ((RANK_DOWN, ID), (15, COUNT // 2)),
        ((SEEN_DOWN, ID), (3_000, COUNT // 2)),
        ((SEEN_DOWN, ID), (None, COUNT // 2)),
        ((SEEN_NULLS_FIRST, RANK_DOWN, ID), (3_000, 15, COUNT // 2)),
        ((SEEN_NULLS_FIRST, RANK_DOWN, ID), (None, 15, COUNT // 2)),
    ],
)
def test_each_range_reads_the_rows_of_the_page_and_no_other(
    events: Events, orders: Sequence[Order], values: Sequence[Any]
) -> None:
    keyset = Keyset(*orders, secret=SECRET)
    columns: dict[str, Any] = {"rank": Event.rank.desc(), "id": Event.id}
    columns["seen"] = (
        Event.seen.nulls_first() if orders[0].nulls_first else Event.seen.desc().nulls_last()
    )
    mapped = Keyset(*(columns[order.column] for order in orders), secret=SECRET)
    for one in mapped.ranges(values):
        plan = events.plan_of_page(literally(one), keyset, ())

        assert "Seq Scan" not in kinds(plan)
        assert index_conditions(plan)
        assert LIMIT >= read_count(plan)


def literally(condition: ColumnElement[bool]) -> str:
    dialect: Any = postgresql.dialect
    return str(condition.compile(dialect=dialect(), compile_kwargs={"literal_binds": True}))


class _Explaining:
    """A connection that explains what it should read."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self.plan: list[dict[str, Any]] = []

    async def fetch(self, sql: str, arguments: Sequence[Any]) -> list[Any]:
        self.plan = self._events.plan(sql, arguments)
        return []


@pytest.mark.parametrize(
    ("orders", "values"),
    [
        ((MOMENT, ID), (10_000, COUNT // 2)),
        ((RANK_DOWN, ID), (15, COUNT // 2)),
        ((SEEN_DOWN, ID), (3_000, COUNT // 2)),
        ((SEEN_DOWN, ID), (None, COUNT // 2)),
        ((SEEN_NULLS_FIRST, RANK_DOWN, ID), (None, 15, COUNT // 2)),
    ],
)
def test_a_page_in_the_middle_of_a_list_reads_no_more_than_a_page_of_each_range(
    events: Events, orders: Sequence[Order], values: Sequence[Any]
) -> None:
    explaining: Any = _Explaining(events)
    keyset = Keyset(*orders, secret=SECRET)
    listing = SQLListing(explaining, "SELECT * FROM events WHERE id <> $1", (0,), keyset)
    run(listing.rows(values, LIMIT))
    ranges, _ = keyset.ranges_sql(values)

    assert "Seq Scan" not in kinds(explaining.plan)
    assert LIMIT * len(ranges) >= read_count(explaining.plan)

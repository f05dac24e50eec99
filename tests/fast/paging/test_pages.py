from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, assert_type
from uuid import UUID

import httpx
import psycopg
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel, ConfigDict
from sqlalchemy import (
    REAL,
    BigInteger,
    DateTime,
    ForeignKey,
    Numeric,
    SmallInteger,
    event,
    select,
    union,
)
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    joinedload,
    mapped_column,
    relationship,
    with_loader_criteria,
)

from tests.fast.doors import opened_source, run
from unslow.fast.errors import (
    BadRequestError,
    DefinitionError,
    PoolTimeoutError,
    UnsupportedSourceError,
)
from unslow.fast.paging.keysets import Keyset, PageQuery
from unslow.fast.paging.ordering import Order
from unslow.fast.paging.pages import Page, paginate

SECRET = "sixteen bytes or more"
COUNT = 25


class Base(DeclarativeBase):
    pass


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    team: Mapped[int | None]
    posts: Mapped[list[Post]] = relationship()


class UserOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    name: str


ID = Order("id", type=int, nullable=False)
TEAM_DOWN = Order("team", type=int, nullable=True, descending=True, nulls_first=False)
BY_ID = Keyset(ID, secret=SECRET, default_limit=10)
BY_TEAM = Keyset(TEAM_DOWN, ID, secret=SECRET, default_limit=10)
USERS_BY_ID = Keyset(User.id, secret=SECRET, default_limit=10)
USERS_BY_TEAM = Keyset(User.team.desc().nulls_last(), User.id, secret=SECRET, default_limit=10)


@pytest.fixture(scope="module")
def url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """25 users: every fifth without a team, the others in teams 1 to 4; two posts of the first."""
    with new_database() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, team int)")
        connection.execute("CREATE TABLE posts (id int PRIMARY KEY, user_id int NOT NULL)")
        connection.execute(
            "INSERT INTO users SELECT n, 'user ' || n, nullif(n % 5, 0) "
            f"FROM generate_series(1, {COUNT}) AS n".encode()
        )
        connection.execute("INSERT INTO posts VALUES (1, 1), (2, 1), (3, 7)")
        connection.execute("ANALYZE users, posts")
        yield url


class Sample(Base):
    """Values of each type that a cursor carries, twice each, and nulls."""

    __tablename__ = "samples"
    id: Mapped[int] = mapped_column(primary_key=True)
    switch: Mapped[bool | None]
    small: Mapped[int | None] = mapped_column(SmallInteger)
    big: Mapped[int | None] = mapped_column(BigInteger)
    word: Mapped[str | None]
    exact: Mapped[Decimal | None] = mapped_column(Numeric(6, 2))
    rough: Mapped[float | None] = mapped_column(REAL)
    double: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
    day: Mapped[date | None]
    hour: Mapped[time | None]
    local: Mapped[datetime | None]
    moment: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    code: Mapped[UUID | None]


SAMPLES: dict[str, tuple[type, str]] = {
    "switch": (bool, "true false"),
    "small": (int, "-1 32767"),
    "big": (int, "-9223372036854775808 3"),
    "word": (str, "a b"),
    "exact": (Decimal, "1.10 -0.01"),
    "rough": (float, "0.1 0.2"),
    "double": (float, "0.1 1e300"),
    "day": (date, "2026-01-01 0001-01-02"),
    "hour": (time, "00:00 23:59:59.999999"),
    "local": (datetime, "2026-01-01 2026-01-01T00:00:00.000001"),
    "moment": (datetime, "2026-01-01T00:00+05:30 2026-01-01T00:00:00.000001Z"),
    "code": (UUID, f"{UUID(int=1)} {UUID(int=2)}"),
}


@pytest.fixture(scope="module")
def samples_url(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE samples (id int PRIMARY KEY, switch bool, small int2, big int8, "
            "word text, exact numeric(6, 2), rough real, double float8, day date, hour time, "
            "local timestamp, moment timestamptz, code uuid)"
        )
        values = [(*one.split(), None) for _, one in SAMPLES.values()]
        for number, row in enumerate([*zip(*values, strict=True)] * 2):
            marks = ", ".join(["%s"] * (len(row) + 1))
            connection.execute(f"INSERT INTO samples VALUES ({marks})".encode(), (number, *row))
    return url


@pytest.mark.parametrize("descending", [False, True])
def test_a_list_goes_by_columns_of_all_types(
    door: str, samples_url: str, *, descending: bool
) -> None:
    async def lists() -> dict[str, tuple[list[int], list[int]]]:
        found = {}
        async with opened_source(door, samples_url) as source:
            for name, (kind, _) in SAMPLES.items():
                order = Order(name, type=kind, nullable=True, descending=descending)
                keyset = Keyset(order, ID, secret=SECRET)
                sql = f"SELECT id, {name} FROM samples"
                page = await paginate(source, sql, keyset, make=lambda row: row[0])
                found[name] = page.items, await walk(partial(one_by_one, source, sql, keyset))
        return found

    for whole, walked in run(lists()).values():
        assert 6 == len(whole)
        assert whole == walked


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("engine", ["engine-asyncpg", "engine-psycopg"])
def test_a_select_goes_by_columns_of_all_types(
    engine: str, samples_url: str, *, descending: bool
) -> None:
    async def lists() -> dict[str, tuple[list[int], list[int]]]:
        found = {}
        async with opened_source(engine, samples_url) as source:
            for name in SAMPLES:
                column = getattr(Sample, name)
                keyset = Keyset(column.desc() if descending else column, Sample.id, secret=SECRET)
                statement = select(Sample.id)
                page = await paginate(source, statement, keyset)
                walked = await walk(partial(one_by_one, source, statement, keyset, make=None))
                found[name] = page.items, walked
        return found

    for whole, walked in run(lists()).values():
        assert 6 == len(whole)
        assert whole == walked


async def one_by_one(
    source: Any,
    statement: Any,
    keyset: Keyset,
    cursor: str | None,
    make: Any = lambda row: row[0],
) -> Page[Any]:
    return await paginate(source, statement, keyset, cursor=cursor, limit=1, make=make)


IN_TEAM_ORDER = sorted(range(1, COUNT + 1), key=lambda n: (-(n % 5), n))


async def walk(read: Callable[[str | None], Any]) -> list[Any]:
    page = await read(None)
    items = list(page.items)
    while page.next:
        page = await read(page.next)
        items += page.items
    return items


def test_sql_is_read_page_by_page_through_every_door(door: str, url: str) -> None:
    async def all_pages() -> list[Any]:
        async with opened_source(door, url) as source:
            return await walk(
                lambda cursor: paginate(
                    source,
                    "SELECT id, name, team FROM users WHERE id > $1 -- all of them",
                    BY_TEAM,
                    arguments=(0,),
                    cursor=cursor,
                    make=lambda row: UserOut(id=row[0], name=row[1]),
                )
            )

    expected = [UserOut(id=n, name=f"user {n}") for n in IN_TEAM_ORDER]

    assert expected == run(all_pages())


def test_rows_of_sql_have_the_columns_of_the_statement_and_no_more(door: str, url: str) -> None:
    async def first() -> Page[Any]:
        async with opened_source(door, url) as source:
            return await paginate(source, "SELECT name, id FROM users;\n", BY_ID, limit=1)

    page = run(first())

    assert [("user 1", 1)] == page.items
    assert (1,) == BY_ID.values(page.next or "")


@pytest.mark.parametrize("total", ["none", "exact", "estimated"])
def test_a_total_is_counted_or_estimated_only_when_asked_for(
    door: str, url: str, total: Any
) -> None:
    async def second() -> tuple[int | None, int | None]:
        async with opened_source(door, url) as source:
            sql = "SELECT id, team FROM users WHERE id > $1"
            cursor = BY_TEAM.cursor((2, 12))
            page = await paginate(source, sql, BY_TEAM, arguments=(0,), cursor=cursor, total=total)
            if not door.startswith("engine"):
                return page.total, page.total
            statement = select(User).where(User.id > 0)
            cursor = USERS_BY_TEAM.cursor((2, 12))
            other = await paginate(source, statement, USERS_BY_TEAM, cursor=cursor, total=total)
            return page.total, other.total

    expected = None if total == "none" else COUNT

    assert (expected, expected) == run(second())


@pytest.mark.parametrize("engine", ["engine-asyncpg", "engine-psycopg"])
@pytest.mark.parametrize("way", ["session", "connection", "engine", "function"])
def test_a_select_is_read_page_by_page(engine: str, way: str, url: str) -> None:
    async def all_pages() -> list[Any]:
        async with (
            opened_source(engine, url) as source,
            AsyncSession(source) as session,
            source.connect() as connection,
        ):
            ways = {"session": session, "connection": connection, "engine": source}
            way_in = ways.get(way, lambda: source)
            return await walk(
                lambda cursor: paginate(
                    way_in,
                    select(User.id, User.name),
                    USERS_BY_TEAM,
                    cursor=cursor,
                    make=UserOut.model_validate,
                )
            )

    expected = [UserOut(id=n, name=f"user {n}") for n in IN_TEAM_ORDER]

    assert expected == run(all_pages())


@pytest.mark.parametrize("engine", ["engine-asyncpg", "engine-psycopg"])
def test_what_is_selected_alone_is_the_item_with_what_was_loaded_for_it(
    engine: str, url: str
) -> None:
    async def all_pages() -> list[Any]:
        async with opened_source(engine, url) as source, AsyncSession(source) as session:
            statement = select(User).options(joinedload(User.posts))
            return await walk(
                lambda cursor: paginate(session, statement, USERS_BY_TEAM, cursor=cursor, limit=7)
            )

    users = run(all_pages())

    assert IN_TEAM_ORDER == [user.id for user in users]
    assert {1: 2, 7: 1} == {user.id: len(user.posts) for user in users if user.posts}


@pytest.mark.parametrize("total", ["exact", "estimated"])
def test_a_filter_that_hangs_on_the_session_holds_for_items_and_total(url: str, total: Any) -> None:
    async def first() -> Page[User]:
        async with opened_source("engine-asyncpg", url) as source, AsyncSession(source) as session:

            @event.listens_for(session.sync_session, "do_orm_execute")
            def only_one_team(state: Any) -> None:
                state.statement = state.statement.options(
                    with_loader_criteria(User, User.team == 3)
                )

            return await paginate(session, select(User), USERS_BY_ID, total=total)

    page = run(first())

    assert [3, 8, 13, 18, 23] == [user.id for user in page.items]
    assert (None, 5) == (page.next, page.total)


def test_a_page_that_ends_with_the_list_has_no_next(url: str) -> None:
    async def sizes() -> list[tuple[int, bool]]:
        async with opened_source("asyncpg", url) as source:
            pages = [
                await paginate(source, "SELECT id FROM users", BY_ID, limit=limit)
                for limit in (COUNT - 1, COUNT, COUNT + 1)
            ]
            return [(len(page.items), page.next is None) for page in pages]

    assert [(COUNT - 1, False), (COUNT, True), (COUNT, True)] == run(sizes())


def test_an_empty_list_is_a_page_without_items(url: str) -> None:
    async def first() -> Page[Any]:
        async with opened_source("asyncpg", url) as source:
            return await paginate(source, "SELECT id FROM users WHERE false", BY_ID, total="exact")

    assert Page(items=[], next=None, total=0) == run(first())


def test_a_pool_that_makes_dictionaries_of_rows_is_read_too(url: str) -> None:
    async def first() -> Page[Any]:
        async with AsyncConnectionPool(
            url, min_size=0, max_size=1, open=False, kwargs={"row_factory": dict_row}
        ) as pool:
            return await paginate(pool, "SELECT id FROM users", BY_ID, limit=1, total="exact")

    page = run(first())

    assert ([(1,)], COUNT) == (page.items, page.total)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"limit": 201}, "limit is 201; wanted 1 to 200"),
        ({"cursor": "forged"}, "start again without a cursor"),
        ({"cursor": BY_ID.cursor((1,)), "scope": "team=2"}, "start again without a cursor"),
    ],
)
def test_what_a_client_may_not_ask_for_is_refused_before_a_connection_is_taken(
    query: dict[str, Any], said: str
) -> None:
    def source() -> Any:
        raise AssertionError("a connection was asked for")

    with pytest.raises(BadRequestError, match=said):
        run(paginate(source, "SELECT id FROM users", BY_ID, **query))


def test_a_cursor_goes_with_its_filter(url: str) -> None:
    async def two() -> list[Any]:
        async with opened_source("asyncpg", url) as source:
            return await walk(
                lambda cursor: paginate(
                    source,
                    "SELECT id, name FROM users WHERE team = $1",
                    BY_ID,
                    arguments=(3,),
                    cursor=cursor,
                    limit=3,
                    scope="team=3",
                    make=lambda row: row[0],
                )
            )

    assert [3, 8, 13, 18, 23] == run(two())


def test_a_list_ordered_by_what_an_outer_join_fills_with_nulls_is_refused(url: str) -> None:
    async def first(keyset: Keyset) -> Any:
        async with opened_source("engine-asyncpg", url) as source:
            statement = select(User.id, Post.id).outerjoin(User.posts)
            return await walk(
                lambda cursor: paginate(source, statement, keyset, cursor=cursor, limit=4)
            )

    with pytest.raises(DefinitionError, match=r"order by posts\.id, which has nulls after the"):
        run(first(Keyset(Post.id, User.id, secret=SECRET)))
    said = run(first(Keyset(Order(Post.id, nullable=True), User.id, secret=SECRET)))
    without = [(n, None) for n in range(1, COUNT + 1) if n not in {1, 7}]

    assert [(1, 1), (1, 2), (7, 3), *without] == said


def test_an_inner_join_makes_no_nulls(url: str) -> None:
    async def first() -> Page[Any]:
        async with opened_source("engine-asyncpg", url) as source:
            statement = select(User.name).join(User.posts)
            return await paginate(source, statement, Keyset(Post.id, secret=SECRET))

    assert ["user 1", "user 1", "user 7"] == run(first()).items


@pytest.mark.parametrize("door", ["asyncpg", "psycopg"])
def test_a_select_needs_sqlalchemy_s_own_way_to_the_database(door: str, url: str) -> None:
    async def first() -> Page[Any]:
        async with opened_source(door, url) as source:
            return await paginate(source, select(User.id), USERS_BY_ID)

    with pytest.raises(UnsupportedSourceError, match="wanted an AsyncSession"):
        run(first())


def test_what_does_not_fit_together_is_refused(url: str) -> None:
    async def read(*arguments: Any, **options: Any) -> Page[Any]:
        async with opened_source("engine-asyncpg", url) as source:
            return await paginate(source, *arguments, **options)

    for arguments, options, said in (
        ((select(User.id), BY_ID), {}, "the order is SQL"),
        (("SELECT id FROM users", USERS_BY_ID), {}, "the order is made of expressions"),
        ((select(User.id), USERS_BY_ID), {"arguments": (1,)}, "got 1 arguments"),
        (("SELECT id FROM users", BY_ID), {"total": "some"}, "got total='some'"),
        ((union(select(User.id)), USERS_BY_ID), {}, r"got a CompoundSelect .* subquery\(\)"),
    ):
        with pytest.raises(DefinitionError, match=said):
            run(read(*arguments, **options))


@pytest.mark.parametrize("engine", ["engine-asyncpg", "engine-psycopg"])
def test_no_free_connection_is_said_in_time(engine: str, url: str) -> None:
    async def second() -> Page[Any]:
        async with opened_source(engine, url, size=1) as source, source.connect():
            return await paginate(source, select(User.id), USERS_BY_ID, timeout_s=0.01)

    with pytest.raises(PoolTimeoutError):
        run(second())


def test_the_type_of_a_page_is_what_its_rows_are_made_into() -> None:
    async def typed(source: Any) -> None:
        page = await paginate(
            source, "SELECT id FROM users", BY_ID, make=lambda row: UserOut(id=row[0], name="")
        )
        assert_type(page, Page[UserOut])

    assert callable(typed)


Listed = Annotated[PageQuery, Depends(USERS_BY_ID.parameters())]


def an_app(url: str) -> FastAPI:
    app = FastAPI()

    @app.exception_handler(BadRequestError)
    async def refused(_: Request, error: BadRequestError) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 400)

    @app.get("/users")
    async def users(query: Listed) -> Page[UserOut]:
        async with opened_source("engine-asyncpg", url) as source:
            return await paginate(
                source,
                select(User.id, User.name),
                USERS_BY_ID,
                cursor=query.cursor,
                limit=query.limit,
                make=UserOut.model_validate,
            )

    @app.get("/entities", response_model=Page[UserOut])
    async def entities(query: Listed) -> Any:
        async with opened_source("engine-asyncpg", url) as source, AsyncSession(source) as session:
            return await paginate(session, select(User), USERS_BY_ID, limit=query.limit)

    return app


async def get(app: FastAPI, path: str, **query: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        return await client.get(path, params=query)


def test_an_endpoint_of_fastapi_answers_with_pages(url: str) -> None:
    async def two() -> tuple[Any, Any]:
        app = an_app(url)
        one = (await get(app, "/users", limit=24)).json()
        return one, (await get(app, "/users", limit=24, cursor=one["next"])).json()

    one, two_ = run(two())

    assert (["items", "next", "total"], 24) == (list(one), len(one["items"]))
    assert {"items": [{"id": 25, "name": "user 25"}], "next": None, "total": None} == two_


def test_mapped_objects_become_what_the_response_model_says(url: str) -> None:
    answer = run(get(an_app(url), "/entities", limit=1)).json()

    assert [{"id": 1, "name": "user 1"}] == answer["items"]


@pytest.mark.parametrize(
    ("query", "status"),
    [({"limit": 0}, 422), ({"limit": 201}, 422), ({"cursor": "x"}, 400), ({"cursor": ""}, 400)],
)
def test_an_endpoint_refuses_what_is_out_of_bounds(
    url: str, query: dict[str, Any], status: int
) -> None:
    assert status == run(get(an_app(url), "/users", **query)).status_code


def test_openapi_describes_the_page_and_the_limits_of_its_parameters(url: str) -> None:
    document = an_app(url).openapi()
    operation = document["paths"]["/users"]["get"]
    page = document["components"]["schemas"]["Page_UserOut_"]
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    parameters = {one["name"]: one for one in operation["parameters"]}

    assert {"$ref": "#/components/schemas/Page_UserOut_"} == answer
    assert ("Page[UserOut]", "A page of a list.") == (page["title"], page["description"])
    assert {"$ref": "#/components/schemas/UserOut"} == page["properties"]["items"]["items"]
    assert all("description" in one for one in page["properties"].values())
    assert (10, 1, 200) == tuple(
        parameters["limit"]["schema"][name] for name in ("default", "minimum", "maximum")
    )
    assert not parameters["cursor"]["required"]

"""The SQLAlchemy probe on real databases, by each of its drivers: statements, rows, objects."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    bindparam,
    create_engine,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, joinedload, selectinload

from tests.record.probes.blog import (
    ASYNC,
    COMMENTS_COUNT,
    POSTS_COUNT,
    SYNC,
    USERS_COUNT,
    Blog,
    Post,
    User,
    blog_in,
    fill_at,
)
from tests.record.probes.conftest import Bench
from tests.record.probes.slices import OwnTime, RawSlice, milliseconds, slices_of
from unslow.current import LANE, OpenStatement, OpenTrace
from unslow.model.codec import trace_of
from unslow.model.trace import HYDRATION, ORM, ROWS, SQL
from unslow.record.finish import finished
from unslow.record.place import resolve

THIS_FILE = Path(__file__).name


@pytest.fixture(scope="module")
def postgres_url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with new_database() as url:
        fill_at(url)
        yield url


@pytest.fixture(params=[*SYNC, *ASYNC])
def blog(request: pytest.FixtureRequest, bench: Bench, tmp_path: Path, postgres_url: str) -> Blog:
    bench.install("sqlalchemy")
    return blog_in(request.param, bench, tmp_path, postgres_url)


@pytest.fixture
def sync_blog(bench: Bench, postgres_url: str) -> Blog:
    bench.install("sqlalchemy")
    return Blog("postgresql+psycopg", postgres_url, bench)


@pytest.fixture(params=["postgresql+psycopg", "postgresql+asyncpg"])
def streaming_blog(request: pytest.FixtureRequest, bench: Bench, postgres_url: str) -> Blog:
    """By drivers that have cursors on the server."""
    bench.install("sqlalchemy")
    return Blog(request.param, postgres_url, bench)


def texts(trace: OpenTrace) -> list[str]:
    return [statement.text for statement in trace.statements]


def nested(inner: RawSlice, outer: RawSlice) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def all_users(session: Session) -> list[User]:
    return list(session.execute(select(User).order_by(User.id)).scalars().all())


def place_of(statement: OpenStatement) -> tuple[str, int]:
    """The file and the line that sent it."""
    place = resolve(statement.place)
    assert place is not None
    path, line, _ = place
    return Path(path).name, line


def line_of(function: Callable[..., Any]) -> int:
    return function.__code__.co_firstlineno


def test_a_statement_of_the_orm_is_seen_once_with_its_driver_its_line_and_its_rows(
    blog: Blog,
) -> None:
    trace = blog.traced(all_users)

    statement, end = trace.statements
    assert (statement.driver, statement.rows_count) == (blog.driver, USERS_COUNT)
    assert statement.text.startswith("SELECT blog_user.id")
    assert place_of(statement) == (THIS_FILE, line_of(all_users) + 1)
    assert (statement.parent, statement.relationship, statement.row_key) == (-1, None, None)
    assert end.text == "ROLLBACK"
    assert [one[3] for one in slices_of(trace, SQL)] == [0, 1]


def test_sql_lies_inside_the_orm_and_rows_lie_inside_hydration(
    blog: Blog, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Four rows that a driver has already are fetched faster than a slice is worth.
    monkeypatch.setattr("unslow.record.probes.sqlalchemy.rows._SHORTEST_NS", 0)
    trace = blog.traced(all_users)

    orm = slices_of(trace, ORM)
    hydration = slices_of(trace, HYDRATION)
    rows = slices_of(trace, ROWS)
    assert nested(slices_of(trace, SQL)[0], orm[0])
    assert len(rows) == 1
    assert any(nested(rows[0], one) for one in hydration)
    assert {one[3] for one in [*hydration, *rows]} == {0}
    assert not any(nested(one, slices_of(trace, SQL)[0]) for one in [*hydration, *rows])


def test_nothing_is_recorded_outside_of_a_request(blog: Blog) -> None:
    blog.traced(all_users, traced=False)

    assert [user.id for user in blog.result] == [1, 2, 3, 4]
    assert LANE.get() is None


def test_core_and_text_are_seen_from_a_connection_and_from_a_session(blog: Blog) -> None:
    def work(session: Session) -> list[Any]:
        connection = session.connection()
        return [
            connection.execute(select(User.__table__)).all(),
            connection.execute(text("SELECT 1")).scalar_one(),
            connection.scalar(select(User.id).where(User.id == 2)),
            connection.exec_driver_sql("SELECT 3").first(),
            session.execute(text("SELECT 4")).scalar(),
        ]

    trace = blog.traced(work)

    assert [len(blog.result[0]), *blog.result[1:]] == [USERS_COUNT, 1, 2, (3,), 4]
    assert texts(trace)[1::2] == ["SELECT 1", "SELECT 3", "ROLLBACK"]
    assert [one.rows_count for one in trace.statements[:5]] == [USERS_COUNT, 1, 1, 1, 1]
    lines = [place_of(one)[1] for one in trace.statements[:5]]
    start = line_of(work)
    assert lines == [start + 3, start + 4, start + 5, start + 6, start + 7]


def test_a_loop_over_the_result_counts_its_rows(blog: Blog) -> None:
    def work(session: Session) -> list[int]:
        ids = [user.id for user in session.scalars(select(User).order_by(User.id))]
        return ids + [one for (one,) in session.connection().execute(select(User.id))]

    trace = blog.traced(work)

    assert blog.result == [1, 2, 3, 4, 1, 2, 3, 4]
    assert [one.rows_count for one in trace.statements[:2]] == [USERS_COUNT, USERS_COUNT]


def test_a_commit_is_a_statement_with_the_line_that_asked_for_it(blog: Blog) -> None:
    def work(session: Session) -> None:
        user = User(name="new")
        session.add(user)
        session.commit()
        session.delete(user)
        session.commit()

    trace = blog.traced(work)

    words = [one.split()[0] for one in texts(trace) if "SELECT" not in one.split()[0]]
    assert words == ["INSERT", "COMMIT", "DELETE", "COMMIT"]
    assert {place_of(one)[1] for one in trace.statements} == {
        line_of(work) + 3,
        line_of(work) + 5,
    }
    commit = texts(trace).index("COMMIT")
    assert [one for one in slices_of(trace, SQL) if one[3] == commit]
    assert all(
        any(nested(one, outer) for outer in slices_of(trace, ORM)) for one in slices_of(trace, SQL)
    )


def test_savepoints_are_statements(sync_blog: Blog) -> None:
    def work(session: Session) -> None:
        with session.begin_nested():
            session.execute(text("SELECT 1"))

    trace = sync_blog.traced(work)

    assert texts(trace) == [
        "SAVEPOINT sa_savepoint_1",
        "SELECT 1",
        "RELEASE SAVEPOINT sa_savepoint_1",
        "ROLLBACK",
    ]


def test_in_autocommit_no_end_of_a_transaction_is_made_up(streaming_blog: Blog) -> None:
    trace = streaming_blog.traced(
        lambda session: session.execute(text("SELECT 1")).all(), isolation_level="AUTOCOMMIT"
    )

    assert texts(trace) == ["SELECT 1"]


def test_one_call_with_many_parameter_sets_is_one_statement(blog: Blog) -> None:
    def work(session: Session) -> int:
        statement = update(User).where(User.id < 0).values(name="nobody")
        session.connection().execute(text("SELECT 1"))
        session.connection().execute(
            text("UPDATE blog_user SET name = :name WHERE id = :id"),
            [{"id": -1, "name": "a"}, {"id": -2, "name": "b"}, {"id": -3, "name": "c"}],
        )
        return session.connection().execute(statement).rowcount

    trace = blog.traced(work)

    assert [one.executions_count for one in trace.statements[:3]] == [1, 3, 1]
    assert blog.result == 0


def test_rows_that_come_back_from_an_insert_are_counted(blog: Blog) -> None:
    def work(session: Session) -> int:
        rows = [{"name": "a"}, {"name": "b"}]
        return len(session.scalars(insert(User).returning(User), rows).all())

    trace = blog.traced(work)

    assert blog.result == 2
    assert [one.split()[0] for one in texts(trace)] == ["INSERT", "ROLLBACK"]


def test_a_statement_that_fails_ends_its_slice_and_the_error_is_the_apps_own(blog: Blog) -> None:
    def work(session: Session) -> tuple[str, str]:
        with pytest.raises(DBAPIError) as raised:
            session.execute(text("SELECT nothing FROM nowhere"))
        lane = LANE.get()
        if lane is not None:
            assert (lane.inside_sql, lane.place, lane.statement) == (0, None, None)
        return type(raised.value).__name__, type(raised.value.orig).__name__

    blog.traced(work, traced=False)
    expected = blog.result
    trace = blog.traced(work)

    assert blog.result == expected
    assert texts(trace)[0] == "SELECT nothing FROM nowhere"
    assert slices_of(trace, SQL)[0][3] == 0


def test_time_on_the_server_is_sql_and_not_orm(streaming_blog: Blog) -> None:
    def work(session: Session) -> None:
        session.execute(text("SELECT pg_sleep(0.05)"))

    trace = streaming_blog.traced(lambda session: session.execute(text("SELECT 1")), work)

    sql = [one for one in slices_of(trace, SQL) if one[3] == 0]
    outside = milliseconds(slices_of(trace, ORM)[:1]) - milliseconds(sql)
    assert milliseconds(sql) >= 50
    assert 0 < outside < 40


def test_a_stream_from_the_server_keeps_streaming_and_its_rows_are_counted(
    streaming_blog: Blog,
) -> None:
    ids = text("SELECT n FROM generate_series(1, 100) AS n").columns(User.id)

    def work(session: Session) -> list[Any]:
        options = {"yield_per": 10}
        objects = session.execute(
            select(Post.id).order_by(Post.id), execution_options=options
        ).scalars()
        first = next(iter(objects))
        rows = session.connection().execute(ids, execution_options=options)
        many = rows.fetchmany(3)
        return [first, len(list(objects)), len(many), len(list(rows))]

    trace = streaming_blog.traced(work)

    total = USERS_COUNT * POSTS_COUNT
    assert streaming_blog.result == [1, total - 1, 3, 97]
    assert [one.rows_count for one in trace.statements[:2]] == [total, 100]
    rows = [one for one in slices_of(trace, ROWS) if one[3] == 1]
    assert len(rows) >= 10


def test_an_async_stream_is_recorded(bench: Bench, postgres_url: str) -> None:
    bench.install("sqlalchemy")
    blog = Blog("postgresql+asyncpg", postgres_url, bench)
    seen: list[int] = []

    async def main() -> OpenTrace:
        engine = create_async_engine(blog.url)

        async def request() -> None:
            async with AsyncSession(engine) as session:
                result = await session.stream_scalars(
                    select(Post).order_by(Post.id).execution_options(yield_per=5)
                )
                seen.extend([post.id async for post in result])

        trace = await bench.run_async(request)
        await engine.dispose()
        return trace

    trace = asyncio.run(main())

    assert seen == list(range(1, USERS_COUNT * POSTS_COUNT + 1))
    assert trace.statements[0].rows_count == len(seen)
    assert len([one for one in slices_of(trace, HYDRATION) if one[3] == 0]) >= 3


def test_eager_loads_nest_inside_the_hydration_of_what_they_complete(blog: Blog) -> None:
    def work(session: Session) -> int:
        statement = select(User).options(selectinload(User.posts).selectinload(Post.comments))
        users = session.scalars(statement.order_by(User.id)).all()
        return sum(len(post.comments) for user in users for post in user.posts)

    trace = blog.traced(work)

    assert blog.result == USERS_COUNT * POSTS_COUNT * COMMENTS_COUNT
    sql = slices_of(trace, SQL)
    outer = [one for one in slices_of(trace, HYDRATION) if one[3] == 0]
    assert [any(nested(one, slice_) for slice_ in outer) for one in sql[:3]] == [False, True, True]


def test_objects_of_a_join_are_hydrated_once(blog: Blog) -> None:
    def work(session: Session) -> int:
        statement = select(User).options(joinedload(User.posts)).order_by(User.id)
        return len(session.scalars(statement).unique().all())

    trace = blog.traced(work)

    assert blog.result == USERS_COUNT
    assert trace.statements[0].rows_count == USERS_COUNT * POSTS_COUNT


def test_what_a_session_does_without_sql_is_orm(sync_blog: Blog) -> None:
    def work(session: Session) -> list[RawSlice]:
        user = session.get(User, 1)
        lane = LANE.get()
        assert lane is not None
        assert user is not None
        before = len(lane.slices)
        assert session.get(User, 1) is user
        return lane.slices[before:]

    trace = sync_blog.traced(work)

    assert [one[2] for one in sync_blog.result] == [ORM]
    assert [one for one in texts(trace) if "SELECT" in one] == texts(trace)[:1]


def test_parameters_leave_the_request_only_when_they_are_asked_for(sync_blog: Blog) -> None:
    def work(session: Session) -> None:
        session.execute(select(User).where(User.id == 3)).all()

    trace = sync_blog.traced(work)

    assert [None, None] == [one.parameters for one in trace_of(finished(trace)).statements]
    with_values = trace_of(finished(trace, with_values=True))
    assert "{'id_1': 3}" == with_values.statements[0].parameters


@pytest.mark.parametrize("kind", ["postgresql+psycopg", *ASYNC[1:]])
def test_the_drivers_own_probe_records_none_of_it_again(
    kind: str, bench: Bench, postgres_url: str
) -> None:
    bench.install("sqlalchemy", "asyncpg", "psycopg")
    blog = Blog(kind, postgres_url, bench)

    def work(session: Session) -> int:
        session.add(User(id=-1, name="new"))
        session.flush()
        stream = select(Post).order_by(Post.id).execution_options(yield_per=5)
        count = len(all_users(session)) + len(list(session.scalars(stream)))
        session.rollback()
        return count

    trace = blog.traced(work)

    assert blog.result == 1 + USERS_COUNT + USERS_COUNT * POSTS_COUNT
    assert [one.split()[0] for one in texts(trace)] == ["INSERT", "SELECT", "SELECT", "ROLLBACK"]
    assert {one.driver for one in trace.statements} == {blog.driver}
    assert sorted(one[3] for one in slices_of(trace, SQL)) == [0, 1, 2, 3]
    assert len(trace.holds) == 1


@pytest.mark.parametrize("kind", ASYNC[1:])
def test_an_answer_that_lay_there_while_the_loop_was_busy_is_dated(
    kind: str, bench: Bench, postgres_url: str
) -> None:
    bench.install("sqlalchemy")
    blog = Blog(kind, postgres_url, bench)
    busy = OwnTime()
    sleep = text("SELECT pg_sleep(0.03)")

    async def main() -> OpenTrace:
        engine = create_async_engine(blog.url)

        async def request() -> None:
            async with AsyncSession(engine) as session:
                # asyncpg prepares a statement when it first sees it: a wait of its own.
                await session.execute(sleep)
                asyncio.get_running_loop().call_soon(busy.spend_ms, 200)
                await session.execute(sleep)

        trace = await bench.run_async(request)
        await engine.dispose()
        return trace

    trace = asyncio.run(main())

    known = [known for *_, known in trace.root.steps if known]
    ((start, end),) = busy.stretches
    assert any(start < one < end - 50e6 for one in known)


@pytest.mark.parametrize("kind", ["postgresql+asyncpg", "postgresql+psycopg_async"])
def test_interleaved_requests_have_exactly_their_own_statements(
    kind: str, bench: Bench, postgres_url: str
) -> None:
    bench.install("sqlalchemy")
    bench.recorder.record_values = True
    blog = Blog(kind, postgres_url, bench)
    requests_count = 20

    async def main() -> list[OpenTrace]:
        engine = create_async_engine(blog.url, pool_size=7, max_overflow=0)

        async def request(number: int) -> None:
            async with AsyncSession(engine) as session:
                for _ in range(5):
                    statement = select(bindparam("number", type_=Integer), func.pg_sleep(0.001))
                    await session.execute(statement, {"number": number})
                    await session.scalars(select(User).where(User.id > number * 1000))

        async def traced(number: int) -> OpenTrace:
            return await bench.run_async(lambda: request(number))

        traces = await asyncio.gather(*[traced(number) for number in range(requests_count)])
        await engine.dispose()
        return traces

    traces = asyncio.run(main())

    for number, trace in enumerate(traces):
        assert len(trace.statements) == 11
        assert [one.index for one in trace.statements] == list(range(11))
        own = [_first(one.parameters) for one in trace.statements[:10]]
        assert own == [number, number * 1000] * 5
        assert sorted(one[3] for one in slices_of(trace, SQL)) == list(range(11))


def _first(parameters: Any) -> Any:
    return next(iter(parameters.values() if isinstance(parameters, dict) else parameters))


def test_a_dialect_that_was_loaded_later_is_recorded_too(bench: Bench) -> None:
    bench.install("sqlalchemy")
    asked: list[str] = []

    class OwnDialect(SQLiteDialect_pysqlite):
        driver = "own"
        supports_statement_cache = True

        def do_execute(
            self, cursor: Any, statement: Any, parameters: Any, context: Any = None
        ) -> None:
            asked.append(statement)
            super().do_execute(  # type: ignore[no-untyped-call]  # SQLAlchemy has no types here
                cursor, statement, parameters, context
            )

    registry.impls["sqlite.own"] = lambda: OwnDialect
    engine = create_engine("sqlite+own://")
    table = Table("t", MetaData(), Column("n", Integer))

    def work() -> None:
        with engine.begin() as connection:
            table.create(connection)
            connection.execute(insert(table), {"n": 1})

    with engine.connect():
        pass
    asked.clear()
    trace = bench.run(work)
    engine.dispose()
    del registry.impls["sqlite.own"]

    assert [one.driver for one in trace.statements] == ["own"] * len(trace.statements)
    assert [one for one in texts(trace) if one != "COMMIT"] == asked
    assert len(slices_of(trace, SQL)) == len(trace.statements)


def test_engines_take_the_options_that_they_took_before(bench: Bench) -> None:
    bench.install("sqlalchemy")
    engine = create_engine(
        "sqlite://", echo=False, hide_parameters=True, query_cache_size=5, logging_name="own"
    )
    engine.dispose()

    assert (engine.hide_parameters, engine.logging_name) == (True, "own")


def test_lines_are_found_from_the_coroutine_that_awaits(bench: Bench, postgres_url: str) -> None:
    bench.install("sqlalchemy")
    url = Blog("postgresql+asyncpg", postgres_url, bench).url

    async def request(session: AsyncSession) -> None:
        users = (await session.scalars(select(User).order_by(User.id))).all()
        await users[0].awaitable_attrs.posts
        await session.get(Post, 7)
        await (await session.connection()).execute(text("SELECT 1"))
        session.add(User(id=-1, name="new"))
        await session.flush()
        await session.rollback()

    async def main() -> OpenTrace:
        engine = create_async_engine(url)

        async def traced() -> None:
            async with AsyncSession(engine) as session:
                await request(session)

        trace = await bench.run_async(traced)
        await engine.dispose()
        return trace

    trace = asyncio.run(main())

    start = line_of(request)
    lines = [place_of(one)[1] - start for one in trace.statements]
    assert lines == [1, 2, 3, 4, 6, 7]
    assert resolve(trace.holds[0][3]) == resolve(trace.statements[0].place)


def test_a_trace_that_is_full_keeps_no_more_and_the_app_goes_on(sync_blog: Blog) -> None:
    def work(session: Session) -> int:
        lane = LANE.get()
        assert lane is not None
        lane.trace.left = 4
        users = all_users(session)
        return sum(len(user.posts) for user in users)

    trace = sync_blog.traced(work)

    assert sync_blog.result == USERS_COUNT * POSTS_COUNT
    assert len(trace.statements) <= 4
    assert trace.dropped_count > 0


def _objects() -> list[User | Post]:
    return [one for one in gc.get_objects() if isinstance(one, User | Post)]


def test_no_object_outlives_its_request_for_the_traces_sake(sync_blog: Blog) -> None:
    # Those of an earlier test may wait for a thread or a loop of its own to be gone.
    before = WeakSet(_objects())
    trace = sync_blog.traced(lambda session: [user.posts for user in all_users(session)])
    sync_blog.result = None
    gc.collect()

    assert not [one for one in _objects() if one not in before]
    assert len(trace.statements) == USERS_COUNT + 2

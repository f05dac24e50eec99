"""What of a real request's statements, connections and calls leaves it, for rules to judge."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import asyncpg
import httpx
import psycopg
import pytest
from sqlalchemy import Engine, create_engine, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, joinedload
from sqlalchemy.pool import NullPool
from sqlalchemy.util import greenlet_spawn

from tests.diagnose.story import seen
from tests.record.probes.blog import (
    COMMENTS_COUNT,
    POSTS_COUNT,
    USERS_COUNT,
    Blog,
    Comment,
    Post,
    User,
    fill_at,
)
from tests.record.probes.conftest import Bench
from tests.record.probes.stub import Stub
from unslow.current import OpenTrace
from unslow.diagnose.views import Request
from unslow.model.codec import dumps, loads, trace_of
from unslow.model.trace import (
    CONNECT,
    HYDRATION,
    ORM,
    REMOTE,
    ROWS,
    SQL,
    Place,
    Slice,
    Statement,
    Trace,
)
from unslow.record.finish import finished

POSTS = USERS_COUNT * POSTS_COUNT
SECRET = "hunter2hunter2"
SECRET_NUMBER = 918_273_645
STACKS_COUNT = 4

Ask = Callable[..., Awaitable[Sequence[Any]]]
"""Sends a text with its values, `{0}` and so on, and gives the rows."""
Work = Callable[[Ask], Awaitable[None]]


class Way:
    """One way to send statements to PostgreSQL; the same request runs on each."""

    def __init__(self, kind: str, url: str, bench: Bench) -> None:
        self.kind = kind
        self._url = url
        self._bench = bench
        bench.install(kind.partition(" ")[0])

    def traced(self, work: Work) -> Trace:
        return trace_of(finished(self.open_trace(work)))

    def open_trace(self, work: Work) -> OpenTrace:
        run = {
            "asyncpg": self._asyncpg,
            "psycopg": self._psycopg,
            "sqlalchemy psycopg": self._session,
            "sqlalchemy asyncpg": self._async_session,
        }[self.kind]
        return asyncio.run(run(work))

    async def _asyncpg(self, work: Work) -> OpenTrace:
        connection = await asyncpg.connect(self._url)

        async def ask(sql: str, *values: Any) -> Sequence[Any]:
            rows = await connection.fetch(sql.format("$1", "$2"), *values)
            return [tuple(row) for row in rows]

        try:
            return await self._bench.run_async(lambda: work(ask))
        finally:
            await connection.close()

    async def _psycopg(self, work: Work) -> OpenTrace:
        with psycopg.connect(self._url, autocommit=True) as connection:
            # The app keeps one cursor for all it asks, and its texts.
            cursor = connection.cursor()
            texts: dict[str, bytes] = {}

            async def ask(sql: str, *values: Any) -> Sequence[Any]:
                query = texts.setdefault(sql, sql.format("%s", "%s").encode())
                cursor.execute(query, values or None)
                return cursor.fetchall() if cursor.description else []

            return await self._bench.run_async(lambda: work(ask))

    async def _session(self, work: Work) -> OpenTrace:
        engine = create_engine(self._address("psycopg"))
        with Session(engine) as session:
            session.connection()

            async def ask(sql: str, *values: Any) -> Sequence[Any]:
                result = session.execute(text(sql.format(":p0", ":p1")), _named(values))
                return result.all() if result.returns_rows else []  # type: ignore[attr-defined]  # of a cursor's result

            trace = await self._bench.run_async(lambda: work(ask))
            session.rollback()
        engine.dispose()
        return trace

    async def _async_session(self, work: Work) -> OpenTrace:
        engine = create_async_engine(self._address("asyncpg"))
        async with AsyncSession(engine) as session:
            await session.connection()

            async def ask(sql: str, *values: Any) -> Sequence[Any]:
                result = await session.execute(text(sql.format(":p0", ":p1")), _named(values))
                return result.all() if result.returns_rows else []  # type: ignore[attr-defined]  # of a cursor's result

            trace = await self._bench.run_async(lambda: work(ask))
            await session.rollback()
        await engine.dispose()
        return trace

    def _address(self, driver: str) -> str:
        return self._url.replace("postgresql:", f"postgresql+{driver}:")


def _named(values: Sequence[Any]) -> dict[str, Any]:
    return {f"p{number}": value for number, value in enumerate(values)}


WAYS = ("sqlalchemy psycopg", "sqlalchemy asyncpg", "asyncpg", "psycopg")


@pytest.fixture(scope="module")
def postgres_url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with new_database() as url:
        fill_at(url)
        yield url


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, bench: Bench, postgres_url: str) -> Way:
    return Way(request.param, postgres_url, bench)


@pytest.fixture(params=["postgresql+psycopg", "postgresql+asyncpg"])
def blog(request: pytest.FixtureRequest, bench: Bench, postgres_url: str) -> Blog:
    bench.install("sqlalchemy")
    return Blog(request.param, postgres_url, bench)


def of_table(trace: Trace, words: str) -> list[Statement]:
    """The statements that begin or go on so, without those of transactions."""
    return [one for one in trace.statements if words in one.shape]


def assert_is_loop(calls: Sequence[Statement], parent: int = 0) -> None:
    """All of them come from rows of a statement, each from one of its own, by one way."""
    assert {one.parent for one in calls} == {parent}
    assert len({one.row_key for one in calls}) == len(calls)
    assert "" not in {one.row_key for one in calls}
    assert len({one.place for one in calls}) == 1
    assert len({one.parameters_key for one in calls}) == len(calls)
    assert len({one.stack for one in calls if one.stack}) == 1
    assert sum(bool(one.stack) for one in calls) >= min(STACKS_COUNT, len(calls)) - 1


POSTS_LISTED = "SELECT title, id FROM blog_post ORDER BY id"


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT text FROM blog_comment WHERE post_id = {0}", "SELECT text"),
        ("SELECT count(*) FROM blog_comment WHERE post_id = {0}", "SELECT count"),
        ("UPDATE blog_comment SET text = 'x' WHERE post_id = {0}", "UPDATE"),
        ("DELETE FROM blog_comment WHERE id = -1 AND post_id = {0}", "DELETE"),
    ],
    ids=["look-up", "count", "update", "delete"],
)
def test_a_statement_for_each_row_comes_from_its_row_and_by_one_way(
    way: Way, sql: str, words: str
) -> None:
    async def work(ask: Ask) -> None:
        for _, number in await ask(POSTS_LISTED):
            await ask(sql, number)

    calls = of_table(way.traced(work), words)

    assert len(calls) == POSTS
    assert_is_loop(calls)


def test_a_list_of_one_key_is_a_look_up_and_of_several_a_batch(way: Way) -> None:
    async def work(ask: Ask) -> None:
        for _, number in await ask(POSTS_LISTED):
            await ask("SELECT text FROM blog_comment WHERE post_id = ANY({0})", [number])
        for number in range(3):
            await ask("SELECT id FROM blog_comment WHERE post_id = ANY({0})", [number, number + 1])

    trace = way.traced(work)

    assert_is_loop(of_table(trace, "SELECT text"))
    assert {one.is_batch for one in of_table(trace, "SELECT text")} == {False}
    batches = of_table(trace, "SELECT id FROM blog_comment")
    assert {(one.is_batch, one.parent) for one in batches} == {(True, -1)}


def test_look_ups_from_several_lines_come_by_several_ways(way: Way) -> None:
    async def post(ask: Ask, number: int) -> None:
        await ask("SELECT title FROM blog_post WHERE id = {0}", number)

    async def work(ask: Ask) -> None:
        await post(ask, 1)
        await post(ask, 2)
        await post(ask, 3)
        await post(ask, 4)

    calls = of_table(way.traced(work), "SELECT title")

    assert len({one.place for one in calls}) == 1
    assert len({one.stack for one in calls if one.stack}) == 3


def test_pages_by_key_follow_one_another(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    async def work(ask: Ask) -> None:
        last = 0
        while rows := await ask(
            "SELECT id FROM blog_comment WHERE id > {0} ORDER BY id LIMIT {1}", last, 10
        ):
            last = rows[-1][0]

    with caplog.at_level(logging.ERROR, "unslow"):
        statements = way.traced(work).statements

    pages = [one for one in statements if one.shape.startswith("SELECT")]
    indices = [statements.index(one) for one in pages]
    assert [one.parent for one in pages] == [-1, *indices[:-1]]
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("offset", "rounded"), [(0, 0), (7, 7), (1234, 1000), (99_999, 90_000), (100_000, 100_000)]
)
def test_an_offset_is_known_by_its_first_digit(way: Way, offset: int, rounded: int) -> None:
    async def work(ask: Ask) -> None:
        await ask("SELECT id FROM blog_comment ORDER BY id LIMIT {0} OFFSET {1}", 3, offset)
        await ask(f"SELECT id FROM blog_comment ORDER BY id OFFSET {offset}")
        await ask("SELECT id FROM blog_comment LIMIT {0}", 3)

    calls = of_table(way.traced(work), "blog_comment")

    assert [one.offset_rows_count for one in calls] == [rounded, rounded, None]


def test_equal_parameters_have_equal_keys_and_others_others(way: Way) -> None:
    async def work(ask: Ask) -> None:
        for number, name in ((1, "a"), (1, "b"), (2, "a"), (1, "a")):
            await ask("SELECT id FROM blog_user WHERE id = {0} AND name = {1}", number, name)
        await ask("SELECT name FROM blog_user WHERE id = {0}", 1)

    trace = way.traced(work)

    first, second, third, again = [
        one.parameters_key for one in of_table(trace, "SELECT id FROM blog_user")
    ]
    assert first == again
    assert len({first, second, third}) == 3
    # Of a text that came once nobody will ask.
    assert [one.parameters_key for one in of_table(trace, "SELECT name")] == [""]


def test_texts_with_other_literals_are_of_one_shape_and_told_apart(way: Way) -> None:
    async def work(ask: Ask) -> None:
        for number in (1, 2, 1):
            await ask(f"SELECT id FROM blog_user WHERE id = {number}")

    one, two, again = of_table(way.traced(work), "SELECT id FROM blog_user WHERE id = ?")

    assert one.literals_key == again.literals_key != two.literals_key
    assert one.place == two.place == again.place


def test_a_join_of_two_lists_is_seen_in_its_rows(way: Way) -> None:
    async def work(ask: Ask) -> None:
        await ask(
            "SELECT u.id, p.id, p.title, g FROM blog_user u JOIN blog_post p ON p.user_id = u.id"
            " CROSS JOIN LATERAL generate_series(u.id * 100, u.id * 100 + 19) AS g ORDER BY 1, 2, 4"
        )
        await ask(
            "SELECT u.id, p.id, c.id FROM blog_user u JOIN blog_post p ON p.user_id = u.id"
            " JOIN blog_comment c ON c.post_id = p.id CROSS JOIN generate_series(1, 1)"
        )

    calls = of_table(way.traced(work), "blog_user")

    assert [one.multiplied for one in calls] == [(POSTS_COUNT, 20), None]


def test_nothing_of_parameters_rows_or_literals_leaves_the_request(way: Way) -> None:
    number = SECRET_NUMBER

    async def work(ask: Ask) -> None:
        await ask("CREATE TEMPORARY TABLE kept (id int, word text) ON COMMIT PRESERVE ROWS")
        for step in range(3):
            await ask("INSERT INTO kept VALUES ({0}, {1})", number + step, f"{SECRET} {step}")
        for found, word in await ask("SELECT id, word FROM kept"):
            await ask("SELECT word FROM kept WHERE id = {0} AND word = {1}", found, word)
            await ask("SELECT id FROM kept WHERE word = ANY({0})", [word])
            await ask(f"SELECT id FROM kept WHERE id = {found} AND word = '{word}' -- {SECRET}")
        await ask("SELECT id FROM kept LIMIT {0} OFFSET {1}", number, number)
        await ask(f"SELECT id FROM kept OFFSET {number}")
        await ask(f"SELECT 'OFFSET {number}', id FROM kept")

    trace = way.open_trace(work)
    noted = repr([(one.text, one.parameters) for one in trace.statements])
    data = dumps(finished(trace))

    assert SECRET in noted
    assert str(number) in noted
    assert SECRET.encode() not in data
    told = repr(loads(data))
    assert SECRET not in told
    assert str(number) not in told
    assert "900000000" in told
    for step in range(3):
        assert str(number + step) not in told


# The ORM's own ways.


def test_objects_that_are_got_one_by_one_come_from_the_list_of_their_keys(blog: Blog) -> None:
    def work(session: Session) -> None:
        for number in session.scalars(select(Post.id).order_by(Post.id)).all():
            assert session.get(Post, number) is not None

    calls = of_table(trace_of(finished(blog.traced(work))), "WHERE blog_post.id")

    assert len(calls) == POSTS
    assert_is_loop(calls)


def test_what_is_counted_and_written_for_each_object_comes_from_its_row(blog: Blog) -> None:
    def work(session: Session) -> None:
        for post in session.scalars(select(Post).order_by(Post.id)).all():
            session.scalar(select(func.count()).where(Comment.post_id == post.id))
            session.execute(update(Comment).where(Comment.post_id == post.id).values(text="x"))
        session.rollback()

    trace = trace_of(finished(blog.traced(work)))

    assert_is_loop(of_table(trace, "count(*)"))
    assert_is_loop(of_table(trace, "UPDATE"))


def test_lazy_loads_keep_what_the_orm_says_of_them(blog: Blog) -> None:
    def work(session: Session) -> None:
        for user in session.scalars(select(User).order_by(User.id)):
            assert len(user.posts) == POSTS_COUNT

    trace = trace_of(finished(blog.traced(work)))

    loads = [one for one in trace.statements if one.relationship == "User.posts"]
    assert len(loads) == USERS_COUNT
    assert_is_loop(loads)


def test_the_offset_of_a_select_is_the_parameter_that_the_driver_gets(blog: Blog) -> None:
    def work(session: Session) -> None:
        inner = select(Post).order_by(Post.id).offset(3).limit(100).subquery()
        session.scalars(select(Post).order_by(Post.id).offset(4321).limit(10)).all()
        session.execute(select(inner.c.id).offset(8765).limit(7)).all()

    calls = of_table(trace_of(finished(blog.traced(work))), "blog_post")

    assert [one.offset_rows_count for one in calls] == [4000, 8000]


def test_what_statements_take_is_what_the_receipt_says_of_their_segments(blog: Blog) -> None:
    def work(session: Session) -> None:
        for user in session.scalars(select(User).options(joinedload(User.posts))).unique():
            assert [len(post.comments) for post in user.posts] == [COMMENTS_COUNT] * POSTS_COUNT
        for number in range(1, 4):
            session.get(Comment, number)

    request = Request(seen(trace_of(finished(blog.traced(work, work)))))

    whole = [sum(part) for part in zip(*request.costs, strict=True)]
    slices = [
        [one for _, one in request.slices(segment)] for segment in (SQL, ROWS, HYDRATION, ORM)
    ]
    lasted = [sum(one.end_ns - one.start_ns for one in found) for found in slices]
    assert whole[:2] == lasted[:2]
    assert 0 < whole[2] <= lasted[2]
    # Of the ORM's slices only what no statement, row or object takes of them.
    assert 0 < whole[3] < lasted[3]
    assert sum(whole) <= request.wall_ms * 1e6


# Connections.


def openings(trace: OpenTrace) -> list[tuple[str, int, bool]]:
    """The connections that were opened, by what is said of each."""
    slices = [one for lane in trace_of(finished(trace)).lanes for one in lane.slices]
    whats = [one.what for one in slices if one.segment == CONNECT]
    return [what for what in whats if isinstance(what, tuple) and len(what) == 3]


class Engines:
    """Engines by one driver, and what requests open with one of them."""

    def __init__(self, driver: str, url: str, bench: Bench) -> None:
        self._bench = bench
        self._is_async = driver == "asyncpg"
        self._url = url.replace("postgresql:", f"postgresql+{driver}:")

    def opened(
        self, *requests: Callable[[Engine], Any], **options: Any
    ) -> list[list[tuple[str, int, bool]]]:
        """What each of some requests opens with an engine that is new."""
        if self._is_async:
            return asyncio.run(self._opened_async(requests, options))
        engine = create_engine(self._url, **options)
        traces = [self._bench.run(partial(one, engine)) for one in requests]
        engine.dispose()
        return list(map(openings, traces))

    async def _opened_async(
        self, requests: Sequence[Callable[[Engine], Any]], options: dict[str, Any]
    ) -> list[list[tuple[str, int, bool]]]:
        engine = create_async_engine(self._url, **options)
        traces = [
            await self._bench.run_async(partial(greenlet_spawn, one, engine.sync_engine))
            for one in requests
        ]
        await engine.dispose()
        return list(map(openings, traces))


@pytest.fixture(params=["psycopg", "asyncpg"])
def engines(request: pytest.FixtureRequest, bench: Bench, postgres_url: str) -> Engines:
    bench.install("sqlalchemy")
    return Engines(request.param, postgres_url, bench)


def asks(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def asks_twice_at_once(engine: Engine) -> None:
    with engine.connect(), engine.connect():
        pass


def loses_its_connection(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.invalidate()


def test_each_new_engine_has_a_pool_of_a_new_number(engines: Engines) -> None:
    found = [engines.opened(asks, asks) for _ in range(3)]

    # The first request opens a connection, and the second one has it.
    assert [(len(first), second) for first, second in found] == [(1, [])] * 3
    every = [one for first, _ in found for one in first]
    assert len({number for _, number, _ in every}) == 3
    assert len({name for name, _, _ in every}) == 1
    assert {(number > 0, is_again) for _, number, is_again in every} == {(True, False)}


def test_connections_of_one_engine_have_the_number_of_its_pool(engines: Engines) -> None:
    ((first, second),) = engines.opened(asks_twice_at_once)

    assert first == second
    assert not first[2]


def test_a_connection_that_is_opened_again_in_its_place_says_so(engines: Engines) -> None:
    first, second, third = engines.opened(loses_its_connection, asks, asks)

    assert [is_again for _, _, is_again in first + second] == [False, True]
    assert first[0][:2] == second[0][:2]
    assert third == []


def test_a_connection_that_became_too_old_is_opened_again_in_its_place(engines: Engines) -> None:
    found = engines.opened(asks, asks, asks, pool_size=1, max_overflow=0, pool_recycle=0)

    every = [one for request in found for one in request]
    assert [is_again for _, _, is_again in every] == [False, *[True] * (len(every) - 1)]
    assert len(every) >= 3
    assert len({number for _, number, _ in every}) == 1


def test_without_a_pool_no_connection_is_opened_again(engines: Engines) -> None:
    found = engines.opened(asks, asks, poolclass=NullPool)

    assert [[is_again for _, _, is_again in request] for request in found] == [[False], [False]]


# Calls of other services.


@pytest.fixture
def remote(bench: Bench) -> Bench:
    bench.install("httpx")
    return bench


def fetched(client: httpx.Client, url: str) -> str:
    return client.get(url).text


def price_of(client: httpx.Client, url: str) -> str:
    return fetched(client, url)


def remote_slices(trace: OpenTrace) -> list[Slice]:
    slices = [one for lane in trace_of(finished(trace)).lanes for one in lane.slices]
    return [one for one in slices if one.segment == REMOTE]


def functions_of(places: Sequence[Place]) -> list[str]:
    return [one.function.rpartition(".")[2] for one in places]


def test_a_call_carries_the_lines_that_called_its_own(remote: Bench, stub: Stub) -> None:
    def work() -> None:
        with httpx.Client(trust_env=False) as client:
            price_of(client, stub.url("/after/1"))

    trace = remote.run(work)

    call = remote_slices(trace)[0]
    assert isinstance(call.what, tuple)
    host, pool, is_bounded, only_reads, *callers = call.what
    assert (host, pool > 0, is_bounded, only_reads) == (stub.address, True, True, False)
    assert call.place is not None
    assert call.place.path == __file__
    assert functions_of([call.place]) == ["fetched"]
    assert functions_of([Place(*one) for one in callers][:2]) == ["price_of", "work"]
    assert len(callers) <= 3


def test_each_client_has_a_pool_of_its_own_and_a_wait_without_end_is_seen(
    remote: Bench, stub: Stub
) -> None:
    def work() -> None:
        for timeout in (5, None):
            with httpx.Client(trust_env=False, timeout=timeout) as client:
                for _ in range(2):
                    fetched(client, stub.url("/after/1"))

    calls = [one.what for one in remote_slices(remote.run(work)) if isinstance(one.what, tuple)]

    first, second = [one for one in calls if one[2]], [one for one in calls if not one[2]]
    assert (len({one[1] for one in first}), len({one[1] for one in second})) == (1, 1)
    assert first[0][1] != second[0][1]


def test_what_only_reads_on_says_so_and_is_part_of_its_call(remote: Bench, stub: Stub) -> None:
    def work() -> None:
        with httpx.Client(trust_env=False) as client:
            with client.stream("GET", stub.url("/sized/3/10")) as response:
                # Between two parts something is done, so that they are slices of their own.
                for _ in response.iter_raw():
                    sum(range(20_000))
            fetched(client, stub.url("/after/1"))

    trace = remote.run(work)
    calls = remote_slices(trace)
    reads = [one.what[3] is True for one in calls if isinstance(one.what, tuple)]
    assert reads[:2] == [False, True]
    assert reads[-1] is False
    read = calls[1].what
    assert isinstance(read, tuple)
    assert len(read) == 4

    first, second = Request(seen(trace_of(finished(trace)))).remote_calls()
    assert (
        first.end_ns
        == [one.end_ns for one, is_read in zip(calls, reads, strict=True) if is_read][-1]
    )
    assert first.ms >= 30
    assert functions_of(first.chain)[0] == "work"
    assert functions_of(second.chain)[:2] == ["fetched", "work"]
    assert first.pool == second.pool


@pytest.mark.anyio
async def test_an_async_call_carries_them_too(remote: Bench, stub: Stub) -> None:
    async def fetched_in_turn(client: httpx.AsyncClient) -> None:
        await client.get(stub.url("/after/1"))

    async def work() -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            await fetched_in_turn(client)

    (call, *_) = Request(seen(trace_of(finished(await remote.run_async(work))))).remote_calls()

    assert functions_of(call.chain)[:2] == ["fetched_in_turn", "work"]

"""Which statement, which of its rows, and which attribute a statement comes from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    Session,
    immediateload,
    joinedload,
    selectinload,
    subqueryload,
    undefer,
)

from tests.record.probes.blog import (
    COMMENTS_COUNT,
    POSTS_COUNT,
    USERS_COUNT,
    Blog,
    Comment,
    Post,
    User,
    blog_in,
    fill_at,
)
from tests.record.probes.conftest import Bench
from unslow.current import LANE, OpenStatement, OpenTrace
from unslow.record.finish import finished
from unslow.record.place import resolve
from unslow.record.probe import Probe
from unslow.record.probes.sqlalchemy import options, private

KINDS = ("sqlite", "postgresql+psycopg", "postgresql+asyncpg", "sqlite+aiosqlite")
SQLALCHEMY = Probe("sqlalchemy", ())
Come = list[tuple[int, str]]
"""Of each statement, the index of its parent and the attribute that was touched."""


@pytest.fixture(scope="module")
def postgres_url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with new_database() as url:
        fill_at(url)
        yield url


@pytest.fixture(params=KINDS)
def blog(request: pytest.FixtureRequest, bench: Bench, tmp_path: Path, postgres_url: str) -> Blog:
    bench.install("sqlalchemy")
    return blog_in(request.param, bench, tmp_path, postgres_url)


@pytest.fixture
def one_blog(bench: Bench, tmp_path: Path, postgres_url: str) -> Blog:
    bench.install("sqlalchemy")
    return blog_in("sqlite", bench, tmp_path, postgres_url)


@pytest.fixture
def unknown_version(
    monkeypatch: pytest.MonkeyPatch, bench: Bench, tmp_path: Path, postgres_url: str
) -> Callable[[str], Blog]:
    """Blogs by a SQLAlchemy whose private names nobody here has looked at."""
    monkeypatch.setattr(private, "KNOWN_VERSIONS", ("1.9",))

    def open_blog(kind: str) -> Blog:
        for module in ("sqlalchemy", "sqlalchemy.orm"):
            bench.probes.start(SQLALCHEMY, module)
        return blog_in(kind, bench, tmp_path, postgres_url)

    return open_blog


def selects(trace: OpenTrace) -> list[OpenStatement]:
    return [one for one in trace.statements if one.text.startswith("SELECT")]


def where_from(trace: OpenTrace) -> Come:
    return [(one.parent, str(one.relationship or "")) for one in selects(trace)]


def users_of(session: Session) -> list[User]:
    return list(session.scalars(select(User).order_by(User.id)).all())


def test_a_lazy_load_comes_from_the_row_of_the_statement_that_loaded_its_object(
    blog: Blog,
) -> None:
    def work(session: Session) -> None:
        for user in users_of(session):
            for post in user.posts:
                assert len(post.comments) == COMMENTS_COUNT

    trace = blog.traced(work)

    expected: Come = [(-1, "")]
    for _ in range(USERS_COUNT):
        posts = len(expected)
        expected.append((0, "User.posts"))
        expected += [(posts, "Post.comments")] * POSTS_COUNT
    assert where_from(trace) == expected
    keys = [one.row_key for one in selects(trace)[1:]]
    assert len(set(keys)) == len(keys)
    lines = {place[1] for one in selects(trace)[1:] if (place := resolve(one.place))}
    start = work.__code__.co_firstlineno
    assert lines == {start + 2, start + 3}


def test_it_is_the_same_when_sqlalchemy_has_everything_cached(blog: Blog) -> None:
    def work(session: Session) -> list[int]:
        return [len(user.posts) for user in users_of(session)]

    first = where_from(blog.traced(work))
    trace = blog.traced(work, work, work)

    assert where_from(trace) == first == [(-1, ""), *[(0, "User.posts")] * USERS_COUNT]


def test_many_to_one_loads_come_from_their_row(blog: Blog) -> None:
    def work(session: Session) -> list[str]:
        return [post.user.name for post in session.scalars(select(Post).order_by(Post.id)).all()]

    trace = blog.traced(work)

    assert where_from(trace) == [(-1, ""), *[(0, "Post.user")] * USERS_COUNT]


def test_objects_that_a_join_brought_have_the_joined_statement_as_parent(blog: Blog) -> None:
    def work(session: Session) -> None:
        statement = select(User).options(joinedload(User.posts)).order_by(User.id)
        for user in session.scalars(statement).unique().all():
            for post in user.posts:
                assert post.comments

    trace = blog.traced(work)

    posts_count = USERS_COUNT * POSTS_COUNT
    assert where_from(trace) == [(-1, ""), *[(0, "Post.comments")] * posts_count]


def test_objects_that_were_there_already_keep_the_statement_that_loaded_them(blog: Blog) -> None:
    def work(session: Session) -> None:
        users = users_of(session)
        again = session.scalars(select(User).where(User.id < 3).order_by(User.id)).all()
        assert again == users[:2]
        assert [len(user.posts) for user in again] == [POSTS_COUNT, POSTS_COUNT]

    trace = blog.traced(work)

    assert where_from(trace) == [(-1, ""), (-1, ""), (0, "User.posts"), (0, "User.posts")]


def test_objects_of_several_statements_are_told_apart(blog: Blog) -> None:
    def work(session: Session) -> None:
        low = session.scalars(select(User).where(User.id < 3)).all()
        high = session.execute(select(User, User.id).where(User.id > 2)).all()
        for (user, _), other in zip(high, low, strict=True):
            assert user.posts
            assert other.posts

    trace = blog.traced(work)

    assert [parent for parent, _ in where_from(trace)] == [-1, -1, 1, 0, 1, 0]


def test_a_deferred_column_comes_from_the_row_that_lacked_it(blog: Blog) -> None:
    def work(session: Session) -> None:
        for user in users_of(session):
            assert user.about == "about"
            assert user.posts

    trace = blog.traced(work)

    assert where_from(trace)[1:3] == [(0, "User.about"), (0, "User.posts")]
    about, posts = selects(trace)[1:3]
    assert about.row_key == posts.row_key
    assert {parent for parent, _ in where_from(trace)[1:]} == {0}


def test_what_expired_comes_from_the_row_that_was_there_before(blog: Blog) -> None:
    def work(session: Session) -> None:
        users = users_of(session)
        session.commit()
        for user in users:
            assert user.name == "ann"
            assert user.posts

    trace = blog.traced(work)

    found = [(one.parent, str(one.relationship)) for one in selects(trace)[1:]]
    assert found == [(0, "User.*"), (0, "User.posts")] * USERS_COUNT


def test_a_refresh_that_was_asked_for_has_a_parent_and_no_attribute(blog: Blog) -> None:
    def work(session: Session) -> None:
        for user in users_of(session):
            session.refresh(user)
        session.refresh(user, ["name"])

    trace = blog.traced(work)

    assert where_from(trace)[:-1] == [(-1, ""), *[(0, "")] * USERS_COUNT]
    assert selects(trace)[-1].row_key == selects(trace)[-2].row_key


def test_what_was_never_loaded_has_no_parent(blog: Blog) -> None:
    def work(session: Session) -> None:
        user = User(name="new")
        session.add(user)
        session.flush()
        session.expire(user)
        assert user.name == "new"
        assert user.posts == []
        session.rollback()

    trace = blog.traced(work)

    expired, posts = selects(trace)
    assert (expired.parent, posts.parent) == (-1, expired.index)


def test_eager_loads_in_batches_come_from_what_they_complete(blog: Blog) -> None:
    def work(session: Session) -> None:
        posts = selectinload(User.posts)
        statement = select(User).options(posts.selectinload(Post.comments)).order_by(User.id)
        for user in session.scalars(statement).all():
            assert all(post.comments for post in user.posts)

    trace = blog.traced(work)

    assert where_from(trace) == [(-1, ""), (0, "User.posts"), (1, "Post.comments")]
    assert [one.row_key for one in selects(trace)] == [None, None, None]


def test_an_eager_load_below_a_join_comes_from_the_joined_statement(blog: Blog) -> None:
    def work(session: Session) -> None:
        posts = joinedload(User.posts)
        statement = select(User).options(posts.selectinload(Post.comments)).order_by(User.id)
        for user in session.scalars(statement).unique().all():
            assert all(post.comments for post in user.posts)

    trace = blog.traced(work)

    assert where_from(trace) == [(-1, ""), (0, "Post.comments")]


def test_eager_loads_by_subquery_come_from_what_they_complete(blog: Blog) -> None:
    def work(session: Session) -> None:
        posts = subqueryload(User.posts)
        statement = select(User).options(posts.subqueryload(Post.comments)).order_by(User.id)
        for user in session.scalars(statement).all():
            assert all(post.comments for post in user.posts)

    trace = blog.traced(work)

    assert where_from(trace) == [(-1, ""), (0, "User.posts"), (1, "Post.comments")]


def test_immediate_loads_come_from_their_rows(blog: Blog) -> None:
    def work(session: Session) -> None:
        session.scalars(select(User).options(immediateload(User.posts)).order_by(User.id)).all()

    trace = blog.traced(work)

    assert where_from(trace) == [(-1, ""), *[(0, "User.posts")] * USERS_COUNT]
    assert len({one.row_key for one in selects(trace)}) == USERS_COUNT + 1


def test_a_lazy_load_of_what_an_eager_load_brought_comes_from_the_eager_one(blog: Blog) -> None:
    def work(session: Session) -> None:
        statement = select(User).options(selectinload(User.posts)).order_by(User.id)
        for user in session.scalars(statement).all():
            assert user.posts[0].comments

    trace = blog.traced(work)

    assert where_from(trace)[2:] == [(1, "Post.comments")] * USERS_COUNT


def test_what_a_lazy_load_only_flushed_is_not_its_child(one_blog: Blog) -> None:
    def work(session: Session) -> None:
        user = users_of(session)[0]
        session.add(User(name="new"))
        assert len(user.posts) == POSTS_COUNT

    trace = one_blog.traced(work)

    inserted = next(one for one in trace.statements if one.text.startswith("INSERT"))
    assert (inserted.parent, inserted.relationship, inserted.row_key) == (-1, None, None)
    assert where_from(trace) == [(-1, ""), (0, "User.posts")]


def test_what_the_apps_own_listener_asks_while_objects_are_built_is_no_child(
    one_blog: Blog,
) -> None:
    def ask(user: User, context: Any) -> None:
        context.session.execute(select(Comment.id).where(Comment.id == user.id)).all()

    def work(session: Session) -> None:
        for user in users_of(session):
            assert user.posts

    event.listen(User, "load", ask)
    try:
        trace = one_blog.traced(work)
    finally:
        event.remove(User, "load", ask)

    own = [one for one in selects(trace) if "FROM blog_comment" in one.text]
    assert [(one.parent, one.relationship) for one in own] == [(-1, None)] * USERS_COUNT
    assert [one for one in where_from(trace) if one[1]] == [(0, "User.posts")] * USERS_COUNT


def test_objects_of_an_earlier_request_are_not_children_of_this_one(one_blog: Blog) -> None:
    kept: list[Session] = []

    def load(session: Session) -> list[User]:
        kept.append(Session(session.get_bind(), expire_on_commit=False))
        return users_of(kept[0])

    def work(session: Session) -> None:
        session.execute(text("SELECT 1"))
        assert [len(user.posts) for user in users_of(kept[0])] == [POSTS_COUNT] * USERS_COUNT
        kept[0].close()

    users: list[User] = []
    trace = one_blog.traced(lambda session: users.extend(load(session)), work)

    lazy = [one for one in selects(trace) if one.relationship is not None]
    assert [(one.parent, str(one.relationship)) for one in lazy] == [(-1, "User.posts")] * 4
    assert len({one.row_key for one in lazy}) == USERS_COUNT


def test_options_of_a_load_do_not_confuse_it(blog: Blog) -> None:
    def work(session: Session) -> None:
        options = [undefer(User.about), selectinload(User.posts).undefer(Post.title)]
        for user in session.scalars(select(User).options(*options).order_by(User.id)).all():
            assert user.about
            assert [post.comments for post in user.posts]

    trace = blog.traced(work)

    posts_count = USERS_COUNT * POSTS_COUNT
    assert where_from(trace) == [
        (-1, ""),
        (0, "User.posts"),
        *[(1, "Post.comments")] * posts_count,
    ]


def test_ten_interleaved_requests_keep_their_lineage_apart(bench: Bench, postgres_url: str) -> None:
    bench.install("sqlalchemy")
    url = Blog("postgresql+asyncpg", postgres_url, bench).url

    def lazy(session: Session) -> int:
        return sum(len(post.comments) for user in users_of(session) for post in user.posts)

    def eager(session: Session) -> int:
        statement = select(User).options(selectinload(User.posts)).order_by(User.id)
        return sum(
            len(post.comments) for user in session.scalars(statement).all() for post in user.posts
        )

    async def main() -> list[OpenTrace]:
        engine = create_async_engine(url, pool_size=10)
        results: list[int] = []

        async def request(number: int) -> None:
            async with AsyncSession(engine) as session:
                for _ in range(number % 3):
                    await session.execute(text("SELECT 1"))
                results.append(await session.run_sync(eager if number % 2 else lazy))

        async def traced(number: int) -> OpenTrace:
            return await bench.run_async(lambda: request(number))

        traces = await asyncio.gather(*[traced(number) for number in range(10)])
        assert results == [USERS_COUNT * POSTS_COUNT * COMMENTS_COUNT] * 10
        await engine.dispose()
        return traces

    traces = asyncio.run(main())

    for number, trace in enumerate(traces):
        before = number % 3
        children = trace.statements[before + 1 : -1]
        assert len(children) == (13 if number % 2 else 16)
        for child in children:
            parent = trace.statements[child.parent]
            assert before <= parent.index < child.index
            if str(child.relationship) == "User.posts":
                assert parent.index == before
            else:
                assert str(child.relationship) == "Post.comments"
                assert str(parent.relationship) == "User.posts"


def test_a_finished_trace_carries_names_and_hashes_only(one_blog: Blog) -> None:
    trace = one_blog.traced(lambda session: [user.posts for user in users_of(session)])

    statements: Any = finished(trace)[14]

    lazy = [one for one in statements if one[4]]
    assert {one[4] for one in lazy} == {"User.posts"}
    assert {one[3] for one in lazy} == {0}
    assert len({one[5] for one in lazy}) == USERS_COUNT


@pytest.mark.parametrize("kind", ["sqlite", "postgresql+asyncpg"])
def test_on_an_unknown_version_lineage_goes_by_public_names(
    kind: str, unknown_version: Callable[[str], Blog]
) -> None:
    blog = unknown_version(kind)

    def work(session: Session) -> None:
        for user in users_of(session):
            assert user.about
            assert [post.comments for post in user.posts]

    trace = blog.traced(work, work)

    expected: Come = [(-1, "")]
    for _ in range(USERS_COUNT):
        posts = len(expected) + 1
        expected += [(0, "User.*"), (0, "User.posts")]
        expected += [(posts, "Post.comments")] * POSTS_COUNT
    assert where_from(trace) == expected
    keys = [one.row_key for one in selects(trace)[1:]]
    assert len(set(keys)) == len(keys)
    off = {what for what, one in blog.bench.recorder.coverage.items() if one.state == "off"}
    assert {"sqlalchemy rows", "sqlalchemy hydration", "sqlalchemy connections"} <= off


def test_on_an_unknown_version_eager_loads_have_their_parents_too(
    unknown_version: Callable[[str], Blog],
) -> None:
    def work(session: Session) -> None:
        posts = selectinload(User.posts)
        statement = select(User).options(posts.selectinload(Post.comments)).order_by(User.id)
        for user in session.scalars(statement).all():
            assert all(post.comments for post in user.posts)

    trace = unknown_version("sqlite").traced(work, work)

    assert where_from(trace) == [(-1, ""), (0, "User.posts"), (1, "Post.comments")]


def test_on_an_unknown_version_objects_of_an_earlier_request_have_no_parent(
    unknown_version: Callable[[str], Blog],
) -> None:
    blog = unknown_version("sqlite")
    kept: list[Session] = []
    users: list[User] = []

    def load(session: Session) -> None:
        def request() -> None:
            kept.append(Session(session.get_bind()))
            users.extend(users_of(kept[0]))

        token = LANE.set(None)
        blog.bench.run(request)
        LANE.reset(token)

    def work(session: Session) -> None:
        assert [len(user.posts) for user in users] == [POSTS_COUNT] * USERS_COUNT
        kept[0].close()

    trace = blog.traced(load, work)

    assert where_from(trace) == [(-1, "User.posts")] * USERS_COUNT


def test_on_an_unknown_version_a_bug_of_ours_does_not_reach_the_app(
    monkeypatch: pytest.MonkeyPatch, breaking_bench: Bench, tmp_path: Path, postgres_url: str
) -> None:
    monkeypatch.setattr(private, "KNOWN_VERSIONS", ("1.9",))
    monkeypatch.setattr(options, "_origin_of", None)
    for module in ("sqlalchemy", "sqlalchemy.orm"):
        breaking_bench.probes.start(SQLALCHEMY, module)
    blog = blog_in("sqlite", breaking_bench, tmp_path, postgres_url)

    blog.traced(lambda session: [len(user.posts) for user in users_of(session)])

    assert blog.result == [POSTS_COUNT] * USERS_COUNT
    assert breaking_bench.recorder.coverage["sqlalchemy"].why == "broke: TypeError"

"""With the probe, SQLAlchemy answers as it does without; without it again, nothing is left."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from inspect import getfullargspec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
from sqlalchemy import (
    Connection,
    Engine,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError, InvalidRequestError, NoResultFound, ResourceClosedError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import (
    Session,
    aliased,
    joinedload,
    load_only,
    raiseload,
    selectinload,
    subqueryload,
)

from tests.record.probes.blog import Blog, Comment, Post, User, blog_in, fill_at
from tests.record.probes.conftest import Bench
from unslow.current import Lane
from unslow.record.probe import Probe
from unslow.record.probes.sqlalchemy import hydration, lineage, pool, private

KINDS = ("sqlite", "postgresql+psycopg", "postgresql+psycopg2", "postgresql+asyncpg")
Form = Callable[[Session], Any]
FORMS: list[Form] = []


def form(function: Form) -> Form:
    FORMS.append(function)
    return function


def told(users: Any) -> list[tuple[int, str, int]]:
    return [(user.id, user.name, len(user.posts)) for user in users]


BY_ID = select(User).order_by(User.id)


@form
def plain_rows(session: Session) -> Any:
    return [(user.id, user.name) for (user,) in session.execute(BY_ID)]


@form
def scalars_all(session: Session) -> Any:
    return told(session.scalars(BY_ID).all())


@form
def with_a_limit(session: Session) -> Any:
    return told(session.execute(BY_ID.limit(2).offset(1)).scalars())


@form
def scalar_one(session: Session) -> Any:
    return told([session.execute(select(User).where(User.id == 2)).scalar_one()])


@form
def no_result(session: Session) -> Any:
    with pytest.raises(NoResultFound) as raised:
        session.execute(select(User).where(User.id == -1)).scalar_one()
    return str(raised.value), session.scalar(select(User).where(User.id == -1))


@form
def tuples(session: Session) -> Any:
    statement = select(User, Post.title).join(User.posts).order_by(Post.id)
    return [(user.id, title) for user, title in session.execute(statement).all()]


@form
def mappings(session: Session) -> Any:
    return [dict(one) for one in session.execute(select(User.id, User.name)).mappings()]


@form
def partitions(session: Session) -> Any:
    return [[user.id for user in part] for part in session.scalars(BY_ID).partitions(3)]


@form
def distinct(session: Session) -> Any:
    return session.scalars(select(User.name).distinct()).all()


@form
def unique(session: Session) -> Any:
    return told(session.scalars(select(User).join(User.posts).order_by(User.id)).unique().all())


@form
def first(session: Session) -> Any:
    result = session.scalars(BY_ID)
    return told([result.first()]), session.execute(BY_ID).first() is not None


@form
def one_by_one(session: Session) -> Any:
    result = session.execute(BY_ID)
    rows = [result.fetchone(), *result.fetchmany(2), *result, result.fetchone()]
    return [None if row is None else row[0].id for row in rows]


@form
def next_of_an_iterator(session: Session) -> Any:
    result = session.scalars(BY_ID)
    return next(result).id, [user.id for user in result], result.all()


@form
def a_closed_result(session: Session) -> Any:
    result = session.scalars(BY_ID)
    result.close()
    with pytest.raises(ResourceClosedError) as raised:
        result.all()
    return str(raised.value)


@form
def yield_per(session: Session) -> Any:
    statement = select(Post).order_by(Post.id).execution_options(yield_per=5)
    result = session.scalars(statement)
    seen = [post.id for post in result]
    return seen, [[post.id for post in part] for part in session.scalars(statement).partitions()]


@form
def yield_per_given_later(session: Session) -> Any:
    return [post.id for post in session.scalars(select(Post).order_by(Post.id)).yield_per(4)]


@form
def half_of_a_stream(session: Session) -> Any:
    result = session.scalars(select(Post).order_by(Post.id).execution_options(yield_per=2))
    ids = [next(result).id, next(result).id, next(result).id]
    result.close()
    return ids


@form
def an_alias(session: Session) -> Any:
    other = aliased(User)
    return told(session.scalars(select(other).where(other.id > 1).order_by(other.id)))


@form
def columns_only(session: Session) -> Any:
    statement = select(User.id, func.count(Post.id)).join(User.posts).group_by(User.id)
    return [tuple(row) for row in session.execute(statement.order_by(User.id)).all()]


@form
def for_update(session: Session) -> Any:
    return told(session.scalars(BY_ID.with_for_update()).all())


@form
def from_statement(session: Session) -> Any:
    statement = text("SELECT * FROM blog_user ORDER BY id DESC").columns(User.id, User.name)
    return told(session.scalars(select(User).from_statement(statement)).all())


@form
def get(session: Session) -> Any:
    return told([session.get(User, 1), session.get(User, 1)]), session.get(User, -1)


@form
def legacy_query(session: Session) -> Any:
    query = session.query(User).order_by(User.id)
    pairs = session.query(User.id, User.name).filter(User.id < 3).order_by(User.id).all()
    return told(query.all()), told([query.first()]), query.count(), [tuple(one) for one in pairs]


@form
def legacy_query_in_a_loop(session: Session) -> Any:
    query = session.query(User).order_by(User.id)
    return told(query), [user.id for user in query.yield_per(2)], query.filter_by(id=3).one().id


@form
def refreshed(session: Session) -> Any:
    user = session.get_one(User, 1)
    session.execute(update(User).where(User.id == 1).values(name="other"))
    session.refresh(user)
    session.refresh(user, ["posts"])
    return told([user])


@form
def expired(session: Session) -> Any:
    users = session.scalars(BY_ID).all()
    session.expire_all()
    return told(users), [user.about for user in users]


@form
def populated_again(session: Session) -> Any:
    users = session.scalars(BY_ID).all()
    users[0].name = "unsaved"
    with session.no_autoflush:
        again = session.scalars(BY_ID.execution_options(populate_existing=True)).all()
    return told(again), again == users


@form
def eager_loads(session: Session) -> Any:
    found = []
    for load in (selectinload, subqueryload, joinedload):
        statement = BY_ID.options(load(User.posts).options(selectinload(Post.comments)))
        users = session.scalars(statement).unique().all()
        found.append([len(post.comments) for user in users for post in user.posts])
        session.expunge_all()
    return found


@form
def a_join_without_unique(session: Session) -> Any:
    with pytest.raises(InvalidRequestError) as raised:
        session.scalars(BY_ID.options(joinedload(User.posts))).all()
    return str(raised.value)


@form
def loads_that_raise(session: Session) -> Any:
    user = session.scalars(BY_ID.options(raiseload(User.posts), load_only(User.id))).first()
    assert user is not None
    with pytest.raises(InvalidRequestError) as raised:
        user.posts.clear()
    return str(raised.value)


@form
def insert_returning(session: Session) -> Any:
    rows = [{"id": -1, "name": "a"}, {"id": -2, "name": "b"}]
    users = session.scalars(insert(User).returning(User, sort_by_parameter_order=True), rows)
    return told(users.all())


@form
def updated(session: Session) -> Any:
    result: Any = session.execute(update(User).where(User.id < 3).values(name="new"))
    returned = session.execute(
        update(User).where(User.id == 3).values(name="x").returning(User.id, User.name)
    )
    return result.rowcount, [tuple(row) for row in returned], told(session.scalars(BY_ID))


@form
def deleted(session: Session) -> Any:
    result: Any = session.execute(delete(Comment).where(Comment.id < 4))
    return result.rowcount, session.scalar(select(func.count()).select_from(Comment))


@form
def inserted_in_bulk(session: Session) -> Any:
    session.add_all([User(id=-number, name="bulk") for number in range(1, 30)])
    session.flush()
    session.execute(insert(User), [{"id": -100, "name": "a"}, {"id": -101, "name": "b"}])
    session.bulk_insert_mappings(User.__mapper__, [{"id": -200, "name": "m"}])
    return session.scalars(select(User.id).order_by(User.id)).all()


@form
def written_by_the_unit_of_work(session: Session) -> Any:
    user = User(name="new", posts=[Post(title="one"), Post(title="two")])
    session.add(user)
    session.flush()
    user.posts[0].title = "changed"
    session.delete(user.posts[1])
    session.flush()
    session.expire(user)
    merged = session.merge(User(id=1, name="merged"))
    session.flush()
    return [post.title for post in user.posts], merged.name, session.scalar(select(User.name))


@form
def an_error_of_the_database(session: Session) -> Any:
    with pytest.raises(IntegrityError) as raised, session.begin_nested():
        session.execute(insert(User), {"id": 1, "name": "twice"})
    return type(raised.value.orig).__name__, raised.value.params, told(session.scalars(BY_ID))


@form
def core(session: Session) -> Any:
    connection = session.connection()
    rows = connection.execute(select(User.__table__).order_by(User.id))
    other = connection.execution_options(stream_results=True).execute(select(Post.id))
    return [tuple(row) for row in rows], sorted(one for (one,) in other), rows.fetchall()


@form
def named_parameters(session: Session) -> Any:
    statement: Any = select(literal_column("1"), User.id).where(User.id == bindparam("which"))
    return [tuple(row) for row in session.execute(statement, {"which": 2}).all()]


@form
def frozen_and_merged(session: Session) -> Any:
    frozen = session.execute(BY_ID).freeze()
    low, high = (session.execute(select(User.id).where(User.id == one)) for one in (1, 2))
    return told(frozen().scalars()), told(frozen().scalars()), low.merge(high).all()


@pytest.fixture(scope="module")
def postgres_url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with new_database() as url:
        fill_at(url)
        yield url


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("work", FORMS, ids=lambda one: one.__name__)
def test_a_form_of_statement_gives_the_same(
    work: Form, kind: str, bench: Bench, tmp_path: Path, postgres_url: str
) -> None:
    blog = blog_in(kind, bench, tmp_path, postgres_url)
    blog.traced(work, traced=False)
    expected = blog.result
    bench.install("sqlalchemy")

    blog.traced(work, traced=False)
    untraced = blog.result
    trace = blog.traced(work)

    assert blog.result == untraced == expected
    assert trace.statements != []
    lanes = [(lane.inside_sql, lane.statement, lane.place) for lane in trace.lanes]
    assert lanes == [(0, None, None)] * len(lanes)


def test_async_streams_give_the_same(bench: Bench, postgres_url: str) -> None:
    url = Blog("postgresql+asyncpg", postgres_url, bench).url
    found: list[Any] = []

    async def work() -> None:
        engine = create_async_engine(url)
        async with AsyncSession(engine) as session:
            stream = await session.stream_scalars(select(Post).order_by(Post.id))
            ids = [post.id async for post in stream]
            parts = await session.stream(select(Post).order_by(Post.id).limit(7))
            sizes = [len(part) async for part in parts.partitions(3)]
            rows = await session.stream(select(Post.id).execution_options(yield_per=2))
            first = await rows.fetchone()
            rest = len(await rows.fetchmany(3)) + len(await rows.all())
            unbuffered = await session.stream_scalars(BY_ID.options(selectinload(User.posts)))
            names = told(await unbuffered.all())
            found.append((ids, sizes, first is not None, rest, names))
        await engine.dispose()

    asyncio.run(work())
    bench.install("sqlalchemy")
    bench.run(work)

    assert found[0] == found[1]


def names_in_use() -> dict[tuple[str, str], Any]:
    """Every function of SQLAlchemy's modules and of their classes."""
    found: dict[tuple[str, str], Any] = {}
    for name, module in list(sys.modules.items()):
        if not name.startswith("sqlalchemy") or not isinstance(module, ModuleType):
            continue
        for key, value in list(vars(module).items()):
            if isinstance(value, FunctionType):
                found[name, key] = value
            elif isinstance(value, type) and value.__module__.startswith("sqlalchemy"):
                for attribute, member in list(vars(value).items()):
                    if isinstance(member, FunctionType | staticmethod | classmethod | bool):
                        found[f"{name}.{key}", attribute] = member
    return found


def taking_nothing() -> dict[tuple[type, str], FunctionType]:
    """The public methods that take nothing but their object, told as SQLAlchemy's own tests do."""
    found: dict[tuple[type, str], FunctionType] = {}
    for kind in (Session, Connection, Engine):
        for name, method in vars(kind).items():
            if isinstance(method, FunctionType) and not name.startswith("_"):
                told = getfullargspec(method)
                if not (told.args[1:] or told.varargs or told.varkw or told.kwonlyargs):
                    found[kind, name] = method
    return found


def test_methods_that_take_nothing_still_take_nothing(bench: Bench) -> None:
    before = taking_nothing()
    bench.install("sqlalchemy")

    after = taking_nothing()

    assert before.keys() == after.keys()
    replaced = {name for kind, name in before if after[kind, name] is not before[kind, name]}
    assert {"close", "commit", "rollback"} <= replaced


def listeners_count() -> int:
    return len(list(Session().dispatch.do_orm_execute))


@pytest.mark.parametrize("versions", [private.KNOWN_VERSIONS, ()], ids=["known", "unknown"])
def test_when_it_stops_nothing_is_left(
    versions: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bench: Bench
) -> None:
    monkeypatch.setattr(private, "KNOWN_VERSIONS", versions or ("1.9",))
    fill_at(f"sqlite:///{tmp_path}/blog.db")
    blog = Blog("sqlite", f"sqlite:///{tmp_path}/blog.db", bench)
    blog.traced(scalars_all, traced=False)
    before, listening = names_in_use(), listeners_count()

    for module in ("sqlalchemy", "sqlalchemy.orm"):
        bench.probes.start(Probe("sqlalchemy", ()), module)
    replaced = {key for key, value in names_in_use().items() if before.get(key) is not value}
    listening_more = listeners_count() - listening
    blog.traced(scalars_all)
    bench.probes.stop()

    assert len(replaced) > 20
    assert listening_more == (0 if versions else 1)
    after = names_in_use()
    assert {key for key in before if after.get(key) is not before[key]} == set()
    assert listeners_count() == listening
    assert blog.traced(scalars_all).statements == []


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (Lane, "new_statement"),
        (hydration, "note"),
        (pool, "name_of"),
        (lineage, "_from_row"),
    ],
    ids=["statements", "hydration", "pool", "lineage"],
)
def test_a_bug_of_ours_switches_the_probe_off_and_the_app_goes_on(
    module: Any,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    breaking_bench: Bench,
    tmp_path: Path,
) -> None:
    def broken(*_args: Any) -> None:
        raise ZeroDivisionError

    breaking_bench.install("sqlalchemy")
    monkeypatch.setattr(module, name, broken)
    fill_at(f"sqlite:///{tmp_path}/blog.db")
    blog = Blog("sqlite", f"sqlite:///{tmp_path}/blog.db", breaking_bench)

    blog.traced(scalars_all)
    first = blog.result
    blog.traced(scalars_all)

    assert blog.result == first != []
    assert breaking_bench.recorder.coverage["sqlalchemy"].why == "broke: ZeroDivisionError"


def test_the_apps_own_events_are_called_as_before(bench: Bench, tmp_path: Path) -> None:
    bench.install("sqlalchemy")
    fill_at(f"sqlite:///{tmp_path}/blog.db")
    engine = create_engine(f"sqlite:///{tmp_path}/blog.db")
    called: list[str] = []
    for name in ("before_cursor_execute", "after_cursor_execute", "commit", "handle_error"):
        event.listen(engine, name, lambda *_args, name=name: called.append(name))
    event.listen(engine, "checkout", lambda *_args: called.append("checkout"))
    event.listen(engine, "checkin", lambda *_args: called.append("checkin"))

    def work() -> None:
        with engine.begin() as connection:
            connection.execute(text("SELECT 1"))

    bench.run(work)
    engine.dispose()

    assert called == [
        "checkout",
        "before_cursor_execute",
        "after_cursor_execute",
        "commit",
        "checkin",
    ]


STARTED_BY_IMPORT = """
import sys
from unslow.current import LANE, OpenTrace
from unslow.record.imports import ImportHook
from unslow.record.probe import Probes
from unslow.record.recorder import Recorder

recorder = Recorder()
ImportHook(Probes(recorder, "unslow.record.probes")).install()
assert "sqlalchemy" not in sys.modules

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

engine = create_engine("sqlite://")
trace = OpenTrace("GET", 100)
LANE.set(trace.root)
with Session(engine) as session:
    session.execute(text("SELECT 1"))
print([one.text for one in trace.statements], len(trace.holds))
print(sorted(one.what for one in recorder.coverage.values() if one.state != "on"))
print(sorted(one for one in recorder.coverage if one.startswith("sqlalchemy")))
"""


def test_the_import_of_sqlalchemy_starts_it() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", STARTED_BY_IMPORT],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    lines = done.stdout.splitlines()
    assert lines[0] == "['SELECT 1', 'ROLLBACK'] 1"
    assert "sqlalchemy" not in lines[1]
    assert "'sqlalchemy engine sqlite+pysqlite', 'sqlalchemy orm'" in lines[2]

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, insert, select, text, union
from sqlalchemy.orm import Session, selectinload

from tests.fixes.switches.library import (
    ASYNC,
    POSTS_COUNT,
    SYNC,
    TOOLS,
    USERS_COUNT,
    Base,
    Comment,
    Library,
    Post,
    Tag,
    User,
    counted,
    listeners,
)
from unslow.current import ARM, OpenArm
from unslow.fixes.switches import Tools, Undo, switch_of
from unslow.fixes.switches.limit_rows import switch_on

WAYS = (SYNC, ASYNC)
LIMIT = 3
ALL = USERS_COUNT * POSTS_COUNT
POSTS = select(Post).order_by(Post.id)
TABLE = select(Post.__table__).order_by(Post.id)

Armed = Callable[..., OpenArm]


@pytest.fixture
def armed() -> Iterator[Armed]:
    undos: list[Undo] = []
    before = listeners()

    def switched_on(tools: Tools = TOOLS, **parameters: Any) -> OpenArm:
        arm = OpenArm("a")
        undos.append(switch_on(arm, {"limit": LIMIT, **parameters}, tools))
        return arm

    yield switched_on
    for undo in undos:
        undo()
    assert listeners() == before


def objects(session: Session) -> int:
    return len(session.scalars(POSTS).all())


def rows(session: Session) -> int:
    return len(session.execute(select(Post.id, Post.title)).all())


def query(session: Session) -> int:
    return len(session.query(Post).filter(Post.id > 0).all())


def core(session: Session) -> int:
    return len(session.execute(TABLE).all())


def core_on_the_connection(session: Session) -> int:
    return len(session.connection().execute(TABLE).all())


def union_of_tables(session: Session) -> int:
    return len(session.connection().execute(union(select(Post.id), select(Comment.id))).all())


def union_in_a_session(session: Session) -> int:
    return len(session.execute(union(select(Post.id), select(Comment.id))).all())


def stream(session: Session) -> int:
    return len(list(session.scalars(POSTS.execution_options(yield_per=2))))


def offset(session: Session) -> int:
    return len(session.scalars(POSTS.offset(1)).all())


def eagerly(session: Session) -> int:
    users = session.scalars(select(User).order_by(User.id).options(selectinload(User.posts))).all()
    assert [len(user.posts) for user in users[:2]] == [POSTS_COUNT, POSTS_COUNT]
    return len(users)


FORMS = (
    objects,
    rows,
    query,
    core,
    core_on_the_connection,
    union_of_tables,
    union_in_a_session,
    stream,
    offset,
    eagerly,
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("work", FORMS)
def test_a_statement_without_a_limit_gets_one(
    library: Library, armed: Armed, work: Any, way: str
) -> None:
    before = library.as_written(way, work).answer
    arm = armed(path=__file__, function=work.__qualname__)

    after = getattr(library, way)(work, arm)

    assert after.answer == LIMIT < before
    assert (arm.fired_count, arm.whys, arm.broke) == (1, {}, "")


def limited(session: Session) -> int:
    return len(session.scalars(POSTS.limit(5)).all())


def fetched(session: Session) -> int:
    return len(session.connection().execute(TABLE.fetch(5)).all())


def written(session: Session) -> int:
    return len(session.execute(text("SELECT id FROM post")).all())


def written_on_the_connection(session: Session) -> int:
    return len(session.connection().execute(text("SELECT id FROM post")).all())


def from_statement(session: Session) -> int:
    statement = select(Post).from_statement(text("SELECT id, user_id, title FROM post"))
    return len(session.scalars(statement).all())


def inserted(session: Session) -> int:
    return len(session.execute(insert(Tag).returning(Tag.id), [{"name": "x"}] * 5).all())


def inserted_on_the_connection(session: Session) -> int:
    rows = [{"name": "x"}] * 5
    return len(
        session.connection()
        .execute(insert(Base.metadata.tables["tag"]).returning(Tag.id), rows)
        .all()
    )


def lazily(session: Session) -> int:
    (comment, *_) = _loaded_elsewhere(session)
    return len(comment.post.comments)


def _loaded_elsewhere(session: Session) -> Any:
    return session.scalars(select(Comment).order_by(Comment.id)).all()


def refreshed(session: Session) -> int:
    (comment, *_) = _loaded_elsewhere(session)
    session.refresh(comment)
    return int(comment.id)


@pytest.mark.parametrize(
    ("work", "why"),
    [
        (limited, "a limit already"),
        (fetched, "a limit already"),
        (written, "no SELECT"),
        (written_on_the_connection, "no SELECT"),
        (from_statement, "by hand"),
        (inserted, "no SELECT"),
        (inserted_on_the_connection, "no SELECT"),
        (lazily, "relationship"),
        (refreshed, "refreshes"),
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_what_cannot_have_one_is_left_with_a_reason(
    library: Library, armed: Armed, work: Any, why: str, way: str
) -> None:
    before = getattr(library, way)(work)
    arm = armed(path=__file__, function=work.__qualname__)

    after = getattr(library, way)(work, arm)

    assert (after.answer, after.count) == (before.answer, before.count)
    assert (arm.fired_count, arm.broke) == (0, "")
    (told,) = arm.whys
    assert why in told


def test_the_fix_is_switched_on_by_its_name() -> None:
    assert switch_of("limit-rows") is switch_on


def test_only_statements_of_the_line_are_limited(library: Library, armed: Armed) -> None:
    line = objects.__code__.co_firstlineno + 1
    here = armed(path=__file__, function="objects", line=line)
    there = armed(path=__file__, function="objects", line=line + 1)

    assert library.sync(objects, here).answer == LIMIT
    assert library.sync(objects, there).answer == ALL
    assert (there.fired_count, there.whys) == (0, {})


@pytest.mark.parametrize("work", [objects, core_on_the_connection])
@pytest.mark.parametrize("other", [None, OpenArm("a")])
def test_other_requests_are_answered_in_full(
    library: Library, armed: Armed, work: Any, other: OpenArm | None
) -> None:
    arm = armed()

    assert library.sync(work, other).answer == ALL
    assert arm.fired_count == 0


def test_a_connection_that_was_open_before_is_limited_until_it_is_undone(library: Library) -> None:
    arm = OpenArm("a")
    token = ARM.set(arm)

    def count(connection: Connection) -> int:
        return len(connection.execute(TABLE).all())

    with library.engine.connect() as connection:
        before = count(connection)
        undo = switch_on(arm, {"limit": LIMIT}, TOOLS)
        during = count(connection)
        undo()
        undo()
        after = count(connection)
    ARM.reset(token)

    assert (before, during, after) == (ALL, LIMIT, ALL)


def test_nothing_listens_any_more_when_it_is_undone(library: Library) -> None:
    def all_listeners() -> list[Any]:
        return [*listeners(), *library.engine.dispatch.before_execute]

    before = all_listeners()
    undo = switch_on(OpenArm("a"), {"limit": LIMIT}, TOOLS)
    session_listener, connection_listener = (one for one in all_listeners() if one not in before)
    undo()

    assert all_listeners() == before
    assert not event.contains(Session, "do_orm_execute", session_listener)
    assert not event.contains(Engine, "before_execute", connection_listener)


def test_a_bug_of_ours_does_not_reach_the_app(library: Library, armed: Armed) -> None:
    def broken() -> None:
        raise RuntimeError

    for work in (objects, core_on_the_connection):
        arm = armed(Tools(broken), path="x")

        assert library.sync(work, arm).answer == ALL
        assert (arm.broke, arm.fired_count) == ("RuntimeError", 0)


def test_a_count_in_the_database_stays_what_it_is(library: Library, armed: Armed) -> None:
    def work(session: Session) -> Any:
        return session.scalar(select(func.count()).select_from(Post))

    assert library.sync(work, armed()).answer == ALL


def test_a_listener_of_the_apps_own_still_acts(library: Library, armed: Armed) -> None:
    def change(_: Any, statement: Any, many: Any, parameters: Any, __: Any) -> Any:
        return statement.where(Post.id > 2), many, parameters

    arm = armed()
    event.listen(library.engine, "before_execute", change, retval=True)
    try:
        with counted(library.engine) as ran:
            answer = library.sync(core_on_the_connection, arm).answer
    finally:
        event.remove(library.engine, "before_execute", change)

    assert answer == LIMIT
    assert "WHERE" in ran.statements[-1]
    assert "LIMIT" in ran.statements[-1]

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, selectinload, with_loader_criteria

from tests.fixes.switches import forms
from tests.fixes.switches.forms import ARMS, BY_ID, FORMS, STATEMENTS, Form, graph
from tests.fixes.switches.library import (
    ASYNC,
    SYNC,
    TOOLS,
    Account,
    Animal,
    Box,
    Comment,
    Dog,
    Folder,
    Library,
    Post,
    User,
    listeners,
)
from unslow.current import ARM, OpenArm
from unslow.errors import WireError
from unslow.fixes.switches import Tools, Undo, switch_of
from unslow.fixes.switches.eager_load import switch_on

WAYS = (SYNC, ASYNC)
USERS = 5


class Bench:
    """Switches arms on, and all of them off at the end."""

    def __init__(self) -> None:
        self._undos: list[Undo] = []

    def arm(self, careful: bool = False, tools: Tools = TOOLS, **parameters: Any) -> OpenArm:
        arm = OpenArm("a")
        arm.careful = careful
        self._undos.append(switch_on(arm, {"entity": "User", **parameters}, tools))
        return arm

    def undo(self) -> None:
        while self._undos:
            self._undos.pop()()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    before = listeners()
    yield bench
    bench.undo()
    assert listeners() == before


@pytest.mark.parametrize(("way", "careful"), [(SYNC, False), (ASYNC, True)])
@pytest.mark.parametrize("chain", ARMS)
@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
def test_every_form_answers_the_same_or_is_left_with_a_reason(
    library: Library, bench: Bench, form: Form, chain: str, way: str, careful: bool
) -> None:
    before = library.as_written(way, form.work)
    place: dict[str, Any] = {"path": forms.__file__, "line": 0, "function": form.work.__qualname__}
    arm = bench.arm(careful, chain=ARMS[chain], **place)
    after = getattr(library, way)(form.work, arm)

    why = form.why(chain)
    assert arm.broke == ""
    assert after.answer == before.answer
    if why is None:
        assert arm.fired_count == form.acted, arm.whys
        if form.is_counted:
            assert after.count == form.others + form.acted * STATEMENTS[chain]
        assert arm.whys == {}
    else:
        assert arm.fired_count == 0
        assert after.count == before.count
        assert any(why in one for one in arm.whys) if why else not arm.whys, arm.whys


# Other relationships and columns.


def folders(session: Session) -> Any:
    roots = session.scalars(select(Folder).where(Folder.parent_id.is_(None))).all()
    return [
        (one.id, [(child.id, [deep.id for deep in child.children]) for child in one.children])
        for one in roots
    ]


def accounts(session: Session) -> Any:
    found = session.scalars(select(Account).order_by(Account.region)).all()
    return [(one.region, [entry.id for entry in one.entries]) for one in found]


def animals(session: Session) -> Any:
    found = session.scalars(select(Animal).order_by(Animal.id)).all()
    return [(type(one).__name__, [toy.id for toy in one.toys]) for one in found]


def dogs(session: Session) -> Any:
    found = session.scalars(select(Dog).order_by(Dog.id)).all()
    return [([toy.id for toy in one.toys], [walk.id for walk in one.walks]) for one in found]


def boxes(session: Session) -> Any:
    found = session.scalars(select(Box).order_by(Box.id)).unique().all()
    return [(one.id, [(thing.id, thing.label) for thing in one.things]) for one in found]


def teams(session: Session) -> Any:
    return [user.team.name for user in session.scalars(BY_ID)]


def teams_of_posts(session: Session) -> Any:
    posts = session.scalars(select(Post).order_by(Post.id).join(Post.user)).all()
    return [(post.user.name, post.user.team.name) for post in posts]


def tags(session: Session) -> Any:
    return [[tag.name for tag in one.tags] for one in session.scalars(select(Post))]


def seen_posts(session: Session) -> Any:
    return [[post.id for post in user.seen_posts] for user in session.scalars(BY_ID)]


def abouts(session: Session) -> Any:
    return [user.about for user in session.scalars(BY_ID)]


def bodies(session: Session) -> Any:
    return [[post.body for post in user.posts] for user in session.scalars(BY_ID)]


OTHERS = {
    "self-referential": (folders, "Folder", ("children", "children")),
    "composite key": (accounts, "Account", ("entries",)),
    "of a base class": (animals, "Animal", ("toys",)),
    "of a subclass": (dogs, "Dog", ("walks",)),
    "inherited": (dogs, "Animal", ("toys",)),
    "objects without a hash": (boxes, "Box", ("things",)),
    "many-to-one": (teams, "User", ("team",)),
    "many-to-one beside a join": (teams_of_posts, "Post", ("user", "team")),
    "many-to-many": (tags, "Post", ("tags",)),
    "viewonly": (seen_posts, "User", ("seen_posts",)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("loader", ["selectinload", "joinedload", "subqueryload"])
@pytest.mark.parametrize("name", OTHERS)
def test_every_kind_of_relationship_is_loaded(
    library: Library, bench: Bench, name: str, loader: str, careful: bool, way: str
) -> None:
    work, entity, names = OTHERS[name]
    before = library.as_written(way, work)

    arm = bench.arm(careful, entity=entity, chain=[[loader, name] for name in names])
    after = getattr(library, way)(work, arm)

    assert (arm.broke, arm.fired_count) == ("", 1)
    assert after.answer == before.answer
    assert after.count <= before.count


@pytest.mark.parametrize(
    ("work", "parameters", "count"),
    [
        (abouts, {"chain": [["undefer", "about"]]}, 1),
        (bodies, {"chain": [["selectinload", "posts"], ["undefer", "body"]]}, 2),
        (bodies, {"chain": [["joinedload", "posts"], ["undefer", "body"]]}, 1),
        (boxes, {"entity": "Box", "chain": [["defaultload", "things"], ["undefer", "label"]]}, 2),
    ],
)
def test_deferred_columns_come_with_their_rows(
    library: Library, bench: Bench, work: Any, parameters: dict[str, Any], count: int
) -> None:
    before = library.sync(work)

    after = library.sync(work, bench.arm(**parameters))

    assert after.answer == before.answer
    assert after.count == count < before.count


def test_of_the_entities_on_the_way_only_the_columns_that_are_asked_for_are_loaded(
    library: Library, bench: Bench
) -> None:
    columns = {"User": ["name"], "Post": ["id"], "Comment": ["id"]}
    arm = bench.arm(chain=ARMS[forms.SELECTIN], load_only=columns)

    after = library.sync(forms.scalars_all, arm)

    assert after.answer == library.sync(forms.scalars_all).answer
    assert after.count == 3
    assert not any("title" in one or "comment.text" in one for one in after.statements)
    assert not any("team_id" in one for one in after.statements)


@pytest.mark.parametrize(
    ("form", "count"),
    [
        (forms.own_joinedload, 2),
        (forms.own_contains_eager, 2),
        (forms.own_selectinload_with_criteria, 3),
        (forms.own_subqueryload, 3),
        (forms.contains_eager_from_text, 2),
    ],
)
@pytest.mark.parametrize("careful", [False, True])
def test_what_the_app_loads_itself_stays_so_where_only_what_hangs_on_it_is_changed(
    library: Library, bench: Bench, form: Any, count: int, careful: bool
) -> None:
    before = library.as_written(SYNC, form)
    arm = bench.arm(careful, chain=[["defaultload", "posts"], ["selectinload", "comments"]])

    after = library.sync(form, arm)

    assert after.answer == before.answer
    assert (arm.fired_count, arm.broke, arm.whys) == (1, "", {})
    assert after.count == count < before.count


def test_columns_alone_need_no_chain(library: Library, bench: Bench) -> None:
    after = library.sync(forms.frozen_by_the_app, bench.arm(load_only={"User": ["name"]}))

    assert "team_id" not in after.statements[0]
    assert after.answer == library.sync(forms.frozen_by_the_app).answer


def test_a_relationship_that_raises_where_it_is_read_is_loaded(
    library: Library, bench: Bench
) -> None:
    def work(session: Session) -> Any:
        return [[post.id for post in user.raising_posts] for user in session.scalars(BY_ID)]

    arm = bench.arm(chain=[["selectinload", "raising_posts"]])

    assert library.sync(work, arm).answer == library.sync(seen_posts).answer


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"chain": [["selectinload", "dynamic_posts"]]}, "User.dynamic_posts is mapped as dynamic"),
        ({"chain": [["joinedload", "written_posts"]]}, "is mapped as write_only"),
        ({"chain": [["selectinload", "name"]]}, "User.name is no relationship"),
        ({"chain": [["selectinload", "nothing"]]}, "User.nothing is no relationship"),
        ({"chain": [["undefer", "posts"]]}, "User.posts is no mapped column"),
        ({"entity": "Nobody", "chain": []}, "the statement selects no Nobody"),
        ({"chain": [], "load_only": {"User": ["nothing"]}}, "User has no nothing"),
    ],
)
def test_what_is_not_possible_is_told(
    library: Library, bench: Bench, parameters: dict[str, Any], why: str
) -> None:
    arm = bench.arm(**parameters)

    after = library.sync(forms.scalars_all, arm)

    assert after.answer == library.as_written(SYNC, forms.scalars_all).answer
    assert (arm.fired_count, arm.broke) == (0, "")
    assert [one for one in arm.whys if why in one]


def test_columns_that_the_statement_picks_stay_as_they_are(library: Library, bench: Bench) -> None:
    arm = bench.arm(chain=ARMS[forms.SELECTIN], load_only={"User": ["id"]})

    library.sync(forms.own_load_only, arm)

    assert list(arm.whys) == ["the statement picks columns of User itself"]


def test_the_fix_is_switched_on_by_its_name() -> None:
    assert switch_of("eager-load") is switch_on


@pytest.mark.parametrize("chain", [[["lazyload", "posts"]], [["undefer", "x"], ["undefer", "y"]]])
def test_a_chain_of_what_is_no_loader_is_refused(chain: Any) -> None:
    with pytest.raises(WireError, match="A chain has"):
        switch_on(OpenArm("a"), {"entity": "User", "chain": chain}, TOOLS)


# Where it acts.


def test_only_statements_of_the_line_are_changed(library: Library, bench: Bench) -> None:
    line = forms.two_statements.__code__.co_firstlineno + 2
    place: dict[str, Any] = {"path": forms.__file__, "function": "two_statements"}
    first = bench.arm(chain=ARMS[forms.JOINED], line=line, **place)
    other = bench.arm(chain=ARMS[forms.JOINED], line=line + 40, **place)

    library.sync(forms.two_statements, first)
    library.sync(forms.two_statements, other)

    assert (first.fired_count, first.whys) == (1, {})
    assert (other.fired_count, other.whys) == (0, {})


def test_without_a_path_any_line_will_do(library: Library, bench: Bench) -> None:
    arm = bench.arm(chain=ARMS[forms.JOINED])

    library.sync(forms.two_statements, arm)

    assert arm.fired_count == 2


@pytest.mark.parametrize("other", [None, OpenArm("a")])
def test_requests_of_no_arm_and_of_another_one_run_as_written(
    library: Library, bench: Bench, other: OpenArm | None
) -> None:
    arm = bench.arm(chain=ARMS[forms.JOINED])

    after = library.sync(forms.scalars_all, other)

    assert after.count == library.as_written(SYNC, forms.scalars_all).count
    assert (arm.fired_count, arm.whys) == (0, {})


def test_sessions_that_were_made_before_are_acted_upon_and_after_undo_none(
    library: Library, bench: Bench
) -> None:
    def work(session: Session) -> Any:
        arm = bench.arm(chain=ARMS[forms.JOINED])
        ARM.set(arm)
        (mine,) = [one for one in listeners() if one not in before]
        armed = graph(session.scalars(BY_ID).all())
        was_on = event.contains(Session, "do_orm_execute", mine)
        bench.undo()
        is_on = event.contains(Session, "do_orm_execute", mine)
        session.expunge_all()
        return armed == graph(session.scalars(BY_ID).all()), was_on, is_on, arm.fired_count

    before = listeners()

    assert library.sync(work).answer == (True, True, False, 1)
    assert listeners() == before


def test_arms_stand_side_by_side_and_are_undone_one_by_one(library: Library) -> None:
    arms = [OpenArm(name) for name in ARMS]
    undos = [
        switch_on(arm, {"entity": "User", "chain": chain}, TOOLS)
        for arm, chain in zip(arms, ARMS.values(), strict=True)
    ]
    undos[1]()
    undos[1]()

    counts = [library.sync(forms.scalars_all, arm).count for arm in arms]
    for undo in undos:
        undo()

    assert counts == [3, library.as_written(SYNC, forms.scalars_all).count, 3, 2]


# Async sessions.


async def awaited_graph(session: AsyncSession, users: Any) -> Any:
    return await session.run_sync(lambda _: graph(users))


async def async_scalars(session: AsyncSession) -> Any:
    return await awaited_graph(session, (await session.scalars(BY_ID)).all())


async def async_get(session: AsyncSession) -> Any:
    return await awaited_graph(session, [await session.get(User, 2)])


async def async_scalar(session: AsyncSession) -> Any:
    return await awaited_graph(session, [await session.scalar(BY_ID.limit(1))])


async def async_unique(session: AsyncSession) -> Any:
    return await awaited_graph(session, (await session.execute(BY_ID)).unique().scalars().all())


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize("chain", ARMS)
@pytest.mark.parametrize("work", [async_scalars, async_get, async_scalar, async_unique])
def test_coroutines_of_async_sessions_answer_the_same(
    library: Library, bench: Bench, work: Any, chain: str, careful: bool
) -> None:
    before = library.awaited(work)
    place: dict[str, Any] = {"path": __file__, "function": work.__qualname__}
    arm = bench.arm(careful, chain=ARMS[chain], **place)

    after = library.awaited(work, arm)

    assert after.answer == before.answer
    assert (arm.fired_count, arm.broke, arm.whys) == (1, "", {})
    assert after.count == STATEMENTS[chain]


@pytest.mark.parametrize("chain", ARMS)
def test_a_stream_of_an_async_session_is_left_as_it_is(
    library: Library, bench: Bench, chain: str
) -> None:
    async def work(session: AsyncSession) -> Any:
        return [user.id async for user in await session.stream_scalars(BY_ID)]

    arm = bench.arm(chain=ARMS[chain])

    assert library.awaited(work, arm).answer == library.awaited(work).answer
    assert list(arm.whys) == ["it streams its rows (yield_per)"]


def test_requests_that_run_side_by_side_keep_their_arms_apart(
    library: Library, bench: Bench
) -> None:
    sent: ContextVar[list[str]] = ContextVar("sent")
    arms = {name: bench.arm(chain=chain) for name, chain in ARMS.items()}
    requests = [*ARMS] * 15
    random.Random(5).shuffle(requests)

    def note(_: Any, __: Any, statement: str, *others: Any) -> None:
        sent.get().append(statement)

    async def request(name: str) -> tuple[str, int, Any]:
        ARM.set(arms[name])
        sent.set([])
        async with AsyncSession(library.async_engine) as session:
            users = (await session.scalars(BY_ID)).all()
            await asyncio.sleep(0)
            answer = await awaited_graph(session, users)
        return name, len(sent.get()), answer

    async def main() -> list[tuple[str, int, Any]]:
        return await asyncio.gather(*(asyncio.create_task(request(name)) for name in requests))

    event.listen(library.async_engine.sync_engine, "before_cursor_execute", note)
    try:
        answers = library.run(main())
    finally:
        event.remove(library.async_engine.sync_engine, "before_cursor_execute", note)

    expected = library.as_written(SYNC, forms.scalars_all).answer
    assert len(answers) == 60
    assert {(name, count) for name, count, _ in answers} == set(STATEMENTS.items())
    assert all(answer == expected for *_, answer in answers)
    assert [arm.fired_count for arm in arms.values()] == [15] * 4


# What fails.


def write_then_load(session: Session) -> Any:
    """A write in the same transaction, before and after the statement."""
    session.execute(text("UPDATE team SET name = 'green' WHERE id = 1"))
    users = session.scalars(BY_ID).all()
    session.execute(text("UPDATE team SET name = name || 'er' WHERE id = 1"))
    return len(users), session.scalar(text("SELECT name FROM team WHERE id = 1"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "hop", [["joinedload", "ghosts"], ["selectinload", "ghosts"], ["subqueryload", "ghosts"]]
)
def test_what_the_database_refuses_runs_as_written_in_a_transaction_that_is_whole(
    library: Library, bench: Bench, hop: list[str], way: str
) -> None:
    arm = bench.arm(careful=True, chain=[hop])

    ran = getattr(library, way)(write_then_load, arm)

    assert ran.answer == (USERS, "greener")
    assert (arm.broke, arm.fired_count) == ("ProgrammingError", 0)


@pytest.mark.parametrize("way", WAYS)
def test_what_fails_where_objects_are_built_runs_as_written(
    library: Library, bench: Bench, way: str
) -> None:
    arm = bench.arm(careful=True, chain=[["undefer", "cursed"]])

    ran = getattr(library, way)(write_then_load, arm)

    assert ran.answer == (USERS, "greener")
    assert (arm.broke, arm.fired_count) == ("LookupError", 0)


@pytest.mark.parametrize("careful", [False, True])
def test_what_fails_before_it_is_sent_runs_as_written(
    library: Library, bench: Bench, careful: bool
) -> None:
    arm = bench.arm(careful, chain=[["undefer", "unwritable"]])

    ran = library.sync(write_then_load, arm)

    assert ran.answer == (USERS, "greener")
    assert (arm.broke, arm.fired_count) == ("LookupError", 0)


@pytest.mark.parametrize("chain", ARMS)
def test_a_request_that_is_cancelled_inside_the_statement_ends_as_it_would(
    library: Library, bench: Bench, chain: str
) -> None:
    arm = bench.arm(careful=True, chain=ARMS[chain])
    held = text("pg_sleep(30) IS NOT NULL")

    async def request() -> None:
        ARM.set(arm)
        async with AsyncSession(library.async_engine) as session:
            await session.scalars(BY_ID.where(held))

    async def main() -> None:
        sent = asyncio.Event()

        def note(_: Any, __: Any, statement: str, *others: Any) -> None:
            if "pg_sleep" in statement:
                sent.set()

        event.listen(engine, "before_cursor_execute", note)
        try:
            task = asyncio.create_task(request())
            await sent.wait()
            task.cancel()
            await task
        finally:
            event.remove(engine, "before_cursor_execute", note)

    engine = library.async_engine.sync_engine
    with pytest.raises(asyncio.CancelledError):
        library.run(main())

    assert (arm.broke, arm.fired_count) == ("", 0)
    assert library.asynchronous(forms.scalars_all, arm).count == STATEMENTS[chain]


def test_an_arm_that_failed_does_not_act_again(library: Library, bench: Bench) -> None:
    arm = bench.arm(careful=True, chain=[["joinedload", "ghosts"]])
    library.sync(write_then_load, arm)

    again = library.sync(write_then_load, arm)

    assert again.count == library.sync(write_then_load).count


def test_a_careful_arm_sets_a_savepoint_and_a_quick_one_does_not(
    library: Library, bench: Bench
) -> None:
    def savepoints(careful: bool) -> list[str]:
        ran = library.sync(forms.scalars_all, bench.arm(careful, chain=ARMS[forms.JOINED]))
        return [one.partition(" ")[0] for one in ran.statements if "SAVEPOINT" in one]

    assert (savepoints(True), savepoints(False)) == (["SAVEPOINT", "RELEASE"], [])


@pytest.mark.parametrize("chain", ARMS)
def test_in_autocommit_there_is_no_savepoint_to_set(
    library: Library, bench: Bench, chain: str
) -> None:
    arm = bench.arm(careful=True, chain=ARMS[chain])

    def work(session: Session) -> Any:
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        return forms.scalars_all(session)

    ran = library.sync(work, arm)

    assert ran.answer == library.as_written(SYNC, forms.scalars_all).answer
    assert (arm.fired_count, ran.count) == (1, len(ran.statements))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("careful", [False, True])
def test_what_fails_as_it_is_written_is_the_apps_own_error(
    library: Library, bench: Bench, careful: bool, way: str
) -> None:
    arm = bench.arm(careful, chain=ARMS[forms.SELECTIN])

    def work(session: Session) -> Any:
        session.scalars(BY_ID).all()
        with pytest.raises(ProgrammingError, match="no_such_column"):
            session.scalars(BY_ID.where(text("no_such_column = 1")))
        session.rollback()
        return len(session.scalars(BY_ID).all())

    assert getattr(library, way)(work, arm).answer == USERS
    assert (arm.broke, arm.fired_count) == ("", 2)


def test_without_care_what_the_database_refuses_fails_the_request_and_the_arm(
    library: Library, bench: Bench
) -> None:
    arm = bench.arm(chain=[["joinedload", "ghosts"]])

    with pytest.raises(ProgrammingError, match="ghost"):
        library.sync(write_then_load, arm)

    assert (arm.broke, arm.fired_count) == ("ProgrammingError", 0)
    assert library.sync(write_then_load, arm).answer == (USERS, "greener")


@pytest.mark.parametrize("careful", [False, True])
def test_an_error_of_what_the_session_writes_first_is_the_apps_own(
    library: Library, bench: Bench, careful: bool
) -> None:
    arm = bench.arm(careful, chain=ARMS[forms.SELECTIN])

    def work(session: Session) -> Any:
        session.add(User(id=1, name="twice", team_id=1))
        with pytest.raises(IntegrityError, match="Query-invoked autoflush"):
            session.scalars(BY_ID)

    library.sync(work, arm)

    assert (arm.broke, arm.fired_count) == ("", 0)


def test_a_bug_of_ours_does_not_reach_the_app(library: Library, bench: Bench) -> None:
    def broken() -> None:
        raise RuntimeError

    arm = bench.arm(chain=ARMS[forms.SELECTIN], path="x", tools=Tools(broken))

    ran = library.sync(forms.scalars_all, arm)

    assert ran.answer == library.as_written(SYNC, forms.scalars_all).answer
    assert (arm.broke, arm.fired_count) == ("RuntimeError", 0)


# Listeners of the app's own.


@pytest.fixture(params=["before", "after"])
def filtered(request: pytest.FixtureRequest, bench: Bench) -> Iterator[OpenArm]:
    """An app that never shows some comments, with its listener before and after ours."""

    def hide(execution: Any) -> None:
        if execution.is_select and not execution.is_column_load:
            criteria = with_loader_criteria(Comment, Comment.id > 5)
            execution.statement = execution.statement.options(criteria)

    chain = ARMS[forms.MIXED]
    arm = bench.arm(careful=True, chain=chain) if request.param == "after" else None
    event.listen(Session, "do_orm_execute", hide)
    yield arm or bench.arm(careful=True, chain=chain)
    event.remove(Session, "do_orm_execute", hide)
    bench.undo()


def test_a_listener_of_the_apps_own_still_acts(library: Library, filtered: OpenArm) -> None:
    before = library.sync(forms.scalars_all)

    after = library.sync(forms.scalars_all, filtered)

    assert after.answer == before.answer
    comments = [number for _, _, posts in after.answer for _, some in posts for number in some]
    assert comments
    assert min(comments) == 6
    assert (filtered.fired_count, after.count) == (1, 2)


def test_what_a_listener_of_the_apps_own_raises_reaches_the_app(
    library: Library, bench: Bench
) -> None:
    def forbid(execution: Any) -> None:
        raise PermissionError

    arm = bench.arm(careful=True, chain=ARMS[forms.JOINED])
    event.listen(Session, "do_orm_execute", forbid)
    try:
        with pytest.raises(PermissionError):
            library.sync(lambda session: session.scalars(BY_ID), arm)
    finally:
        event.remove(Session, "do_orm_execute", forbid)

    assert (arm.broke, arm.fired_count) == ("", 0)


def test_options_that_the_app_adds_by_a_listener_count_as_the_statements_own(
    library: Library, bench: Bench
) -> None:
    def load(execution: Any) -> None:
        if execution.is_select and not execution.is_relationship_load:
            execution.statement = execution.statement.options(selectinload(User.posts))

    event.listen(Session, "do_orm_execute", load)
    try:
        arm = bench.arm(chain=ARMS[forms.JOINED])
        library.sync(forms.scalars_all, arm)
    finally:
        event.remove(Session, "do_orm_execute", load)

    assert list(arm.whys) == ["the statement has an option of its own for User.posts"]


def test_nothing_is_printed_or_logged(
    library: Library, bench: Bench, capfd: Any, caplog: Any
) -> None:
    for chain in ARMS.values():
        library.sync(forms.scalars_all, bench.arm(careful=True, chain=chain))
    library.sync(write_then_load, bench.arm(careful=True, chain=[["joinedload", "ghosts"]]))

    assert tuple(capfd.readouterr()) == ("", "")
    assert caplog.records == []


def test_counts_are_left_alone(library: Library, bench: Bench) -> None:
    def work(session: Session) -> Any:
        return session.scalar(select(func.count()).select_from(User))

    arm = bench.arm(chain=ARMS[forms.JOINED])

    assert library.sync(work, arm).answer == USERS
    assert list(arm.whys) == ["the statement selects no User"]

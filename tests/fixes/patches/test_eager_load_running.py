"""Patched sources run: they send the statements that their options promise, and answer the same."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from tests.fixes.patches.loading import JOIN, ONE_HOP, SELECT, TWO_HOPS, arm, finding
from unslow.fixes.patches.eager_load import write
from unslow.fixes.patches.files import apply, take_back, text_of
from unslow.fixes.patches.patch import Patch, Subject
from unslow.model.trace import Place

MODELS = """
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    posts: Mapped[list["Post"]] = relationship(order_by="Post.id")


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    body: Mapped[str]
    comments: Mapped[list["Comment"]] = relationship(order_by="Comment.id")


class Comment(Base):
    __tablename__ = "comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id"))
"""
HEAD = """
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from .models import User


def told(user):
    return [user.name, *([post.body, len(post.comments)] for post in user.posts)]


"""
USERS_COUNT = 3
LAZY = 1 + USERS_COUNT + 2 * USERS_COUNT
_numbers = count()


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a package with a module of a given body."""
    name = f"patched_{next(_numbers)}"

    def make(body: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        (folder / "models.py").write_text(MODELS)
        (folder / "users.py").write_text(HEAD.lstrip() + dedent(body).lstrip())
        return folder / "users.py"

    yield make
    for one in [one for one in sys.modules if one.partition(".")[0] == name]:
        del sys.modules[one]


def loaded(file: Path) -> ModuleType:
    """The module of a file, as it is now."""
    package = file.parent.name
    for one in (package, f"{package}.models", f"{package}.users"):
        sys.modules.pop(one, None)
    for one, path in (
        (package, "__init__"),
        (f"{package}.models", "models"),
        (f"{package}.users", "users"),
    ):
        spec = importlib.util.spec_from_file_location(one, file.parent / f"{path}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[one] = module
        # Not from a compiled file: the source changes within the second that those are told by.
        code = compile((file.parent / f"{path}.py").read_text(), str(spec.origin), "exec")
        exec(code, module.__dict__)  # noqa: S102  # the patched source is what is tested
    return module


def fill(engine: Engine | Connection, models: Any) -> None:
    models.Base.metadata.create_all(engine)
    with Session(engine) as session:
        for number in range(USERS_COUNT):
            posts = [
                models.Post(body=f"{number}.{at}", comments=[models.Comment() for _ in range(at)])
                for at in (1, 2)
            ]
            session.add(models.User(name=str(number), posts=posts))
        session.commit()


def answered(module: ModuleType) -> tuple[Any, int]:
    """What `read` gives, and how many statements it sends."""
    models = sys.modules[f"{module.__name__.rpartition('.')[0]}.models"]
    engine = create_engine("sqlite://", poolclass=StaticPool)
    fill(engine, models)
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: sent.append(given[2]))
    with Session(engine) as session:
        answer = module.read(session)
    engine.dispose()
    return answer, len(sent)


def patch_of(file: Path, at: str, loaders: tuple[str, ...], **more: object) -> Patch:
    lines = file.read_text().split("\n")
    line = next(number for number, one in enumerate(lines, 1) if at in one)
    place = Place(str(file), line, "read")
    path = (ONE_HOP, TWO_HOPS)[len(loaders) - 1]
    return write(Subject(finding(path, place), (), text_of), arm(place, path, *loaders, **more))


FORMS = {
    "scalars": """
        def read(session):
            return [told(user) for user in session.scalars(select(User).order_by(User.id))]
        """,
    "scalars, all": """
        def read(session):
            users = session.scalars(select(User).order_by(User.id)).all()
            return [told(user) for user in users]
        """,
    "a loop": """
        def read(session):
            answer = []
            wanted = select(User).order_by(User.id)
            for user in session.scalars(wanted):
                answer.append(told(user))
            return answer
        """,
    "execute": """
        def read(session):
            result = session.execute(select(User).order_by(User.id))
            return [told(user) for user in result.scalars()]
        """,
    "rows": """
        def read(session):
            return [told(user) for user, in session.execute(select(User).order_by(User.id)).all()]
        """,
    "a branch": """
        def read(session, last=True):
            wanted = select(User)
            if last:
                wanted = wanted.order_by(User.id)
            return [told(user) for user in session.scalars(wanted)]
        """,
    "a query of old": """
        def read(session):
            return [told(user) for user in session.query(User).order_by(User.id)]
        """,
    "a limit": """
        def read(session):
            wanted = select(User).order_by(User.id).limit(10)
            return list(told(user) for user in session.scalars(wanted).all())
        """,
}


@pytest.mark.parametrize(
    ("loaders", "statements"),
    [
        ((SELECT, SELECT), 3),
        ((JOIN, JOIN), 1),
        ((SELECT, JOIN), 2),
        ((JOIN, SELECT), 2),
        (("subqueryload", "subqueryload"), 3),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_patched_sources_send_few_statements_and_answer_the_same(
    app: Callable[[str], Path], form: str, loaders: tuple[str, ...], statements: int
) -> None:
    file = app(FORMS[form])
    original = file.read_bytes()
    before = answered(loaded(file))
    patch = patch_of(file, "session.", loaders)

    apply(patch.edits)
    after = answered(loaded(file))
    take_back(patch.edits)

    assert before[1] == LAZY
    assert statements == after[1]
    assert before[0] == after[0]
    assert original == file.read_bytes()


@pytest.mark.parametrize("read", ["one()", "one_or_none()", "first()"])
@pytest.mark.parametrize("loaders", [(JOIN, JOIN), (SELECT, SELECT)])
def test_a_single_row_is_whole(
    app: Callable[[str], Path], loaders: tuple[str, ...], read: str
) -> None:
    file = app(
        f"""
        def read(session):
            return told(session.scalars(select(User).where(User.id == 2)).{read})
        """
    )
    before = answered(loaded(file))

    apply(patch_of(file, ".scalars", loaders).edits)
    after = answered(loaded(file))

    assert before[0] == after[0]
    assert (1 if loaders[0] == JOIN else 3) == after[1]


@pytest.mark.parametrize(
    "call", ["session.get(User, 2)", "session.scalar(select(User).where(User.id == 2))"]
)
def test_a_row_by_its_key_is_whole(app: Callable[[str], Path], call: str) -> None:
    file = app(
        f"""
        def read(session):
            return told({call})
        """
    )
    before = answered(loaded(file))

    apply(patch_of(file, "session.", (JOIN, JOIN)).edits)
    after = answered(loaded(file))

    assert (before[0], 1) == after


def test_columns_of_the_class_and_of_the_relationship_can_be_picked(
    app: Callable[[str], Path],
) -> None:
    file = app(FORMS["scalars"])
    before = answered(loaded(file))
    columns = {"User": ["id", "name"], "Post": ["id", "body"]}

    apply(patch_of(file, "select(User)", (SELECT, JOIN), load_only=columns).edits)
    after = answered(loaded(file))

    assert ".load_only(Post.id, Post.body)\n" in file.read_text()
    assert (before[0], 2) == after


async def asked(module: ModuleType) -> tuple[Any, int]:
    models = sys.modules[f"{module.__name__.rpartition('.')[0]}.models"]
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    sent: list[str] = []
    async with engine.begin() as connection:
        await connection.run_sync(lambda given: fill(given, models))
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *given: sent.append(given[2]))
    async with AsyncSession(engine) as session:
        answer = await module.read(session)
    await engine.dispose()
    return answer, len(sent)


@pytest.mark.parametrize(
    "body",
    [
        """
        async def read(session):
            users = (await session.scalars(select(User).order_by(User.id))).all()
            return [told(user) for user in users]
        """,
        """
        async def read(session):
            result = await session.execute(select(User).order_by(User.id))
            return [told(user) for user in result.scalars().all()]
        """,
        """
        async def read(session):
            return [told(user) for user in await session.scalars(select(User).order_by(User.id))]
        """,
    ],
)
@pytest.mark.parametrize(("loaders", "statements"), [((SELECT, SELECT), 3), ((JOIN, JOIN), 1)])
def test_patched_coroutines_need_nothing_late(
    app: Callable[[str], Path], body: str, loaders: tuple[str, ...], statements: int
) -> None:
    file = app(body)

    apply(patch_of(file, "await session", loaders).edits)
    answer, sent = asyncio.run(asked(loaded(file)))

    assert statements == sent
    assert [["0", ["0.1", 1], ["0.2", 2]], ["1", ["1.1", 1], ["1.2", 2]]] == answer[:2]

"""Which loader options are tried, and how they are written into a source."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.fixes.patches.loading import (
    APP,
    FILES,
    JOIN,
    ONE_HOP,
    SELECT,
    TWO_HOPS,
    after,
    arm,
    finding,
    patched,
    subject,
)
from unslow.fixes.patches.eager_load import candidates, with_columns, write
from unslow.fixes.patches.files import text_of
from unslow.fixes.patches.patch import CannotTryError, Patch, Subject, patcher_of
from unslow.model.trace import Place, Statement, Trace
from unslow.model.usage import Usage

HEAD = """\
from sqlalchemy import select
from sqlalchemy.orm import Session

from .models import Post, User


"""
LOADED = HEAD.replace("Session", "Session, selectinload")
"""The same, of a file that loads eagerly elsewhere."""


def source(body: str, head: str = HEAD) -> str:
    return head + dedent(body).lstrip("\n")


def body_of(text: str, head: str = HEAD) -> str:
    """What a patch made of a source, without its imports."""
    return text[text.index("\n\n\n") + 3 :] if head is HEAD else text[len(head) :]


WRITTEN = {
    "a get": (
        """
        def read(session, key):
            return session.get(User, key)
        """,
        ".get(",
        (SELECT,),
        """
        def read(session, key):
            return session.get(User, key, options=[selectinload(User.posts)])
        """,
    ),
    "an awaited get that becomes too long": (
        """
        async def read(session, user_id):
            user = await session.get(User, user_id)
            return user
        """,
        ".get(",
        (SELECT, SELECT),
        """
        async def read(session, user_id):
            user = await session.get(
                User, user_id, options=[selectinload(User.posts).selectinload(Post.comments)]
            )
            return user
        """,
    ),
    "a get with an argument a line": (
        """
        def read(session, key):
            return session.get(
                User,
                key,  # of the session
            )
        """,
        ".get(",
        (SELECT,),
        """
        def read(session, key):
            return session.get(
                User,
                key,  # of the session
                options=[selectinload(User.posts)],
            )
        """,
    ),
    "a last argument without a comma": (
        """
        def read(session, key):
            return session.get(
                User,
                key  # of the session
            )
        """,
        ".get(",
        (SELECT,),
        """
        def read(session, key):
            return session.get(
                User,
                key,  # of the session
                options=[selectinload(User.posts)]
            )
        """,
    ),
    "a select in the call": (
        """
        def read(session):
            return session.scalars(select(User)).all()
        """,
        "scalars",
        (SELECT,),
        """
        def read(session):
            return session.scalars(select(User).options(selectinload(User.posts))).all()
        """,
    ),
    "a select in a call that becomes too long": (
        """
        async def read(session):
            return (await session.scalars(select(User).order_by(User.id))).all()
        """,
        "scalars",
        (SELECT, SELECT),
        """
        async def read(session):
            return (
                await session.scalars(
                    select(User)
                    .order_by(User.id)
                    .options(selectinload(User.posts).selectinload(Post.comments))
                )
            ).all()
        """,
    ),
    "a statement in a variable": (
        """
        def read(session):
            wanted = select(User).where(User.id > 1)
            return session.execute(wanted).scalars().all()
        """,
        "execute",
        (SELECT,),
        """
        def read(session):
            wanted = select(User).where(User.id > 1).options(selectinload(User.posts))
            return session.execute(wanted).scalars().all()
        """,
    ),
    "a statement with a method a line, and a comment": (
        """
        def read(session):
            wanted = (
                select(User)
                .where(User.id > 1)
                .order_by(User.id)  # oldest first
            )
            for user in session.scalars(wanted):
                print(user)
        """,
        "scalars",
        (JOIN,),
        """
        def read(session):
            wanted = (
                select(User)
                .where(User.id > 1)
                .order_by(User.id)  # oldest first
                .options(joinedload(User.posts))
            )
            for user in session.scalars(wanted).unique():
                print(user)
        """,
    ),
    "a statement that goes on in a branch": (
        """
        def read(session, name):
            wanted = select(User)
            if name:
                wanted = wanted.where(User.name == name)
            return session.scalars(wanted).all()
        """,
        "scalars",
        (SELECT,),
        """
        def read(session, name):
            wanted = select(User)
            if name:
                wanted = wanted.where(User.name == name)
            return session.scalars(wanted.options(selectinload(User.posts))).all()
        """,
    ),
    "a statement that something else reads too": (
        """
        def read(session, name):
            wanted = select(User).where(User.name == name)
            total = session.scalar(select(func.count()).select_from(wanted.subquery()))
            return total, session.scalars(wanted).all()
        """,
        "scalars",
        (SELECT,),
        """
        def read(session, name):
            wanted = select(User).where(User.name == name)
            total = session.scalar(select(func.count()).select_from(wanted.subquery()))
            return total, session.scalars(wanted.options(selectinload(User.posts))).all()
        """,
    ),
    "a statement that a function of the file makes": (
        """
        def named(name):
            wanted = select(User).where(User.name == name)
            return wanted


        def read(session):
            wanted = named("Ann").limit(3)
            return session.scalars(wanted).all()
        """,
        "scalars",
        (SELECT,),
        """
        def named(name):
            wanted = select(User).where(User.name == name)
            return wanted


        def read(session):
            wanted = named("Ann").limit(3).options(selectinload(User.posts))
            return session.scalars(wanted).all()
        """,
    ),
    "a query of old": (
        """
        def read(session):
            return session.query(User).filter(User.id > 1).all()
        """,
        "query",
        (JOIN,),
        """
        def read(session):
            return session.query(User).options(joinedload(User.posts)).filter(User.id > 1).all()
        """,
    ),
    "a query of old with a method a line": (
        """
        def read(session):
            return (
                session.query(User)  # all of them
                .filter(User.id > 1)
                .all()
            )
        """,
        ".all()",
        (SELECT,),
        """
        def read(session):
            return (
                session.query(User)  # all of them
                .options(selectinload(User.posts))
                .filter(User.id > 1)
                .all()
            )
        """,
    ),
    "a query of old in a variable": (
        """
        def read(session):
            people = session.query(User)
            people = people.filter(User.id > 1)
            return [user.name for user in people]
        """,
        "in people",
        (SELECT,),
        """
        def read(session):
            people = session.query(User)
            people = people.filter(User.id > 1)
            return [user.name for user in people.options(selectinload(User.posts))]
        """,
    ),
    "a joined list that one expression reads": (
        """
        async def read(db):
            return (await db.scalars(select(User))).all()
        """,
        "scalars",
        (JOIN,),
        """
        async def read(db):
            return (await db.scalars(select(User).options(joinedload(User.posts)))).unique().all()
        """,
    ),
    "a joined list that becomes too long": (
        """
        def read(session):
            return session.scalars(select(User).order_by(User.id)).all()
        """,
        "scalars",
        (JOIN, JOIN),
        """
        def read(session):
            return (
                session.scalars(
                    select(User).order_by(User.id).options(joinedload(User.posts).joinedload(Post.comments))
                )
                .unique()
                .all()
            )
        """,
    ),
    "a joined list in a result that is read later": (
        """
        async def read(db):
            result = await db.execute(select(User))
            return result.scalars().all()
        """,
        "execute",
        (JOIN,),
        """
        async def read(db):
            result = await db.execute(select(User).options(joinedload(User.posts)))
            return result.unique().scalars().all()
        """,
    ),
    "a joined list behind an await in a loop's head": (
        """
        async def read(db):
            for user in await db.scalars(select(User)):
                print(user)
        """,
        "scalars",
        (JOIN,),
        """
        async def read(db):
            for user in (await db.scalars(select(User).options(joinedload(User.posts)))).unique():
                print(user)
        """,
    ),
    "a joined list in a comprehension": (
        """
        def read(session):
            return [user.name for user in session.scalars(select(User).where(User.id > 1))]
        """,
        "scalars",
        (JOIN,),
        """
        def read(session):
            return [
                user.name
                for user in session.scalars(
                    select(User).where(User.id > 1).options(joinedload(User.posts))
                ).unique()
            ]
        """,
    ),
    "a line with a comment behind it": (
        """
        def read(session):
            return session.scalars(select(User).where(User.id > 1).order_by(User.id)).all()  # all
        """,
        "scalars",
        (SELECT,),
        """
        def read(session):
            return session.scalars(
                select(User).where(User.id > 1).order_by(User.id).options(selectinload(User.posts))
            ).all()  # all
        """,
    ),
    "a joined list in a statement of several lines": (
        """
        def read(session):
            people = session.scalars(
                select(User).where(User.name == "a name that is long enough").order_by(User.id)
            ).all()  # by their age
            return people
        """,
        "scalars",
        (JOIN,),
        """
        def read(session):
            people = (
                session.scalars(
                    select(User)
                    .where(User.name == "a name that is long enough")
                    .order_by(User.id)
                    .options(joinedload(User.posts))
                )
                .unique()
                .all()
            )  # by their age
            return people
        """,
    ),
    "a joined list in a loop's head that becomes too long": (
        """
        def read(session):
            for user in session.scalars(select(User).where(User.name == "Ann").limit(10)).all():
                print(user)
        """,
        "scalars",
        (JOIN,),
        """
        def read(session):
            for user in (
                session.scalars(
                    select(User).where(User.name == "Ann").limit(10).options(joinedload(User.posts))
                )
                .unique()
                .all()
            ):
                print(user)
        """,
    ),
    "a joined list of which the first row is taken": (
        """
        def read(session):
            return session.execute(select(User)).scalars().first()
        """,
        "execute",
        (JOIN,),
        """
        def read(session):
            return session.execute(select(User).options(joinedload(User.posts))).scalars().first()
        """,
    ),
    "a joined list of a scalar": (
        """
        def read(session):
            return session.scalar(select(User).where(User.id == 1))
        """,
        "scalar",
        (JOIN,),
        """
        def read(session):
            return session.scalar(select(User).where(User.id == 1).options(joinedload(User.posts)))
        """,
    ),
    "a list joined to what another statement loads": (
        """
        def read(session):
            return session.scalars(select(User)).all()
        """,
        "scalars",
        (SELECT, JOIN),
        """
        def read(session):
            return session.scalars(
                select(User).options(selectinload(User.posts).joinedload(Post.comments))
            ).all()
        """,
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_options_are_written_as_a_person_would_write(name: str) -> None:
    before, at, loaders, expected = WRITTEN[name]

    written = after(source(before), at, *loaders)

    assert dedent(expected).lstrip("\n") == body_of(written)
    assert f"from sqlalchemy.orm import Session, {loaders[0]}\n" in written


@pytest.mark.parametrize("name", WRITTEN)
def test_writing_the_same_options_twice_changes_nothing(name: str) -> None:
    before, at, loaders, _ = WRITTEN[name]
    written = after(source(before), at, *loaders)

    again = patched(written, at, *loaders)

    assert again.edits == ()
    assert "is already there" in again.advice


@pytest.mark.parametrize("loaders", [(SELECT,), (JOIN,), (SELECT, SELECT), (JOIN, SELECT)])
def test_formatted_files_stay_formatted(tmp_path: Path, loaders: tuple[str, ...]) -> None:
    files = [tmp_path / f"{name}.py" for name in WRITTEN]
    for file in files:
        file.write_text(source(WRITTEN[file.stem][0]))
    formatted(tmp_path)

    for file in files:
        file.write_text(after(file.read_text(), WRITTEN[file.stem][1], *loaders))
    written = [file.read_text() for file in files]
    formatted(tmp_path)

    assert written == [file.read_text() for file in files]


def formatted(folder: Path) -> None:
    options = ["--isolated", "--quiet", "--line-length", "100", "--no-cache", str(folder)]
    subprocess.run([sys.executable, "-m", "ruff", "format", *options], check=True)


ADVISED = {
    "a parameter": (
        """
        def read(session, wanted):
            return session.scalars(wanted).all()
        """,
        "`wanted` is a parameter of the function",
    ),
    "two statements on a line": (
        """
        def read(session):
            return session.scalars(select(User)).all() + session.scalars(select(User)).all()
        """,
        "several statements are sent there",
    ),
    "an alias": (
        """
        def read(session):
            other = aliased(User)
            return session.scalars(select(other)).all()
        """,
        "no statement for `User` is found there",
    ),
    "what is made elsewhere": (
        """
        def read(session):
            return session.scalars(queries.people()).all()
        """,
        "it cannot be seen what `.people()` gives",
    ),
    "one of two statements": (
        """
        def read(session, is_new):
            wanted = select(User)
            if is_new:
                wanted = select(Post)
            return session.scalars(wanted).all()
        """,
        "it is not always the same statement",
    ),
    "a text": (
        """
        def read(session):
            return session.scalars(select(User).from_statement(text(SQL))).all()
        """,
        "it cannot be seen what `.from_statement()` gives",
    ),
    "a variable that a loop sets": (
        """
        def read(session, statements):
            for wanted in statements:
                session.scalars(wanted).all()
        """,
        "in a way that cannot be followed",
    ),
    "another loader for the same relationship": (
        """
        def read(session):
            return session.scalars(select(User).options(subqueryload(User.posts))).all()
        """,
        "`subqueryload(User.posts)` is there already",
    ),
}


@pytest.mark.parametrize("name", ADVISED)
def test_what_is_not_certain_is_advice(name: str) -> None:
    before, why = ADVISED[name]

    patch = patched(source(before), "scalars", SELECT)

    assert patch.edits == ()
    assert "Add `selectinload(User.posts)` to the options of the statement" in patch.advice
    assert why in patch.advice


UNREAD = {
    "what is returned": """
        def read(session):
            return session.scalars(select(User))
        """,
    "a result that is returned": """
        def read(session):
            result = session.scalars(select(User))
            return result
        """,
    "a result that is handed on": """
        def read(session):
            return answer(session.scalars(select(User)))
        """,
    "a result that is read twice": """
        def read(session):
            result = session.scalars(select(User))
            first = result.first()
            return first, result.all()
        """,
    "a stream": """
        async def read(session):
            async for user in await session.stream_scalars(select(User)):
                print(user)
        """,
}


@pytest.mark.parametrize("name", UNREAD)
def test_a_joined_list_is_advice_where_its_result_goes_elsewhere(name: str) -> None:
    text = source(UNREAD[name])

    joined = patched(text, "scalars", JOIN)
    selected = patched(text, "scalars", SELECT)

    assert joined.edits == ()
    assert "`.unique()`" in joined.advice
    assert len(selected.edits) == 1


def test_options_join_those_that_are_there() -> None:
    text = source(
        """
        def read(session, key):
            return session.get(User, key, options=(selectinload(User.tags),))
        """,
        LOADED,
    )

    written = after(text, ".get(", SELECT)

    assert (
        "session.get(User, key, options=(selectinload(User.tags), selectinload(User.posts)))"
        in written
    )


def test_options_join_those_of_a_statement() -> None:
    text = source(
        """
        def read(session):
            wanted = (
                select(User)
                .options(
                    selectinload(User.tags),  # few
                    selectinload(User.roles),
                )
                .order_by(User.id)
            )
            return session.scalars(wanted).all()
        """,
        LOADED,
    )

    written = after(text, "scalars", SELECT, SELECT)

    added = "            selectinload(User.posts).selectinload(Post.comments),\n"
    assert text == written.replace(added, "", 1)
    assert f"selectinload(User.roles),\n{added}        )\n" in written


def test_an_option_that_is_the_first_half_is_made_longer() -> None:
    text = source(
        """
        def read(session):
            return session.scalars(select(User).options(selectinload(User.posts))).all()
        """,
        LOADED,
    )

    written = after(text, "scalars", SELECT, SELECT)

    assert "select(User).options(selectinload(User.posts).selectinload(Post.comments))" in written


def test_an_option_that_loads_even_more_is_there_already() -> None:
    text = source(
        """
        def read(session):
            wanted = select(User).options(selectinload(User.posts).selectinload(Post.comments))
            return session.scalars(wanted).all()
        """,
        LOADED,
    )

    assert "is already there" in patched(text, "scalars", SELECT).advice


def test_options_of_what_a_statement_goes_on_from_are_seen() -> None:
    text = source(
        """
        def people():
            return select(User).options(selectinload(User.posts))


        def read(session):
            wanted = people().order_by(User.id)
            return session.scalars(wanted).all()
        """,
        LOADED,
    )

    assert "is already there" in patched(text, "scalars", SELECT).advice
    assert "`selectinload(User.posts)` is there already" in patched(text, "scalars", JOIN).advice


def test_a_line_of_another_function_is_advice() -> None:
    text = source(WRITTEN["a get"][0])

    patch = patched(text, ".get(", SELECT, function="other")

    assert "the line is not in `other` any more" in patch.advice


def test_the_line_may_be_that_of_a_comprehension_or_a_method() -> None:
    text = source(
        """
        class People:
            def read(self):
                return [user.name for user in self.session.query(User)]
        """
    )

    written = after(text, "query", SELECT, function="People.read.<locals>.<listcomp>")

    assert "self.session.query(User).options(selectinload(User.posts))]" in written


@pytest.mark.parametrize(
    ("head", "imports"),
    [
        (
            """
            from sqlalchemy import select

            from .models import Post, User
            """,
            """
            from sqlalchemy import select
            from sqlalchemy.orm import selectinload

            from .models import Post, User
            """,
        ),
        (
            """
            import os

            from sqlalchemy import select  # the new way

            from .models import User
            """,
            """
            import os

            from sqlalchemy import select  # the new way
            from sqlalchemy.orm import selectinload

            from .models import Post, User
            """,
        ),
        (
            """
            from sqlalchemy import select
            from sqlalchemy.orm import (
                Session,  # sync
                undefer,
            )

            from .models import (
                Comment,
                User,  # people
            )
            """,
            """
            from sqlalchemy import select
            from sqlalchemy.orm import (
                Session,  # sync
                selectinload,
                undefer,
            )

            from .models import (
                Comment,
                Post,
                User,  # people
            )
            """,
        ),
        (
            """
            import sqlalchemy as sa
            from sqlalchemy import orm, select

            from app.models import Post, User
            """,
            """
            import sqlalchemy as sa
            from sqlalchemy import orm, select

            from app.models import Post, User
            """,
        ),
        (
            """
            from sqlmodel import Session, select

            from app.models import Post, User
            """,
            """
            from sqlalchemy.orm import selectinload
            from sqlmodel import Session, select

            from app.models import Post, User
            """,
        ),
        (
            """
            from sqlalchemy.orm import with_polymorphic, joinedload, subqueryload, undefer, lazyload
            from sqlalchemy import select

            from app.models import Post, User
            """,
            """
            from sqlalchemy.orm import (
                with_polymorphic,
                joinedload,
                subqueryload,
                undefer,
                lazyload,
                selectinload,
            )
            from sqlalchemy import select

            from app.models import Post, User
            """,
        ),
    ],
)
def test_imports_come_where_they_belong(head: str, imports: str) -> None:
    head, imports = dedent(head).lstrip("\n"), dedent(imports).lstrip("\n")
    text = f"{head}\n\ndef read(session):\n    return session.scalars(select(User)).all()\n"

    written = after(text, "scalars", SELECT, SELECT)

    assert imports == written[: len(imports)]
    assert written[len(imports) :].startswith("\n\ndef read(")


@pytest.mark.parametrize(
    ("head", "entity", "option"),
    [
        (
            "from app import models\nfrom sqlalchemy import select\n",
            "models.User",
            "selectinload(models.User.posts).selectinload(models.Post.comments)",
        ),
        (
            "import app.models\nfrom sqlalchemy import select\n",
            "app.models.User",
            "selectinload(app.models.User.posts).selectinload(app.models.Post.comments)",
        ),
        (
            "import app.models as m\nfrom sqlalchemy import select\n",
            "m.User",
            "selectinload(m.User.posts).selectinload(m.Post.comments)",
        ),
        (
            """from sqlalchemy import select
from .models import User as Person, Post as Article
from .schemas import Post, User
""",
            "Person",
            "selectinload(Person.posts).selectinload(Article.comments)",
        ),
    ],
)
def test_classes_are_called_as_the_file_calls_them(head: str, entity: str, option: str) -> None:
    text = f"{head}\n\ndef read(session):\n    return session.scalars(select({entity})).all()\n"

    written = after(text, "scalars", SELECT, SELECT)

    assert option in written


@pytest.mark.parametrize(
    "head",
    [
        # A class of the same name, of which nobody knows that it is a model.
        "from sqlalchemy import select\nfrom .models import User\nfrom .schemas import Post\n",
        # A module that cannot be read.
        "from sqlalchemy import select\nfrom elsewhere import User\n",
        "from sqlalchemy import select\nfrom .models import User\nPost = 3\n",
    ],
)
def test_a_class_that_is_not_at_hand_is_advice(head: str) -> None:
    text = f"{head}\n\ndef read(session):\n    return session.scalars(select(User)).all()\n"

    two = patched(text, "scalars", SELECT, SELECT)
    one = patched(text, "scalars", SELECT)

    assert two.edits == ()
    assert "`Post` " in two.advice
    assert len(one.edits) == 1


PACKAGE = {
    "/project/ruff.toml": "line-length = 100\n",
    "/project/app/models/__init__.py": "",
    "/project/app/models/user.py": dedent(
        """\
        from typing import TYPE_CHECKING

        from .base import Base

        if TYPE_CHECKING:
            from .post import Post


        class User(Base):
            posts: Mapped[list["Post"]] = relationship()
        """
    ),
    "/project/app/models/post.py": dedent(
        """\
        from .base import Base


        class Post(Base):
            comments: Mapped[list["Comment"]] = relationship()
        """
    ),
}


@pytest.mark.parametrize(
    ("user", "imports"),
    [
        (".models.user", "from .models.post import Post\nfrom .models.user import User\n"),
        ("app.models.user", "from app.models.post import Post\nfrom app.models.user import User\n"),
    ],
)
def test_a_class_is_imported_from_where_its_neighbour_has_it(user: str, imports: str) -> None:
    head = f"from sqlalchemy import select\n\nfrom {user} import User\n"
    text = f"{head}\n\ndef read(session):\n    return session.scalars(select(User)).all()\n"

    written = after(text, "scalars", SELECT, SELECT, files=PACKAGE)

    assert f"\n\n{imports}\n\ndef read(" in written


def test_a_loader_whose_name_is_taken_is_advice() -> None:
    text = source(
        """
        def read(session, selectinload):
            return session.get(User, 1)
        """
    )

    assert "`selectinload` means something else" in patched(text, ".get(", SELECT).advice


def test_line_ends_and_marks_stay() -> None:
    text = source(WRITTEN["an awaited get that becomes too long"][0]).replace("\n", "\r\n")

    written = after("\ufeff" + text.rstrip(), ".get(", SELECT, SELECT)

    assert written.startswith("\ufefffrom sqlalchemy import select\r\n")
    assert written.count("\n") == written.count("\r\n")
    assert written.endswith("return user")


def test_white_space_at_the_ends_of_lines_stays() -> None:
    text = source(
        """
        def read(session):
            wanted = (
                select(User)
                .where(User.id == 1)
            )
            return session.scalars(wanted).all()
        """
    )
    text = text.replace("\n", "  \n") + "# the end  \r\n"

    written = after(text, "scalars", SELECT)

    added = "\n        .options(selectinload(User.posts))"
    assert added in written
    assert written.replace(added, "").replace(", selectinload", "") == text


def test_a_backslash_at_the_end_of_a_line_stays_one() -> None:
    text = source(
        """
        def read(session):
            wanted = select(User) \\
                .where(User.id == 1)
            return session.scalars(wanted).all()
        """
    )

    written = after(text, "scalars", SELECT)

    assert ".where(User.id == 1).options(selectinload(User.posts))\n" in written


def test_the_width_is_the_project_s() -> None:
    text = source(WRITTEN["a get"][0])
    narrow = {**FILES, "/project/ruff.toml": "line-length = 60\n"}

    written = after(text, ".get(", SELECT, files=narrow)

    assert (
        "    return session.get(\n        User, key, options=[selectinload(User.posts)]\n"
        in written
    )


def test_a_file_that_cannot_be_read_is_advice() -> None:
    place = Place("/project/app/none.py", 3, "read")
    about = Subject(finding(ONE_HOP, place), (), lambda _: None)

    patch = write(about, arm(place, ONE_HOP, SELECT))

    assert patch.edits == ()
    assert "the file cannot be read, or has changed since" in patch.advice
    assert "line 3 of none.py" in patch.advice


@pytest.mark.parametrize("text", ["def read(:\n", "def read():\n    return 1\n", ""])
def test_a_file_that_is_another_one_is_advice(text: str) -> None:
    about = subject(text, 2, "read")

    patch = write(about, arm(Place(APP, 2, "read"), ONE_HOP, SELECT))

    assert patch.edits == ()
    assert "No patch was written" in patch.advice


def test_the_demo_s_slow_endpoints_get_what_a_person_would_write() -> None:
    from unslow.demo.routers import users

    path = str(users.__file__)
    lines = (text_of(path) or "").split("\n")
    text = text_of(path) or ""
    for function, call in (
        ("get_user_posts", "session.get"),
        ("get_user_feed", "await session.get"),
    ):
        first = next(at for at, one in enumerate(lines, 1) if f"def {function}(" in one)
        line = next(at for at, one in enumerate(lines, 1) if at > first and "session.get" in one)
        place = Place(path, line, function)
        about = Subject(finding(TWO_HOPS, place), (), text_of)

        patch = write(about, arm(place, TWO_HOPS, SELECT, SELECT))

        old = f"    user = {call}(User, user_id)"
        new = (
            f"    user = {call}(\n        User, user_id,"
            " options=[selectinload(User.posts).selectinload(Post.comments)]\n    )"
        )
        ((_, before, written),) = patch.edits
        assert text == before
        assert [*lines[: line - 1], *new.split("\n"), *lines[line:]] == written.split("\n")
        assert lines[line - 1] == old


def test_arms_for_one_relationship_come_in_their_order() -> None:
    arms = candidates(subject("", 7, "read"))

    assert [
        "selectinload(User.posts)",
        "joinedload(User.posts)",
        "subqueryload(User.posts)",
    ] == [one.says for one in arms]
    assert arms[0].fix == "eager-load"
    assert dict(arms[0].parameters) == {
        "path": APP,
        "line": 7,
        "function": "read",
        "entity": "User",
        "chain": [["selectinload", "posts"]],
    }


def test_arms_for_two_relationships_mix_loaders() -> None:
    arms = candidates(subject("", 7, "read", TWO_HOPS))

    assert [
        "selectinload(User.posts).selectinload(Post.comments)",
        "joinedload(User.posts).joinedload(Post.comments)",
        "selectinload(User.posts).joinedload(Post.comments)",
        "joinedload(User.posts).selectinload(Post.comments)",
        "subqueryload(User.posts).subqueryload(Post.comments)",
    ] == [one.says for one in arms]


def test_arms_for_a_long_way_are_few() -> None:
    arms = candidates(subject("", 7, "read", "User.posts -> Post.comments -> Comment.author"))

    assert [
        ["selectinload", "selectinload", "selectinload"],
        ["joinedload", "joinedload", "joinedload"],
        ["selectinload", "selectinload", "joinedload"],
    ] == [[how for how, _ in one.parameters["chain"]] for one in arms]  # type: ignore[attr-defined]  # plain data


@pytest.mark.parametrize("path", ["User.*", "User.posts -> Post.*", ""])
def test_columns_that_expired_cannot_be_tried(path: str) -> None:
    with pytest.raises(CannotTryError):
        candidates(subject("", 7, "read", path))


def test_rows_of_no_statement_cannot_be_tried() -> None:
    about = Subject(finding(ONE_HOP), (), FILES.get)

    with pytest.raises(CannotTryError, match="no statement of this request"):
        candidates(about)


def trace(*statements: Statement, usages: tuple[Usage, ...] | None = None) -> Trace:
    return Trace(1, 1, "GET", "/", 200, 0.0, 0, 1, 1, 100, statements=statements, usages=usages)


LATE = "SELECT users.bio AS users_bio FROM users WHERE users.id = ?"


@pytest.mark.parametrize(
    ("shape", "is_column"),
    [
        (LATE, True),
        ("SELECT posts.id, posts.title FROM posts WHERE posts.user_id = ?", False),
        ("SELECT tags.name FROM tags, user_tags WHERE ? = user_tags.user_id", False),
        ("SELECT tags.name FROM tags WHERE tags.name = ?", False),
    ],
)
def test_a_late_column_is_told_from_a_relationship_by_its_statement(
    shape: str, is_column: bool
) -> None:
    late = Statement(shape, "asyncpg", relationship="User.bio", row_key="a")
    about = subject("", 7, "read", "User.bio", traces=[trace(late)])

    says = [one.says for one in candidates(about)]

    assert (["undefer(User.bio)"] == says) is is_column


def usage(
    statement: int,
    entity: str,
    columns: dict[str, int],
    read: tuple[str, ...],
    unwatched: int = 0,
) -> Usage:
    return Usage(
        statement,
        entity,
        2,
        ("id",),
        tuple(columns),
        tuple(columns.values()),
        read,
        2,
        0,
        ((read, 2),),
        (),
        unwatched,
    )


def test_a_late_column_is_told_by_what_it_loaded() -> None:
    late = Statement("SELECT ?", "asyncpg", relationship="Post.body", row_key="a")
    loaded = usage(0, "Post", {"body": 100}, ("body",))
    about = subject(
        "", 7, "read", "User.posts -> Post.body", traces=[trace(late, usages=(loaded,))]
    )

    arms = candidates(about)

    assert "selectinload(User.posts).undefer(Post.body)" == arms[0].says
    assert [["selectinload", "posts"], ["undefer", "body"]] == arms[0].parameters["chain"]
    assert with_columns(about, arms[0]) is None


ROOT = Statement("SELECT", "asyncpg", Place(APP, 7, "read"))
LOAD = Statement("SELECT", "asyncpg", relationship="User.posts", row_key="a", parent=0)
USER = {"id": 8, "name": 10}
POST = {"id": 16, "user_id": 16, "title": 50, "body": 5_000}


def test_columns_that_nobody_reads_can_be_left_out() -> None:
    watched = trace(
        ROOT,
        LOAD,
        usages=(
            usage(0, "User", USER, ("name",)),
            usage(1, "Post", POST, ("title",)),
        ),
    )
    about = subject("", 7, "read", traces=[trace(ROOT, LOAD), watched])
    first = candidates(about)[0]

    narrow = with_columns(about, first)

    assert narrow is not None
    assert "selectinload(User.posts).load_only(Post.id, Post.user_id, Post.title)" == narrow.says
    assert {"Post": ["id", "user_id", "title"]} == narrow.parameters["load_only"]
    assert first.parameters["chain"] == narrow.parameters["chain"]


def test_columns_are_left_out_of_the_statement_s_own_class_too() -> None:
    wide = {"id": 8, "name": 10, "photo": 90_000}
    watched = trace(
        ROOT,
        LOAD,
        usages=(usage(0, "User", wide, ("name",)), usage(1, "Post", POST, tuple(POST))),
    )
    about = subject("", 7, "read", traces=[watched])

    narrow = with_columns(about, candidates(about)[1])

    assert narrow is not None
    assert "load_only(User.id, User.name), joinedload(User.posts)" == narrow.says


@pytest.mark.parametrize(
    "usages",
    [
        None,
        (),
        (usage(1, "Post", POST, ("title", "body")),),
        # A small part of all that is loaded.
        (usage(0, "User", {"id": 8, "bio": 90_000}, ("bio",)), usage(1, "Post", POST, ())),
        # Not all objects were watched.
        (usage(1, "Post", POST, ("title",), unwatched=3),),
        # Another statement's objects were read whole.
        (usage(1, "Post", POST, ("title",)), usage(0, "Post", POST, ("body",))),
    ],
)
def test_columns_stay_where_little_can_be_left_out(usages: tuple[Usage, ...] | None) -> None:
    about = subject("", 7, "read", traces=[trace(ROOT, LOAD, usages=usages)])

    assert with_columns(about, candidates(about)[0]) is None


def test_columns_are_written_with_their_relationship() -> None:
    text = source(WRITTEN["a get"][0])
    watched = trace(
        Statement("SELECT", "asyncpg", Place(APP, 8, "read")),
        LOAD,
        usages=(usage(0, "User", USER, ("name",)), usage(1, "Post", POST, ("title",))),
    )
    about = subject(text, 8, "read", traces=[watched])
    narrow = with_columns(about, candidates(about)[0])
    assert narrow is not None

    ((_, _, written),) = write(about, narrow).edits

    assert (
        "    return session.get(\n        User, key, options=["
        "selectinload(User.posts).load_only(Post.id, Post.user_id, Post.title)]\n    )\n"
    ) in written


def test_the_fix_is_found_by_its_name() -> None:
    patcher = patcher_of("eager-load")

    assert patcher.candidates(subject("", 7, "read"))
    assert isinstance(
        patcher.write(subject("", 7, "read"), arm(Place(APP, 7, "read"), ONE_HOP, SELECT)), Patch
    )

"""A library with every kind of relationship that loader options meet, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    String,
    Table,
    TypeDecorator,
    cast,
    create_engine,
    event,
    literal,
    text,
)
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    MappedAsDataclass,
    Session,
    WriteOnlyMapped,
    column_property,
    mapped_column,
    relationship,
)

from unslow.current import ARM, OpenArm
from unslow.fixes.switches import Tools
from unslow.record.place import PackedPlace, place_from, resolve


class Base(DeclarativeBase):
    pass


class Cursed(TypeDecorator[str]):
    """Its values cannot be read."""

    impl = String
    cache_ok = True

    def process_result_value(self, *_: Any) -> str:
        raise LookupError("cursed")


class Unwritable(ColumnElement[str]):
    """Its SQL cannot be made."""

    inherit_cache = True
    type = String()


@compiles(Unwritable)
def _unwritable(*given: Any, **options: Any) -> str:
    raise LookupError("unwritable")


class Team(Base):
    __tablename__ = "team"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class User(Base):
    __tablename__ = "reader"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
    about: Mapped[str] = mapped_column(default="about", deferred=True)
    team: Mapped[Team] = relationship()
    posts: Mapped[list[Post]] = relationship(back_populates="user", order_by="Post.id")
    seen_posts: Mapped[list[Post]] = relationship(viewonly=True, order_by="Post.id")
    raising_posts: Mapped[list[Post]] = relationship(
        viewonly=True, lazy="raise", order_by="Post.id"
    )
    dynamic_posts: DynamicMapped[Post] = relationship(viewonly=True)
    written_posts: WriteOnlyMapped[Post] = relationship(viewonly=True)
    ghosts: Mapped[list[Ghost]] = relationship()
    cursed: Mapped[str] = column_property(cast(literal("x"), Cursed), deferred=True)
    unwritable: Mapped[str] = column_property(Unwritable(), deferred=True)


tagged = Table(
    "tagged",
    Base.metadata,
    Column("post_id", ForeignKey("post.id"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True),
)


class Tag(Base):
    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Post(Base):
    __tablename__ = "post"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("reader.id"))
    title: Mapped[str]
    body: Mapped[str] = mapped_column(default="body", deferred=True)
    user: Mapped[User] = relationship(back_populates="posts")
    comments: Mapped[list[Comment]] = relationship(back_populates="post", order_by="Comment.id")
    tags: Mapped[list[Tag]] = relationship(secondary=tagged, order_by="Tag.id")


class Comment(Base):
    __tablename__ = "comment"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("post.id"))
    text: Mapped[str]
    post: Mapped[Post] = relationship(back_populates="comments")


class Ghost(Base):
    """Its table is not there."""

    __tablename__ = "ghost"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("reader.id"))


class Folder(Base):
    __tablename__ = "folder"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("folder.id"))
    children: Mapped[list[Folder]] = relationship(order_by="Folder.id")


class Account(Base):
    __tablename__ = "account"
    region: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    entries: Mapped[list[Entry]] = relationship(order_by="Entry.id")


class Entry(Base):
    __tablename__ = "entry"
    __table_args__ = (
        ForeignKeyConstraint(["region", "number"], ["account.region", "account.number"]),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    region: Mapped[str]
    number: Mapped[int]


class Animal(Base):
    __tablename__ = "animal"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012  # as models are declared
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    toys: Mapped[list[Toy]] = relationship(order_by="Toy.id")


class Dog(Animal):
    __tablename__ = "dog"
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012  # as models are declared
    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)
    walks: Mapped[list[Walk]] = relationship(order_by="Walk.id")


class Toy(Base):
    __tablename__ = "toy"
    id: Mapped[int] = mapped_column(primary_key=True)
    animal_id: Mapped[int] = mapped_column(ForeignKey("animal.id"))


class Walk(Base):
    __tablename__ = "walk"
    id: Mapped[int] = mapped_column(primary_key=True)
    dog_id: Mapped[int] = mapped_column(ForeignKey("dog.id"))


class DataBase(MappedAsDataclass, DeclarativeBase):
    """Its objects have no hash."""


class Box(DataBase):
    __tablename__ = "box"
    id: Mapped[int] = mapped_column(primary_key=True)
    things: Mapped[list[Thing]] = relationship(
        default_factory=list, order_by="Thing.id", lazy="selectin"
    )


class Thing(DataBase):
    __tablename__ = "thing"
    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int | None] = mapped_column(ForeignKey("box.id"), default=None)
    label: Mapped[str] = mapped_column(default="label", deferred=True)


USERS_COUNT = 4
"""With posts; one more has none."""
POSTS_COUNT = 3
COMMENTS_COUNT = 2


def fill(url: str) -> None:
    """Makes the tables and their rows."""
    engine = sync_engine(url)
    Base.metadata.create_all(engine)
    DataBase.metadata.create_all(engine)
    with Session(engine) as session:
        teams = [Team(name="red"), Team(name="blue")]
        tags = [Tag(name="new"), Tag(name="old")]
        for number in range(USERS_COUNT):
            posts = [_post(f"title {number}", tags) for _ in range(POSTS_COUNT)]
            session.add(User(name="ann", team=teams[number % 2], posts=posts))
            session.flush()
        session.add(User(name="bob", team=teams[0]))
        session.add_all(
            [
                Folder(children=[Folder(children=[Folder(), Folder()]), Folder()]),
                Account(region="north", number=1, entries=[Entry(), Entry()]),
                Account(region="south", number=1, entries=[Entry()]),
                Animal(toys=[Toy()]),
                Dog(toys=[Toy(), Toy()], walks=[Walk(), Walk()]),
                Dog(toys=[Toy()], walks=[Walk()]),
                Box(id=1, things=[Thing(id=1), Thing(id=2)]),
                Box(id=2, things=[Thing(id=3)]),
            ]
        )
        session.execute(text("DROP TABLE ghost"))
        session.commit()
    engine.dispose()


def _post(title: str, tags: Sequence[Tag]) -> Post:
    comments = [Comment(text="text") for _ in range(COMMENTS_COUNT)]
    return Post(title=title, comments=comments, tags=list(tags))


def sync_engine(url: str, **options: Any) -> Engine:
    return create_engine(url.replace("postgresql:", "postgresql+psycopg:"), **options)


class Ran:
    """What a piece of work brought, and the statements that it sent."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.answer: Any = None

    @property
    def count(self) -> int:
        """Without what only sets savepoints."""
        return sum("SAVEPOINT" not in one for one in self.statements)


@contextmanager
def counted(engine: Engine) -> Iterator[Ran]:
    ran = Ran()

    def note(_: Any, __: Any, statement: str, *others: Any) -> None:
        ran.statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield ran
    finally:
        event.remove(engine, "before_cursor_execute", note)


Work = Callable[[Session], Any]


class Library:
    """The database, by one sync and one async driver."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = sync_engine(url)
        self.async_engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:"))
        self._loop = asyncio.Runner()
        self._answers: dict[tuple[str, Work], Ran] = {}

    def sync(self, work: Work, arm: OpenArm | None = None) -> Ran:
        """Runs work with a session of psycopg, under an arm."""
        token = ARM.set(arm)
        try:
            with counted(self.engine) as ran, Session(self.engine) as session:
                ran.answer = work(session)
            return ran
        finally:
            ARM.reset(token)

    def asynchronous(self, work: Work, arm: OpenArm | None = None) -> Ran:
        """Runs work with a session of asyncpg, under an arm."""
        return self.awaited(lambda session: session.run_sync(work), arm)

    def awaited(
        self, work: Callable[[AsyncSession], Awaitable[Any]], arm: OpenArm | None = None
    ) -> Ran:
        """Awaits work with a session of asyncpg, under an arm."""

        async def main() -> Ran:
            token = ARM.set(arm)
            try:
                with counted(self.async_engine.sync_engine) as ran:
                    async with AsyncSession(self.async_engine) as session:
                        ran.answer = await work(session)
                return ran
            finally:
                ARM.reset(token)

        return self._loop.run(main())

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run(coroutine)

    def as_written(self, way: str, work: Work) -> Ran:
        """What work brings without an arm; run once."""
        key = (way, work)
        if key not in self._answers:
            self._answers[key] = getattr(self, way)(work)
        return self._answers[key]

    def close(self) -> None:
        self._loop.run(self.async_engine.dispose())
        self._loop.close()
        self.engine.dispose()


SYNC, ASYNC = "sync", "asynchronous"


def _caller_place() -> PackedPlace | None:
    # Of the agent's own function the first frame is ours; here it would be the test's.
    return resolve(place_from(sys._getframe(1)))


TOOLS = Tools(_caller_place)
"""As the agent has them."""


def listeners() -> list[Any]:
    """What listens to sessions."""
    return list(Session().dispatch.do_orm_execute)

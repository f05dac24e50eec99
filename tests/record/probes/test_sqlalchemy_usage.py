"""What the ORM fetched, what of it was read and by whom; and after a watch nothing is left."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.encoders import jsonable_encoder
from jinja2 import Template
from pydantic import BaseModel, ConfigDict
from sqlalchemy import (
    JSON,
    Column,
    Engine,
    ForeignKey,
    Table,
    create_engine,
    event,
    inspect,
    select,
)
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.ext.orderinglist import ordering_list
from sqlalchemy.orm import (
    DeclarativeBase,
    InstrumentedAttribute,
    Mapped,
    MappedAsDataclass,
    Session,
    attribute_keyed_dict,
    composite,
    contains_eager,
    immediateload,
    joinedload,
    load_only,
    mapped_column,
    relationship,
    selectinload,
    strategies,
    subqueryload,
    synonym,
    undefer,
)
from sqlalchemy.orm.state import InstanceState

from tests.record.probes.asgi import Asked
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
from unslow.current import LANE, OpenTrace
from unslow.model.codec import dumps, loads
from unslow.model.usage import Usage
from unslow.record.probes.sqlalchemy import private
from unslow.record.probes.sqlalchemy.usage import is_watching, start_watching, usages_of
from unslow.record.probes.sqlalchemy.usage import loads as usage_loads
from unslow.record.probes.sqlalchemy.usage.sizes import size_bytes

KINDS = ("sqlite", "postgresql+psycopg", "postgresql+asyncpg", "sqlite+aiosqlite")
POSTS = USERS_COUNT * POSTS_COUNT
COMMENTS = POSTS * COMMENTS_COUNT
USERS = select(User).order_by(User.id)


class Base(DeclarativeBase):
    pass


class Point:
    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y

    def __composite_values__(self) -> tuple[int, int]:
        return self.x, self.y


links = Table(
    "shop_link",
    Base.metadata,
    Column("item_id", ForeignKey("shop_item.id"), primary_key=True),
    Column("tag_id", ForeignKey("shop_tag.id"), primary_key=True),
)


class Tag(Base):
    __tablename__ = "shop_tag"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Item(Base):
    __tablename__ = "shop_item"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(default="item")
    name: Mapped[str] = mapped_column(default="name")
    document: Mapped[Any] = mapped_column(JSON, default=lambda: {"key": ["12345", 1, None]})
    x: Mapped[int] = mapped_column(default=1)
    y: Mapped[int] = mapped_column(default=2)
    position: Mapped[int] = mapped_column(default=0)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("shop_item.id"))
    point: Mapped[Point] = composite("x", "y")
    title: Mapped[str] = synonym("name")
    tags: Mapped[list[Tag]] = relationship(secondary=links, order_by=Tag.id)
    parent: Mapped[Item | None] = relationship(remote_side="Item.id", back_populates="children")
    children: Mapped[list[Item]] = relationship(
        back_populates="parent",
        order_by="Item.position",
        collection_class=ordering_list("position"),
        cascade="all, delete-orphan",
    )
    by_name: Mapped[dict[str, Item]] = relationship(
        collection_class=attribute_keyed_dict("name"), viewonly=True
    )
    tag_names: AssociationProxy[list[str]] = association_proxy("tags", "name")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "item"}  # noqa: RUF012  # SQLAlchemy's own form

    @hybrid_property
    def loud_name(self) -> str:
        return self.name.upper()

    @cached_property
    def slow_number(self) -> int:
        return 7


class Book(Item):
    __tablename__ = "shop_book"
    id: Mapped[int] = mapped_column(ForeignKey("shop_item.id"), primary_key=True)
    pages: Mapped[int] = mapped_column(default=100)
    __mapper_args__ = {"polymorphic_identity": "book"}  # noqa: RUF012  # SQLAlchemy's own form


class Mark(MappedAsDataclass, Base):
    __tablename__ = "shop_mark"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(default="text")


class Guarded(Base):
    __tablename__ = "shop_guarded"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(default="text")

    def __getattribute__(self, name: str) -> Any:
        return "own" if name == "wish" else super().__getattribute__(name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return f"no {name}"


class Shop:
    """A database with rows of the classes above, and sessions on it under a watched trace."""

    def __init__(self, bench: Bench, engine: Engine) -> None:
        self.bench = bench
        self.engine = engine
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            tags = [Tag(id=number, name=f"tag {number}") for number in (1, 2)]
            parent = Item(id=1, name="parent", tags=tags)
            children = [Item(id=2, name="two", position=0), Item(id=3, name="three", position=1)]
            session.add_all([*tags, parent, *children, Book(id=4, name="book")])
            for child in children:
                child.parent_id = 1
            session.add_all([Mark(id=1), Guarded(id=1)])
            session.commit()

    def usages(self, work: Callable[[Session], Any]) -> list[Usage]:
        def watched() -> None:
            watched_trace().watched = {}
            with Session(self.engine) as session:
                work(session)

        return told(self.bench.run(watched))

    def usage(self, work: Callable[[Session], Any]) -> Usage:
        """That of the first statement."""
        return self.usages(work)[0]


@pytest.fixture(scope="module")
def postgres_url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with new_database() as url:
        fill_at(url)
        yield url


@pytest.fixture
def watching(bench: Bench) -> Iterator[Bench]:
    bench.install("sqlalchemy")
    stop = start_watching(bench.recorder)
    assert bench.recorder.coverage["sqlalchemy usage"].state == "on"
    yield bench
    stop()


@pytest.fixture(params=KINDS)
def blog(
    request: pytest.FixtureRequest, watching: Bench, tmp_path: Path, postgres_url: str
) -> Blog:
    return blog_in(request.param, watching, tmp_path, postgres_url)


@pytest.fixture
def one_blog(watching: Bench, tmp_path: Path, postgres_url: str) -> Blog:
    return blog_in("sqlite", watching, tmp_path, postgres_url)


@pytest.fixture
def shop(watching: Bench, tmp_path: Path) -> Iterator[Shop]:
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db")
    yield Shop(watching, engine)
    engine.dispose()


def watched_trace() -> OpenTrace:
    lane = LANE.get()
    assert lane is not None
    return lane.trace


def told(trace: OpenTrace) -> list[Usage]:
    """The usages as they come back from a store."""
    return [Usage(*one) for one in loads(dumps(usages_of(trace.watched)))]


def usages(blog: Blog, work: Callable[[Session], Any]) -> list[Usage]:
    def watched(session: Session) -> Any:
        watched_trace().watched = {}
        return work(session)

    return told(blog.traced(watched))


def test_columns_that_are_read_are_told_from_those_that_are_not(blog: Blog) -> None:
    def work(session: Session) -> None:
        users = session.scalars(USERS).all()
        assert users[0].name == users[1].name == "ann"
        assert users[1].id

    assert usages(blog, work) == [
        Usage(
            statement=0,
            entity="User",
            rows_count=USERS_COUNT,
            primary_key=("id",),
            columns=("id", "name"),
            columns_bytes=(8 * USERS_COUNT, 3 * USERS_COUNT),
            read_columns=("id", "name"),
            read_rows_count=2,
            written_rows_count=0,
            profile=((("id", "name"), 1), (("name",), 1)),
            relationships=(),
        )
    ]


def test_rows_that_are_only_counted_were_not_read(blog: Blog) -> None:
    (usage,) = usages(blog, lambda session: len(session.scalars(USERS).all()))

    assert (usage.rows_count, usage.read_rows_count, usage.read_columns) == (USERS_COUNT, 0, ())


@pytest.mark.parametrize(
    ("option", "how"),
    [
        (selectinload, "selectin"),
        (joinedload, "joined"),
        (subqueryload, "subquery"),
        (immediateload, "immediate"),
    ],
)
@pytest.mark.parametrize("reads", [False, True])
def test_an_eager_load_is_read_or_not(blog: Blog, option: Any, how: str, reads: bool) -> None:
    def work(session: Session) -> None:
        statement = USERS.options(option(User.posts))
        for user in session.scalars(statement).unique().all():
            assert user.name
            if reads and user.id == 2:
                assert len(user.posts) == POSTS_COUNT

    found = usages(blog, work)

    users = [one for one in found if one.entity == "User"]
    posts = [one for one in found if one.entity == "Post"]
    assert [one.relationships for one in users] == [(("posts", how, POSTS, reads),)]
    assert sum(one.rows_count for one in posts) == POSTS
    assert {one.read_rows_count for one in posts} == {0}
    assert {one.statement for one in posts} == {
        "selectin": {1},
        "joined": {0},
        "subquery": {1},
        "immediate": {1, 2, 3, 4},
    }[how]


@pytest.mark.parametrize("option", [selectinload, joinedload, subqueryload])
def test_an_eager_load_below_another_belongs_to_what_it_completes(blog: Blog, option: Any) -> None:
    def work(session: Session) -> None:
        statement = USERS.options(option(User.posts).selectinload(Post.comments))
        for user in session.scalars(statement).unique().all():
            assert [post.title for post in user.posts] == ["title"] * POSTS_COUNT

    found = {one.entity: one for one in usages(blog, work)}

    assert [(one[0], one[2], one[3]) for one in found["User"].relationships] == [
        ("posts", POSTS, True)
    ]
    assert found["Post"].relationships == (("comments", "selectin", COMMENTS, False),)
    assert found["Comment"].relationships == ()


def test_a_join_that_the_statement_has_itself_is_an_eager_load_too(one_blog: Blog) -> None:
    def work(session: Session) -> None:
        statement = select(Post).join(Post.user).options(contains_eager(Post.user))
        assert {post.title for post in session.scalars(statement).all()} == {"title"}

    post, user = usages(one_blog, work)

    assert post.relationships == (("user", "joined", USERS_COUNT, False),)
    assert (user.entity, user.statement) == ("User", 0)


def test_an_eager_load_that_found_nothing_brought_no_rows(shop: Shop) -> None:
    def work(session: Session) -> None:
        session.scalars(select(Item).where(Item.id == 2).options(selectinload(Item.tags))).one()

    assert shop.usage(work).relationships == (("tags", "selectin", 0, False),)


def test_relationships_that_are_loaded_late_are_no_eager_loads(blog: Blog) -> None:
    def work(session: Session) -> None:
        for user in session.scalars(USERS).all():
            assert [post.title for post in user.posts]

    users, *posts = usages(blog, work)

    assert users.relationships == ()
    assert (users.read_columns, users.read_rows_count) == ((), USERS_COUNT)
    assert users.profile == ((("posts",), USERS_COUNT),)
    assert [(one.statement, one.rows_count, one.read_columns) for one in posts] == [
        (index, POSTS_COUNT, ("title",)) for index in range(1, USERS_COUNT + 1)
    ]


def test_a_deferred_column_belongs_to_the_statement_that_brought_it(blog: Blog) -> None:
    def work(session: Session) -> None:
        user = session.scalars(USERS.limit(1)).one()
        assert (user.name, user.about) == ("ann", "about")

    user, about = usages(blog, work)

    assert (user.columns, user.read_columns) == (("id", "name"), ("name",))
    assert (about.statement, about.columns, about.rows_count) == (1, ("about",), 1)
    assert (about.read_columns, about.columns_bytes) == (("about",), (5,))


def test_columns_that_options_leave_out_or_add_are_heeded(blog: Blog) -> None:
    def work(session: Session) -> None:
        session.scalars(USERS.options(load_only(User.name))).all()
        session.expunge_all()
        session.scalars(USERS.options(undefer(User.about))).all()
        session.expunge_all()
        session.execute(select(User.id, User.name)).all()

    found = usages(blog, work)

    assert [one.columns for one in found] == [("id", "name"), ("id", "name", "about")]


def test_what_expired_is_read_of_the_statement_that_loaded_it_again(blog: Blog) -> None:
    def work(session: Session) -> None:
        user = session.scalars(USERS.limit(1)).one()
        session.commit()
        assert user.name == "ann"

    first, again = usages(blog, work)

    assert (again.statement, again.columns, again.read_columns) == (2, ("id", "name"), ("name",))
    assert first.read_rows_count == 1


def test_objects_that_were_there_already_are_not_loaded_again(blog: Blog) -> None:
    def work(session: Session) -> None:
        there = session.scalars(USERS.where(User.id < 3)).all()
        users = session.scalars(USERS.options(selectinload(User.posts))).all()
        assert users[:2] == there
        assert [user.name for user in users]

    first, again, posts = usages(blog, work)

    assert (first.rows_count, first.read_rows_count, first.relationships) == (2, 2, ())
    assert (again.rows_count, again.read_rows_count) == (2, 2)
    assert again.relationships == (("posts", "selectin", POSTS, False),)
    assert posts.rows_count == POSTS


def test_a_refresh_that_was_asked_for_is_a_load(blog: Blog) -> None:
    def work(session: Session) -> None:
        user = session.scalars(USERS.limit(1)).one()
        session.refresh(user)
        assert user.name

    _, refreshed = usages(blog, work)

    assert (refreshed.columns, refreshed.read_columns) == (("id", "name"), ("name",))


def test_what_the_orm_reads_for_itself_does_not_count(one_blog: Blog) -> None:
    def work(session: Session) -> None:
        posts = session.scalars(select(Post).options(selectinload(Post.comments))).all()
        session.scalars(select(Post).options(selectinload(Post.user))).all()
        session.merge(posts[0])
        session.flush()
        session.expunge(posts[0])
        session.rollback()

    found = usages(one_blog, work)

    assert {one.entity for one in found} == {"Post", "Comment", "User"}
    assert [one for one in found if one.read_rows_count or one.written_rows_count] == []


def test_keys_by_which_collections_are_filled_are_not_read(shop: Shop) -> None:
    def work(session: Session) -> None:
        statement = select(Item).where(Item.id == 1)
        parent = (
            session.scalars(
                statement.options(selectinload(Item.by_name), joinedload(Item.children))
            )
            .unique()
            .one()
        )
        assert list(parent.by_name) == ["two", "three"]
        assert len(parent.children) == 2

    (usage,) = shop.usages(work)

    assert (usage.rows_count, usage.read_columns) == (3, ())
    assert usage.profile == ((("by_name", "children"), 1),)


def read_by_pydantic(item: Item) -> None:
    class TagOut(BaseModel):
        model_config = ConfigDict(from_attributes=True)
        id: int

    class Out(BaseModel):
        model_config = ConfigDict(from_attributes=True)
        name: str
        tags: list[TagOut]

    Out.model_validate(item)


def read_by_a_template(item: Item) -> None:
    Template("{{ item.name }} {% for tag in item.tags %}{{ tag.id }}{% endfor %}").render(item=item)


def read_by_attributes_of_the_state(item: Item) -> None:
    state = inspect(item)
    assert state.attrs.name.value
    assert [inspect(tag).attrs.id.value for tag in state.attrs.tags.value]


def read_by_names_of_columns(item: Item) -> None:
    assert {one: getattr(item, one) for one in ("name", "tags")}
    assert [tag.id for tag in item.tags]


@pytest.mark.parametrize(
    "reads",
    [
        read_by_pydantic,
        read_by_a_template,
        read_by_attributes_of_the_state,
        read_by_names_of_columns,
    ],
)
def test_whoever_reads_for_the_app_counts(shop: Shop, reads: Callable[[Item], None]) -> None:
    def work(session: Session) -> None:
        statement = select(Item).where(Item.id == 1).options(selectinload(Item.tags))
        reads(session.scalars(statement).one())

    item, tags = shop.usages(work)

    assert item.read_columns == ("name",)
    assert item.relationships == (("tags", "selectin", 2, True),)
    assert (tags.read_columns, tags.read_rows_count) == (("id",), 2)


def read_a_composite(item: Item) -> None:
    assert item.point.x == 1


def read_a_synonym(item: Item) -> None:
    assert item.title == "parent"


def read_a_hybrid(item: Item) -> None:
    assert item.loud_name == "PARENT"


def read_a_proxy(item: Item) -> None:
    assert list(item.tag_names) == ["tag 1", "tag 2"]


def cache_a_property(item: Item) -> None:
    assert item.slow_number == item.slow_number == 7


@pytest.mark.parametrize(
    ("reads", "names"),
    [
        (read_a_composite, ("x", "y")),
        (read_a_synonym, ("name",)),
        (read_a_hybrid, ("name",)),
        (read_a_proxy, ("tags",)),
        (cache_a_property, ()),
    ],
)
def test_what_stands_for_attributes_reads_just_these(
    shop: Shop, reads: Callable[[Item], None], names: tuple[str, ...]
) -> None:
    usage = shop.usage(
        lambda session: reads(session.scalars(select(Item).where(Item.id == 1)).one())
    )

    assert usage.profile == (((names, 1),) if names else ())


def take_vars(item: Item) -> None:
    assert {name for name in vars(item) if not name.startswith("_")}


def take_dict(item: Item) -> None:
    assert item.__dict__["name"] == "parent"


def encode(item: Item) -> None:
    assert json.dumps(jsonable_encoder(item, exclude={"point"}))


def pickled(item: Item) -> None:
    assert pickle.dumps(item)


@pytest.mark.parametrize("takes", [take_vars, take_dict, encode, pickled])
def test_an_object_that_is_taken_as_a_whole_is_read_as_a_whole(
    shop: Shop, takes: Callable[[Item], None]
) -> None:
    def work(session: Session) -> None:
        statement = select(Item).where(Item.id < 3).options(selectinload(Item.tags))
        takes(session.scalars(statement.order_by(Item.id)).all()[0])

    item = shop.usage(work)

    assert item.columns == item.read_columns
    assert (item.rows_count, item.read_rows_count) == (2, 1)
    assert item.relationships == (("tags", "selectin", 2, True),)


def test_a_dataclass_is_read_field_by_field(shop: Shop) -> None:
    usage = shop.usage(lambda session: asdict(session.scalars(select(Mark)).one()))

    assert usage.read_columns == ("id", "text")


def test_a_class_with_its_own_way_to_attributes_keeps_it(shop: Shop) -> None:
    own = vars(Guarded)["__getattribute__"]
    answers: list[str] = []

    def work(session: Session) -> None:
        guarded: Any = session.scalars(select(Guarded)).one()
        assert vars(Guarded)["__getattribute__"] is not own
        answers.extend([guarded.wish, guarded.nothing, guarded.text])
        with pytest.raises(AttributeError):
            _ = guarded._missing

    usage = shop.usage(work)

    assert answers == ["own", "no nothing", "text"]
    assert usage.read_columns == ("text",)


def test_classes_that_inherit_are_told_apart(shop: Shop) -> None:
    def work(session: Session) -> None:
        for item in session.scalars(select(Item).order_by(Item.id)).all():
            assert item.name
            if isinstance(item, Book):
                assert item.pages == 100
                assert vars(item)

    book, item, pages = shop.usages(work)

    assert (book.entity, book.rows_count, book.primary_key) == ("Book", 1, ("id",))
    assert "pages" not in book.columns
    assert (item.entity, item.rows_count, item.read_columns) == ("Item", 3, ("name",))
    assert (pages.entity, pages.statement, pages.read_columns) == ("Book", 1, ("pages",))


def test_objects_that_were_changed_are_no_unused_rows(shop: Shop) -> None:
    def work(session: Session) -> None:
        two, three = session.scalars(select(Item).where(Item.id.in_([2, 3]))).all()
        two.name = "new"
        three.y = 3
        session.flush()

    usage = shop.usage(work)

    assert (usage.rows_count, usage.read_rows_count, usage.written_rows_count) == (2, 0, 2)


def test_objects_that_were_deleted_are_no_unused_rows_and_used_what_they_hold(shop: Shop) -> None:
    def work(session: Session) -> None:
        statement = select(Item).where(Item.id == 1).options(selectinload(Item.children))
        session.delete(session.scalars(statement).one())
        session.flush()

    parent, children = shop.usages(work)[:2]

    assert (parent.read_rows_count, parent.written_rows_count) == (0, 1)
    assert parent.relationships == (("children", "selectin", 2, True),)
    assert children.written_rows_count == 2


def test_objects_whose_key_another_row_took_are_no_unused_rows(shop: Shop) -> None:
    def work(session: Session) -> None:
        tags = session.scalars(select(Tag)).all()
        parent = session.scalars(select(Item).where(Item.id == 1)).one()
        session.add(Item(id=10, tags=list(tags), parent=parent))
        session.flush()

    tags, parent = shop.usages(work)

    assert (tags.entity, tags.read_rows_count, tags.written_rows_count) == ("Tag", 0, 2)
    assert (parent.entity, parent.read_rows_count, parent.written_rows_count) == ("Item", 0, 1)


def test_the_size_of_a_document_is_that_of_what_it_holds(shop: Shop) -> None:
    usage = shop.usage(lambda session: session.scalars(select(Item).where(Item.id == 1)).all())

    sizes = dict(zip(usage.columns, usage.columns_bytes, strict=True))
    assert sizes["name"] == len("parent")
    assert sizes["document"] == len("key") + len("12345") + 8
    assert sizes["parent_id"] == 0


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("four", 4),
        (b"four", 4),
        (bytearray(b"four"), 4),
        (memoryview(b"four"), 4),
        (1.5, 8),
        (None, 0),
        ([0.5] * 100, 800),
        ({"a": [{"b": "cd"}, None]}, 4),
        ([], 0),
        (["a"] * 1_000_000, 9_999),
    ],
)
def test_sizes_of_values(value: Any, size: int) -> None:
    assert size_bytes(value) == size


def test_names_and_numbers_leave_the_request_and_no_value(one_blog: Blog) -> None:
    def watched(session: Session) -> None:
        watched_trace().watched = {}
        session.add(User(name="secret-name"))
        session.commit()
        session.expunge_all()
        users = session.scalars(USERS.options(selectinload(User.posts))).all()
        assert "secret-name" in [user.name for user in users]

    trace = one_blog.traced(watched)

    usages = usages_of(trace.watched)
    assert usages
    assert b"secret" not in dumps(usages)
    assert trace.watched == {}


def test_reads_count_in_whatever_thread_they_happen(one_blog: Blog) -> None:
    def read_all(users: list[User]) -> None:
        assert LANE.get() is None
        assert [user.name for user in users]

    def work(session: Session) -> None:
        users = list(session.scalars(USERS.options(selectinload(User.posts))).all())
        with ThreadPoolExecutor(1) as pool:
            pool.submit(read_all, users).result()

    user, _ = usages(one_blog, work)

    assert (user.read_rows_count, user.read_columns) == (USERS_COUNT, ("name",))


def test_requests_side_by_side_keep_their_objects_apart(watching: Bench, postgres_url: str) -> None:
    url = Blog("postgresql+asyncpg", postgres_url, watching).url

    async def main() -> list[OpenTrace]:
        engine = create_async_engine(url, pool_size=10)

        async def request(number: int) -> None:
            if number != 9:
                watched_trace().watched = {}
            statement = USERS.limit(number % USERS_COUNT + 1).options(selectinload(User.posts))
            async with AsyncSession(engine) as session:
                users = (await session.scalars(statement)).all()
                await session.scalars(select(Comment))
                for user in users:
                    assert user.name
                    await asyncio.sleep(0)
                    if number % 2:
                        assert user.posts

        async def traced(number: int) -> OpenTrace:
            return await watching.run_async(lambda: request(number))

        traces = await asyncio.gather(*[traced(number) for number in range(10)])
        await engine.dispose()
        return traces

    *traces, unwatched = asyncio.run(main())

    assert unwatched.watched is None
    for number, trace in enumerate(traces):
        users_count = number % USERS_COUNT + 1
        user, post, comment = told(trace)
        assert (user.rows_count, user.read_rows_count) == (users_count, users_count)
        assert user.read_columns == ("name",)
        assert user.relationships == (
            ("posts", "selectin", users_count * POSTS_COUNT, bool(number % 2)),
        )
        assert (post.rows_count, post.read_rows_count) == (users_count * POSTS_COUNT, 0)
        assert (comment.rows_count, comment.read_rows_count) == (COMMENTS, 0)


def test_threads_side_by_side_keep_their_objects_apart(watching: Bench, postgres_url: str) -> None:
    engine = create_engine(Blog("postgresql+psycopg", postgres_url, watching).url)
    together = threading.Barrier(2)

    def traced(reads: bool) -> OpenTrace:
        def work() -> None:
            watched_trace().watched = {}
            with Session(engine) as session:
                for user in session.scalars(USERS).all():
                    together.wait(10)
                    assert not reads or user.name

        return watching.run(work)

    with ThreadPoolExecutor(2) as pool:
        found = [told(trace)[0] for trace in pool.map(traced, [False, True])]
    engine.dispose()

    assert [one.rows_count for one in found] == [USERS_COUNT] * 2
    assert [one.read_rows_count for one in found] == [0, USERS_COUNT]


class PostOut(BaseModel):
    id: int


class UserOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    name: str


class UserWithPosts(UserOut):
    posts: list[PostOut]


@pytest.mark.parametrize("is_sync", [False, True])
def test_the_response_model_of_fastapi_reads(
    watching: Bench, postgres_url: str, is_sync: bool
) -> None:
    watching.install("fastapi", "starlette", "threads")
    scheme = "postgresql+psycopg" if is_sync else "postgresql+asyncpg"
    app = asking_app(Blog(scheme, postgres_url, watching).url, is_sync)
    ask = Asked(watching, app)

    (user, _), (other, posts), (whole,) = (
        told(ask.trace(path)) for path in ("/names", "/posts", "/whole")
    )

    assert (user.read_columns, user.read_rows_count) == (("name",), USERS_COUNT)
    assert user.relationships == (("posts", "selectin", POSTS, False),)
    assert other.relationships == (("posts", "selectin", POSTS, True),)
    assert (posts.read_columns, posts.read_rows_count) == (("id",), POSTS)
    assert (whole.read_columns, whole.read_rows_count) == (("id", "name"), USERS_COUNT)


def asking_app(url: str, is_sync: bool) -> FastAPI:
    app = FastAPI()
    eager = USERS.options(selectinload(User.posts))

    def watched() -> Iterator[Session]:
        watched_trace().watched = {}
        engine = create_engine(url)
        with Session(engine) as session:
            yield session
        engine.dispose()

    async def watched_async() -> AsyncIterator[AsyncSession]:
        watched_trace().watched = {}
        engine = create_async_engine(url)
        async with AsyncSession(engine) as session:
            yield session
        await engine.dispose()

    def endpoint(statement: Any) -> Callable[..., Any]:
        if is_sync:

            def answer(session: Session = Depends(watched)) -> Any:  # noqa: B008  # FastAPI's form
                return session.scalars(statement).all()

            return answer

        async def answer_async(session: AsyncSession = Depends(watched_async)) -> Any:  # noqa: B008  # FastAPI's form
            return (await session.scalars(statement)).all()

        return answer_async

    app.get("/names", response_model=list[UserOut])(endpoint(eager))
    app.get("/posts", response_model=list[UserWithPosts])(endpoint(eager))
    app.get("/whole", response_model=None)(endpoint(USERS))
    return app


def test_objects_of_an_earlier_request_are_not_those_of_this_one(one_blog: Blog) -> None:
    kept: list[User] = []

    def load(session: Session) -> None:
        kept.extend(session.scalars(USERS).all())
        session.expunge_all()

    def work(session: Session) -> None:
        assert [user.name for user in kept]
        session.scalars(USERS.limit(1)).one()

    usages(one_blog, load)
    (usage,) = usages(one_blog, work)

    assert (usage.rows_count, usage.read_rows_count) == (1, 0)


def test_a_request_that_is_not_watched_leaves_no_mark(one_blog: Blog) -> None:
    states: list[InstanceState[Any]] = []

    def work(session: Session) -> None:
        for user in session.scalars(USERS).all():
            assert user.name
            states.append(inspect(user))

    trace = one_blog.traced(work)

    assert trace.watched is None
    assert len(states) == USERS_COUNT
    assert [state for state in states if usage_loads.loads_of(state)] == []


def test_an_object_that_is_loaded_again_and_again_keeps_few_marks(one_blog: Blog) -> None:
    marks: set[int] = set()

    def work(session: Session) -> None:
        user = session.scalars(USERS.limit(1)).one()
        for _ in range(20):
            session.refresh(user)
            assert user.about
            marks.add(len(usage_loads.loads_of(inspect(user))))

    usages(one_blog, work)

    assert max(marks) <= 3


def test_an_object_that_the_app_keeps_holds_on_to_nothing_of_its_request(one_blog: Blog) -> None:
    kept: list[User] = []

    def work(session: Session) -> None:
        kept.append(session.scalars(USERS).all()[0])
        session.expunge_all()

    usages(one_blog, work)

    (load,) = usage_loads.loads_of(inspect(kept[0]))
    assert load.group.loads == []
    assert not hasattr(load.group.fetch, "trace")
    assert kept[0].name == "ann"


def test_beyond_a_bound_objects_are_only_counted(
    monkeypatch: pytest.MonkeyPatch, one_blog: Blog
) -> None:
    monkeypatch.setattr(usage_loads, "_MOST_OBJECTS", 3)

    def work(session: Session) -> None:
        users = session.scalars(USERS.options(selectinload(User.posts))).all()
        assert [(user.name, user.posts) for user in users]

    user, _ = usages(one_blog, work)

    assert (user.rows_count, user.read_rows_count, user.unwatched_rows_count) == (3, 3, 1)


def test_rows_that_come_in_parts_are_objects_of_one_statement(blog: Blog) -> None:
    def work(session: Session) -> None:
        result = session.scalars(select(Comment).execution_options(yield_per=5))
        assert [comment.text for comment in result]

    (usage,) = usages(blog, work)

    assert (usage.rows_count, usage.read_rows_count) == (COMMENTS, COMMENTS)


def test_the_apps_own_listeners_read_like_the_app(one_blog: Blog) -> None:
    def loaded(user: User, context: Any) -> None:
        assert user.name

    event.listen(User, "load", loaded)
    try:
        (usage,) = usages(one_blog, lambda session: session.scalars(USERS).all())
    finally:
        event.remove(User, "load", loaded)

    assert usage.read_columns == ("name",)


def doors() -> list[Any]:
    """All that a watch replaces."""
    manager: Any = User.__mapper__.class_manager.dispatch
    mapper: Any = User.__mapper__.dispatch
    listeners = [manager.load, manager.refresh, mapper.before_update, mapper.before_delete]
    return [
        InstrumentedAttribute.__get__,
        vars(InstanceState)["__getstate__"],
        *[getattr(*private.locate(name)) for name in private.USAGE],
        *[dict(vars(one)) for one in vars(strategies).values() if isinstance(one, type)],
        *[vars(one).get("__getattribute__") for one in (User, Post, Comment, Item, Book, Guarded)],
        *[list(one) for one in listeners],
    ]


def test_when_the_watch_ends_nothing_is_left(bench: Bench, tmp_path: Path) -> None:
    bench.install("sqlalchemy")
    blog = blog_in("sqlite", bench, tmp_path, "")
    shop = Shop(bench, create_engine(f"sqlite:///{tmp_path}/shop.db"))
    before = doors()
    stop = start_watching(bench.recorder)
    usages(blog, lambda session: [user.posts for user in session.scalars(USERS).all()])
    shop.usages(lambda session: session.scalars(select(Item)).all())
    shop.usages(lambda session: session.scalars(select(Guarded)).all())
    during = doors()
    assert is_watching()

    stop()
    stop()
    assert not is_watching()
    shop.engine.dispose()

    assert doors() == before
    assert len([1 for one, other in zip(before, during, strict=True) if one != other]) > 10
    assert usages(blog, lambda session: session.scalars(USERS).all()) == []


def test_a_request_that_outlives_the_watch_has_no_usages(
    bench: Bench, tmp_path: Path, postgres_url: str
) -> None:
    bench.install("sqlalchemy")
    blog = blog_in("sqlite", bench, tmp_path, postgres_url)
    stop = start_watching(bench.recorder)
    closed_before = blog.traced(watched_users)

    def work(session: Session) -> None:
        watched_users(session)
        stop()

    trace = blog.traced(work)

    assert usages_of(trace.watched) is None
    assert len(told(closed_before)) == 1


def watched_users(session: Session) -> list[str]:
    watched_trace().watched = {}
    return [user.name for user in session.scalars(USERS).all()]


@pytest.mark.parametrize("broken", ["read", "loads_of", "_led_by"])
def test_a_bug_of_ours_ends_the_watch_and_does_not_reach_the_app(
    monkeypatch: pytest.MonkeyPatch, breaking_bench: Bench, tmp_path: Path, broken: str
) -> None:
    breaking_bench.install("sqlalchemy")
    blog = blog_in("sqlite", breaking_bench, tmp_path, "")
    before = doors()
    stop = start_watching(breaking_bench.recorder)
    monkeypatch.setattr(usage_loads, broken, None)

    trace = blog.traced(watched_users)

    assert blog.result == ["ann"] * USERS_COUNT
    assert usages_of(trace.watched) is None
    coverage = breaking_bench.recorder.coverage
    assert coverage["sqlalchemy usage"].why == "broke: TypeError"
    assert coverage["sqlalchemy orm"].state == "on"
    assert not is_watching()
    stop()
    assert doors() == before


def test_with_an_unknown_version_nothing_is_watched(
    monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    bench.install("sqlalchemy")
    before = doors()
    monkeypatch.setattr(private, "KNOWN_VERSIONS", ("1.9",))

    stop = start_watching(bench.recorder)

    assert not is_watching()
    stop()
    assert bench.recorder.coverage["sqlalchemy usage"].state == "off"
    assert doors() == before


def test_without_an_orm_nothing_is_imported_for_it() -> None:
    code = """
import sys
from unslow.record.probes.sqlalchemy.usage import start_watching, usages_of
from unslow.record.recorder import recorder
start_watching(recorder)()
assert usages_of({}) == ()
assert not recorder.coverage
assert "sqlalchemy" not in sys.modules
"""

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

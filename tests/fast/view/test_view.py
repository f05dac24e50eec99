"""What a view reads, how, and what it never goes past."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal

import pytest
from pydantic import BaseModel, EmailStr, Field, ValidationError, field_validator
from sqlalchemy import Integer, any_, cast, event, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker, with_loader_criteria

from tests.fast.doors import opened_source, run
from tests.fast.view.blog import (
    USERS,
    AuthorOut,
    Feed,
    Post,
    PostOut,
    PostWithAuthor,
    Seat,
    SeatOut,
    Shouting,
    Tag,
    User,
    UserOut,
    fill,
    opened_engine,
)
from unslow.fast import Filter, Keyset, View
from unslow.fast.errors import BadRequestError, DefinitionError
from unslow.fast.view.choice import MAKES, Make

SECRET = "not a secret, 16 bytes"


@pytest.fixture(scope="module")
def url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with new_database() as made:
        run(fill(made))
        yield made


def on_engine(url: str, read: Callable[[AsyncEngine], Any]) -> Any:
    """What a view on an engine gives."""

    async def case() -> Any:
        async with opened_engine(url) as engine:
            return await read(engine)

    return run(case())


def make_of(view: View[Any]) -> str:
    return view.explain().splitlines()[0].rpartition(" ")[2]


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize(
    ("model", "entity", "key", "expected"),
    [
        (
            Feed,
            User,
            1,
            {
                "id": 1,
                "name": "user 1",
                "posts": [
                    {"id": 10, "title": "post 0 of 1", "tags": [{"name": "a"}]},
                    {"id": 11, "title": "post 1 of 1", "tags": [{"name": "a"}, {"name": "b"}]},
                    {"id": 12, "title": "post 2 of 1", "tags": [{"name": "a"}, {"name": "b"}]},
                ],
            },
        ),
        (
            PostWithAuthor,
            Post,
            41,
            {"id": 41, "title": "post 1 of 4", "user": {"id": 4, "name": "user 4"}},
        ),
        (SeatOut, Seat, ("A", 2), {"row": "A", "number": 2, "guest": None}),
        (SeatOut, Seat, ("C", 2), None),
        (UserOut, User, 99, None),
    ],
)
def test_every_make_reads_the_same(
    url: str, make: Make, model: Any, entity: Any, key: Any, expected: Any
) -> None:
    body = on_engine(url, lambda engine: View(model, entity, engine, make=make).document(key))

    assert expected == (None if body is None else json.loads(body))


def test_it_reads_through_every_door(door: str, url: str) -> None:
    async def case() -> bytes | None:
        async with opened_source(door, url) as source:
            return await View(Feed, User, source).document(2)

    body = run(case())

    assert body is not None
    assert "user 2" == json.loads(body)["name"]


def test_what_it_gets_is_the_model(url: str) -> None:
    found = on_engine(url, lambda engine: View(Feed, User, engine).get(3))

    assert isinstance(found, Feed)
    assert [30, 31, 32] == [post.id for post in found.posts]


def test_concurrent_answers_are_of_one_statement(url: str) -> None:
    async def read(engine: AsyncEngine) -> tuple[list[int], int]:
        view = View(Feed, User, engine)
        await view.document(1)
        by_key = view._written(view._selections.of(None)).by_key
        # A batch has no more than is quickly read, and the first one on a connection is slow.
        by_key._key_s = 0.0
        before = by_key.statement_count
        bodies = await asyncio.gather(*(view.document(key) for key in range(1, USERS + 1)))
        found = [json.loads(body or b"")["id"] for body in bodies]
        return found, by_key.statement_count - before

    assert (list(range(1, USERS + 1)), 1) == on_engine(url, read)


def test_a_relationship_may_be_cut_to_its_first_rows(url: str) -> None:
    async def read(engine: AsyncEngine) -> list[list[int]]:
        found = []
        for make in MAKES:
            view = View(Feed, User, engine, limits={"posts": 2, "posts.tags": 1}, make=make)
            body = json.loads(await view.document(5) or b"")
            found.append([len(body["posts"]), *(len(post["tags"]) for post in body["posts"])])
        return found

    assert [[2, 1, 1]] * 3 == on_engine(url, read)


def test_what_each_row_must_be_holds_for_keys_too(url: str) -> None:
    async def read(engine: AsyncEngine) -> list[bool]:
        return [
            await View(PostOut, Post, engine, where=[~Post.is_deleted], make=make).document(12)
            is None
            for make in MAKES
        ]

    assert [True, True, True] == on_engine(url, read)


# What it never goes past.


class Tenants:
    """A session factory whose sessions see the posts that are not deleted."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.sync_factory = sessionmaker()
        self.factory = async_sessionmaker(engine, sync_session_class=self.sync_factory.class_)

    def __enter__(self) -> Tenants:
        event.listen(self.sync_factory, "do_orm_execute", self._filtered)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self.sync_factory, "do_orm_execute", self._filtered)

    def _filtered(self, execution: Any) -> None:
        hidden = with_loader_criteria(Post, ~Post.is_deleted, include_aliases=True)
        execution.statement = execution.statement.options(hidden)


def test_a_filter_of_the_apps_sessions_is_never_gone_past(url: str) -> None:
    async def read(engine: AsyncEngine) -> tuple[str, list[int], bytes | None]:
        with Tenants(engine) as tenants:
            view = View(Feed, User, engine, session=tenants.factory)
            body = json.loads(await view.document(1) or b"")
            gone = await View(PostOut, Post, engine, session=tenants.factory).document(12)
            return make_of(view), [post["id"] for post in body["posts"]], gone

    assert ("orm", [10, 11], None) == on_engine(url, read)


def test_a_filter_that_comes_late_is_seen_by_the_next_answer(url: str) -> None:
    async def read(engine: AsyncEngine) -> list[int]:
        tenants = Tenants(engine)
        view = View(Feed, User, engine, session=tenants.factory)
        before = json.loads(await view.document(1) or b"")
        with tenants:
            during = json.loads(await view.document(1) or b"")
        after = json.loads(await view.document(1) or b"")
        return [len(one["posts"]) for one in (before, during, after)]

    assert [3, 2, 3] == on_engine(url, read)


def test_a_filter_of_sessions_that_it_was_not_given_is_an_error(url: str) -> None:
    async def read(engine: AsyncEngine) -> None:
        with Tenants(engine):
            await View(Feed, User, engine).document(1)

    with pytest.raises(DefinitionError, match=r"do_orm_execute.*give the view session="):
        on_engine(url, read)


def test_a_filter_of_all_sessions_is_in_those_of_the_view(url: str) -> None:
    def hide(execution: Any) -> None:
        hidden = with_loader_criteria(Post, ~Post.is_deleted, include_aliases=True)
        execution.statement = execution.statement.options(hidden)

    async def read(engine: AsyncEngine) -> int:
        event.listen(Session, "do_orm_execute", hide)
        try:
            return len(json.loads(await View(Feed, User, engine).document(1) or b"")["posts"])
        finally:
            event.remove(Session, "do_orm_execute", hide)

    assert 2 == on_engine(url, read)


@pytest.mark.parametrize("name", ["before_execute", "before_cursor_execute", "begin"])
def test_what_an_app_hooks_into_its_engine_is_not_gone_past(url: str, name: str) -> None:
    async def read(engine: AsyncEngine) -> tuple[str, bool]:
        called = []
        event.listen(engine.sync_engine, name, lambda *_, **__: called.append(name))
        view = View(Feed, User, engine)
        await view.document(1)
        return make_of(view), bool(called)

    assert ("orm", True) == on_engine(url, read)


def test_a_table_with_row_security_is_read_by_the_orm(url: str) -> None:
    async def read(engine: AsyncEngine) -> tuple[str, str]:
        async with engine.begin() as connection:
            await connection.execute(text("ALTER TABLE tags ENABLE ROW LEVEL SECURITY"))
        try:
            view = View(Feed, User, engine)
            await view.document(1)
            return make_of(view), view.explain().splitlines()[1].strip()
        finally:
            async with engine.begin() as connection:
                await connection.execute(text("ALTER TABLE tags DISABLE ROW LEVEL SECURITY"))

    assert ("orm", "tags: row-level security is on") == on_engine(url, read)


def test_a_session_that_is_given_is_used(url: str) -> None:
    async def read(engine: AsyncEngine) -> str:
        view = View(UserOut, User, engine)
        async with AsyncSession(engine) as session:
            await session.execute(text("UPDATE users SET name = 'new' WHERE id = 7"))
            body = await view.document(7, session=session)
        return str(json.loads(body or b"")["name"])

    assert "new" == on_engine(url, read)


def test_a_property_of_the_class_is_read_by_the_orm(url: str) -> None:
    async def read(engine: AsyncEngine) -> tuple[str, bytes | None]:
        view = View(Shouting, User, engine)
        return make_of(view), await view.document(1)

    assert ("orm", b'{"id":1,"shout":"USER 1"}') == on_engine(url, read)


class Lower(BaseModel):
    id: int
    name: str

    @field_validator("name")
    @classmethod
    def lowered(cls, value: str) -> str:
        return value.lower()


def test_a_validator_that_changes_values_is_run(url: str) -> None:
    async def read(engine: AsyncEngine) -> str:
        return make_of(View(Lower, User, engine))

    assert "orm" == on_engine(url, read)


class Mailed(BaseModel):
    id: int
    name: EmailStr
    city: str | None = Field(pattern="^city")


def test_the_database_may_be_trusted_with_what_is_checked(url: str) -> None:
    async def read(engine: AsyncEngine) -> list[Any]:
        trusting = View(Mailed, User, engine, trust_database=True)
        return [
            make_of(View(Mailed, User, engine)),
            make_of(trusting),
            json.loads(await trusting.document(1) or b"")["name"],
        ]

    assert ["orm", "json", "user 1"] == on_engine(url, read)


def test_why_is_explained(url: str) -> None:
    class Numbered(BaseModel):
        id: str

    async def read(engine: AsyncEngine) -> str:
        return View(Numbered, User, engine).explain()

    lines = on_engine(url, read).splitlines()

    assert "View(Numbered, User) on asyncpg: rows" == lines[0]
    assert "  Numbered.id: Integer as str is not in the table" == lines[1]
    assert lines[3].startswith("SELECT users.id")


# Lists.


def people(engine: Any, **options: Any) -> View[UserOut]:
    """A list by when they came, the last first."""
    keyset = Keyset(User.joined.desc(), User.id, secret=SECRET, default_limit=5, max_limit=10)
    filters = {
        "city": User.city,
        "since": Filter(datetime.date, lambda since: User.joined >= since),
    }
    return View(UserOut, User, engine, keyset=keyset, filters=filters, **options)


@pytest.mark.parametrize("make", MAKES)
def test_pages_have_each_row_once_and_in_order(url: str, make: Make) -> None:
    async def read(engine: AsyncEngine) -> tuple[list[int], list[int]]:
        view, cursor, found, counts = people(engine, make=make), None, [], []
        while True:
            page = await view.list(cursor=cursor, total="exact")
            document = json.loads(await view.list_document(cursor=cursor, total="exact"))
            assert document == json.loads(page.model_dump_json())
            found += [one.id for one in page.items]
            counts.append(page.total or 0)
            if (cursor := page.next) is None:
                return found, counts

    found, counts = on_engine(url, read)
    expected = sorted(range(1, USERS + 1), key=lambda number: (-(number // 2), number))

    assert expected == found
    assert {USERS} == set(counts)


def test_pages_that_are_asked_for_at_one_moment_are_each_as_alone(url: str) -> None:
    async def read(engine: AsyncEngine) -> tuple[bool, int]:
        view = people(engine)
        asked: list[dict[str, Any]] = [{"limit": limit} for limit in (1, 2, 2)]
        asked += [
            {"filters": {"city": f"city {number}"}, "limit": 1, "cursor": cursor}
            for number in range(4)
            for cursor in {
                None,
                (await view.list(filters={"city": f"city {number}"}, limit=1)).next,
            }
        ]
        alone = [await view.list_document(**one) for one in asked]
        pages: Any = view._written(view._selections.of(None)).pages
        # What was slow at first, as it is here, is read in smaller batches.
        pages._gathered._key_s = 0.0
        before = pages._gathered.statement_count
        together = await asyncio.gather(*(view.list_document(**one) for one in asked))
        return alone == together, pages._gathered.statement_count - before

    is_same, statement_count = on_engine(url, read)

    assert is_same
    # One for each limit, and one each with and without a cursor.
    assert 4 == statement_count


@pytest.mark.parametrize("door", ["asyncpg", "psycopg", "engine-asyncpg", "engine-psycopg"])
def test_a_page_ends_where_it_ends_whatever_stands_in_the_texts(door: str, url: str) -> None:
    names = ["Z", "Z\n", "Z,\n", 'Z,\n{"name":"Z"}', "Z}", "Zü"]

    class Named(BaseModel):
        name: str

    async def read() -> list[list[str]]:
        async with opened_engine(url) as engine, AsyncSession(engine) as session:
            for name in names:
                await session.merge(Tag(name=name))
            await session.commit()
        async with opened_source(door, url) as source:
            keyset, where = Keyset(Tag.name, secret=SECRET), [Tag.name.startswith("Z")]
            view = View(Named, Tag, source, keyset=keyset, where=where, make="json")
            found, cursor = [], None
            while True:
                page = json.loads(await view.list_document(cursor=cursor, limit=2))
                found.append([item["name"] for item in page["items"]])
                if (cursor := page["next"]) is None:
                    return found

    pages = run(read())

    assert [2, 2, 2] == [len(page) for page in pages]
    assert sorted(names) == sorted(name for page in pages for name in page)


def test_what_only_python_can_write_counts_where_it_is_in_the_page(url: str) -> None:
    class OnlyA(BaseModel):
        name: Literal["a"]

    async def read(engine: AsyncEngine) -> list[Any]:
        keyset, where = Keyset(Tag.name, secret=SECRET), [Tag.name.in_(["a", "b"])]
        view = View(OnlyA, Tag, engine, keyset=keyset, where=where, make="json")
        await view.list(limit=1)
        page = json.loads(await view.list_document(limit=1))
        with pytest.raises(ValidationError, match="should be 'a'"):
            await view.list_document(limit=2)
        return [*page["items"]]

    assert [{"name": "a"}] == on_engine(url, read)


@pytest.mark.parametrize(
    "condition",
    [
        lambda longer: func.length(User.name) > func.length(longer),
        lambda _ignored: User.id < 3,
    ],
    ids=["of no known type", "ignored"],
)
def test_pages_whose_arguments_have_no_type_are_read_one_by_one(url: str, condition: Any) -> None:
    async def read(engine: AsyncEngine) -> tuple[list[bytes], list[bytes]]:
        keyset, filters = Keyset(User.id, secret=SECRET), {"longer": Filter(str, condition)}
        view = View(UserOut, User, engine, keyset=keyset, filters=filters)
        texts = ("user 1", "user", "a longer text")
        asked: list[dict[str, Any]] = [{"filters": {"longer": one}} for one in texts]
        alone = [await view.list_document(**one) for one in asked]
        return alone, [*await asyncio.gather(*(view.list_document(**one) for one in asked))]

    alone, together = on_engine(url, read)

    assert alone == together


def test_a_filter_may_be_a_list(url: str) -> None:
    async def read(engine: AsyncEngine) -> list[int]:
        view = View(
            UserOut,
            User,
            engine,
            keyset=Keyset(User.id, secret=SECRET),
            filters={
                "ids": Filter(list[int], lambda ids: User.id == any_(cast(ids, ARRAY(Integer))))
            },
        )
        page = json.loads(await view.list_document(filters={"ids": ["3", 5]}))
        return [item["id"] for item in page["items"]]

    assert [3, 5] == on_engine(url, read)


@pytest.mark.parametrize("make", MAKES)
def test_a_list_has_what_its_filters_say(url: str, make: Make) -> None:
    async def read(engine: AsyncEngine) -> list[list[int]]:
        view = people(engine, make=make)
        asked: list[dict[str, Any]] = [
            {"city": "city 1"},
            {"city": "city 1", "since": "2026-01-04"},
            {"city": None, "since": datetime.date(2026, 1, 7)},
        ]
        pages = [await view.list(filters=one, limit=10) for one in asked]
        return [sorted(item.id for item in page.items) for page in pages]

    assert [[1, 7, 10], [7, 10], [12]] == on_engine(url, read)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"filters": {"name": "x"}}, "there is no filter 'name'; there are: city, since"),
        ({"filters": {"since": "yesterday"}}, "filter since: "),
        ({"limit": 11}, "limit is 11"),
        ({"cursor": "x"}, "cursor"),
        ({"fields": "id,password"}, "there is no field 'password'"),
    ],
)
def test_what_may_not_be_asked_is_refused(url: str, asked: dict[str, Any], said: str) -> None:
    async def read(engine: AsyncEngine) -> None:
        await people(engine).list_document(**asked)

    with pytest.raises(BadRequestError, match=said):
        on_engine(url, read)


def test_a_cursor_is_of_the_filters_it_was_made_under(url: str) -> None:
    async def read(engine: AsyncEngine) -> None:
        view = people(engine)
        page = await view.list(filters={"city": "city 1"}, limit=1)
        await view.list(filters={"city": "city 2"}, cursor=page.next)

    with pytest.raises(BadRequestError):
        on_engine(url, read)


def test_a_list_may_be_estimated(url: str) -> None:
    async def read(engine: AsyncEngine) -> int | None:
        async with engine.begin() as connection:
            await connection.execute(text("ANALYZE users"))
        return (await people(engine).list(total="estimated")).total

    assert USERS == on_engine(url, read)


def test_a_view_without_a_keyset_has_no_lists(url: str) -> None:
    with pytest.raises(DefinitionError, match="give it keyset="):
        on_engine(url, lambda engine: View(UserOut, User, engine).list())


# Fields that a client chooses.


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("id", {"id": 6}),
        ("posts.title,id", {"id": 6, "posts": [{"title": f"post {n} of 6"} for n in range(3)]}),
        ("posts.tags.name", {"posts": [{"tags": [{"name": "a"}]}]}),
        ("posts,posts.id", None),
    ],
)
def test_only_the_fields_that_were_asked_for_are_there(
    url: str, make: Make, fields: str, expected: Any
) -> None:
    async def read(engine: AsyncEngine) -> Any:
        view = View(Feed, User, engine, make=make)
        found = json.loads(await view.document(6, fields=fields) or b"")
        whole = json.loads(await view.document(6) or b"")
        if expected is None:
            return found == {"posts": whole["posts"]}
        if "tags" in fields:
            return found["posts"][:1] == expected["posts"]
        return found == expected

    assert on_engine(url, read)


def test_clients_cannot_fill_the_memory_with_what_they_ask_for(url: str) -> None:
    async def read(engine: AsyncEngine) -> int:
        view = View(Feed, User, engine)
        for number in range(200):
            await view.document(1, fields=",".join(["id"] * (number + 1)))
        return len(view._selections._found)

    assert on_engine(url, read) <= 64


# What cannot be declared.


class Missing(BaseModel):
    nickname: str


class Inner(BaseModel):
    id: int
    posts: list[Inner]


class OnePost(BaseModel):
    posts: PostOut


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Missing, "Missing.nickname is read from User.nickname, which is not there"),
        (Inner, "Inner contains itself"),
        (OnePost, "OnePost.posts and User.posts do not fit: the relationship is a list"),
        (int, "wanted a pydantic BaseModel"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_where_it_is_declared(model: Any, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        View(model, User, lambda: None)


def test_a_class_that_is_not_mapped_is_refused() -> None:
    with pytest.raises(DefinitionError, match="wanted a mapped class"):
        View(AuthorOut, dict, lambda: None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limits": {"post": 1}}, "the lists of the model are posts, posts.tags"),
        ({"limits": {"posts": 0}}, "wanted a positive number"),
        ({"filters": {"city": "city"}}, "wanted a column, such as User.city"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        View(Feed, User, lambda: None, **options)


def test_a_make_that_is_not_sure_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"make='json' could give another answer.*Shouting"):
        View(Shouting, User, lambda: None, make="json")


def test_a_pool_has_no_sessions_for_what_only_the_orm_reads(url: str) -> None:
    async def case() -> None:
        async with opened_source("asyncpg", url) as source:
            await View(Shouting, User, source).document(1)

    with pytest.raises(DefinitionError, match="a Pool has no sessions; give the view session="):
        run(case())

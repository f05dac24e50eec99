"""What `bench/read_faults.py` disturbs: look-ups whose answers tell whose they are, and how old.

Each row names its key, its owner and a version that its one writer counts up. So an answer shows
whether it is another key's or another tenant's, and whether it is older than a write that was
acknowledged before the look-up began.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import asyncpg
from pydantic import BaseModel
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from unslow.fast import Keyset, Pool, RedisStore, Rows, View, cached, coalesce

KEYS: Final = 256
POSTS: Final = 3
PAGE: Final = 8
REGIONS: Final = 16
TENANTS: Final = ("north", "south")
TOO_LARGE: Final = 2**40
"""The driver refuses it as an `integer`."""
NO_NUMBER: Final = "none"
"""The server refuses it as an `integer`."""
TTL_S: Final = 0.5
"""Short, so that many look-ups reach the database."""
PAUSE_S: Final = 0.25
"""For how long a Redis that is down is left alone; by default 5 s, longer than a fault lasts."""
WRITTEN_AGAIN_AFTER_S: Final = 0.01

TABLES: Final = f"""
DROP TABLE IF EXISTS posts, users, notes;
CREATE TABLE users (id int PRIMARY KEY, name text NOT NULL, region int NOT NULL,
    version int NOT NULL DEFAULT 0);
CREATE TABLE posts (id int PRIMARY KEY, user_id int NOT NULL REFERENCES users, title text NOT NULL);
CREATE INDEX ON posts (user_id);
CREATE INDEX ON users (region, id);
CREATE TABLE notes (tenant text, id int, version int NOT NULL DEFAULT 0, PRIMARY KEY (tenant, id));
INSERT INTO users SELECT n, 'user ' || n, n % {REGIONS} FROM generate_series(1, {KEYS}) n;
INSERT INTO posts SELECT n * 10 + place, n, 'post of ' || n
    FROM generate_series(1, {KEYS}) n, generate_series(1, {POSTS}) place;
INSERT INTO notes SELECT tenant, n
    FROM unnest(ARRAY['{TENANTS[0]}', '{TENANTS[1]}']) tenant, generate_series(1, {KEYS}) n;
ANALYZE users, posts, notes;
"""


class Base(DeclarativeBase):
    """Of both tables."""


class User(Base):
    """A row with a version."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    region: Mapped[int]
    version: Mapped[int]
    posts: Mapped[list[Post]] = relationship(order_by="Post.id")


class Post(Base):
    """A row that names its user."""

    __tablename__ = "posts"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str]


class PostOut(BaseModel):
    """A post in an answer."""

    id: int
    title: str


class UserOut(BaseModel):
    """An answer."""

    id: int
    name: str
    version: int
    posts: list[PostOut]


@dataclass(frozen=True, slots=True)
class Lookup:
    """One request, and what tells whether its answer is right."""

    read: Callable[[], Awaitable[Any]]
    problem: Callable[[Any], str | None]
    """What is wrong with an answer."""
    is_refused: bool = False
    """Whether its key is one that the database refuses."""


class Subject(Protocol):
    """What is looked up, and written."""

    name: str

    async def prepare(self) -> None:
        """Does what an app does at its start."""

    def lookup(self, key: int) -> Lookup:
        """A look-up of a row with this number."""

    def refused(self) -> Lookup:
        """A look-up that the database refuses."""

    async def write(self, key: int) -> None:
        """Writes the row anew; nobody else writes it meanwhile."""


class Versions:
    """Which version each row has; between the two while it is being written."""

    def __init__(self, writers: asyncpg.Pool) -> None:
        self._writers = writers
        self._acknowledged: dict[Hashable, int] = {}
        self._begun: dict[Hashable, int] = {}

    async def write(
        self,
        key: Hashable,
        sql: str,
        *arguments: Any,
        then: Callable[[], Awaitable[Any]] | None = None,
    ) -> None:
        """Writes the next version, again and again until the server says that it is stored."""
        version = self._begun[key] = self._begun.get(key, 0) + 1
        while True:
            try:
                await self._writers.execute(sql, version, *arguments)
                break
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(WRITTEN_AGAIN_AFTER_S)
        if then is not None:
            await then()
        self._acknowledged[key] = version

    def known(self, keys: Iterable[Hashable]) -> Mapping[Hashable, int]:
        """What an answer to a look-up that begins now has at least."""
        return {key: self._acknowledged.get(key, 0) for key in keys}

    def problem(self, known: Mapping[Hashable, int], key: Hashable, version: int) -> str | None:
        """Whether an answer is older than what was known, or was never written."""
        if version < known[key]:
            return f"stale: {key} has version {version}, and {known[key]} was written before"
        if version > self._begun.get(key, 0):
            return f"{key} has version {version}, which nobody wrote"
        return None


class Views:
    """A view by key, as document and as model, and in pages."""

    name = "View"

    def __init__(self, pool: Pool, writers: asyncpg.Pool) -> None:
        keyset = Keyset(User.id, secret=b"for the benchmark only", default_limit=PAGE)
        filters = {"region": User.region}
        self._view = View(UserOut, User, pool, keyset=keyset, filters=filters)
        self._versions = Versions(writers)
        self._cursors: list[str | None] = [None]

    async def prepare(self) -> None:
        """Asks for each page once, for its cursor."""
        while (cursor := (await self._view.list(cursor=self._cursors[-1])).next) is not None:
            self._cursors.append(cursor)
        assert len(self._cursors) == KEYS // PAGE

    def lookup(self, key: int) -> Lookup:
        return random.choice((self._document, self._model, self._page, self._region))(key)

    def refused(self) -> Lookup:
        view = self._view
        reads: list[Callable[[], Awaitable[Any]]] = [
            lambda: view.document(TOO_LARGE),
            lambda: view.get(TOO_LARGE),
            lambda: view.list_document(filters={"region": TOO_LARGE}),
        ]
        return Lookup(random.choice(reads), _answered, is_refused=True)

    async def write(self, key: int) -> None:
        await self._versions.write(key, "UPDATE users SET version = $1 WHERE id = $2", key)

    def _document(self, key: int) -> Lookup:
        return self._checked(
            [key], lambda: self._view.document(key), lambda found: [json.loads(found)]
        )

    def _model(self, key: int) -> Lookup:
        return self._checked([key], lambda: self._view.get(key), lambda found: [found.model_dump()])

    def _page(self, key: int) -> Lookup:
        place = (key - 1) // PAGE
        keys = range(place * PAGE + 1, (place + 1) * PAGE + 1)
        return self._checked(
            keys, lambda: self._view.list_document(cursor=self._cursors[place]), _items
        )

    def _region(self, key: int) -> Lookup:
        region = key % REGIONS
        keys = [one for one in range(1, KEYS + 1) if one % REGIONS == region][:PAGE]
        return self._checked(
            keys, lambda: self._view.list_document(filters={"region": region}), _items
        )

    def _checked(
        self,
        keys: Sequence[int],
        read: Callable[[], Awaitable[Any]],
        users_of: Callable[[Any], list[Any]],
    ) -> Lookup:
        known = self._versions.known(keys)

        def problem(answer: Any) -> str | None:
            users = [] if answer is None else users_of(answer)
            if [user["id"] for user in users] != list(keys):
                return f"{[user['id'] for user in users]} for {list(keys)}"
            problems = (self._problem(known, user) for user in users)
            return next((one for one in problems if one is not None), None)

        return Lookup(read, problem)

    def _problem(self, known: Mapping[Hashable, int], user: Mapping[str, Any]) -> str | None:
        key = user["id"]
        posts = [
            {"id": key * 10 + place, "title": f"post of {key}"} for place in range(1, POSTS + 1)
        ]
        if user["name"] != f"user {key}" or user["posts"] != posts:
            return f"the content of another than {key}: {user}"
        return self._versions.problem(known, key, user["version"])


def _items(document: bytes) -> list[Any]:
    items: list[Any] = json.loads(document)["items"]
    return items


def _answered(answer: Any) -> str:
    return f"{answer!r} for a key that there cannot be"


class Tenants:
    """Gathered look-ups of two callers."""

    name = "coalesce"

    def __init__(self, pool: Pool, writers: asyncpg.Pool) -> None:
        sql = (
            "SELECT id::text, tenant, $2::text, version FROM notes "
            "WHERE id = ANY($1::text[]::int[]) AND tenant = $2"
        )
        self._note = coalesce(Rows(pool, sql))
        self._versions = Versions(writers)

    async def prepare(self) -> None:
        pass

    def lookup(self, key: int) -> Lookup:
        tenant = random.choice(TENANTS)
        known = self._versions.known([(tenant, key)])

        def problem(row: Any) -> str | None:
            if row is None or tuple(row[:3]) != (str(key), tenant, tenant):
                return f"{row} for {key} of {tenant}"
            return self._versions.problem(known, (tenant, key), row[3])

        return Lookup(lambda: self._note(str(key), caller=tenant), problem)

    def refused(self) -> Lookup:
        tenant = random.choice(TENANTS)
        return Lookup(lambda: self._note(NO_NUMBER, caller=tenant), _answered, is_refused=True)

    async def write(self, key: int) -> None:
        sql = "UPDATE notes SET version = $1 WHERE tenant = $2 AND id = $3"
        for tenant in TENANTS:
            await self._versions.write((tenant, key), sql, tenant, key)


class Answers:
    """Answers kept in Redis, of a function that reads the database."""

    name = "cached"

    def __init__(self, pool: Pool, writers: asyncpg.Pool, store: RedisStore) -> None:
        @cached(TTL_S, store=store, name="read_faults.user")
        async def user(key: int) -> list[Any]:
            sql = "SELECT id, name, version FROM users WHERE id = $1"
            async with pool.connect() as connection:
                (row,) = await connection.fetch(sql, (key,))
            return list(row)

        self.user = user
        self._versions = Versions(writers)

    async def prepare(self) -> None:
        pass

    def lookup(self, key: int) -> Lookup:
        known = self._versions.known([key])

        def problem(row: list[Any]) -> str | None:
            if row[:2] != [key, f"user {key}"]:
                return f"{row} for {key}"
            return self._versions.problem(known, key, row[2])

        return Lookup(lambda: self.user(key), problem)

    def refused(self) -> Lookup:
        return Lookup(lambda: self.user(TOO_LARGE), _answered, is_refused=True)

    async def write(self, key: int) -> None:
        sql = "UPDATE users SET version = $1 WHERE id = $2"
        # The write is done once the old answer is forgotten, also while Redis is down.
        await self._versions.write(key, sql, key, then=lambda: self.user.invalidate(key))

"""Users, their posts and the comments on them, in every database that SQLAlchemy's probe meets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, ForeignKey, create_engine
from sqlalchemy.ext.asyncio import AsyncAttrs, AsyncSession, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
)

from tests.record.probes.conftest import Bench
from unslow.current import OpenTrace

USERS_COUNT = 4
POSTS_COUNT = 3
"""Of each user."""
COMMENTS_COUNT = 2
"""On each post."""

SYNC = ("sqlite", "postgresql+psycopg", "postgresql+psycopg2")
ASYNC = ("sqlite+aiosqlite", "postgresql+psycopg_async", "postgresql+asyncpg")


class Base(AsyncAttrs, DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "blog_user"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    about: Mapped[str] = mapped_column(default="about", deferred=True)
    posts: Mapped[list[Post]] = relationship(back_populates="user", order_by="Post.id")


class Post(Base):
    __tablename__ = "blog_post"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("blog_user.id"))
    title: Mapped[str]
    user: Mapped[User] = relationship(back_populates="posts")
    comments: Mapped[list[Comment]] = relationship(back_populates="post", order_by="Comment.id")


class Comment(Base):
    __tablename__ = "blog_comment"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("blog_post.id"))
    text: Mapped[str]
    post: Mapped[Post] = relationship(back_populates="comments")


def fill(engine: Engine) -> None:
    """Makes the tables, and the same rows in them each time."""
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for _ in range(USERS_COUNT):
            session.add(User(name="ann", posts=[_post() for _ in range(POSTS_COUNT)]))
            session.flush()
        session.commit()


def _post() -> Post:
    return Post(title="title", comments=[Comment(text="text") for _ in range(COMMENTS_COUNT)])


class Blog:
    """One database by one driver: the same test body runs on all of them."""

    def __init__(self, scheme: str, url: str, bench: Bench) -> None:
        self.url = f"{scheme}:{url.partition(':')[2]}"
        self.is_async = scheme in ASYNC
        self.scheme = scheme.replace("psycopg_async", "psycopg")
        self.driver = self.scheme.partition("+")[2] or "pysqlite"
        self.bench = bench
        self.result: Any = None

    def traced(
        self,
        *works: Callable[[Session], Any],
        traced: bool = True,
        session_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> OpenTrace:
        """Runs each with a session of its own on one engine; the trace is that of the last."""
        run = self._run_async if self.is_async else self._run
        return run(works, traced, session_options or {}, options)

    def _run(
        self,
        works: tuple[Callable[[Session], Any], ...],
        traced: bool,
        session_options: dict[str, Any],
        options: dict[str, Any],
    ) -> OpenTrace:
        engine = create_engine(self.url, **options)
        try:

            def one(work: Callable[[Session], Any]) -> None:
                with Session(engine, **session_options) as session:
                    self.result = work(session)

            for work in works[:-1]:
                one(work)
            if traced:
                return self.bench.run(lambda: one(works[-1]))
            one(works[-1])
            return OpenTrace("GET", 0)
        finally:
            engine.dispose()

    def _run_async(
        self,
        works: tuple[Callable[[Session], Any], ...],
        traced: bool,
        session_options: dict[str, Any],
        options: dict[str, Any],
    ) -> OpenTrace:
        async def main() -> OpenTrace:
            engine = create_async_engine(self.url, **options)
            try:

                async def one(work: Callable[[Session], Any]) -> None:
                    async with AsyncSession(engine, **session_options) as session:
                        self.result = await session.run_sync(work)

                async def last() -> None:
                    await one(works[-1])

                for work in works[:-1]:
                    await one(work)
                if traced:
                    return await self.bench.run_async(last)
                await last()
                return OpenTrace("GET", 0)
            finally:
                await engine.dispose()

        return asyncio.run(main())


def blog_in(kind: str, bench: Bench, folder: Path, postgres_url: str) -> Blog:
    """The blog by one driver; on PostgreSQL it is there already."""
    if not kind.startswith("sqlite"):
        return Blog(kind, postgres_url, bench)
    url = f"sqlite:///{folder}/blog.db"
    fill_at(url)
    return Blog(kind, url, bench)


def fill_at(url: str) -> None:
    """The same as `fill`, by address."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    fill(engine)
    engine.dispose()

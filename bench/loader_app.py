"""The app of `bench.loader_choice`: one lazy loop for each shape of data."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from fastapi import FastAPI
from sqlalchemy import ForeignKey, create_engine, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

DATABASE_VARIABLE: Final = "LOADER_DATABASE_URL"
DISTANT_VARIABLE: Final = "LOADER_DISTANT_URL"


class Base(DeclarativeBase):
    """The models' base."""


class Author(Base):
    """A parent with a few narrow children."""

    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list[Book]] = relationship(order_by="Book.id")


class Book(Base):
    """A narrow child."""

    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"), index=True)
    title: Mapped[str]


class Paper(Base):
    """A parent with a long text."""

    __tablename__ = "papers"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    notes: Mapped[list[Note]] = relationship(order_by="Note.id")


class Note(Base):
    """One of many children."""

    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    paper_id: Mapped[int] = mapped_column(ForeignKey("papers.id"), index=True)
    text: Mapped[str]


class Team(Base):
    """One of the few parents of many, or of one each."""

    __tablename__ = "teams"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Member(Base):
    """A child of few parents."""

    __tablename__ = "members"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id"))
    name: Mapped[str]
    team: Mapped[Team] = relationship()


class Badge(Base):
    """A child with a parent of its own."""

    __tablename__ = "badges"
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id"))
    team: Mapped[Team] = relationship()


class Shape(NamedTuple):
    """A shape of data, and the loop over it."""

    name: str
    route: str
    function: str
    relationship: str


SHAPES: Final = (
    Shape("100 parents, 3 narrow children each", "/narrow", "narrow", "Author.books"),
    Shape("20 parents of 20 kB, 200 children each", "/wide", "wide", "Paper.notes"),
    Shape("the same, a round trip 1 ms longer", "/distant", "distant", "Paper.notes"),
    Shape("3,000 children of 10 parents", "/few", "few", "Member.team"),
    Shape("2,000 children of 2,000 parents", "/each", "each", "Badge.team"),
)
"""Those of the experiments that the fix was designed by."""

_ROWS: Final = (
    "INSERT INTO authors SELECT n, 'author ' || n FROM generate_series(1, 100) n",
    "INSERT INTO books SELECT n, 1 + n % 100, 'title ' || n FROM generate_series(1, 300) n",
    (
        "INSERT INTO papers SELECT n, (SELECT string_agg(md5((n * 1000 + i)::text), '')"
        " FROM generate_series(1, 625) i) FROM generate_series(1, 20) n"
    ),
    "INSERT INTO notes SELECT n, 1 + n % 20, 'note ' || n FROM generate_series(1, 4000) n",
    "INSERT INTO teams SELECT n, 'team ' || n FROM generate_series(1, 2000) n",
    "INSERT INTO members SELECT n, 1 + n % 10, 'member ' || n FROM generate_series(1, 3000) n",
    "INSERT INTO badges SELECT n, n FROM generate_series(1, 2000) n",
    "ANALYZE",
)


def fill(url: str) -> None:
    """Makes the tables and their rows."""
    engine = create_engine(_driven(url))
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        for one in _ROWS:
            connection.execute(text(one))
    engine.dispose()


def _driven(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


def make_app() -> FastAPI:
    """The app; its addresses are in the environment."""
    app = FastAPI()
    near = create_engine(_driven(os.environ[DATABASE_VARIABLE]))
    far = create_engine(_driven(os.environ[DISTANT_VARIABLE]))

    @contextmanager
    def session(engine: object = near) -> Iterator[Session]:
        with Session(engine) as opened:  # type: ignore[arg-type]  # either of the two
            yield opened

    @app.get("/narrow")
    def narrow() -> int:
        with session() as opened:
            rows = opened.scalars(select(Author).order_by(Author.id)).all()
            return sum(len(one.title) for row in rows for one in row.books)

    @app.get("/wide")
    def wide() -> int:
        with session() as opened:
            rows = opened.scalars(select(Paper).order_by(Paper.id)).all()
            return sum(len(one.text) for row in rows for one in row.notes)

    @app.get("/distant")
    def distant() -> int:
        with session(far) as opened:
            rows = opened.scalars(select(Paper).order_by(Paper.id)).all()
            return sum(len(one.text) for row in rows for one in row.notes)

    @app.get("/few")
    def few() -> int:
        with session() as opened:
            rows = opened.scalars(select(Member).order_by(Member.id)).all()
            return sum(len(row.team.name) for row in rows)

    @app.get("/each")
    def each() -> int:
        with session() as opened:
            rows = opened.scalars(select(Badge).order_by(Badge.id)).all()
            return sum(len(row.team.name) for row in rows)

    return app

"""The whole loop on an app of one's own: check, try, write, measure again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.injection.running import clean_environment

MODELS = """\
from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "authors"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list["Book"]] = relationship(order_by="Book.id")


class Book(Base):
    __tablename__ = "books"

    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))
    title: Mapped[str]
"""
APP = '''\
import os
import time

from fastapi import FastAPI
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from models import Author

app = FastAPI()
engine = create_engine(os.environ["LIBRARY_DATABASE_URL"])


@app.get("/authors")
def list_authors() -> list[dict[str, object]]:
    """All authors, with their books."""
    with Session(engine) as session:
        authors = session.scalars(select(Author).order_by(Author.id)).all()  # each one
        return [
            {"name": one.name, "books": [book.title for book in one.books]} for one in authors
        ]


@app.get("/settled")
async def settled() -> dict[str, bool]:
    time.sleep(0.01)  # the payment
    return {"settled": True}


@app.get("/books")
def count_books() -> dict[str, int]:
    with Session(engine) as session:
        author = session.get(Author, 1)
        return {"authors": 0 if author is None else 1}
'''
AUTHORS_COUNT = 12


@pytest.fixture(scope="module")
def library_url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with new_database() as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE authors (id int PRIMARY KEY, name text NOT NULL)")
            connection.execute(
                "CREATE TABLE books"
                " (id int PRIMARY KEY, author_id int NOT NULL, title text NOT NULL)"
            )
            connection.execute(
                "INSERT INTO authors SELECT n, 'author ' || n FROM generate_series(1, %s) n",
                [AUTHORS_COUNT],
            )
            connection.execute(
                "INSERT INTO books SELECT n, 1 + n %% %s, 'title ' || n"
                " FROM generate_series(1, 3 * %s) n",
                [AUTHORS_COUNT, AUTHORS_COUNT],
            )
        yield url


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def unslow(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    driven = url.replace("postgresql://", "postgresql+psycopg://")
    return subprocess.run(
        [sys.executable, "-m", "unslow", *arguments],
        cwd=folder,
        env=clean_environment(LIBRARY_DATABASE_URL=driven),
        capture_output=True,
        text=True,
        check=False,
    )


def made(folder: Path) -> Path:
    """The app in a repository of its own."""
    (folder / "models.py").write_text(MODELS)
    (folder / "app.py").write_text(APP)
    git(folder, "init", "--quiet")
    git(folder, "add", "models.py", "app.py")
    git(folder, "commit", "--quiet", "-m", "the library")
    return folder


@pytest.fixture(scope="module")
def checked(library_url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Where the app lies that was checked, and the report."""
    folder = made(tmp_path_factory.mktemp("library"))
    done = unslow(
        folder, library_url, "check", "app:app", "--json", "--concurrency", "8", "--time", "120"
    )
    assert (1, "") == (done.returncode, done.stderr)
    return folder, json.loads(done.stdout)


def trials(report: Any, route: str) -> dict[str, Mapping[str, Any]]:
    """By fix, the trials of a route's findings."""
    (endpoint,) = (one for one in report["endpoints"] if one["route"] == route)
    return {each["fix"]: each for one in endpoint["findings"] for each in one["trials"]}


def test_the_lazy_loop_is_faster_with_its_rows_in_few_statements_and_answers_the_same(
    checked: tuple[Path, Any],
) -> None:
    trial = trials(checked[1], "/authors")["eager-load"]

    assert ("faster", True) == (trial["verdict"], trial["same_answer"])
    assert trial["statements_before"] == AUTHORS_COUNT + 1
    assert trial["statements_after"] <= 2
    assert 1 < trial["interval"][0] <= trial["times"] <= trial["interval"][1]
    assert trial["times"] == pytest.approx(trial["before_ms"] / trial["after_ms"], rel=0.5)
    assert trial["fired"] > 0
    assert {"1", "5"} == set(trial["at_round_trip_ms"])


def test_the_blocking_call_is_faster_off_the_loop_for_many_at_once(
    checked: tuple[Path, Any],
) -> None:
    trial = trials(checked[1], "/settled")["off-loop"]

    assert ("faster", True) == (trial["verdict"], trial["same_answer"])
    assert trial["users"] == 8
    assert trial["risk"] == "unsafe"
    assert "await asyncio.to_thread(time.sleep, 0.01)  # the payment" in trial["patch"]


def test_what_is_right_gets_no_trial_and_the_total_is_measured(checked: tuple[Path, Any]) -> None:
    _, report = checked

    assert trials(report, "/books") == {}
    total = report["proven_total"]
    assert total["fixes"] == 2
    assert total["times"] == pytest.approx(total["before_ms"] / total["after_ms"])


def test_the_source_is_as_it_was(checked: tuple[Path, Any]) -> None:
    folder, _ = checked

    assert "" == git(folder, "status", "--porcelain", "--untracked-files=no")


def test_the_diffs_are_shown_and_git_takes_them(
    checked: tuple[Path, Any], library_url: str, tmp_path: Path
) -> None:
    folder, _ = checked

    done = unslow(folder, library_url, "fix")

    assert (0, "") == (done.returncode, done.stderr)
    assert "eager-load" in done.stdout
    assert "off-loop" in done.stdout
    patch = tmp_path / "fix.patch"
    patch.write_text(done.stdout)
    git(folder, "apply", "--check", str(patch))


def test_a_finding_that_has_no_proven_fix_is_an_error_with_those_that_have(
    checked: tuple[Path, Any], library_url: str
) -> None:
    folder, _ = checked

    done = unslow(folder, library_url, "fix", "lazy-load-loop-ffffff")

    assert done.returncode == 2
    assert "'lazy-load-loop-ffffff' is no finding with a proven fix; those that" in done.stderr


def test_changes_that_are_not_committed_are_not_written_over(
    checked: tuple[Path, Any], library_url: str
) -> None:
    folder, _ = checked
    app = folder / "app.py"
    before, changed = app.stat(), f"{APP}\n# mine\n"
    app.write_text(changed)
    os.utime(app, ns=(before.st_atime_ns, before.st_mtime_ns))
    try:
        done = unslow(folder, library_url, "fix", "lazy-load-loop", "--apply")

        assert done.returncode == 2
        assert "has changes that are not committed" in done.stderr
        assert app.read_text() == changed
    finally:
        app.write_text(APP)
        os.utime(app, ns=(before.st_atime_ns, before.st_mtime_ns))
        git(folder, "update-index", "--refresh")


def test_a_patch_is_written_measured_and_stays_and_a_second_time_nothing_changes(
    checked: tuple[Path, Any], library_url: str
) -> None:
    folder, _ = checked
    app = folder / "app.py"
    before = app.stat()
    try:
        done = unslow(
            folder, library_url, "fix", "--apply", "--concurrency", "8", "--with-tests", "tests"
        )
        written = app.read_text()
        again = unslow(folder, library_url, "fix", "--apply", "--concurrency", "8")

        assert (0, "") == (done.returncode, done.stderr)
        assert 2 == done.stdout.count("  written: ")
        assert "tests/test_get_authors_statements.py passes, and fails without it" in done.stdout
        assert "no test: off-loop is not about statements" in done.stdout
        assert ".options(" in written
        assert "await asyncio.to_thread(time.sleep, 0.01)  # the payment" in written
        assert "# each one" in written
        assert again.returncode == 1
        assert 2 == again.stdout.count("  not written: ")
        assert app.read_text() == written
    finally:
        app.write_text(APP)
        os.utime(app, ns=(before.st_atime_ns, before.st_mtime_ns))
        git(folder, "update-index", "--refresh")

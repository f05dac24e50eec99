"""One statement for all keys, as it is told."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.diagnose.story import Story
from tests.fixes.patches.told import MARK, OTHER_MARK, advice, at, says, subject
from unslow.fixes.patches.patch import Subject
from unslow.fixes.patches.senders import ASYNCPG, PSYCOPG, TEXT
from unslow.fixes.patches.shapes import batch_of, bound
from unslow.model.trace import Statement
from unslow.record.shape import shape_of

FIX = "batch-by-key"

FORUM = f"""
class Store:
    async def newest(self, limit):
        return await self.connection.fetch(NEWEST, limit)  {OTHER_MARK}

    async def author(self, member_id):
        query = "SELECT name FROM members WHERE id = $1"
        return await self.connection.fetchrow(query, member_id)  {MARK}
"""


def loop(
    text: str, shape: str, *, function: str = "show", driver: str = "asyncpg", rows: int = 1
) -> Subject:
    """A statement that is sent for each row of another one, if the text marks that."""
    parents = []
    if OTHER_MARK in text:
        parent = at(text, "Store.newest", OTHER_MARK)
        parents = [Statement("SELECT id FROM threads LIMIT ?", driver, parent, rows_count=3)]
    one = Statement(shape, driver, at(text, function), parent=0, rows_count=rows, row_key="a")
    story = Story()
    for sent in [*parents, one if parents else replace(one, parent=-1)]:
        story.sends(sent)
    return subject(text, function, shape=shape, traces=[story.answers().trace()])


@pytest.mark.parametrize(
    ("shape", "code"),
    [
        ("SELECT name FROM members WHERE id = ANY(?)", "look_up, keys"),
        ("INSERT INTO visits (id) SELECT id FROM json_to_recordset(?)", "events.add, rows"),
    ],
)
def test_what_is_gathered_already_is_to_be_awaited_together(shape: str, code: str) -> None:
    text = f"async def show():\n    return [await name(id) for id in ids]  {MARK}\n"
    about = loop(text, shape, driver="unslow.fast")

    told = advice(FIX, about)

    assert "asyncio.gather(...)" == says(FIX, about)
    assert "Line 2 of shop.py, in `show`, waits for one before it asks for the next." in told
    assert f"await asyncio.gather(*map({code}))" == told.splitlines()[1]
    assert ("add_many" in told) == shape.startswith("INSERT")


def test_a_loop_of_asyncpg_becomes_one_fetch_whose_rows_are_looked_up_by_key() -> None:
    about = loop(FORUM, "SELECT name FROM members WHERE id = ?", function="Store.author")

    told = advice(FIX, about)

    assert says(FIX, about) == "SELECT id, name FROM members WHERE id = ANY($1)"
    assert "Line 7 of shop.py, in `Store.author`, sends it once per row" in told
    assert "the rows of line 3 of shop.py, in `Store.newest`, bring the keys" in told
    fetch = '"SELECT id, name FROM members WHERE id = ANY($1)", keys'
    assert told.splitlines()[1:] == [
        f"rows = await self.connection.fetch({fetch})",
        'by_key = {row["id"]: row for row in rows}',
    ]


def test_a_key_with_several_rows_gets_a_list() -> None:
    shape = "SELECT * FROM posts WHERE thread_id = ? ORDER BY id"

    told = advice(FIX, loop(FORUM, shape, function="Store.author", rows=4))

    assert "WHERE thread_id = ANY($1) ORDER BY id" in told
    assert '    by_key[row["thread_id"]].append(row)' in told.splitlines()


def test_what_is_counted_for_each_key_is_grouped_by_it() -> None:
    about = loop(FORUM, "SELECT count(*) FROM threads WHERE board_id = ?", function="Store.author")

    assert says(FIX, about) == (
        "SELECT board_id, count(*) FROM threads WHERE board_id = ANY($1) GROUP BY board_id"
    )
    assert "a key that has none is not among them" in advice(FIX, about)


@pytest.mark.parametrize(
    "line",
    [
        "await session.get(Book, book_id)",
        "await session.scalar(select(Book).where(Book.id == book_id))",
        "(await session.execute(select(Book).where(Book.id == book_id))).scalar_one()",
        "await session.scalar(wanted)",
    ],
)
def test_a_loop_of_the_orm_becomes_one_select(line: str) -> None:
    text = f"""
    from sqlalchemy import select

    from .models import Book


    async def show(session, book_id):
        wanted = select(Book).where(Book.id == book_id)
        return {line}  {MARK}
    """
    shape = "SELECT books.id, books.title FROM books WHERE books.id = ?::INTEGER"

    about = loop(text, shape)

    assert says(FIX, about) == "select(Book).where(Book.id.in_(keys))"
    assert advice(FIX, about).splitlines()[1:] == [
        "rows = await session.scalars(select(Book).where(Book.id.in_(keys)))",
        "by_key = {row.id: row for row in rows}",
    ]


def test_text_of_sqlalchemy_keeps_its_names() -> None:
    text = f"""
    from sqlalchemy import text


    def show(connection, author_id):
        found = text("SELECT name FROM books WHERE author_id = :author_id")
        return connection.execute(found, {{"author_id": author_id}})  {MARK}
    """
    shape = "SELECT name FROM books WHERE author_id = ?"

    assert "WHERE author_id = ANY(:keys)" in advice(FIX, loop(text, shape, driver="psycopg"))
    assert "WHERE author_id IN :keys" in says(FIX, loop(text, shape, driver="pysqlite"))
    assert "expanding=True" in advice(FIX, loop(text, shape, driver="pysqlite"))


def test_psycopg_takes_the_keys_as_a_list() -> None:
    text = f"""
    from psycopg import Cursor


    def show(cursor: Cursor, member_id):
        cursor.execute("SELECT name FROM members WHERE id = %s", (member_id,))  {MARK}
        return cursor.fetchone()
    """

    told = advice(FIX, loop(text, "SELECT name FROM members WHERE id = ?", driver="psycopg"))

    assert 'cursor.execute("SELECT id, name FROM members WHERE id = ANY(%s)", [keys])' in told


@pytest.mark.parametrize(
    "shape",
    [
        "SELECT a FROM b WHERE c = ? AND d = ?",
        "SELECT a FROM b WHERE c > ?",
        "SELECT a FROM b",
        "SELECT a FROM b JOIN c ON c.id = ?",
    ],
)
def test_where_the_key_is_not_certain_no_statement_is_written(shape: str) -> None:
    about = loop(FORUM, shape, function="Store.author")

    told = advice(FIX, about)

    assert says(FIX, about) == "WHERE key = ANY(...)"
    assert "The column that takes the key becomes `= ANY(...)`" in told
    assert "\n" not in told


@pytest.mark.parametrize(
    "shape",
    [
        "SELECT a FROM b WHERE c = ? ORDER BY a LIMIT ?",
        "SELECT DISTINCT a FROM b WHERE c = ?",
        "SELECT extract(year FROM a) FROM b WHERE c = ? OR d",
        "SELECT a FROM b WHERE c = ? AND d > ?",
    ],
)
def test_what_held_for_each_key_is_told_in_words(shape: str) -> None:
    about = loop(FORUM, shape, function="Store.author")

    told = advice(FIX, about)

    assert says(FIX, about) == "WHERE c = ANY($1)"
    assert "Take `c = ANY($1)` in place of the one key" in told
    assert "\n" not in told


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("await connection.execute(query, *row)", "await connection.executemany(query, rows)"),
        ("session.flush()", "session.add_all(rows)"),
        ("session.execute(insert(Sample).values(row))", "session.execute(statement, rows)"),
    ],
)
def test_writes_are_collected_and_sent_together(line: str, code: str) -> None:
    library = "asyncpg" if "connection" in line else "sqlalchemy"
    text = f"import {library}\n\n\nasync def show(session, row):\n    {line}  {MARK}\n"
    about = loop(text, "INSERT INTO samples (a) VALUES (?)")

    told = advice(FIX, about)

    assert says(FIX, about) == "executemany(...)"
    assert "Line 5 of shop.py, in `show`, writes once per row" in told
    assert code in told


def test_without_a_line_or_a_source_it_is_told_all_the_same() -> None:
    about = loop(FORUM, "SELECT name FROM members WHERE id = ?", function="Store.author")
    blind = Subject(replace(about.finding, place=None), (), lambda _: None)

    assert "A line that is not known, sends it once per row" in advice(FIX, blind)


_WORDS = st.from_regex(r"[a-z_][a-z_]{0,8}", fullmatch=True)
_LITERALS = st.one_of(
    st.integers(1_000_000, 9_999_999).map(str),
    st.from_regex(r"'secret[a-z0-9 ]{4,12}'", fullmatch=True),
)
_CONDITIONS = st.tuples(
    _WORDS, st.sampled_from(["=", ">", "<>", "LIKE", "IN", "= ANY"]), _LITERALS
).map(lambda one: f"{one[0]} {one[1]} {f'({one[2]})' if 'N' in one[1] else one[2]}")


@given(
    columns=st.lists(_WORDS, min_size=1, max_size=4),
    table=_WORDS,
    conditions=st.lists(_CONDITIONS, min_size=1, max_size=3),
    tail=st.sampled_from(["", " ORDER BY 1", " LIMIT 7654321", " -- secret8888888"]),
    style=st.sampled_from([ASYNCPG, PSYCOPG, TEXT]),
)
def test_a_new_statement_never_holds_a_literal(
    columns: list[str], table: str, conditions: list[str], tail: str, style: str
) -> None:
    text = f"SELECT {', '.join(columns)} FROM {table} WHERE {' AND '.join(conditions)}{tail}"

    shape = shape_of(text)
    batch = batch_of(shape, style)
    made = [bound(shape, style), *((batch.statement, batch.condition) if batch else ())]

    for one in made:
        assert "secret" not in one
        assert "?" not in one
        assert not re.search(r"\d{7}", one)


@pytest.mark.parametrize(
    "shape", ["", "?", "SELECT", "a = ?", 'SELECT "a ? b" FROM c WHERE "d ? e" = ?', "((((", '"']
)
def test_any_shape_is_taken(shape: str) -> None:
    about = loop(FORUM, shape, function="Store.author")

    assert "shop.py" in advice(FIX, about)


def test_quoted_names_stay_as_they_are() -> None:
    batch = batch_of('SELECT "order".total FROM "order" WHERE "order"."user id" = ?', ASYNCPG)

    assert batch is not None
    assert batch.name == "user id"
    assert batch.statement.endswith('WHERE "order"."user id" = ANY($1)')

"""A statement with parameters, as it is told."""

import pytest

from tests.diagnose.story import Story
from tests.fixes.patches.told import MARK, advice, at, says, subject
from unslow.fixes.patches.patch import Subject
from unslow.fixes.patches.senders import ASYNCPG, PSYCOPG, TEXT
from unslow.fixes.patches.shapes import bound
from unslow.model.trace import Statement

FIX = "bind-parameters"


def sent(text: str, shape: str, driver: str = "asyncpg") -> Subject:
    place = at(text)
    trace = Story().sends(Statement(shape, driver, place)).answers().trace()
    return subject(text, shape=shape, traces=[trace])


FORUM = f"""
async def show(author_id, pool):
    condition = f"author_id = {{author_id}}"
    rows = await pool.fetch(f"SELECT id FROM posts WHERE {{condition}} LIMIT 20")  {MARK}
    return rows
"""
SHELF = f"""
from sqlalchemy import text


def show(shelf, engine):
    query = f"SELECT id FROM books WHERE shelf = '{{shelf}}' LIMIT 20"
    with engine.connect() as connection:
        return connection.execute(text(query)).all()  {MARK}
"""


def test_asyncpg_numbers_its_parameters() -> None:
    about = sent(FORUM, "SELECT id FROM posts WHERE author_id = ? LIMIT ?")

    told = advice(FIX, about)

    assert says(FIX, about) == "SELECT id FROM posts WHERE author_id = $1 LIMIT $2"
    assert "Line 3 of shop.py, in `show`, sends values in the text of the statement" in told
    assert "the text is built on line 2. Bind `author_id`: `$1` in the text" in told
    assert "await pool.fetch(query, ...)" in told


def test_text_names_them_after_their_columns_and_the_line_that_builds_it_is_told() -> None:
    about = sent(SHELF, "SELECT id FROM books WHERE shelf = ? LIMIT ?", "psycopg")

    told = advice(FIX, about)

    assert says(FIX, about) == "SELECT id FROM books WHERE shelf = :shelf LIMIT :value_2"
    assert "the text is built on line 5" in told
    assert "Bind `shelf`: `:name` in the text" in told
    assert 'query = text("SELECT id FROM books WHERE shelf = :shelf LIMIT :value_2")' in told


@pytest.mark.parametrize(
    "code", ['"a = %s" % shelf', '"a = %s" % (shelf,)', '"a = {}".format(shelf)', '"a = " + shelf']
)
def test_other_ways_to_build_a_text_are_seen_too(code: str) -> None:
    text = f"""
    def show(shelf, cursor):
        query = {code}
        cursor.execute(query)  {MARK}
    """

    told = advice(FIX, sent(text, "a = ?", "psycopg2"))

    assert "the text is built on line 2" in told
    assert "Bind `shelf`: `%s` in the text" in told


def test_values_that_stand_in_the_source_are_not_told() -> None:
    text = f"""
    def show(cursor):
        cursor.execute("a = %s" % "secret")  {MARK}
    """

    assert "secret" not in advice(FIX, sent(text, "a = ?", "psycopg"))


@pytest.mark.parametrize(
    ("shape", "style", "statement"),
    [
        ("a IN (?) AND b = ?", ASYNCPG, "a = ANY($1) AND b = $2"),
        ("a NOT IN (?)", PSYCOPG, "a <> ALL(%s)"),
        (
            "a > INTERVAL ? AND a < DATE ?",
            TEXT,
            "a > CAST(:a AS INTERVAL) AND a < CAST(:value_2 AS",
        ),
        ("a = ? OR a = ?", TEXT, "a = :a OR a = :value_2"),
        ("a BETWEEN ? AND ?", ASYNCPG, "a BETWEEN $1 AND $2"),
        ('"a ? b" = ?', ASYNCPG, '"a ? b" = $1'),
        ("a ? ?", ASYNCPG, ""),
        ("a ?| ?", ASYNCPG, ""),
        ("(a)? ?", ASYNCPG, ""),
        ("lower(a) = ?", TEXT, "lower(a) = :value_1"),
    ],
)
def test_parameters_take_the_places_of_values(shape: str, style: str, statement: str) -> None:
    found = bound(shape, style)

    assert found.startswith(statement)
    assert bool(found) == bool(statement)


def test_where_values_are_not_told_from_operators_only_the_way_is_said() -> None:
    about = sent(FORUM, "SELECT id FROM posts WHERE tags ? ?")

    told = advice(FIX, about)

    assert says(FIX, about) == "$1"
    assert "\n" not in told


def test_of_a_long_statement_only_the_condition_is_shown() -> None:
    shape = f"SELECT {', '.join('a' * 9 for _ in range(20))} FROM b WHERE c = ?"

    assert bound(shape, ASYNCPG) == "... WHERE c = $1"

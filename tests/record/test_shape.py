"""Statements lose their values and keep their shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.record.shape import LONGEST, shape_of


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("SELECT a FROM t WHERE id = $1", "SELECT a FROM t WHERE id = ?"),
        ("SELECT a FROM t WHERE id = %(id_1)s", "SELECT a FROM t WHERE id = ?"),
        ("SELECT a FROM t WHERE id = %s", "SELECT a FROM t WHERE id = ?"),
        ("SELECT a FROM t WHERE id = :id", "SELECT a FROM t WHERE id = ?"),
        (
            "SELECT a::int4 FROM t WHERE id = $1::BIGINT",
            "SELECT a::int4 FROM t WHERE id = ?::BIGINT",
        ),
        ("SELECT 'it''s' || E'a\\'b' || $$x$$ || $t$y$t$", "SELECT ? || ? || ? || ?"),
        ("SELECT 1.5e3, .5, 0xFF, 12", "SELECT ?, ?, ?, ?"),
        ("SELECT t1.c2 FROM t1", "SELECT t1.c2 FROM t1"),
        ('SELECT "Odd ""name""" FROM t', 'SELECT "Odd ""name""" FROM t'),
        ("SELECT a -- secret\nFROM t", "SELECT a FROM t"),
        ("SELECT a /* x /* nested */ y */ FROM t", "SELECT a FROM t"),
        ("SELECT a\n   FROM\tt", "SELECT a FROM t"),
        ("WHERE id IN ($1, $2, $3)", "WHERE id IN (?)"),
        ("WHERE id IN (1)", "WHERE id IN (?)"),
        ("INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y')", "INSERT INTO t (a, b) VALUES (?)"),
        ("SAVEPOINT __asyncpg_savepoint_1f__;", "SAVEPOINT ?;"),
        ("RELEASE SAVEPOINT sa_savepoint_12", "RELEASE SAVEPOINT ?"),
        ('ROLLBACK TO "_pg3_1"', "ROLLBACK TO ?"),
        (
            "INSERT INTO t (a) VALUES ($1::INTEGER), ($2::INTEGER)",
            "INSERT INTO t (a) VALUES (?)",
        ),
    ],
)
def test_shapes(text: str, shape: str) -> None:
    assert shape_of(text) == shape


@pytest.mark.parametrize(
    "open_end", ["'secret", "$$secret", "/* secret", "-- secret", "e'secret\\'"]
)
def test_what_is_never_closed_is_a_value_to_the_end(open_end: str) -> None:
    assert "secret" not in shape_of(f"SELECT {open_end}")


def test_lists_of_different_lengths_have_one_shape() -> None:
    shapes = {
        shape_of(f"SELECT a FROM t WHERE id IN ({', '.join('?' * length)})")
        for length in range(1, 50)
    }

    assert len(shapes) == 1


def test_a_long_text_is_cut() -> None:
    assert len(shape_of("SELECT " + ", ".join(f"column_{i}" for i in range(5_000)))) == LONGEST


LITERALS = st.one_of(
    st.text(st.characters(blacklist_characters="'\\\0", codec="utf-8")).map(
        lambda text: f"'SECRET{text}'"
    ),
    st.text(st.characters(blacklist_characters="$\0", codec="utf-8")).map(
        lambda text: f"$tag$SECRET{text}$tag$"
    ),
    st.text(st.characters(blacklist_characters="*/\0", codec="utf-8")).map(
        lambda text: f"/* SECRET{text} */ 1"
    ),
)


@given(st.lists(LITERALS, min_size=1, max_size=5))
def test_no_part_of_a_value_is_left(literals: list[str]) -> None:
    shape = shape_of("SELECT a FROM t WHERE b = " + " OR b = ".join(literals))

    assert "SECRET" not in shape
    assert shape == "SELECT a FROM t WHERE b = " + " OR b = ".join("?" for _ in literals)


@given(st.text())
def test_any_text_has_a_shape_and_a_shape_is_its_own_shape(text: str) -> None:
    shape = shape_of(text)

    assert shape_of(shape) == shape_of(shape_of(shape))

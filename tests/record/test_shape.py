"""Statements lose their values and keep their shape."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unslow.record import shape
from unslow.record.shape import LONGEST, facts_of, is_known, keyed, shape_of


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


# What else is known of a text.


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a FROM t",
        "SELECT a FROM t WHERE id = $1 AND b = %s AND c = :c AND d = %(d)s AND e = ?",
        "SELECT a1 FROM t2 /* 7 'x' */ -- 8",
        'SELECT "1" FROM `2`',
        "",
    ],
)
def test_a_text_without_literals_has_no_key_of_them(text: str) -> None:
    assert facts_of(text).literals_key == ""


@pytest.mark.parametrize("literal", ["7", "-1.5e3", "0xFF", "'x'", "E'x'", "$$x$$", "''"])
def test_a_literal_of_any_kind_makes_a_key(literal: str) -> None:
    assert len(facts_of(f"SELECT a FROM t WHERE b = {literal}").literals_key) == 8


VALUES = st.lists(st.integers(0) | st.text("abc '%", max_size=4), min_size=1, max_size=4)


def written(values: list[Any]) -> str:
    """A statement with these values in its text."""
    literals = [
        str(one) if isinstance(one, int) else "'" + one.replace("'", "''") + "'" for one in values
    ]
    return "SELECT a FROM t WHERE b IN (" + ", ".join(literals) + ")"


@given(VALUES, VALUES)
def test_keys_are_equal_for_equal_literals_and_others_for_others(
    first: list[Any], second: list[Any]
) -> None:
    keys = facts_of(written(first)).literals_key, facts_of(written(second)).literals_key

    assert (first == second) == (keys[0] == keys[1])


def test_the_same_number_as_a_text_is_another_literal() -> None:
    assert facts_of("SELECT 1").literals_key != facts_of("SELECT '1'").literals_key


def test_comments_and_spaces_do_not_count_among_literals() -> None:
    keys = {
        facts_of(text).literals_key
        for text in (
            "SELECT a FROM t WHERE b = 7",
            "SELECT a FROM t\n  WHERE b = 7 -- for user 12",
            "/* traceparent='00-4bf92f35-01' */ SELECT a FROM t WHERE b = 7",
            "SELECT a FROM t WHERE b = 7 /* 1 /* 2 */ 3 */",
        )
    }

    assert len(keys) == 1


def test_the_key_of_literals_is_no_hash_that_somebody_could_try_values_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shape, "_facts", {})
    here = facts_of("SELECT 'secret'").literals_key
    monkeypatch.setattr(shape, "SECRET", shape.SECRET ^ 1)
    monkeypatch.setattr(shape, "_facts", {})

    assert facts_of("SELECT 'secret'").literals_key != here
    assert keyed("secret") != format(hash("secret") & 0xFFFFFFFF, "08x")


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("SELECT a FROM t LIMIT $1 OFFSET $2", 1),
        ("SELECT a FROM t LIMIT $1::INTEGER OFFSET $12::INTEGER", 11),
        ("SELECT a FROM t OFFSET $1", 0),
        ("SELECT a FROM t WHERE b = %s LIMIT %s OFFSET %s", 2),
        ("SELECT a FROM t WHERE b LIKE 'x%%s' LIMIT %s OFFSET %s", 1),
        ("SELECT a FROM t WHERE b ? 'key' LIMIT %s OFFSET %s", 1),
        ("SELECT a FROM t LIMIT %(param_1)s OFFSET %(param_2)s", "param_2"),
        ("SELECT a FROM t LIMIT %(param_1)s::INTEGER OFFSET %(param_2)s::INTEGER", "param_2"),
        ("SELECT a FROM t LIMIT :size OFFSET :off", "off"),
        ("SELECT a FROM t WHERE b = ? LIMIT ? OFFSET ?", 2),
        ("SELECT a FROM t LIMIT 10 OFFSET 40", -41),
        ("SELECT a FROM t LIMIT 10 OFFSET 0", -1),
        ("select a from t limit $1 offset $2", 1),
        ("SELECT a FROM t LIMIT $1\n OFFSET   $2", 1),
        ("SELECT a FROM t ORDER BY a OFFSET $1 ROWS FETCH NEXT $2 ROWS ONLY", 0),
    ],
)
def test_which_parameter_an_offset_takes(text: str, offset: int | str) -> None:
    assert facts_of(text).offset == offset


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("SELECT a FROM (SELECT a FROM t OFFSET $1) s ORDER BY a LIMIT $2 OFFSET $3", 2),
        ("SELECT a FROM (SELECT a FROM t LIMIT %s OFFSET %s) s LIMIT %s OFFSET %s", 3),
        ("SELECT a FROM (SELECT a FROM t OFFSET 5) s OFFSET :off", "off"),
        ("SELECT a FROM (SELECT a FROM t LIMIT $1 OFFSET $2) s JOIN u ON TRUE", 1),
    ],
)
def test_of_several_offsets_the_outermost_querys_counts(text: str, offset: int | str) -> None:
    assert facts_of(text).offset == offset


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a FROM t LIMIT $1",
        "SELECT my_offset FROM t",
        "SELECT t.offset FROM t WHERE id = $1",
        "SELECT a FROM t OFFSET (SELECT count(*) FROM u)",
        "SELECT 'OFFSET 4711' FROM t",
        "SELECT a FROM t -- OFFSET 4711",
        "",
    ],
)
def test_where_no_offset_takes_a_value_there_is_none(text: str) -> None:
    assert facts_of(text).offset is None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("SELECT a FROM t", 0),
        ("SELECT a FROM t JOIN u ON TRUE left outer join v ON TRUE", 2),
        ("SELECT a FROM t JOIN LATERAL (SELECT 1) u ON TRUE CROSS JOIN v", 2),
        ("SELECT 'JOIN' FROM joined -- JOIN", 0),
    ],
)
def test_joins_are_counted_without_those_in_values(text: str, count: int) -> None:
    assert facts_of(text).joins_count == count


def test_facts_are_worked_out_once_and_not_kept_without_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shape, "_facts", {})
    first = facts_of("SELECT 1")

    assert is_known("SELECT 1")
    assert facts_of("SELECT 1") is first
    for number in range(2_500):
        facts_of(f"SELECT {number + 2}")
    assert not is_known("SELECT 1")
    assert facts_of("SELECT 1") == first

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from unslow.report.lines import (
    flow,
    one_line,
    sentence,
    shorten,
    shorten_shape,
    shorten_text,
    unshortened,
)

WORDS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=40)


@given(st.text(max_size=80), st.integers(1, 60), st.sampled_from([0.25, 0.5, 0.75]))
def test_a_shortened_text_fits_and_keeps_its_ends(text: str, width: int, tail: float) -> None:
    text = one_line(text)

    short = shorten(text, width, tail)

    assert cell_len(short) <= width
    if short != text:
        head, _, end = short.rpartition("…")
        assert text.startswith(head)
        assert text.endswith(end)


def test_a_text_is_shortened_in_its_middle() -> None:
    assert "GET /org…/members" == shorten("GET /organizations/{id}/members", 17)
    assert "GET /users" == shorten("GET /users", 10)


def test_a_text_of_wide_characters_is_measured_in_cells() -> None:
    assert "利用…投稿" == shorten("利用者一覧の投稿", 9)


def test_a_styled_item_keeps_more_of_its_end_and_its_style() -> None:
    item = Text("shop/routers/orders.py:31 in get_order", "dim")

    short = shorten_text(item, 31)

    assert "shop/rou…ers.py:31 in get_order" == short.plain
    assert 31 == short.cell_len
    assert {"dim"} == {str(span.style) for span in short.spans if span.style}


def test_a_text_of_a_terminal_s_own_commands_cannot_give_them() -> None:
    assert "a b?[2Jc" == one_line("a\n\tb\x1b[2Jc ")


@given(st.lists(WORDS, min_size=1), st.integers(20, 100), st.integers(0, 10))
def test_no_line_is_too_long_and_no_item_that_fits_is_broken(
    items: list[str], width: int, indent: int
) -> None:
    lines = flow(items, width, first=" " * indent, indent=indent)

    assert all(line.cell_len <= width for line in lines)
    parts = [part for line in lines for part in line.plain[indent:].split(" · ")]
    expected = [item for item in items if cell_len(item) <= width - indent]
    assert expected == [part for part in parts if "…" not in part or part in expected]


def test_items_go_on_below_the_first_of_them() -> None:
    lines = flow(["one", "two", "three"], 15, first="who: ", indent=5)

    assert ["who: one · two", "     three"] == [line.plain for line in lines]


def test_of_an_item_that_can_be_said_in_several_ways_the_longest_that_fits_is_taken() -> None:
    item = ("a/long/path.py:3 in f", "path.py:3 in f", "path.py:3")

    def lines(head: str) -> list[str]:
        return [line.plain for line in flow([head, item], 24)]

    assert ["GET / · path.py:3 in f"] == lines("GET /")
    assert ["GET /a/long · path.py:3"] == lines("GET /a/long")
    assert ["GET /items/{id}", "a/long/path.py:3 in f"] == lines("GET /items/{id}")


def test_a_sentence_is_broken_between_words() -> None:
    lines = sentence("a note of\nsome words", 12, first="! ", indent=2)

    assert ["! a note of", "  some words"] == [line.plain for line in lines]


@pytest.mark.parametrize(
    ("shape", "short"),
    [
        ("SELECT id FROM users", "SELECT id FROM users"),
        (
            "SELECT users.id, users.name, users.mail, users.created FROM users WHERE users.id = ?",
            "SELECT … FROM users WHERE users.id = ?",
        ),
        (
            "SELECT DISTINCT (SELECT max(a) FROM b), from_a, users.x FROM users WHERE c = ?",
            "SELECT DISTINCT … FROM users WHERE c = ?",
        ),
        ("SELECT pg_sleep(?), now(), now(), now(), 1", "SELECT pg_sleep(?), now(), now(), …"),
        (
            "INSERT INTO leads (name, mail, company, created) VALUES (?)",
            "INSERT INTO leads (…) VALUES (?)",
        ),
        (
            "INSERT INTO leads (name, mail) VALUES (?) RETURNING leads.id, leads.name",
            "INSERT INTO leads (…) VALUES (?) …",
        ),
        (
            "SELECT a, b, c, d, e FROM comments WHERE ?::INTEGER = comments.post_id ORDER BY a",
            "SELECT … FROM comments WHERE ? = …",
        ),
        (
            "UPDATE a SET b=?::VARCHAR(?)[], c=?::TIMESTAMP WITH TIME ZONE",
            "UPDATE a SET b=?, c=?",
        ),
        ("x" * 50, "x" * 39 + "…"),
    ],
)
def test_of_a_long_statement_casts_and_columns_go_first_and_then_its_end(
    shape: str, short: str
) -> None:
    assert short == shorten_shape(shape, 40)


@given(st.text(max_size=300), st.integers(12, 60))
def test_an_unshortened_text_fits_and_nothing_of_it_is_lost(text: str, width: int) -> None:
    lines = unshortened(text, width, first="-> ", indent=4)

    assert width >= max(line.cell_len for line in lines)
    assert f"->{one_line(text)}".replace(" ", "") == "".join(
        line.plain.replace(" ", "") for line in lines
    )


def test_code_that_is_too_long_goes_on_at_a_joint() -> None:
    lines = unshortened("selectinload(User.posts).joinedload(Post.comments)", 30)

    assert ["selectinload(User.posts)", ".joinedload(Post.comments)"] == [
        line.plain for line in lines
    ]

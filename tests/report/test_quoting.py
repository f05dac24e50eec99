from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.report.judged import NASTY
from unslow.report.lines import one_line
from unslow.report.quoting import block, fenced, prose, row, span, tagged

SIGNS = st.text(alphabet="ab1 `|\\<>&[]()!#*_~-+=.:@$\"'\n", max_size=30)


def html_of(markdown: str) -> str:
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return str(reader.render(markdown))


class Reader(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def read(markdown: str) -> Reader:
    return Reader(html_of(markdown))


@given(SIGNS)
def test_a_span_says_its_text_and_does_nothing(text: str) -> None:
    found = read(f"a {span(text)} b")

    assert {"p", "code"} >= set(found.tags)
    assert f"a {one_line(text)} b" == found.text.strip().replace("\n", " ") or not one_line(text)


@given(SIGNS)
def test_prose_says_its_words_and_does_nothing(text: str) -> None:
    found = read(prose(text))

    assert {"p", "code"} >= set(found.tags)
    assert one_line(text).split() == found.text.split()


@pytest.mark.parametrize("text", [NASTY, "1. one", "- a", "# b", "> c", "* d", "---", "```", "| a"])
def test_prose_is_no_list_no_heading_and_no_block(text: str) -> None:
    assert ["p", "code"] == list(dict.fromkeys(read(prose(text)).tags))
    assert ["ul", "li", "code"] == list(dict.fromkeys(read(f"- {prose(text)}").tags))


def test_plain_words_and_numbers_stay_as_they_are() -> None:
    text = (
        "Every Post's row (of 1,000) takes 26.4 ms - 5 % - or 4.6x: it's 2xx, well-known; really."
    )

    assert text == prose(text)
    assert "`Post.comments`, 50 of `/users/{id}`." == prose("Post.comments, 50 of /users/{id}.")


@given(SIGNS)
def test_a_fenced_block_holds_its_line_and_no_more(text: str) -> None:
    found = read(f"{fenced(text, 'python')}\n\nb")

    assert ["pre", "code", "p"] == found.tags
    assert [*one_line(text).split(), "b"] == found.text.split()


@given(st.lists(SIGNS, min_size=2, max_size=2))
def test_a_row_has_as_many_cells_as_it_was_given(texts: list[str]) -> None:
    table = "\n".join([row(["a", "b"]), "|---|---|", row([span(texts[0]), prose(texts[1])])])

    found = read(table)

    assert (2, 2) == (found.tags.count("th"), found.tags.count("td"))
    assert {"table", "thead", "tbody", "tr", "th", "td", "code"} >= set(found.tags)
    words = ["a", "b", *one_line(texts[0]).split(), *one_line(texts[1]).split()]
    assert words == found.text.split()


@given(SIGNS)
def test_a_tagged_text_says_itself_within_html(text: str) -> None:
    assert f"<code>{one_line(text)}</code>" == unescape(tagged(text))
    assert ["code"] == Reader(tagged(text)).tags


@given(st.lists(SIGNS, max_size=4))
def test_a_block_holds_its_lines_and_no_more(texts: list[str]) -> None:
    text = "\n".join(texts)

    found = read(f"{block(text, 'diff')}\n\nb")

    assert ["pre", "code", "p"] == found.tags
    assert [*text.split(), "b"] == found.text.split()


def test_a_block_keeps_indents_and_shows_what_would_turn_the_text_around() -> None:
    assert "```diff\n+    a\n-\tb?\n```" == block("+    a\n-\tb\u202e\n", "diff")

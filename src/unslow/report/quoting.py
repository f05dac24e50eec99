"""Arbitrary text in Markdown, so that it says itself and does nothing."""

from __future__ import annotations

import re
from html import escape
from typing import Final

from .lines import one_line

_TICKS: Final = re.compile(r"`+")
_FENCE_LENGTH: Final = 3
_WORD: Final = re.compile(
    r"(?P<before>[(\"']*)"
    r"(?P<core>[^\W\d_]+(?:['-][^\W\d_]+)*|\d+(?:[.,]\d+)*(?:%|x|[^\W\d_]{0,2}))"
    r"(?P<after>[)\"',.;:?!]*)"
)
"""A word of prose, or a number; whatever else there is goes into a span of code."""
_SIGNS: Final = frozenset(("%", "-", "·"))
"""What may stand by itself within a sentence."""


def span(text: str) -> str:
    """Text as a span of code, on one line: no mark-up, link, mention or tag works in there."""
    flat = one_line(text)
    if not flat:
        return ""
    ticks = "`" * (_longest(flat) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{ticks}{pad}{flat}{pad}{ticks}"


def prose(text: str) -> str:
    """A sentence whose words stay as they are; what could be mark-up goes into spans of code."""
    words = one_line(text).split(" ")
    return " ".join(_word(word, is_first=number == 0) for number, word in enumerate(words) if word)


def _word(word: str, *, is_first: bool) -> str:
    if word in _SIGNS and not is_first:
        return word
    found = _WORD.fullmatch(word)
    # "1." at the beginning of a line would be a list.
    if found is not None and not (is_first and word[0].isdigit() and found["after"]):
        return word
    core = word.rstrip(",.;:")
    after = word[len(core) :] if core else ""
    return f"{span(core or word)}{after}"


def fenced(code: str, language: str = "") -> str:
    """Text as a block of code, on one line."""
    flat = one_line(code)
    fence = "`" * max(_FENCE_LENGTH, _longest(flat) + 1)
    return f"{fence}{language}\n{flat}\n{fence}"


def block(text: str, language: str = "") -> str:
    """Text as a block of code with its lines as they are."""
    lines = [_printable(line) for line in text.splitlines()]
    fence = "`" * max(_FENCE_LENGTH, _longest(text) + 1)
    return "\n".join([f"{fence}{language}", *lines, fence])


def _printable(line: str) -> str:
    return "".join(sign if sign.isprintable() or sign == "\t" else "?" for sign in line)


def row(cells: list[str]) -> str:
    """A row of a table; its cells are Markdown already, without line breaks."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def tagged(text: str) -> str:
    """Text as code in HTML, where Markdown is not read."""
    return f"<code>{escape(one_line(text))}</code>"


def _longest(text: str) -> int:
    return max((len(ticks) for ticks in _TICKS.findall(text)), default=0)

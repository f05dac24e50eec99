"""Lines that fit: what is too long is shortened in the middle, what is too much goes on below."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.text import Text

Item = Text | str | tuple[str, ...]
"""A part of a line; of several texts that say the same the longest that fits is taken."""

ELLIPSIS: Final = "…"
SEPARATOR: Final = " · "
_ITEM_TAIL: Final = 0.75
"""A place ends with its file, line and function, a sentence with its numbers."""

_SPACE: Final = re.compile(r"\s+")
_FIRST_FROM: Final = re.compile(r"[()]|\bFROM\b", re.IGNORECASE)
_SELECT: Final = re.compile(r"SELECT(?: DISTINCT)? ", re.IGNORECASE)
_INSERT: Final = re.compile(r"(INSERT INTO \S+ )\([^()]+\)", re.IGNORECASE)
_JOINT: Final = re.compile(r"(?<=[,(/=])|(?=\.)")
"""Where code may go on in the next line: behind a comma, a bracket or a slash, before a dot."""
_RETURNING: Final = re.compile(r" RETURNING .*", re.IGNORECASE)
_CAST: Final = re.compile(
    r"\?::\w+(?: varying| precision| with(?:out)? time zone)?(?:\(\?\))?(?:\[\])*", re.IGNORECASE
)


def one_line(text: str) -> str:
    """The text without line breaks and without what a terminal would obey."""
    flat = _SPACE.sub(" ", text).strip()
    return flat if flat.isprintable() else "".join(c if c.isprintable() else "?" for c in flat)


def shorten(text: str, width: int, tail: float = 0.5) -> str:
    """The text in at most `width` cells; `tail` is the share that is kept of its end."""
    if cell_len(text) <= width:
        return text
    head_count, tail_count = _kept(text, width, tail)
    return text[:head_count] + ELLIPSIS[:width] + text[len(text) - tail_count :]


def shorten_text(text: Text, width: int) -> Text:
    """The same for an item of a line, of which the end says more than the beginning."""
    if text.cell_len <= width:
        return text
    head_count, tail_count = _kept(text.plain, width, _ITEM_TAIL)
    tail = text[len(text) - tail_count :] if tail_count else Text()
    return Text.assemble(text[:head_count], ELLIPSIS[:width], tail)


def _kept(text: str, width: int, tail: float) -> tuple[int, int]:
    """How many characters of the beginning and of the end fit beside the ellipsis."""
    free = max(0, width - 1)
    tail_count = _fitting(reversed(text), int(free * tail))
    used = cell_len(text[len(text) - tail_count :])
    return _fitting(text, free - used), tail_count


def _fitting(characters: Iterable[str], width: int) -> int:
    count = 0
    for character in characters:
        width -= cell_len(character)
        if width < 0:
            break
        count += 1
    return count


def shorten_shape(shape: str, width: int) -> str:
    """A statement's shape in at most `width` cells, without what drivers add.

    The list of columns is the first to go, then the end: a reader knows a statement by its tables
    and conditions.
    """
    shape = _CAST.sub("?", one_line(shape))
    if cell_len(shape) > width:
        shape = _without_columns(shape)
    if cell_len(shape) <= width:
        return shape
    cut = shorten(shape, width, tail=0)
    words, space, _ = cut.rpartition(" ")
    return f"{words} {ELLIPSIS}" if space else cut


def _without_columns(shape: str) -> str:
    select = _SELECT.match(shape)
    if select is None:
        return _RETURNING.sub(f" RETURNING {ELLIPSIS}", _INSERT.sub(rf"\1({ELLIPSIS})", shape))
    depth = 0
    for found in _FIRST_FROM.finditer(shape, select.end()):
        if found.group() in "()":
            depth += 1 if found.group() == "(" else -1
        elif depth == 0:
            return f"{select.group()}{ELLIPSIS} {shape[found.start() :]}"
    return shape


def flow(
    items: Iterable[Item],
    width: int,
    *,
    first: Text | str = "",
    indent: int = 0,
    separator: str = SEPARATOR,
) -> list[Text]:
    """The items behind `first`, one after the other, in lines of at most `width` cells.

    An item is never broken: it goes to the next line, and is shortened where it is too long for
    a line of its own. `indent` is that of all lines but the first.
    """
    widest = max(1, width - indent)
    line = Text.assemble(first)
    lines = [line]
    begins = True
    for item in items:
        room = width - line.cell_len - (0 if begins else cell_len(separator))
        text = shorten_text(_fitting_text(item, room, widest), widest)
        if text.cell_len > room and line.plain.strip():
            line = Text(" " * indent)
            lines.append(line)
            begins = True
        line.append_text(text if begins else Text.assemble(separator, text))
        begins = False
    return lines


def _fitting_text(item: Item, room: int, widest: int) -> Text:
    """The longest of an item's texts that fits beside what stands there, or else on a new line."""
    if isinstance(item, Text):
        return item
    texts: Sequence[str] = (item,) if isinstance(item, str) else item
    for width in (room, widest):
        for text in texts:
            if cell_len(text) <= width:
                return Text(text)
    return Text(texts[-1])


def sentence(text: str, width: int, *, first: Text | str = "", indent: int = 0) -> list[Text]:
    """The words of a sentence in lines of at most `width` cells."""
    return flow(one_line(text).split(" "), width, first=first, indent=indent, separator=" ")


def unshortened(text: str, width: int, *, first: Text | str = "", indent: int = 0) -> list[Text]:
    """The same with nothing left out: a word that is too long goes on in the next line."""
    widest = max(1, width - indent)
    words = [part for word in one_line(text).split(" ") for part in _parted(word, widest)]
    return flow(words, width, first=first, indent=indent, separator=" ")


def _parted(word: str, width: int) -> Iterator[str]:
    """A word in parts of at most `width` cells, each with as much as fits."""
    part = ""
    for piece in _pieces(word, width):
        if part and cell_len(part + piece) > width:
            yield part
            part = ""
        part += piece
    yield part


def _pieces(word: str, width: int) -> Iterator[str]:
    if cell_len(word) <= width:
        yield word
        return
    for piece in _JOINT.split(word):
        yield from [piece] if cell_len(piece) <= width else piece

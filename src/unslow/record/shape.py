"""The shape of an SQL statement: its text without values."""

from __future__ import annotations

import os
import re
from typing import Final, NamedTuple

LONGEST: Final = 4_000
"""Characters of a shape that are kept."""
_REMEMBERED = 2_000

_TOKEN = re.compile(
    r"""
      (?P<comment>--[^\n]*|/\*)
    | (?P<dollar>\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$)
    | (?P<escape>[eE]')
    | (?P<string>(?:[bBxXnN]|[uU]&)?')
    | (?P<quoted>(?:[uU]&)?"(?:[^"]|"")*"|`[^`]*`)
    | (?P<parameter>\$\d+|%s|%\(\w+\)s|(?<![:\w]):\w+|\?)
    | (?P<number>(?<![\w"])(?:0[xXoObB][\da-fA-F_]+|\d[\d_]*\.?[\d_]*(?:[eE][+-]?\d+)?|\.\d+))
    | (?P<word>[^\W\d][\w$]*)
    | (?P<space>\s+)
    """,
    re.VERBOSE,
)
_BACKSLASHED_END = re.compile(r"(?:[^'\\]|\\.|'')*(?:'|\Z)", re.DOTALL)
_PLAIN_END = re.compile(r"(?:[^']|'')*(?:'|\Z)", re.DOTALL)
_COMMENT_PART = re.compile(r"/\*|\*/")
_LIST = re.compile(r"\(\?(?:, ?\?)+\)")
_ROWS = re.compile(r"\(\?\)(?:, ?\(\?\))+")
_CAST_ROW = re.compile(r"\((?:\?(?:::[\w. \"\[\]]+)?, ?)*\?(?:::[\w. \"\[\]]+)?\)")

_SAVEPOINT = re.compile(
    r"\b(SAVEPOINT|ROLLBACK TO|RELEASE)(?! SAVEPOINT\b) +(?!\?)\S+?(?=;|\s|\Z)", re.IGNORECASE
)
"""Drivers number the names of their savepoints."""

_OFFSET = re.compile(
    r"\bOFFSET\s+(?:\$(?P<number>\d+)|%\((?P<name>\w+)\)s|:(?P<word>\w+)|(?P<next>%s|\?)"
    r"|(?P<literal>\d+))",
    re.IGNORECASE,
)
_JOIN = re.compile(r"\bJOIN\b", re.IGNORECASE)

SECRET: Final = int.from_bytes(os.urandom(8))
"""Goes into each hash that leaves a request: whoever reads a hash cannot try values out."""


class TextFacts(NamedTuple):
    """What there is to know of a statement's text."""

    shape: str
    literals_key: str
    """A keyed hash of the literals; empty where there are none."""
    offset: int | str | None
    """Which parameter OFFSET takes: its index or name; a number below 0 is a literal, less 1."""
    joins_count: int


_facts: dict[str, TextFacts] = {}


def shape_of(text: str) -> str:
    """The text with literals and parameters as `?`, lists as one `?`, without comments."""
    return facts_of(text).shape


def facts_of(text: str) -> TextFacts:
    """What there is to know of a text, remembered."""
    known = _facts.get(text)
    if known is None:
        if len(_facts) >= _REMEMBERED:
            _facts.clear()
        known = _facts[text] = _facts_of(text)
    return known


def is_known(text: str) -> bool:
    """Whether the shape of a text is remembered."""
    return text in _facts


def keyed(value: object) -> str:
    """A hash of a value as eight hexadecimal digits, other ones in each process."""
    return format(hash((SECRET, value)) & 0xFFFFFFFF, "08x")


def _facts_of(text: str) -> TextFacts:
    literals: list[str] = []
    shape = "".join(_parts(text, literals)).strip()
    shape = _LIST.sub("(?)", _CAST_ROW.sub("(?)", shape))
    shape = _SAVEPOINT.sub(r"\1 ?", _ROWS.sub("(?)", shape))
    return TextFacts(
        shape=shape[:LONGEST],
        literals_key=keyed(tuple(literals)) if literals else "",
        offset=_offset_in(text) if "OFFSET ?" in shape.upper() else None,
        joins_count=len(_JOIN.findall(shape)),
    )


def _offset_in(text: str) -> int | str | None:
    every = list(_OFFSET.finditer(text))
    if not every:
        return None
    # The last one is the outermost query's.
    found = every[-1]
    if found["literal"]:
        return -1 - int(found["literal"])
    if found["number"]:
        return int(found["number"]) - 1
    if found["next"]:
        # A percent sign that is meant stands there twice.
        return text[: found.start("next")].replace("%%", "").count(found["next"])
    return found["name"] or found["word"]


def _parts(text: str, literals: list[str]) -> list[str]:
    """The text in parts, literals as `?`; each literal as it stands is added to `literals`."""
    parts: list[str] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            parts.append(text[at])
            at += 1
            continue
        start, at = at, match.end()
        kind = match.lastgroup
        if kind == "comment":
            at = _after_comment(text, match)
            _space(parts)
        elif kind == "dollar":
            end = text.find(match.group(), at)
            at = len(text) if end < 0 else end + len(match.group())
            literals.append(text[start:at])
            parts.append("?")
        elif kind in ("escape", "string"):
            # A backslash escapes in e'...' only, as in PostgreSQL since 9.1 and in SQLite.
            pattern = _BACKSLASHED_END if kind == "escape" else _PLAIN_END
            ended = pattern.match(text, at)
            at = len(text) if ended is None else ended.end()
            literals.append(text[start:at])
            parts.append("?")
        elif kind == "number":
            literals.append(match.group())
            parts.append("?")
        elif kind == "parameter":
            parts.append("?")
        elif kind == "space":
            _space(parts)
        else:
            parts.append(match.group())
    return parts


def _space(parts: list[str]) -> None:
    if parts and parts[-1] != " ":
        parts.append(" ")


def _after_comment(text: str, match: re.Match[str]) -> int:
    if match.group().startswith("--"):
        return match.end()
    depth, at = 1, match.end()
    while depth:
        part = _COMMENT_PART.search(text, at)
        if part is None:
            return len(text)
        depth += 1 if part.group() == "/*" else -1
        at = part.end()
    return at

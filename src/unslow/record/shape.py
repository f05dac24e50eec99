"""The shape of an SQL statement: its text without values."""

from __future__ import annotations

import re
from typing import Final

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

_shapes: dict[str, str] = {}


def shape_of(text: str) -> str:
    """The text with literals and parameters as `?`, lists as one `?`, without comments."""
    known = _shapes.get(text)
    if known is None:
        if len(_shapes) >= _REMEMBERED:
            _shapes.clear()
        known = _shape(text)
        _shapes[text] = known
    return known


def is_known(text: str) -> bool:
    """Whether the shape of a text is remembered."""
    return text in _shapes


def _shape(text: str) -> str:
    shape = "".join(_parts(text)).strip()
    shape = _LIST.sub("(?)", _CAST_ROW.sub("(?)", shape))
    shape = _SAVEPOINT.sub(r"\1 ?", _ROWS.sub("(?)", shape))
    return shape[:LONGEST]


def _parts(text: str) -> list[str]:
    parts: list[str] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            parts.append(text[at])
            at += 1
            continue
        at = match.end()
        kind = match.lastgroup
        if kind == "comment":
            at = _after_comment(text, match)
            _space(parts)
        elif kind == "dollar":
            end = text.find(match.group(), at)
            at = len(text) if end < 0 else end + len(match.group())
            parts.append("?")
        elif kind in ("escape", "string"):
            # A backslash escapes in e'...' only, as in PostgreSQL since 9.1 and in SQLite.
            pattern = _BACKSLASHED_END if kind == "escape" else _PLAIN_END
            ended = pattern.match(text, at)
            at = len(text) if ended is None else ended.end()
            parts.append("?")
        elif kind in ("parameter", "number"):
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

"""Words of a shell: quotes, escapes and continued lines, nothing that a shell works out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from .request_file import fault


class Word(NamedTuple):
    """One word of a command, or what ends it."""

    text: str
    line: int
    is_operator: bool = False
    """A `;`, `&`, `|`, `>` ... that no quotes take its meaning from, or the end of a line."""


_BETWEEN: Final = frozenset({"comment", "operator", "space"})

_COMMENT: Final = re.compile(r"(?P<comment>#[^\n]*)")
# In this order, each where the last one ended; together they take any character.
_PIECE: Final = re.compile(
    r"""
      (?P<continued> \\\r?\n )
    | (?P<space>     [^\S\n]+ )
    | (?P<operator>  \n | &&? | \|\|? | ; | [<>()] )
    | (?P<ansi>      \$'(?: [^'\\] | \\. )*' )
    | (?P<single>    '[^']*' )
    | (?P<double>    \$?"(?: [^"\\] | \\. )*" )
    | (?P<open>      \$?['"] )
    | (?P<variable>  \$(?: \w+ | \{[^}]*\}? | \( ) | ` )
    | (?P<escaped>   \\. )
    | (?P<plain>     [^\s'"\\;&|<>()$`]+ | \$ | \\ )
    """,
    re.VERBOSE | re.DOTALL,
)
_EXPANDED: Final = re.compile(r"\\.|(\$(?:\w+|\{[^}]*\}?|\()|`)", re.DOTALL)
_IN_DOUBLE: Final = re.compile(r"\\([\"\\$`]|\r?\n)")
_IN_ANSI: Final = re.compile(
    r"""\\(?:
      x(?P<byte>[0-9A-Fa-f]{1,2})
    | u(?P<high>[Dd][89ABab][0-9A-Fa-f]{2})\\u(?P<low>[Dd][C-Fc-f][0-9A-Fa-f]{2})
    | u(?P<short>[0-9A-Fa-f]{1,4})
    | U(?P<long>[0-9A-Fa-f]{1,8})
    | (?P<octal>[0-7]{1,3})
    | c(?P<control>.)
    | (?P<letter>.)
    )""",
    re.DOTALL | re.VERBOSE,
)
_LETTERS: Final[Mapping[str, str]] = {
    "a": "\a",
    "b": "\b",
    "e": "\x1b",
    "E": "\x1b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}


def words(text: str, name: str) -> Iterator[Word]:
    """The words of a script, as bash reads them, with the line that each begins at.

    Raises:
        RequestFileError: a quote stays open, or a value is one that only a shell knows.
    """
    at, line, began = 0, 1, 1
    parts: list[str] | None = None
    while piece := _piece(text, at, in_word=parts is not None):
        at = piece.end()
        kind, found = piece.lastgroup or "", piece.group()
        if kind in _BETWEEN:
            if parts is not None:
                yield Word("".join(parts), began)
                parts = None
            if kind == "operator":
                yield Word(found, line, is_operator=True)
        elif kind != "continued":
            if parts is None:
                parts, began = [], line
            parts.append(_READ[kind](found, f"{name}:{line}"))
        line += found.count("\n")
    if parts is not None:
        yield Word("".join(parts), began)


def _piece(text: str, at: int, *, in_word: bool) -> re.Match[str] | None:
    comment = None if in_word else _COMMENT.match(text, at)
    return comment or _PIECE.match(text, at)


def _open(found: str, place: str) -> str:
    raise fault(place, f"a quote {found} that stays open", "its end")


def _variable(found: str, place: str) -> str:
    raise fault(place, f"{found}, which only your shell can fill in", "the value itself")


def _double(found: str, place: str) -> str:
    for match in _EXPANDED.finditer(found):
        if match[1]:
            _variable(match[1], place)
    return _IN_DOUBLE.sub(lambda match: match[1].strip("\r\n"), found.removeprefix("$")[1:-1])


def _ansi(found: str, _place: str) -> str:
    # Bytes in between: one character may be spelt as several of them.
    spelt = _IN_ANSI.sub(_ansi_character, found[2:-1])
    return spelt.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def _ansi_character(match: re.Match[str]) -> str:
    kind, found = match.lastgroup, match.group(match.lastgroup or 0)
    if kind in ("byte", "octal"):
        return bytes([int(found, 16 if kind == "byte" else 8) % 256]).decode(
            "utf-8", "surrogateescape"
        )
    if kind == "low":
        # Browsers spell what lies beyond four digits as a pair, as UTF-16 does.
        return bytes.fromhex(match["high"] + found).decode("utf-16-be")
    if kind in ("short", "long"):
        return _character(int(found, 16))
    if kind == "control":
        return chr(ord(found.upper()) ^ 64)
    return _LETTERS.get(found, found if found in "\\'\"?" else f"\\{found}")


def _character(number: int) -> str:
    is_one = number < 0xD800 or 0xE000 <= number <= 0x10FFFF
    return chr(number) if is_one else "\N{REPLACEMENT CHARACTER}"


_READ: Final[Mapping[str, Callable[[str, str], str]]] = {
    "ansi": _ansi,
    "single": lambda found, _place: found[1:-1],
    "double": _double,
    "open": _open,
    "variable": _variable,
    "escaped": lambda found, _place: found[1:],
    "plain": lambda found, _place: found,
}

"""New statements made from the shapes of recorded ones, in which `?` stands for each value."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from .senders import ASYNCPG, PSYCOPG

_LONGEST: Final = 60
"""Characters of a list of columns, above which it is left out."""
_LONGEST_SHOWN: Final = 110
_NAME: Final = r'(?:"[^"]+"|[A-Za-z_]\w*)'
_TYPE: Final = (
    r"(?:TIME(?:STAMP)? WITH(?:OUT)? TIME ZONE|DOUBLE PRECISION|CHARACTER VARYING|\w+)(?:\(\?\))?"
)
_SELECT: Final = re.compile(
    r"SELECT (?P<what>.+?) FROM (?P<tables>.+?) WHERE (?P<condition>.+?)(?P<tail> ORDER BY .+)?",
    re.IGNORECASE,
)
_EQUALS: Final = re.compile(
    rf"(?<![\w.\"])(?P<column>{_NAME}(?:\.{_NAME})*) ?= ?\?(?:::{_TYPE})?(?=[ )]|$)", re.IGNORECASE
)
_NOT_PLAIN: Final = re.compile(
    r"\b(?:UNION|INTERSECT|EXCEPT|GROUP BY|HAVING|WINDOW|DISTINCT|OVER|LIMIT|FETCH|OFFSET|OR|FOR)\b"
    r"|\( ?SELECT\b",
    re.IGNORECASE,
)
_COUNTS: Final = re.compile(
    r"(?:count|sum|avg|min|max|bool_or|bool_and|(?:array|string|jsonb?)_agg)\(", re.IGNORECASE
)
_SLOT: Final = re.compile(r'"(?:[^"]|"")*"|`[^`]*`|\?')
_LONGEST_WORD: Final = 12
"""Characters in which what stands before a value has room."""
_OPERATORS: Final = ("|", "&", "?")
_BEFORE_VALUE: Final = re.compile(
    r"(?:[=<>~+\-*/%|,(\[@&^]|\b(?:LIMIT|OFFSET|I?LIKE|BETWEEN|AND|OR|NOT|WHEN|THEN|ELSE|SELECT"
    r"|WHERE|SET|TO|BY|ON|VALUES|RETURNING|FROM|FOR)) ?$",
    re.IGNORECASE,
)
"""What stands before a value; a question mark behind anything else is an operator of PostgreSQL,
as in `document ? 'key'`."""
_LIST: Final = re.compile(r"\b(?P<not>NOT )?IN ?\(\?\)", re.IGNORECASE)
_TYPED: Final = re.compile(r"\b(INTERVAL|DATE|TIMESTAMPTZ|TIMESTAMP|TIME) \?", re.IGNORECASE)
_COMPARED: Final = re.compile(rf"({_NAME}) ?(?:=|<>|!=|<=?|>=?|~|I?LIKE) ?$", re.IGNORECASE)


class Batch(NamedTuple):
    """A statement for many keys, made from one for a single key."""

    column: str
    """The column that is compared with the key, as the statement names it."""
    condition: str
    """What takes the place of the comparison."""
    statement: str
    """All of it; empty where it cannot be told."""
    is_counted: bool = False
    """Whether it counts or sums the rows of each key."""

    @property
    def name(self) -> str:
        """The column's own name."""
        return self.column.rpartition(".")[2].strip('"')


def batch_of(shape: str, style: str, *, has_arrays: bool = True) -> Batch | None:
    """The statement that asks for all keys at once; None where the key's column is not certain.

    Args:
        shape: The statement for one key.
        style: How parameters are written.
        has_arrays: Whether a parameter may be an array, as PostgreSQL has it.
    """
    found = list(_EQUALS.finditer(shape))
    if len(found) != 1 or " WHERE " not in shape[: found[0].start()].upper() + " ":
        return None
    column = found[0]["column"]
    condition = f"{column} = ANY({_key(style)})" if has_arrays else f"{column} IN :keys"
    whole = _SELECT.fullmatch(shape)
    others_count = shape.count("?") - found[0].group().count("?")
    if whole is None or others_count or _NOT_PLAIN.search(shape) or not _is_balanced(whole):
        return Batch(column, condition, "")
    what = whole["what"]
    is_counted = _COUNTS.match(what) is not None
    rest = whole["condition"].replace(found[0].group(), condition, 1)
    tail = f" GROUP BY {column}" if is_counted else whole["tail"] or ""
    columns = _columns(what, column, is_counted=is_counted)
    statement = " ".join(("SELECT", columns, "FROM", whole["tables"], "WHERE", rest)) + tail
    return Batch(column, condition, statement, is_counted)


def _key(style: str) -> str:
    return {ASYNCPG: "$1", PSYCOPG: "%s"}.get(style, ":keys")


def _columns(what: str, column: str, *, is_counted: bool) -> str:
    """What is selected, with the key; a long list is left out."""
    name = column.rpartition(".")[2]
    is_there = what.endswith("*") or re.search(rf"(?<![\w\"]){re.escape(name)}(?![\w\"])", what)
    if len(what) > _LONGEST:
        return "..." if is_there else f"{column}, ..."
    return what if is_there and not is_counted else f"{column}, {what}"


def _is_balanced(found: re.Match[str]) -> bool:
    """Whether the parts are whole: `extract(year FROM ...)` would be cut in two."""
    return all(one.count("(") == one.count(")") for one in found.groups("") if one)


def bound(shape: str, style: str) -> str:
    """A statement whose values are parameters; empty where it cannot be told which they are."""
    text = _LIST.sub(lambda one: "<> ALL(?)" if one["not"] else "= ANY(?)", shape)
    text = _TYPED.sub(r"CAST(? AS \1)", text)
    names: list[str] = []
    whole, last = "", 0
    for slot in _SLOT.finditer(text):
        whole += text[last : slot.start()]
        last = slot.end()
        if slot.group() != "?":
            whole += slot.group()
            continue
        if not _BEFORE_VALUE.search(whole[-_LONGEST_WORD:]) or text[last : last + 1] in _OPERATORS:
            return ""
        names.append(_compared(whole))
        whole += _mark(names, style)
    return shown(whole + text[last:])


def _compared(before: str) -> str:
    """The column that a value is compared with, as a parameter may be called."""
    found = _COMPARED.search(before.removesuffix("ANY(").removesuffix("ALL(").removesuffix("CAST("))
    name = found[1].strip('"').lower() if found else ""
    return name if name.isidentifier() else ""


def _mark(names: list[str], style: str) -> str:
    if style in (ASYNCPG, PSYCOPG):
        return f"${len(names)}" if style == ASYNCPG else "%s"
    name = names[-1]
    return f":{name}" if name and names.count(name) == 1 else f":value_{len(names)}"


def shown(statement: str) -> str:
    """A statement without its columns, or only its condition, where it is long."""
    if len(statement) <= _LONGEST_SHOWN:
        return statement
    at = statement.upper().find(" WHERE ")
    tail = statement[at + 1 :]
    return f"... {tail}" if at >= 0 and len(tail) <= _LONGEST_SHOWN else ""


def quoted(statement: str) -> str:
    """A statement as a string of Python."""
    return f"'{statement}'" if '"' in statement else f'"{statement}"'

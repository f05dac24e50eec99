"""Names in APIs and databases: their words, what they are the id of, and which mean the same."""

from __future__ import annotations

import re
from functools import cache
from typing import Final, NamedTuple

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_IDENTIFIERS: Final = frozenset(
    {"code", "guid", "id", "key", "name", "no", "number", "oid", "pk", "ref", "slug", "uuid"}
)
_MEANINGLESS: Final = frozenset({"guid", "id", "key", "oid", "pk", "uuid"})
"""Identifiers that a table has at most one of, under any of these names."""
_IRREGULAR: Final = {
    "children": "child",
    "men": "man",
    "mice": "mouse",
    "people": "person",
    "women": "woman",
}


class Identifier(NamedTuple):
    """What a parameter's name says: `author_uuid` is the `uuid` of an `author`."""

    of: str
    """What it identifies; empty where the name does not say."""
    by: str
    """The kind of identifier; empty where the name does not say."""


def words_of(name: str) -> list[str]:
    """The words of a name, however they are put together: `pageSize`, `page-size`, `page_size`."""
    return [word.lower() for word in _WORD.findall(name)]


@cache
def normal(name: str) -> str:
    """The name in snake case, so that two spellings of it are equal."""
    return "_".join(words_of(name))


@cache
def identifier(name: str) -> Identifier:
    """What the name of a parameter says about what it identifies."""
    words = words_of(name)
    if words and words[-1] in _IDENTIFIERS:
        return Identifier("_".join(words[:-1]), words[-1])
    return Identifier("_".join(words), "")


def is_identifier(name: str) -> bool:
    """Whether a name is that of an id, of which no value can be made up."""
    return identifier(name).by in _MEANINGLESS | {"slug"}


@cache
def fields_for(parameter: str) -> tuple[str, ...]:
    """The fields of an object that hold a parameter's value, the best first."""
    by = identifier(parameter).by
    names = [normal(parameter), by]
    if by in _MEANINGLESS:
        names += ["id", "uuid", "guid", "pk", "key", "oid"]
    if not by:
        names += ["id", "uuid", "guid", "pk", "slug", "key", "code", "name"]
    return tuple(dict.fromkeys(name for name in names if name))


@cache
def same_thing(one: str, other: str) -> bool:
    """Whether two names mean the same thing, in the singular or the plural."""
    *before, last = words_of(one) or [""]
    *before_other, last_other = words_of(other) or [""]
    return bool(last) and before == before_other and bool(_forms(last) & _forms(last_other))


def _forms(word: str) -> set[str]:
    """The word, and what it may be the plural of."""
    forms = {word, _IRREGULAR.get(word, word)}
    for ending, instead in (("s", ""), ("es", ""), ("ies", "y")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            forms.add(word.removesuffix(ending) + instead)
    return forms

"""Loader options as code, beside those that a statement has already."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final

import libcst as cst

from .layout import Insertion
from .patch import CannotWriteError
from .source import Source

Links = tuple[tuple[str, str], ...]
"""The calls of an option with what each is given: `("selectinload", "User.posts")`."""

_ONLY: Final = "load_only"


def links_of(code: str) -> Links:
    """Takes an option apart; empty for what is no chain of calls."""
    try:
        node = ast.parse(code.strip(), mode="eval").body
    except SyntaxError:
        return ()
    links: list[tuple[str, str]] = []
    while isinstance(node, ast.Call):
        given = ", ".join(ast.unparse(one) for one in (*node.args, *node.keywords))
        function = node.func
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Call):
            links.insert(0, (function.attr, given))
            node = function.value
        else:
            return ((ast.unparse(function), given), *links)
    return ()


def missing_of(
    source: Source, there: Sequence[cst.BaseExpression], code: str
) -> tuple[str, list[Insertion]]:
    """What of an option is not there yet: the whole of it, or what one that is there lacks.

    Raises:
        CannotWriteError: another one says how the same relationship is loaded.
    """
    ours = links_of(code)
    known = [(one, links_of(source.code(one))) for one in there]
    for _, links in known:
        _check(links, ours)
    for node, links in sorted(known, key=lambda one: -len(one[1])):
        if links and links[: len(ours)] == ours:
            return "", []
        if links and links == ours[: len(links)]:
            rest = "".join(f".{name}({given})" for name, given in ours[len(links) :])
            return "", [Insertion(source.whole_span(node)[1], rest)]
    return code, []


def _check(theirs: Links, ours: Links) -> None:
    for their, mine in zip(theirs, ours, strict=False):
        is_same = their[1] == mine[1]
        if their != mine and (is_same or their[0] == mine[0] == _ONLY):
            raise CannotWriteError(f"`{their[0]}({their[1]})` is there already")
        if not is_same:
            return

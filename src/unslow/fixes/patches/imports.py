"""The imports of a file, and how one more is written among them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import libcst as cst
from libcst.helpers import get_full_name_for_node

from .layout import WIDEST
from .patch import CannotWriteError
from .source import Source

_STEP: Final = "    "
_OWN: Final = "."
"""What relative imports are of, as others are of a package."""


def imports_of(module: cst.Module) -> Iterator[cst.Import | cst.ImportFrom]:
    """The imports at the top of a module, one after the other."""
    for line in module.body:
        if isinstance(line, cst.SimpleStatementLine):
            for one in line.body:
                if isinstance(one, (cst.Import, cst.ImportFrom)):
                    yield one


def aliases_of(node: cst.ImportFrom) -> Sequence[cst.ImportAlias]:
    """None for a star."""
    return () if isinstance(node.names, cst.ImportStar) else node.names


def module_name(node: cst.ImportFrom) -> str:
    """What is imported from, with its leading dots."""
    name = "" if node.module is None else str(get_full_name_for_node(node.module))
    return "." * len(node.relative) + name


def with_import(
    path: str, text: str, module: str, names: Iterable[str], width: int = WIDEST
) -> str:
    """A text that imports further names from a module.

    Raises:
        CannotWriteError: it has no place for an import.
    """
    for name in names:
        source = Source(path, text)
        nodes = [one for one in imports_of(source.module) if isinstance(one, cst.ImportFrom)]
        mine = [one for one in nodes if module_name(one) == module and aliases_of(one)]
        text = _extended(source, mine[0], name, width) if mine else _added(source, module, name)
    return text


def _extended(source: Source, node: cst.ImportFrom, name: str, width: int) -> str:
    """An import with one more name, where it belongs among the others."""
    aliases = aliases_of(node)
    index = _index(name, [one.evaluated_name for one in aliases])
    text = source.text
    if index < len(aliases):
        start, _ = source.span(aliases[index])
        is_own_line = node.lpar is not None and source.begins_line(start)
        gap = source.newline + source.indent_at(start) if is_own_line else " "
        text = f"{text[:start]}{name},{gap}{text[start:]}"
    else:
        text = _appended(source, aliases, name, is_in_brackets=node.lpar is not None)
    return text if node.lpar is not None else _in_brackets(text, source, node, width)


def _appended(
    source: Source, aliases: Sequence[cst.ImportAlias], name: str, *, is_in_brackets: bool
) -> str:
    text = source.text
    start, end = source.span(aliases[-1])
    comma = aliases[-1].comma
    has_comma = isinstance(comma, cst.Comma)
    end = text.index(",", end) + 1 if has_comma else end
    if not (is_in_brackets and source.begins_line(start)):
        return f"{text[:end]}{'' if has_comma else ','} {name}{text[end:]}"
    line = source.behind_line(end)
    own = f"{source.newline}{source.indent_at(start)}{name}{',' if has_comma else ''}"
    return f"{text[:end]}{'' if has_comma else ','}{text[end:line]}{own}{text[line:]}"


def _in_brackets(text: str, source: Source, node: cst.ImportFrom, width: int) -> str:
    """A text whose import has one name a line, where it would be too long else."""
    start, _ = source.span(node)
    line, newline, rest = text[start:].partition(source.newline)
    if len(line) <= width or "#" in line or "\\" in line or ";" in line:
        return text
    head, _, names = line.partition(" import ")
    parts = [f"{_STEP}{one.strip()}," for one in names.split(",")]
    lines = [f"{head} import (", *parts, ")"]
    return text[:start] + source.newline.join(lines) + newline + rest


def _index(name: str, names: list[str]) -> int:
    """Where a name belongs, in the order that the others are in; at the end where in none."""
    for key in (_by_type, str.casefold, str):
        keys = [key(one) for one in names]
        if keys == sorted(keys):
            return sum(1 for one in keys if one < key(name))
    return len(names)


def _by_type(name: str) -> str:
    """Constants, classes, the others: the order of isort and ruff."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return f"{kind}{name}"


def _added(source: Source, module: str, name: str) -> str:
    """A text with a new import, among those of its kind."""
    lines = [one for one in source.module.body if isinstance(one, cst.SimpleStatementLine)]
    lines = [one for one in lines if isinstance(one.body[0], (cst.Import, cst.ImportFrom))]
    if not lines:
        raise CannotWriteError("the file has no imports to add one to")
    text, newline = source.text, source.newline
    code = f"from {module} import {name}"
    block = _block(source, lines, _top(module))
    before = [one for one in block if _sorted_as(one) < (1, module)]
    own = [one for one in lines if _top_of(one) == _OWN]
    if (own and not block) or (block and not before):
        start, _ = source.span((block or own)[0].body[0])
        gap = "" if block else newline
        return f"{text[:start]}{code}{newline}{gap}{text[start:]}"
    at = source.behind_line(_end(source, (before or lines)[-1]))
    gap = newline if block else newline * 2
    return f"{text[:at]}{gap}{code}{text[at:]}"


def _end(source: Source, line: cst.SimpleStatementLine) -> int:
    node = line.body[-1]
    _, end = source.span(node)
    bracket = getattr(node, "rpar", None)
    return max(end, source.span(bracket)[1]) if isinstance(bracket, cst.RightParen) else end


def _top(module: str) -> str:
    return module.partition(".")[0] or _OWN


def _top_of(line: cst.SimpleStatementLine) -> str:
    return _top(_sorted_as(line)[1])


def _is_library(line: cst.SimpleStatementLine) -> bool:
    return _top_of(line) not in {_OWN, "__future__", *sys.stdlib_module_names}


def _sorted_as(line: cst.SimpleStatementLine) -> tuple[int, str]:
    """`import` before `from`, then by module: the order of isort and ruff."""
    node = line.body[0]
    if isinstance(node, cst.Import):
        return 0, str(get_full_name_for_node(node.names[0].name))
    return 1, module_name(node) if isinstance(node, cst.ImportFrom) else ""


def _block(
    source: Source, lines: list[cst.SimpleStatementLine], top: str
) -> list[cst.SimpleStatementLine]:
    """The lines that an import of a package belongs to; empty where there are none."""
    blocks: list[list[cst.SimpleStatementLine]] = []
    for line in lines:
        start, _ = source.span(line.body[0])
        if not blocks or source.line_of(start) - source.line_of(_end(source, blocks[-1][-1])) > 1:
            blocks.append([])
        blocks[-1].append(line)
    found = [block for block in blocks if any(_top_of(one) == top for one in block)]
    if top != _OWN:
        found += [block for block in blocks if any(_is_library(one) for one in block)]
    return found[0] if found else []

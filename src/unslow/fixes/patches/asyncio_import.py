"""The name that asyncio has in a file, and its import where there is none."""

from __future__ import annotations

import re
import symtable
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

import libcst as cst
from libcst import matchers as m

from .calls import Function, Source, source_of

_LINE_END: Final = re.compile(r"\r\n|\r|\n")


def module_name(source: Source) -> str:
    """The name that asyncio has in a file, or is to get.

    Raises:
        ValueError: something else has its name.
    """
    imported = _asyncio_name(source)
    if imported:
        return imported
    # An import within a function belongs to that function.
    table = symtable.symtable(source.text, "source", "exec")
    if "asyncio" in table.get_identifiers() and _is_bound(table):
        raise ValueError("the file gives the name `asyncio` to something else, or only sometimes")
    return "asyncio"


def is_global(text: str, function: Function, name: str) -> bool:
    """Whether a name in a function is that of its file, and of nothing nearer."""
    table = symtable.symtable(text, "source", "exec")
    for part in function.qualified_name.replace(".<locals>", "").split("."):
        inner = [one for one in table.get_children() if one.get_name() == part]
        near = [one for one in inner if one.get_lineno() <= function.last_line]
        if not near:
            return False
        table = max(near, key=symtable.SymbolTable.get_lineno)
    return name in table.get_identifiers() and table.lookup(name).is_global()


def with_asyncio(text: str) -> str:
    """A text that imports asyncio: where its imports stand, in their order.

    Raises:
        ValueError: the text cannot be read, or something else has the name.
    """
    source = source_of(text)
    module_name(source)
    if _asyncio_name(source):
        return text
    place = _import_place(source)
    line_end = source.module.default_newline
    lines = "import asyncio" + line_end * (1 + place.blank_after)
    return text[: place.offset] + line_end * place.blank_before + lines + text[place.offset :]


class _ImportPlace(NamedTuple):
    offset: int
    blank_after: int = 0
    blank_before: int = 0


def _import_place(source: Source) -> _ImportPlace:
    """Where `import asyncio` belongs: before the first import that sorts after it."""
    body = source.module.body
    start = _first_after_head(body)
    imports = _imports_from(body, start)
    own = [index for index in imports if _is_standard(body[index])]
    plain = [index for index in own if m.matches(body[index], _PLAIN)]
    later = [index for index in plain if _imported(body[index])[0] > "asyncio"]
    if later:
        return _ImportPlace(_offset_above(source, later[0]))
    if plain:
        return _ImportPlace(_offset_below(source, plain[-1]))
    if own:
        return _ImportPlace(_offset_above(source, own[0]))
    blank_after = 1 if imports else 2
    if start == 0:
        return _ImportPlace(_first_offset(source), blank_after)
    if start == len(body) or _has_blank_above(source, start):
        blank_after = 0
    return _ImportPlace(_offset_below(source, start - 1), blank_after, 1)


_PLAIN: Final = m.SimpleStatementLine(body=[m.Import()])
_FROM: Final = m.SimpleStatementLine(body=[m.ImportFrom()])
_DOCSTRING: Final = m.SimpleStatementLine(
    body=[m.Expr(m.OneOf(m.SimpleString(), m.ConcatenatedString()))]
)
_FUTURE: Final = m.SimpleStatementLine(body=[m.ImportFrom(module=m.Name("__future__"))])


def _first_after_head(body: Sequence[cst.BaseCompoundStatement | cst.SimpleStatementLine]) -> int:
    """The first statement that is neither the docstring nor a `from __future__`."""
    start = 1 if body and m.matches(body[0], _DOCSTRING) else 0
    while start < len(body) and m.matches(body[start], _FUTURE):
        start += 1
    return start


def _imports_from(body: Sequence[cst.CSTNode], start: int) -> list[int]:
    found: list[int] = []
    for index in range(start, len(body)):
        if not m.matches(body[index], m.OneOf(_PLAIN, _FROM)):
            break
        found.append(index)
    return found


def _imported(line: cst.CSTNode) -> list[str]:
    """The modules that a line imports, or imports from; empty for one beside the file."""
    (statement,) = cst.ensure_type(line, cst.SimpleStatementLine).body
    if isinstance(statement, cst.Import):
        return [one.evaluated_name for one in statement.names]
    found = cst.ensure_type(statement, cst.ImportFrom)
    if found.relative or found.module is None:
        return []
    return [cst.Module([]).code_for_node(found.module)]


def _is_standard(line: cst.CSTNode) -> bool:
    modules = _imported(line)
    return bool(modules) and all(
        one.partition(".")[0] in sys.stdlib_module_names for one in modules
    )


def _line_starts(text: str) -> list[int]:
    return [0, *(one.end() for one in _LINE_END.finditer(text))]


def _offset_above(source: Source, index: int) -> int:
    """The begin of a statement's line, or of the comments above that belong to it."""
    comments_count = 0
    leading = _leading_lines(source, index)
    for one in reversed(leading):
        if one.comment is None:
            break
        comments_count += 1
    return _line_starts(source.text)[
        source.lines_of(source.module.body[index])[0] - 1 - comments_count
    ]


def _first_offset(source: Source) -> int:
    """The begin of the first statement; comments above it are the head of the file."""
    if not source.module.body:
        return len(source.text)
    first = source.module.body[0]
    decorators = getattr(first, "decorators", ())
    line = min(source.lines_of(one)[0] for one in (first, *decorators))
    return _line_starts(source.text)[line - 1]


def _offset_below(source: Source, index: int) -> int:
    starts = _line_starts(source.text)
    last_line = source.lines_of(source.module.body[index])[1]
    return starts[last_line] if last_line < len(starts) else len(source.text)


def _has_blank_above(source: Source, index: int) -> bool:
    return any(one.comment is None for one in _leading_lines(source, index))


def _leading_lines(source: Source, index: int) -> Sequence[cst.EmptyLine]:
    """The lines above a statement that belong to it; the head of the file is not among them."""
    found: Sequence[cst.EmptyLine] = getattr(source.module.body[index], "leading_lines", ())
    return found


def _asyncio_name(source: Source) -> str:
    """What the file calls asyncio; empty where it does not import it for all of the file."""
    for line in source.module.body:
        if m.matches(line, _PLAIN):
            statement = cst.ensure_type(
                cst.ensure_type(line, cst.SimpleStatementLine).body[0], cst.Import
            )
            for one in statement.names:
                if one.evaluated_name == "asyncio":
                    return one.evaluated_alias or "asyncio"
                if one.evaluated_name.startswith("asyncio.") and one.asname is None:
                    return "asyncio"
    return ""


def _is_bound(table: symtable.SymbolTable) -> bool:
    symbol = table.lookup("asyncio")
    return symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()

"""A source file as it is read to be changed: its tree, where each part stands, what belongs where.

The text is changed by insertions at offsets, so that all else stays byte for byte.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from functools import cached_property
from typing import Final

import libcst as cst
from libcst.metadata import (
    ByteSpanPositionProvider,
    ExpressionContext,
    ExpressionContextProvider,
    MetadataWrapper,
    ParentNodeProvider,
)

from .patch import CannotWriteError

Span = tuple[int, int]
"""Offsets in a text: the first character, and the one behind the last."""

_MARK: Final = "\ufeff"
"""What some editors put before the first line."""
_SUITES: Final = (cst.BaseSuite, cst.Else, cst.Finally, cst.ExceptHandler, cst.ExceptStarHandler)
_SCOPES: Final = (cst.FunctionDef, cst.ClassDef, cst.Lambda)


class Source:
    """One file."""

    def __init__(self, path: str, text: str) -> None:
        """Parses a text.

        Raises:
            CannotWriteError: it is no Python, or would not be given back as it is.
        """
        self.path = path
        self.text = text
        body = text.removeprefix(_MARK)
        self._shift = len(text) - len(body)
        try:
            self.module = cst.parse_module(body)
        except (cst.ParserSyntaxError, RecursionError) as error:
            raise CannotWriteError("the file is not Python that can be read") from error
        if self.module.code != body:
            raise CannotWriteError("the file holds characters that a patch would lose")
        self._metadata = MetadataWrapper(self.module, unsafe_skip_copy=True)
        self._bytes = body.encode()
        self._starts = [0, *(at + 1 for at, one in enumerate(text) if one == "\n")]

    @property
    def newline(self) -> str:
        """What ends most of its lines."""
        return self.module.default_newline

    @cached_property
    def _spans(self) -> dict[cst.CSTNode, Span]:
        found = self._metadata.resolve(ByteSpanPositionProvider)
        return {
            node: (self._offset(one.start), self._offset(one.start + one.length))
            for node, one in found.items()
        }

    @cached_property
    def _parents(self) -> dict[cst.CSTNode, cst.CSTNode]:
        return dict(self._metadata.resolve(ParentNodeProvider))

    @cached_property
    def _contexts(self) -> dict[cst.CSTNode, ExpressionContext | None]:
        return dict(self._metadata.resolve(ExpressionContextProvider))

    @cached_property
    def _is_plain(self) -> bool:
        return self._bytes.isascii()

    def _offset(self, byte: int) -> int:
        at = byte if self._is_plain else len(self._bytes[:byte].decode())
        return at + self._shift

    def span(self, node: cst.CSTNode) -> Span:
        """Where a node stands, without the parentheses around it."""
        return self._spans[node]

    def whole_span(self, node: cst.CSTNode) -> Span:
        """Where a node stands, with the parentheses around it."""
        start, end = self.span(node)
        code_of = self.module.code_for_node
        left = "".join(code_of(one) for one in getattr(node, "lpar", ()))
        right = "".join(code_of(one) for one in getattr(node, "rpar", ()))
        return start - len(left), end + len(right)

    def code(self, node: cst.CSTNode) -> str:
        """The text of a node."""
        start, end = self.whole_span(node)
        return self.text[start:end]

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """What a node is a part of."""
        return self._parents.get(node)

    def above(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """What a node is a part of, from the inside out."""
        parent = self.parent(node)
        while parent is not None:
            yield parent
            parent = self.parent(parent)

    def line_of(self, offset: int) -> int:
        """The number of the line at an offset, from 1."""
        return bisect.bisect_right(self._starts, offset)

    def indent_at(self, offset: int) -> str:
        """The white space that the line at an offset begins with."""
        line = self.text[self._starts[self.line_of(offset) - 1] :].split("\n", 1)[0]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def begins_line(self, offset: int) -> bool:
        """Whether only white space stands before an offset on its line, which is free to move."""
        start = self._starts[self.line_of(offset) - 1]
        is_held = self.text[:start].rstrip("\r\n").endswith("\\")
        return not is_held and not self.text[start:offset].strip(" \t")

    def behind_line(self, offset: int) -> int:
        """The end of the line where only a comment follows on it, else the offset itself."""
        rest, _, _ = self.text[offset:].partition("\n")
        shown = rest.strip()
        return offset + len(rest.rstrip()) if not shown or shown[0] == "#" else offset

    def function_of(self, node: cst.CSTNode) -> cst.FunctionDef | None:
        """The innermost function around a node."""
        found = (one for one in self.above(node) if isinstance(one, cst.FunctionDef))
        return next(found, None)

    def qualified_name(self, node: cst.CSTNode) -> str:
        """The name of the function around a node, as Python gives it."""
        parts: list[str] = []
        for one in self.above(node):
            if isinstance(one, cst.FunctionDef):
                parts[:0] = [one.name.value, "<locals>"] if parts else [one.name.value]
            elif isinstance(one, cst.ClassDef) and parts:
                parts.insert(0, one.name.value)
        return ".".join(parts) or "<module>"

    def is_read(self, name: cst.Name) -> bool:
        """Whether a name is read there, and not given a value, nor an attribute's or a keyword."""
        return self._contexts.get(name) is ExpressionContext.LOAD

    def is_set(self, name: cst.Name) -> bool:
        """Whether a name is given a value there, or loses it."""
        return self._contexts.get(name) in (ExpressionContext.STORE, ExpressionContext.DEL)

    def statement_at(self, line: int, function: str) -> cst.CSTNode:
        """The innermost statement on a line of a function; of a block only its head counts.

        Raises:
            CannotWriteError: there is none, or several, or the line is of another function.
        """
        found = [(self.span(node), node) for node in self._statements if self._holds(node, line)]
        if not found:
            raise CannotWriteError("no code stands there any more")
        least = min(end - start for (start, end), _ in found)
        nodes = [node for (start, end), node in found if end - start == least]
        same_line = [node for _, node in found if isinstance(node, cst.BaseSmallStatement)]
        if len(nodes) > 1 or len(same_line) > 1:
            raise CannotWriteError("several statements stand on the line")
        while function.endswith(">") and ".<locals>." in function:
            function = function.rpartition(".<locals>.")[0]
        if self.qualified_name(nodes[0]) != function:
            raise CannotWriteError(f"the line is not in `{function}` any more")
        return nodes[0]

    @cached_property
    def _statements(self) -> list[cst.CSTNode]:
        kinds = (cst.BaseSmallStatement, cst.BaseCompoundStatement)
        return [node for node in self._spans if isinstance(node, kinds)]

    def _holds(self, node: cst.CSTNode, line: int) -> bool:
        start, end = self.span(node)
        return self.line_of(start) <= line <= self.line_of(max(start, end - 1))


def within(statement: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """All that a statement itself evaluates: no block below it, no function in it."""
    for child in statement.children:
        if not isinstance(child, (*_SUITES, *_SCOPES, cst.BaseCompoundStatement)):
            yield child
            yield from within(child)


def under(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """All that is part of a function or a module, but for what is in a function or class in it."""
    for child in node.children:
        yield child
        if not isinstance(child, _SCOPES):
            yield from under(child)

"""The user's source, as far as rules ask for it: which line it is, and what uses what there."""

from __future__ import annotations

import ast
from functools import cached_property
from pathlib import Path
from typing import Final

from ..model.trace import Place

Function = ast.FunctionDef | ast.AsyncFunctionDef
_LONGEST_BYTES: Final = 2_000_000


class Sources:
    """Source files by path, each read once."""

    def __init__(self, newest_at: float | None = None) -> None:
        """Reads files that were not changed after `newest_at`, in seconds since 1970."""
        self._newest_at = newest_at
        self._files: dict[str, SourceFile | None] = {}

    def file(self, path: str) -> SourceFile | None:
        """A file; None where it cannot be read, or is another one by now."""
        if path not in self._files:
            self._files[path] = self._read(path)
        return self._files[path]

    def line(self, place: Place | None) -> str:
        """The line at a place, without its indentation; empty where it is not known."""
        file = None if place is None else self.file(place.path)
        if place is None or file is None or not 0 < place.line <= len(file.lines):
            return ""
        return file.lines[place.line - 1].strip()

    def function(self, place: Place | None) -> Function | None:
        """The innermost function around a place."""
        file = None if place is None else self.file(place.path)
        return None if place is None or file is None else file.function_at(place.line)

    def statement(self, place: Place | None) -> ast.stmt | None:
        """The innermost simple statement around a place."""
        file = None if place is None else self.file(place.path)
        return None if place is None or file is None else file.statement_at(place.line)

    def _read(self, path: str) -> SourceFile | None:
        file = Path(path)
        try:
            status = file.stat()
            is_newer = self._newest_at is not None and status.st_mtime > self._newest_at
            if is_newer or status.st_size > _LONGEST_BYTES:
                return None
            return SourceFile(file.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return None


class SourceFile:
    """A file's text and what Python makes of it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.splitlines()
        self._functions: dict[int, Function | None] = {}
        self._statements: dict[int, ast.stmt | None] = {}
        """By line: rules ask for few lines, and for each request."""

    @cached_property
    def tree(self) -> ast.Module | None:
        """The tree; None for what is no Python."""
        try:
            return ast.parse(self.text)
        except (SyntaxError, ValueError):
            return None

    def function_at(self, line: int) -> Function | None:
        """The innermost function whose lines, decorators included, hold a line."""
        if line not in self._functions:
            found = [
                node
                for node in self._nodes
                if isinstance(node, Function) and _first_line(node) <= line <= _last_line(node)
            ]
            self._functions[line] = max(found, key=lambda node: node.lineno, default=None)
        return self._functions[line]

    def statement_at(self, line: int) -> ast.stmt | None:
        """The innermost statement whose lines hold a line."""
        if line not in self._statements:
            found = [node for node in self._nodes if node.lineno <= line <= _last_line(node)]
            self._statements[line] = max(found, key=_innermost, default=None)
        return self._statements[line]

    @cached_property
    def _nodes(self) -> tuple[ast.stmt, ...]:
        """All statements."""
        walked = () if self.tree is None else ast.walk(self.tree)
        return tuple(node for node in walked if isinstance(node, ast.stmt))


def _innermost(node: ast.stmt) -> tuple[int, int, int]:
    return node.lineno, -_last_line(node), node.col_offset


def _first_line(node: Function) -> int:
    return min([node.lineno, *(one.lineno for one in node.decorator_list)])


def _last_line(node: ast.stmt) -> int:
    return node.lineno if node.end_lineno is None else node.end_lineno


def names_set(statement: ast.AST) -> set[str]:
    """The names that a statement gives a value to."""
    return {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def names_read(node: ast.AST) -> set[str]:
    """The names that something reads."""
    return {
        one.id
        for one in ast.walk(node)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)
    }

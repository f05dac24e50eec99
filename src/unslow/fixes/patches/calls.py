"""The calls of a source file: which function makes each, at which line, and what surrounds it."""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

import libcst as cst
from libcst import matchers as m
from libcst.metadata import (
    ByteSpanPositionProvider,
    CodeSpan,
    MetadataWrapper,
    ParentNodeProvider,
    PositionProvider,
)

_WAITING_BUILTINS: Final = frozenset({"open", "input", "print", "exec", "eval", "__import__"})
_BUILTINS: Final = frozenset(vars(builtins)) - _WAITING_BUILTINS
_QUICK_METHODS: Final = (
    frozenset(name for kind in (str, bytes) for name in vars(kind))
    | frozenset({"append", "extend", "add", "items", "keys", "values"})
) - frozenset({"count", "find", "index", "replace"})
"""Methods of the language's own values, but for those that clients of databases have too."""

_EXCLUSIVE: Final = re.compile(
    r"lock|mutex|semaphore|acquire|conn|begin|transaction", re.IGNORECASE
)
"""In the names of what one has and others wait for: locks, and connections of a pool."""

_OTHER_FRAME: Final = re.compile(r"(\.<locals>\.<(lambda|\w+comp|genexpr)>)+$")
_COMPREHENSIONS: Final = (cst.GeneratorExp, cst.ListComp, cst.SetComp, cst.DictComp)


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A function with a name."""

    node: cst.FunctionDef
    qualified_name: str
    first_line: int
    """That of its first decorator, as Python counts; of the `def` where there is none."""
    last_line: int
    is_async: bool

    @property
    def name(self) -> str:
        return self.node.name.value

    @property
    def is_method(self) -> bool:
        """Whether it is called on an object or a class."""
        above, _, _ = self.qualified_name.rpartition(".")
        return bool(above) and not above.endswith("<locals>")


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call in the body of a function."""

    node: cst.Call
    function: Function
    """The innermost function with a name around it."""
    name: str
    """What is called, without what stands before its last dot; empty where it has no name."""
    line: int
    """The line that Python counts as the call's: of a method that of its name."""
    start: int
    end: int
    """Where its text begins and ends, in characters, parentheses around it left out."""
    is_awaited: bool
    fixed_by: str
    """Why no `await` can stand in its place, as `it stands in a lambda`; empty where one can."""
    is_quick: bool
    """Whether it is by its name a function of the language's own, or makes an object."""
    is_construction: bool

    def holds(self, other: Call) -> bool:
        """Whether the other call stands within this one."""
        return self.start <= other.start and other.end <= self.end


class Source:
    """A source file with its functions and their calls."""

    def __init__(self, text: str) -> None:
        """Reads a text.

        Raises:
            ValueError: it is no Python, or begins with a byte order mark.
        """
        try:
            wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
        except (cst.ParserSyntaxError, RecursionError) as error:
            raise ValueError("it cannot be read as Python") from error
        self.text = text
        self.module = wrapper.module
        if self.module.code != text:
            raise ValueError("it is written in a way that does not come back unchanged")
        self._positions = wrapper.resolve(PositionProvider)
        self._parents = wrapper.resolve(ParentNodeProvider)
        self._by_node = {one.node: one for one in self._functions()}
        self.functions: tuple[Function, ...] = tuple(self._by_node.values())
        spans = _Spans(text, wrapper.resolve(ByteSpanPositionProvider))
        self.calls: tuple[Call, ...] = tuple(self._calls(spans))

    def function_at(self, line: int, qualified_name: str) -> Function | None:
        """The function of this name around a line; lambdas and comprehensions belong to theirs."""
        wanted = _OTHER_FRAME.sub("", qualified_name)
        found = [
            one
            for one in self.functions
            if one.qualified_name == wanted and one.first_line <= line <= one.last_line
        ]
        return max(found, key=lambda one: one.first_line, default=None)

    def calls_of(self, function: Function) -> list[Call]:
        """The calls in the body of a function, those of functions within it left out."""
        return [one for one in self.calls if one.function is function]

    def code_of(self, node: cst.CSTNode) -> str:
        """The text of a node."""
        return self.module.code_for_node(node)

    def lines_of(self, node: cst.CSTNode) -> tuple[int, int]:
        """The first and the last line of a node."""
        position = self._positions[node]
        return position.start.line, position.end.line

    def parent_of(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """The node that a node is part of."""
        return self._parents.get(node)

    def is_generator(self, function: Function) -> bool:
        """Whether a function yields; what functions within it do is theirs."""
        yields = m.findall(function.node.body, m.Yield())
        return any(self._nearest(one) is function.node for one in yields)

    def _nearest(self, node: cst.CSTNode | None) -> cst.CSTNode | None:
        while node is not None and not isinstance(node, cst.FunctionDef | cst.Lambda):
            node = self.parent_of(node)
        return node

    def _functions(self) -> Iterator[Function]:
        for found in m.findall(self.module, m.FunctionDef()):
            node = cst.ensure_type(found, cst.FunctionDef)
            first, last = self.lines_of(node)
            first = min([first, *(self.lines_of(one)[0] for one in node.decorators)])
            yield Function(
                node, self._qualified_name(node), first, last, node.asynchronous is not None
            )

    def _qualified_name(self, node: cst.FunctionDef) -> str:
        parts = [node.name.value]
        above = self.parent_of(node)
        while above is not None:
            if isinstance(above, cst.FunctionDef):
                parts += ["<locals>", above.name.value]
            elif isinstance(above, cst.ClassDef):
                parts.append(above.name.value)
            above = self.parent_of(above)
        return ".".join(reversed(parts))

    def _calls(self, spans: _Spans) -> Iterator[Call]:
        own_names = {one.name for one in self.functions}
        for found in m.findall(self.module, m.Call()):
            node = cst.ensure_type(found, cst.Call)
            around = self._around(node)
            if around.owner is None:
                continue
            start, end = spans.of(node)
            line, _ = self.lines_of(node)
            if isinstance(node.func, cst.Attribute):
                _, line = self.lines_of(node.func.attr)
            yield Call(
                node=node,
                function=self._by_node[around.owner],
                name=name_of(node.func),
                line=line,
                start=start,
                end=end,
                is_awaited=isinstance(self.parent_of(node), cst.Await),
                fixed_by=around.fixed_by,
                is_quick=_is_quick(node.func, own_names),
                is_construction=_is_class_name(name_of(node.func)),
            )

    def _around(self, node: cst.CSTNode) -> _Around:
        """The function whose body a node stands in, and the first thing that forbids an `await`."""
        fixed_by = ""
        child, parent = node, self.parent_of(node)
        while parent is not None:
            if isinstance(parent, cst.FunctionDef) and child is parent.body:
                return _Around(parent, fixed_by)
            if isinstance(parent, cst.ClassDef) and child is parent.body:
                return _Around(None, "")
            if isinstance(child, cst.CompFor):
                fixed_by = fixed_by or self._in_comprehension(node, child)
            fixed_by = fixed_by or _forbids(parent, child)
            child, parent = parent, self.parent_of(parent)
        return _Around(None, "")

    def _in_comprehension(self, node: cst.CSTNode, loop: cst.CompFor) -> str:
        """Only the first thing that a comprehension goes through is made outside of it."""
        child: cst.CSTNode | None = node
        while child is not None and self.parent_of(child) is not loop:
            child = self.parent_of(child)
        is_first = isinstance(self.parent_of(loop), _COMPREHENSIONS)
        return "" if is_first and child is loop.iter else "it stands in a comprehension"


class _Around(NamedTuple):
    owner: cst.FunctionDef | None
    fixed_by: str


@lru_cache(maxsize=16)
def source_of(text: str) -> Source:
    """The functions and calls of a text; the same text is read once.

    Raises:
        ValueError: it cannot be read; the message is the end of a sentence about the file.
    """
    return Source(text)


def name_of(func: cst.BaseExpression) -> str:
    """The name of what is called, without what stands before its last dot."""
    if isinstance(func, cst.Attribute):
        return func.attr.value
    return func.value if isinstance(func, cst.Name) else ""


class _Spans:
    """Where nodes stand in a text, in characters."""

    def __init__(self, text: str, spans: Mapping[cst.CSTNode, CodeSpan]) -> None:
        self._spans = spans
        # Most files have one byte for each character: then there is nothing to be counted.
        self._ends = None if text.isascii() else _byte_ends(text)

    def of(self, node: cst.CSTNode) -> tuple[int, int]:
        span = self._spans[node]
        return self._character(span.start), self._character(span.start + span.length)

    def _character(self, byte: int) -> int:
        return byte if self._ends is None else self._ends[byte]


def _byte_ends(text: str) -> dict[int, int]:
    """The number of the character that begins at a byte."""
    ends = accumulate((len(one.encode()) for one in text), initial=0)
    return {byte: index for index, byte in enumerate(ends)}


def _forbids(parent: cst.CSTNode, child: cst.CSTNode) -> str:
    """What about a node's place in its parent leaves no room for an `await`."""
    if isinstance(parent, cst.Lambda):
        return "it stands in a lambda"
    if isinstance(parent, _COMPREHENSIONS) and not isinstance(child, cst.CompFor):
        return "it stands in a comprehension"
    if isinstance(parent, cst.WithItem):
        return "what it returns is entered by a `with`, which may wait as well"
    if isinstance(parent, cst.With) and child is parent.body and parent.asynchronous is None:
        return _held_across(parent)
    if isinstance(parent, cst.For) and child is parent.iter:
        return "a `for` goes through what it returns, which may wait as well"
    if isinstance(parent, cst.FunctionDef):
        return "it stands in the head of a function"
    return ""


def _held_across(block: cst.With) -> str:
    """Why what a `with` holds must not be held across an `await`.

    Who waits for it does so on the loop, and then those that hold it never go on.
    """
    for one in block.items:
        entered = one.item.func if isinstance(one.item, cst.Call) else one.item
        name = name_of(entered)
        if _EXCLUSIVE.search(name):
            return (
                f"it stands in `with` of `{name}`: others would wait for that on the loop, and"
                " stop the one that holds it"
            )
    return ""


def _is_quick(func: cst.BaseExpression, own_names: set[str]) -> bool:
    name = name_of(func)
    if isinstance(func, cst.Attribute):
        # A wait within a function of this file has its place there.
        on_self = isinstance(func.value, cst.Name) and func.value.value in {"self", "cls"}
        is_own = on_self and name in own_names
        return is_own or name in _QUICK_METHODS or _is_class_name(name)
    return name in _BUILTINS or name in own_names or _is_class_name(name)


def _is_class_name(name: str) -> bool:
    bare = name.lstrip("_")
    return bare[:1].isupper() and not (len(bare) > 1 and bare.isupper())

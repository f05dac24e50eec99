"""A chain of calls: `select(User).where(...).order_by(...)`."""

from __future__ import annotations

from typing import Final, NamedTuple

import libcst as cst

_BEGINS: Final = ("select", "query")
"""Methods that a chain begins with: `sa.select(...)`, `session.query(...)`."""


class Link(NamedTuple):
    """One call on what stands before it: `.where(...)`."""

    call: cst.Call
    method: cst.Attribute

    @property
    def name(self) -> str:
        """What is called."""
        return self.method.attr.value


class Chain(NamedTuple):
    """Calls on one another, and what they begin with: a call of a function, or a name."""

    root: cst.BaseExpression
    links: tuple[Link, ...]
    """In the order in which they are called."""

    @property
    def whole(self) -> cst.BaseExpression:
        """All of it."""
        return self.links[-1].call if self.links else self.root

    def named(self, name: str) -> list[Link]:
        """The calls of one method."""
        return [one for one in self.links if one.name == name]


def chain_of(node: cst.BaseExpression) -> Chain:
    """Takes an expression apart."""
    links: list[Link] = []
    while isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
        method = node.func
        if method.attr.value in _BEGINS or not isinstance(method.value, (cst.Call, cst.Name)):
            break
        links.insert(0, Link(node, method))
        node = method.value
    return Chain(node, tuple(links))


def argument(call: cst.Call, index: int, keyword: str) -> cst.Arg | None:
    """An argument of a call by its position or its keyword."""
    for one in call.args:
        if one.keyword is not None and one.keyword.value == keyword:
            return one
    first = call.args[index] if index < len(call.args) else None
    before = call.args[: index + 1]
    is_plain = first is not None and all(one.keyword is None and not one.star for one in before)
    return first if is_plain else None

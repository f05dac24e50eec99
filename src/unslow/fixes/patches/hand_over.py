"""A call handed over to a worker thread, as it is written in the source."""

from __future__ import annotations

import ast
from typing import Final, NamedTuple

import libcst as cst
from libcst import matchers as m

from .asyncio_import import module_name
from .calls import Call, Source

_SPACE: Final = cst.SimpleWhitespace(" ")
_COMMA_AT_LINE_END: Final = m.Comma(whitespace_after=m.ParenthesizedWhitespace())
_TIED: Final = m.OneOf(
    m.Await(), m.NamedExpr(), m.Yield(), m.CompFor(asynchronous=m.Asynchronous())
)


class HandOver(NamedTuple):
    """The text that takes a call's place."""

    source: str
    to_thread: str
    """How `asyncio.to_thread` is written in there."""


def handed_over(source: Source, call: Call, *, whole: bool, keeps_lines: bool = True) -> HandOver:
    """A call as it is handed over: by its name and arguments or, whole, as a lambda.

    As a lambda also what the call is made on and its arguments are worked out in the thread.

    Args:
        source: The file of the call.
        call: What is handed over.
        whole: Whether as a lambda.
        keeps_lines: Whether the text must have as many lines as before; else what is called gets
            one of its own where each argument has one.

    Raises:
        ValueError: it cannot be; the message is the end of a sentence that begins with the call.
    """
    if call.fixed_by:
        raise ValueError(call.fixed_by)
    if whole and _is_tied(call.node):
        raise ValueError("a part of it has to stay in the coroutine")
    module = module_name(source)
    bare = call.node.with_changes(lpar=(), rpar=())
    handed = _whole(bare) if whole else _by_name(bare, keeps_lines=keeps_lines)
    to_thread = cst.Attribute(cst.Name(module), cst.Name("to_thread"))
    awaited = cst.Await(
        handed.with_changes(func=to_thread), lpar=call.node.lpar, rpar=call.node.rpar
    )
    if _binds_closer(source, call):
        awaited = awaited.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return HandOver(_text_in_place(source, call, awaited), f"{module}.to_thread")


def _text_in_place(source: Source, call: Call, node: cst.Await) -> str:
    """A node's text where it stands in place of a call, with the indentation that it has there."""
    changed = cst.ensure_type(source.module.deep_replace(call.node, node), cst.Module).code
    left_count = len(source.text) - call.end
    found = changed[call.start : len(changed) - left_count]
    if source.text[: call.start] + found + source.text[call.end :] != changed:
        raise ValueError("what stands around it would be written in another way")
    return found


def in_one_line(text: str) -> str:
    """An expression without line ends and comments."""
    return ast.unparse(ast.parse(f"({text})", mode="eval"))


def _is_tied(node: cst.CSTNode) -> bool:
    """Whether a part means something else in a function of its own."""
    if m.findall(node, _TIED):
        return True
    return bool(m.findall(node, m.Call(func=m.Name(m.MatchIfTrue(_FRAME_BOUND.__contains__)))))


_FRAME_BOUND: Final = frozenset({"super", "locals", "vars", "dir", "eval", "exec"})


def _whole(node: cst.Call) -> cst.Call:
    handed = cst.Arg(cst.Lambda(cst.Parameters(), node))
    return cst.Call(func=cst.Name("to_thread"), args=[handed])


def _by_name(node: cst.Call, *, keeps_lines: bool) -> cst.Call:
    args = [_standing_alone(one) for one in node.args]
    first = cst.Arg(node.func)
    if args:
        between = _SPACE if keeps_lines else _between(node)
        first = first.with_changes(comma=cst.Comma(whitespace_after=between))
    return node.with_changes(args=[first, *args], whitespace_after_func=cst.SimpleWhitespace(""))


def _standing_alone(arg: cst.Arg) -> cst.Arg:
    """A generator needs no parentheses where it is the only argument; it has company now."""
    value = arg.value
    if not isinstance(value, cst.GeneratorExp) or value.lpar:
        return arg
    inside = value.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return arg.with_changes(value=inside)


def _between(node: cst.Call) -> cst.BaseParenthesizableWhitespace:
    """What follows the first comma: a new line where each argument has one of its own."""
    before = node.whitespace_before_args
    if not isinstance(before, cst.ParenthesizedWhitespace):
        return _SPACE
    *others, last = (one.comma for one in node.args)
    own_lines = all(m.matches(one, _COMMA_AT_LINE_END) for one in others)
    if not own_lines or not (others or isinstance(last, cst.Comma)):
        return _SPACE
    return cst.ParenthesizedWhitespace(indent=before.indent, last_line=before.last_line)


def _binds_closer(source: Source, call: Call) -> bool:
    """Whether what stands around the call would take the coroutine in place of its result."""
    if call.node.lpar:
        return False
    parent = source.parent_of(call.node)
    if isinstance(parent, cst.Attribute | cst.Subscript):
        return parent.value is call.node
    return isinstance(parent, cst.Call) and parent.func is call.node

"""The named arguments of a call: one more, one less, or with another value."""

from __future__ import annotations

import libcst as cst


def named_argument(call: cst.Call, name: str) -> cst.Arg | None:
    """The argument that is given by a name."""
    return next((one for one in call.args if one.keyword and one.keyword.value == name), None)


def without_argument(call: cst.Call, given: cst.Arg) -> cst.Call:
    """A call without one of its arguments."""
    kept = [one for one in call.args if one is not given]
    if kept and call.args[-1] is given:
        # The last one's comma, or none, belongs to the bracket behind it.
        kept[-1] = kept[-1].with_changes(comma=given.comma)
    return call.with_changes(args=kept)


def with_value(call: cst.Call, name: str, value: str) -> cst.Call:
    """A call in which a name has a value: in its place, or behind all others."""
    given, node = named_argument(call, name), cst.parse_expression(value)
    if given is not None:
        args = [one.with_changes(value=node) if one is given else one for one in call.args]
        return call.with_changes(args=args)
    tight = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
    added = cst.Arg(node, keyword=cst.Name(name), equal=tight)
    args = list(call.args)
    if args:
        added = added.with_changes(comma=args[-1].comma)
        args[-1] = args[-1].with_changes(comma=_between(call))
    return call.with_changes(args=[*args, added])


def _between(call: cst.Call) -> cst.Comma | cst.MaybeSentinel:
    """The comma that stands between two arguments; those in a column stay in one."""
    if len(call.args) > 1:
        return call.args[-2].comma
    if isinstance(call.whitespace_before_args, cst.ParenthesizedWhitespace):
        return cst.Comma(whitespace_after=call.whitespace_before_args)
    return cst.MaybeSentinel.DEFAULT

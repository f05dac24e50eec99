"""One more argument of a call, put into its text."""

from __future__ import annotations

import libcst as cst

from .layout import Insertion
from .source import Source


def is_open(call: cst.Call) -> bool:
    """Whether it takes arguments that are not seen: `*args`, `**options`."""
    return any(one.star for one in call.args)


def with_argument(source: Source, call: cst.Call, code: str) -> Insertion:
    """One more argument behind the others, on a line of its own where each of them has one."""
    if not call.args:
        _, end = source.span(call)
        return Insertion(source.text.rindex(")", 0, end), code)
    last = call.args[-1]
    _, end = source.whole_span(last.value)
    has_comma = isinstance(last.comma, cst.Comma)
    is_spread = has_comma or len(call.args) > 1
    starts = [source.span(one)[0] for one in call.args]
    if not is_spread or not all(map(source.begins_line, starts)):
        return Insertion(end, f", {code}")
    gap = source.newline + source.indent_at(starts[-1])
    behind = source.text.index(",", end) + 1 if has_comma else end
    line = source.behind_line(behind)
    if has_comma and line > behind:
        # A comment there belongs to the argument before.
        return Insertion(line, f"{gap}{code},")
    return Insertion(end, f",{gap}{code}")

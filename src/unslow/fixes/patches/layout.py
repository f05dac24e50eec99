"""Where lines end: code that is put into a file as somebody would who formats it with Black.

The rules are Black's: the content of the last brackets moves to a line of its own, then each
element, and a chain of calls is broken before its dots.
"""

from __future__ import annotations

import ast
import io
import keyword
import re
import tokenize
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final, NamedTuple

WIDEST: Final = 100
_STEP: Final = "    "
_OPENS: Final = "([{"
_CLOSES: Final = ")]}"
_LOOP: Final = re.compile(r"(?:async )?for [\w, ]+ in ")
_FEWEST_LINKS: Final = 2
"""Calls behind a call from which on a chain is broken before its dots."""


Range = tuple[int, int]


class Insertion(NamedTuple):
    """Code that is put into a text at an offset."""

    at: int
    code: str


def inserted(text: str, insertions: Iterable[Insertion], width: int = WIDEST) -> str:
    """A text with insertions, whose lines are broken where they would become too long."""
    ranges: list[Range] = []
    parts: list[str] = []
    last = size = 0
    for at, code in sorted(insertions, key=lambda one: one.at):
        parts += [text[last:at], code]
        size += at - last + len(code)
        ranges.append((size - len(code), size))
        last = at
    plain = "".join(parts) + text[last:]
    whole = _broken(plain, ranges, width)
    # Breaking lines only moves code: if it did more, they stay long.
    return whole if _tree(whole) == _tree(plain) else plain


def _tree(text: str) -> str:
    try:
        return ast.dump(ast.parse(text.removeprefix("\ufeff")))
    except (SyntaxError, ValueError):
        return ""


def _broken(text: str, ranges: list[Range], width: int) -> str:
    starts = [0, *(at + 1 for at, one in enumerate(text) if one == "\n"), len(text) + 1]
    for first, last in sorted(_logical_lines(text), reverse=True):
        start, end = starts[first - 1], starts[last] - 1
        mine = [(one - start, other - start) for one, other in ranges if start <= one < end]
        if mine:
            text = text[:start] + _put_into(text[start:end], mine, width, text) + text[end:]
    return text


def _put_into(statement: str, ranges: list[Range], width: int, text: str) -> str:
    """A statement with its lines broken, and its line ends as they are."""
    marks = statement.count("\r\n")
    if marks not in {0, statement.count("\n")}:
        return statement
    behind = "\r" if statement.endswith("\r") else ""
    is_marked = bool(marks or behind) or ("\n" not in statement and "\r\n" in text)
    lines = _statement(statement, ranges, width)
    return ("\r\n" if is_marked else "\n").join(lines) + behind


def _statement(text: str, ranges: list[Range], width: int) -> list[str]:
    """The lines of a statement with what was put into it.

    One that was laid out by the same rules is laid out anew. Of another one only the lines that
    became too long are broken.
    """
    before, last = [], 0
    for start, end in ranges:
        before.append(text[last:start])
        last = end
    old = _lines("".join(before) + text[last:])
    indent = old[0][: len(old[0]) - len(old[0].lstrip())]
    if _laid_out(old, indent, width) == old:
        new = _laid_out(_lines(text), indent, width)
        if new is not None:
            return new
    return _lines(_long_lines_broken(text, ranges, width))


def _lines(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in text.split("\n")]


def _laid_out(lines: list[str], indent: str, width: int) -> list[str] | None:
    flat = _flat(lines)
    if flat is None:
        return None
    code, comment = flat
    new = folded(code, indent, width, len(comment))
    return [*new[:-1], new[-1] + comment]


def _flat(lines: list[str]) -> tuple[str, str] | None:
    """A statement as one line, and the comment behind it; None where that loses something."""
    rows = "\n".join(lines).strip().split("\n")
    try:
        found = list(tokenize.generate_tokens(io.StringIO("\n".join(rows)).readline))
    except (tokenize.TokenError, IndentationError):
        return None
    tokens = [one for one in found if one.string.strip()]
    if not tokens:
        # What is put in is the whole statement.
        return None
    comment = ""
    if tokens[-1].type == tokenize.COMMENT:
        tokens.pop()
        comment = rows[-1][tokens[-1].end[1] :] if tokens else ""
    if any(one.type == tokenize.COMMENT or "\n" in one.string for one in tokens):
        return None
    parts = [one.string for one in tokens[:1]]
    for before, one in pairwise(tokens):
        if before.end[0] == one.start[0]:
            parts += [rows[one.start[0] - 1][before.end[1] : one.start[1]], one.string]
            continue
        if before.string == "," and one.string in _CLOSES:
            parts.pop()
        is_tight = before.string in _OPENS or one.string in (".", *_CLOSES)
        parts += ["" if is_tight else " ", one.string]
    code = "".join(parts)
    return _unwrapped(code) if len(lines) > 1 else code, comment


def _unwrapped(code: str) -> str:
    """Without the brackets around its whole value, which only let it go over several lines."""
    head, value, tail = _value(code)
    if head and value.startswith("(") and _brackets(value) == [(0, len(value) - 1)]:
        return head + value[1:-1] + tail
    return code


def _long_lines_broken(text: str, ranges: list[Range], width: int) -> str:
    is_whole = "\n" not in text
    done = len(text)
    for begin, end in reversed(ranges):
        start = max(begin, text.rfind("\n", begin, end) + 1)
        start += len(text[start:end]) - len(text[start:end].lstrip())
        first = text.rfind("\n", 0, start) + 1
        last = text.find("\n", end)
        last = len(text) if last < 0 else last
        line = text[first:last]
        if len(line.rstrip()) <= width or last > done:
            continue
        new = _long_line(line, (start - first, end - first), is_whole, width)
        if len(new) > 1:
            text = text[:first] + "\n".join(new) + text[last:]
            done = first
    return text


def _long_line(line: str, piece: tuple[int, int], is_whole: bool, width: int) -> list[str]:
    indent = line[: len(line) - len(line.lstrip())]
    code, comment = _uncommented(line.strip())
    if _is_balanced(code):
        if is_whole:
            lines = folded(code, indent, width, len(comment))
        else:
            lines = _content(code, indent, width, len(comment), is_open=code.endswith(","))
        return [*lines[:-1], lines[-1] + comment]
    start, end = piece
    new = _by_brackets(line[start:end], indent, width)
    if len(new) == 1:
        return [line]
    return [
        line[:start] + new[0].strip(),
        *new[1:-1],
        new[-1] + line[end:],
    ]


def _uncommented(line: str) -> tuple[str, str]:
    """A line of code, and what stands behind it: a comment with the space before."""
    for one in _tokens(line):
        if one.type == tokenize.COMMENT:
            code = line[: one.start[1]].rstrip()
            return code, line[len(code) :]
    return line, ""


def folded(code: str, indent: str, width: int = WIDEST, behind: int = 0) -> list[str]:
    """The lines of a statement that is one line of code; as few as fit.

    Args:
        code: The line.
        indent: White space before it.
        width: What fits.
        behind: How many more characters follow on the line, so that it is broken for them.
    """
    if _fits(code, indent, width - behind):
        return [indent + code]
    head, value, tail = _value(code)
    if head and len(_links(value)) > _FEWEST_LINKS:
        return [f"{indent}{head}(", *_element(value, indent + _STEP, width), f"{indent}){tail}"]
    return _by_brackets(code, indent, width)


def _fits(code: str, indent: str, width: int) -> bool:
    return len(indent) + len(code) <= width


def _each(parts: list[str], indent: str, width: int, ending: str = "") -> list[str]:
    lines: list[str] = []
    for part in parts:
        lines += _element(part, indent, width - len(ending))
        lines[-1] += ending
    return lines


def _element(code: str, indent: str, width: int, behind: int = 0) -> list[str]:
    """What stands within brackets, alone."""
    if _fits(code, indent, width - behind):
        return [indent + code]
    loop = _LOOP.match(code)
    head = "" if loop is None else loop[0]
    first, *links = _links(code[len(head) :])
    if len(links) >= _FEWEST_LINKS:
        return _each([head + first, *links], indent, width)
    return _by_brackets(code, indent, width)


def _content(
    code: str, indent: str, width: int, behind: int = 0, *, is_open: bool = False
) -> list[str]:
    """The lines of all that stands within brackets; `is_open` where more may follow."""
    ending = "," if is_open else ""
    code = code.strip().removesuffix(",").rstrip()
    if _fits(code + ending, indent, width - behind):
        return [indent + code + ending]
    parts = _split(code, ",")
    if len(parts) > 1:
        return _each(parts, indent, width, ",")
    clauses = _clauses(code)
    if len(clauses) > 1:
        return _each(clauses, indent, width)
    lines = _element(code, indent, width - len(ending), behind)
    return [*lines[:-1], lines[-1] + ending]


def _by_brackets(code: str, indent: str, width: int) -> list[str]:
    """Moves what stands in the last brackets that hold something to lines of its own."""
    pairs = [(start, end) for start, end in _brackets(code) if code[start + 1 : end].strip()]
    for start, end in reversed(pairs):
        head, inner, tail = code[: start + 1], code[start + 1 : end], code[end:]
        if _fits(head, indent, width):
            deeper = indent + _STEP
            parts = _split(inner, ",")
            if len(parts) > 1 and not _is_called(head):
                lines = _each(parts, deeper, width, ",")
            else:
                lines = _content(inner, deeper, width)
            return [indent + head, *lines, indent + tail]
    return [indent + code]


def _is_called(head: str) -> bool:
    """Whether its last bracket is that of a call or an index, not of a list or a tuple."""
    before = head[:-1].rstrip()[-1:]
    return before.isalnum() or before in ("_", *_CLOSES)


def _value(code: str) -> tuple[str, str, str]:
    """What stands before the value of a statement, the value, and what stands behind it.

    The first is empty where it is neither an assignment nor a `return` nor the head of a loop.
    """
    if found := _LOOP.match(code):
        return (found[0], code[found.end() : -1], ":") if code.endswith(":") else ("", code, "")
    if code.startswith("return "):
        return "return ", code[len("return ") :], ""
    for one in _top(code):
        if one.string == "=" and one.type == tokenize.OP:
            end = one.end[1] + 1
            return code[:end], code[end:], ""
    return "", code, ""


def _links(code: str) -> list[str]:
    """The calls of a chain, the first with all that stands before it; one where it is none."""
    cuts = [0]
    for before, one in pairwise(_top(code)):
        if one.type == tokenize.NAME and keyword.iskeyword(one.string):
            return [code]
        if one.type == tokenize.OP and one.string not in (".", *_OPENS, *_CLOSES):
            return [code]
        if one.string == "." and before.string in _CLOSES:
            cuts.append(one.start[1])
    if code.startswith("await "):
        return [code]
    return [code[start:end] for start, end in pairwise([*cuts, len(code)])]


def _split(code: str, separator: str) -> list[str]:
    cuts = [(one.start[1], one.end[1]) for one in _top(code) if one.string == separator]
    starts = [0, *(end for _, end in cuts)]
    ends = [*(start for start, _ in cuts), len(code)]
    parts = [code[start:end].strip() for start, end in zip(starts, ends, strict=True)]
    return [one for one in parts if one]


def _clauses(code: str) -> list[str]:
    """The parts of a comprehension."""
    tokens = [one for one in _top(code) if one.string in ("for", "async", "if")]
    if not any(one.string == "for" for one in tokens):
        return [code]
    cuts = [one.start[1] for one in tokens]
    cuts = [at for at in cuts if not code[:at].endswith("async ")]
    first = min(code.find("for"), *cuts)
    cuts = sorted({0, *(at for at in cuts if at >= first)})
    return [code[start:end].strip() for start, end in pairwise([*cuts, len(code)])]


def _top(code: str) -> Iterator[tokenize.TokenInfo]:
    """The tokens that are in no brackets, the brackets themselves included."""
    depth = 0
    for one in _tokens(code):
        if one.type == tokenize.OP and one.string in _CLOSES:
            depth -= 1
        if depth == 0:
            yield one
        if one.type == tokenize.OP and one.string in _OPENS:
            depth += 1


def _brackets(code: str) -> list[tuple[int, int]]:
    """The outermost pairs of brackets."""
    tops = [one for one in _top(code) if one.type == tokenize.OP]
    starts = [one.start[1] for one in tops if one.string in _OPENS]
    ends = [one.start[1] for one in tops if one.string in _CLOSES]
    return list(zip(starts, ends, strict=False))


def _tokens(code: str) -> list[tokenize.TokenInfo]:
    """The tokens of one line of code; none where it is no whole line."""
    try:
        found = list(tokenize.generate_tokens(io.StringIO(code).readline))
    except (tokenize.TokenError, IndentationError):
        return []
    return [one for one in found if one.string.strip()]


def _is_balanced(code: str) -> bool:
    """Whether a line of code closes what it opens."""
    depth = 0
    tokens = _tokens(code)
    for one in tokens:
        depth += (one.string in _OPENS) - (one.string in _CLOSES) if one.type == tokenize.OP else 0
        if depth < 0:
            return False
    return bool(tokens) and depth == 0 and not code.endswith("\\")


def _logical_lines(text: str) -> set[tuple[int, int]]:
    """The first and the last line of each statement, or of its head."""
    found: set[tuple[int, int]] = set()
    first = 0
    passive = (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT)
    try:
        for one in tokenize.generate_tokens(io.StringIO(text.removeprefix("\ufeff")).readline):
            if one.type == tokenize.NEWLINE:
                found.add((first, one.start[0]))
                first = 0
            elif one.type not in passive:
                first = first or one.start[0]
    except (tokenize.TokenError, IndentationError):
        return set()
    return found

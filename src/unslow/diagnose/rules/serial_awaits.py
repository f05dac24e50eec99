"""Waits that could go side by side.

Looks for: calls of other services that one function awaits one behind the other, where the source
shows that the later one uses nothing of the earlier one's answer.
Costs: the sum of both waits, where the longer one would do.
Instead: `asyncio.gather(...)` or a `TaskGroup`.
Misses: calls whose source cannot be read; results that are handed on by way of an object.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

from ...model.finding import Finding
from ...model.trace import Place
from ..rule import Nearly, Threshold, rule, swept
from ..sources import Function, Sources, names_read, names_set
from ..views import RemoteCall, Request, Requests

_SHORTEST_MS: Final = 1.0
"""Of each of two waits; below it there is little to gain."""

_Block = ast.If | ast.While | ast.For | ast.AsyncFor | ast.Match | ast.Try


class _Pair(NamedTuple):
    first: Place
    second: Place


@rule(
    id="serial-awaits",
    title="Independent calls are awaited one behind the other",
    needs=("remote",),
    threshold=Threshold(0.1, "of the request", swept("serial-awaits")),
)
def serial_awaits(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each pair of lines."""
    saved: dict[_Pair, float] = defaultdict(float)
    for request in requests:
        for pair, ms in _pairs(request):
            saved[pair] += ms
    for pair, whole_ms in saved.items():
        ms = whole_ms / len(requests)
        if ms < threshold * requests.mean_wall_ms or ms < _SHORTEST_MS:
            continue
        verdict = _verdict(pair, requests.run.sources)
        if verdict:
            yield Nearly(f"lines {pair.first.line} and {pair.second.line} wait in turn: {verdict}")
            continue
        yield requests.finding(
            f"It is sent when line {pair.first.line} has its answer, of which it uses nothing.",
            pair.second,
            could_save_ms=ms,
            touched=pair.first,
            shape=requests.run.sources.line(pair.second),
            evidence={"first_line": pair.first.line, "second_line": pair.second.line},
        )


def _pairs(request: Request) -> Iterator[tuple[_Pair, float]]:
    """Two lines of one function that waited one behind the other, and the shorter wait."""
    lanes: dict[int, list[RemoteCall]] = defaultdict(list)
    for call in request.remote_calls():
        if request.trace.lanes[call.lane].kind == "task" and not call.is_mail:
            lanes[call.lane].append(call)
    for calls in lanes.values():
        for before, call in pairwise(calls):
            pair = _parting(before, call)
            least = min(before.ms, call.ms)
            if pair is not None and least >= _SHORTEST_MS and call.start_ns >= before.end_ns:
                yield pair, least


def _parting(before: RemoteCall, call: RemoteCall) -> _Pair | None:
    """The lines at which the ways to two calls part, in one function; None where they do not."""
    for first, second in zip(reversed(before.chain), reversed(call.chain), strict=False):
        if first == second:
            continue
        if (first.path, first.function) == (second.path, second.function):
            return _Pair(first, second) if first.line < second.line else None
        return None
    return None


def _verdict(pair: _Pair, sources: Sources) -> str:
    """Why the second call may need the first one's answer; empty where it does not."""
    function = sources.function(pair.second)
    first, second = sources.statement(pair.first), sources.statement(pair.second)
    if function is None or first is None or second is None:
        return "their source could not be read"
    if first is second:
        return "both stand in one statement"
    used = _flowing(function, first, second)
    needed = names_read(_asking(second))
    if used & needed:
        return f"the later one uses {', '.join(sorted(used & needed))}"
    if _is_decided_by(function, first, second, used):
        return "whether the later one is sent hangs on the first"
    return ""


def _flowing(function: Function, first: ast.stmt, second: ast.stmt) -> set[str]:
    """The names whose values come of the first statement when the second one runs."""
    flowing = names_set(first) | _filled(first)
    between = sorted(
        (
            node
            for node in ast.walk(function)
            if isinstance(node, ast.stmt) and first.lineno < node.lineno < second.lineno
        ),
        key=lambda node: node.lineno,
    )
    for node in between:
        if names_read(node) & flowing:
            flowing |= names_set(node) | _changed(node)
    return flowing


def _asking(statement: ast.stmt) -> ast.AST:
    """What of a statement is worked out before its call is sent, without what takes the answer."""
    if isinstance(statement, ast.Assign):
        return statement.value
    call = _taking_call(statement)
    return statement if call is None else ast.Tuple(elts=[*call.args, *_values(call)])


def _filled(statement: ast.stmt) -> set[str]:
    """The names of objects that an awaited answer may have gone into, beside the names it is."""
    targets = [
        node
        for node in ast.walk(statement)
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store)
    ]
    call = _taking_call(statement)
    found = [*targets, *([] if call is None else [call.func])]
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Await):
        # Whoever gives nothing back has left it with what was handed in.
        awaited = statement.value.value
        found += [*awaited.args, *_values(awaited)] if isinstance(awaited, ast.Call) else []
    return {name for node in found for name in _base(node)}


def _taking_call(statement: ast.stmt) -> ast.Call | None:
    """The call that is handed an awaited answer, as in `found.append(await ...)`."""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    is_handed = any(isinstance(one, ast.Await) for arg in call.args for one in ast.walk(arg))
    return call if is_handed else None


def _values(call: ast.Call) -> list[ast.expr]:
    return [one.value for one in call.keywords]


def _base(node: ast.expr) -> set[str]:
    """The name of the object that something is an attribute or an element of."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return {node.id} if isinstance(node, ast.Name) else set()


def _changed(statement: ast.stmt) -> set[str]:
    """The names of objects that a statement calls methods of: what is appended to carries on."""
    if not isinstance(statement, ast.Expr | ast.Assign | ast.AugAssign):
        return set()
    return {
        node.func.value.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.args
    }


def _is_decided_by(function: Function, first: ast.stmt, second: ast.stmt, used: set[str]) -> bool:
    """Whether a test of the first answer stands before or around the second call."""
    for node in ast.walk(function):
        if not isinstance(node, _Block) or (node.end_lineno or 0) < first.lineno:
            continue
        is_around = node.lineno < second.lineno <= (node.end_lineno or node.lineno)
        is_between = first.lineno < node.lineno < second.lineno
        if is_around and first.lineno < node.lineno and names_read(_head(node)) & used:
            return True
        if is_between and _leaves(node) and names_read(_head(node)) & used:
            return True
    return False


def _head(node: _Block) -> ast.AST:
    if isinstance(node, ast.If | ast.While):
        return node.test
    if isinstance(node, ast.For | ast.AsyncFor):
        return node.iter
    if isinstance(node, ast.Match):
        return node.subject
    return ast.Module(body=list(node.body), type_ignores=[])


def _leaves(node: _Block) -> bool:
    """Whether something in a block ends the function or the round of a loop."""
    return any(
        isinstance(one, ast.Return | ast.Raise | ast.Continue | ast.Break) for one in ast.walk(node)
    )

"""A call without a timeout.

Looks for: calls of other services whose answer is waited for without a bound.
Costs: nothing, until that service hangs: then each request that calls it hangs, with its connection
and its thread, and nobody is told.
Instead: a timeout on the client, or on the call: a little more than the slowest good answer.
Misses: bounds that stand elsewhere, in another process or a proxy.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from ...model.finding import Finding
from ...model.trace import Place
from ..addresses import steady
from ..rule import Nearly, Threshold, rule
from ..sources import Sources
from ..views import RemoteCall, Requests

_BOUNDS: Final = frozenset({"timeout", "timeout_at", "wait_for", "fail_after", "move_on_after"})


@rule(
    id="missing-timeout",
    title="A call of another service has no timeout",
    needs=("remote",),
    threshold=Threshold(1, "calls without a bound", "one call that hangs is enough"),
    fixes=("set-timeout",),
)
def missing_timeout(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each service and line."""
    found: dict[tuple[object, ...], list[RemoteCall]] = defaultdict(list)
    for request in requests:
        for call in request.remote_calls():
            if not call.is_bounded:
                found[call.host, *_where(call)].append(call)
    for calls in found.values():
        host = calls[0].host
        ways = {one.chain for one in calls}
        bounded = {way for way in ways if _is_bounded_on(way, requests)}
        endless = [one for one in calls if one.chain not in bounded]
        if len(endless) < threshold:
            if bounded:
                yield Nearly(f"a call of {host} has no timeout; something around it has one")
            continue
        yield requests.finding(
            f"The answer of {host} is waited for without end.",
            endless[0].place,
            shape=steady(host),
            evidence={"host": host, "calls": len(endless)},
        )


def _where(call: RemoteCall) -> tuple[object, ...]:
    place = call.place
    if place is not None and call.is_mail:
        # A mail takes several calls, and one timeout for all.
        return place.path, place.function
    return (place,)


def _is_bounded_on(way: tuple[Place, ...], requests: Requests) -> bool:
    """Whether anything on the way to a call ends it after a time.

    Handed to a task or a thread of its own, it has no way: then anything in the endpoint counts.
    """
    return any(_is_bounded_around(one, requests.run.sources) for one in way or (requests.endpoint,))


def _is_bounded_around(place: Place | None, sources: Sources) -> bool:
    """Whether a function, at or around a line, calls what ends other calls after a time."""
    function, statement = sources.function(place), sources.statement(place)
    if place is None or function is None or statement is None:
        return False
    around = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.With | ast.AsyncWith)
        and node.lineno <= place.line <= (node.end_lineno or node.lineno)
    ]
    heads = [item.context_expr for node in around for item in node.items]
    return any(_calls_a_bound(node) for node in (*heads, statement))


def _calls_a_bound(node: ast.AST) -> bool:
    if isinstance(node, ast.With | ast.AsyncWith):
        return False
    return any(
        isinstance(one, ast.Call)
        and (getattr(one.func, "attr", None) or getattr(one.func, "id", None)) in _BOUNDS
        for one in ast.walk(node)
    )

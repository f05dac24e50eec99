"""Work that the client waits for and does not need.

Looks for: a mail that is sent before the answer; a call of another service whose answer nobody
uses; a write in a GET.
Costs: the client waits for it, and sees its failures; a GET that writes cannot be cached, and is
written by each robot and each prefetch.
Instead: after the response (`BackgroundTasks`), in a queue, or in batches.
Misses: calls whose answer is read and thrown away later; side effects that no probe knows.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Final

from ...model.finding import Finding
from ...model.trace import Place
from ...numbers import milliseconds
from ..addresses import steady
from ..rule import Threshold, rule, swept
from ..sources import Sources
from ..views import RemoteCall, Requests, is_write

_READS: Final = frozenset({"GET", "HEAD"})
_VERBS: Final = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "TRUNCATE"})
_SENDERS: Final = frozenset({"delete", "head", "options", "patch", "post", "request", "urlopen"})
"""Of a call with others in its arguments, those names say that it is the one which was sent."""


@rule(
    id="side-effect-in-request",
    title="The client waits for something that it does not need",
    needs=("remote", "statements"),
    threshold=Threshold(0.5, "of the requests do it", swept("side-effect-in-request")),
)
def side_effect_in_request(requests: Requests, threshold: float) -> Iterator[Finding]:
    """One finding for each line."""
    yield from _calls(requests, threshold)
    if requests.method in _READS:
        yield from _writes(requests, threshold)


def _calls(requests: Requests, threshold: float) -> Iterator[Finding]:
    found: dict[tuple[object, ...], list[tuple[int, RemoteCall]]] = defaultdict(list)
    is_unused = cache(lambda chain: _is_unused(chain, requests.run.sources))
    for number, request in enumerate(requests):
        for call in request.remote_calls():
            # Nobody waits for a call that goes on when the response is whole.
            if call.place is None or call.end_ns > request.trace.response_end_ns:
                continue
            if call.is_mail:
                # A mail takes several calls.
                found[call.host, call.place.path, call.place.function].append((number, call))
            elif is_unused(call.chain):
                found[call.host, call.place].append((number, call))
    for calls in found.values():
        requests_count = len({number for number, _ in calls})
        if requests_count < threshold * len(requests):
            continue
        lines: dict[Place | None, float] = defaultdict(float)
        for _, call in calls:
            lines[call.place] += call.ms / len(requests)
        ms = sum(lines.values())
        host, is_mail = calls[0][1].host, calls[0][1].is_mail
        done = "A mail is sent" if is_mail else f"{host} is called, and its answer is not used,"
        yield requests.finding(
            f"{done} before the response: {milliseconds(ms)}.",
            max(lines, key=lambda line: lines[line]),
            could_save_ms=ms,
            shape=steady(host),
            evidence={
                "host": host,
                "kind": "mail" if is_mail else "call",
                "requests": requests_count,
            },
        )


def _writes(requests: Requests, threshold: float) -> Iterator[Finding]:
    for calls in requests.groups:
        if not is_write(calls.shape) or len(calls.by_request) < threshold * len(requests):
            continue
        ms = calls.mean_ms()
        yield requests.finding(
            f"{requests.method} writes: {_verb(calls.shape)}, {milliseconds(ms)} before the"
            " response.",
            calls.place,
            could_save_ms=ms,
            round_trips=calls.mean_count,
            shape=calls.shape,
            evidence={"kind": "write", "requests": len(calls.by_request)},
        )


def _verb(shape: str) -> str:
    """What a statement does; where a WITH stands before it, the first write of it."""
    words = shape.upper().replace("FOR UPDATE", "").replace("(", " ").split()
    return next((one for one in words if one in _VERBS), words[0])


def _is_unused(chain: tuple[Place, ...], sources: Sources) -> bool:
    """Whether the answer of a call is dropped; False where it is used, and where nobody knows.

    Outwards from the call: a function that only hands the answer on says nothing; one that gives
    nothing back drops it.
    """
    for number, place in enumerate(chain):
        statement, function = sources.statement(place), sources.function(place)
        if statement is None or function is None:
            return False
        if isinstance(statement, ast.Expr):
            called = chain[number - 1].function.rpartition(".")[2] if number else ""
            return _is_bare_call(statement.value, called)
        if not isinstance(statement, ast.Return):
            return False
    return False


def _is_bare_call(node: ast.expr, called: str) -> bool:
    """Whether an expression is the call that was made, and nothing is done with its result.

    `called` is the name of the user's own function that it has gone into; empty for a library's.
    """
    if isinstance(node, ast.Await):
        node = node.value
    if not isinstance(node, ast.Call):
        return False
    if any(isinstance(one, ast.Await | ast.Call) for one in ast.walk(node.func)):
        # `(await client.post(...)).raise_for_status()` looks at the answer.
        return False
    name = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
    if name == called:
        return True
    inside = [one for argument in (*node.args, *node.keywords) for one in ast.walk(argument)]
    if any(isinstance(one, ast.Await) for one in inside):
        # `found.append(await client.get(...))` keeps the answer.
        return False
    return name in _SENDERS or not any(isinstance(one, ast.Call) for one in inside)

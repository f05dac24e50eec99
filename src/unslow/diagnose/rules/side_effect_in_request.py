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
from typing import Final

from ...model.finding import Finding
from ...model.trace import Place
from ..rule import Threshold, rule, swept
from ..sources import Sources
from ..views import RemoteCall, Requests, is_write

_READS: Final = frozenset({"GET", "HEAD"})


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
    found: dict[tuple[str, tuple[Place, ...]], list[tuple[int, RemoteCall]]] = defaultdict(list)
    for number, request in enumerate(requests):
        for call in request.remote_calls():
            found[call.host, call.chain].append((number, call))
    said = set()
    for (host, chain), calls in sorted(found.items(), key=_longest_first):
        is_mail = calls[0][1].is_mail
        line = chain[0] if is_mail and chain else _unused_at(chain, requests.run.sources)
        requests_count = len({number for number, _ in calls})
        # A mail takes several calls: the longest one stands for all.
        what = host, line.function if is_mail and line is not None else line
        if line is None or what in said or requests_count < threshold * len(requests):
            continue
        said.add(what)
        ms = sum(call.ms for _, call in calls) / len(requests)
        done = "A mail is sent" if is_mail else f"{host} is called, and its answer is not used,"
        yield requests.finding(
            f"{done} before the response: {ms:,.1f} ms.",
            line,
            could_save_ms=ms,
            shape=host,
            evidence={
                "host": host,
                "kind": "mail" if is_mail else "call",
                "requests": requests_count,
            },
        )


def _longest_first(item: tuple[object, list[tuple[int, RemoteCall]]]) -> float:
    return -sum(call.ms for _, call in item[1])


def _writes(requests: Requests, threshold: float) -> Iterator[Finding]:
    for calls in requests.groups:
        if not is_write(calls.shape) or len(calls.by_request) < threshold * len(requests):
            continue
        verb = calls.shape.split(" ", 1)[0].upper()
        yield requests.finding(
            f"{requests.method} writes: {verb}, {calls.mean_ms():,.1f} ms before the response.",
            calls.place,
            could_save_ms=calls.mean_ms(),
            round_trips=calls.mean_count,
            shape=calls.shape,
            evidence={"kind": "write", "requests": len(calls.by_request)},
        )


def _unused_at(chain: tuple[Place, ...], sources: Sources) -> Place | None:
    """The line of a call at which its answer is dropped; None where it is used, or not known.

    Outwards from the call: a function that only hands the answer on says nothing; one that gives
    nothing back drops it.
    """
    for number, place in enumerate(chain):
        statement, function = sources.statement(place), sources.function(place)
        if statement is None or function is None:
            return None
        if isinstance(statement, ast.Expr) and _is_bare_call(statement.value):
            return chain[0] if number else place
        if not isinstance(statement, ast.Return):
            return None
    return None


def _is_bare_call(node: ast.expr) -> bool:
    """Whether an expression is one call, awaited or not, and nothing is done with its result."""
    if isinstance(node, ast.Await):
        node = node.value
    if not isinstance(node, ast.Call):
        return False
    # `(await client.post(...)).raise_for_status()` looks at the answer.
    return not any(isinstance(one, ast.Await | ast.Call) for one in ast.walk(node.func))

"""An answer that Python encodes.

Looks for: JSON that is made by generic Python code - FastAPI's `jsonable_encoder` where no type is
declared, `json.dumps` of large values - and takes a good part of the request.
Costs: computing, on the event loop, for each value of the answer.
Instead: declare what is returned (`-> list[PostOut]` or `response_model=`), and no response class:
FastAPI from 0.130 on then has pydantic-core make the bytes. Or let the database make the JSON.
Misses: encoders that are quick and data that are large: there nothing is to be gained.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from ...model.finding import Finding
from ...model.trace import GC, OWN_CODE, SEGMENTS, SERIALIZATION, Place
from ...numbers import milliseconds, percent
from ..rule import Nearly, Threshold, rule, swept
from ..sources import Sources
from ..views import Requests

_SHORTEST_MS: Final = 1.0
_ENCODERS: Final = frozenset(
    {
        "jsonable_encoder",
        "encoders.jsonable_encoder",
        "fastapi.encoders.jsonable_encoder",
        "json.dumps",
    }
)
_SLOW_NS_PER_BYTE: Final = 4.0
"""`json.dumps` takes 5 to 15 ns for a byte, orjson and pydantic-core 1 to 3."""


@rule(
    id="slow-serialization",
    title="The answer is encoded by slow code",
    needs=("response",),
    threshold=Threshold(0.2, "of the request", swept("slow-serialization")),
    fixes=("fast-json",),
)
def slow_serialization(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """At most one finding."""
    how, ms = _how(requests), requests.segment_ms(SERIALIZATION)
    by_hand_ms = _by_hand_ms(requests)
    if by_hand_ms > ms:
        how, ms = "Encoding by `jsonable_encoder` or `json.dumps` in your own code", ms + by_hand_ms
    share = ms / (requests.mean_wall_ms - requests.segment_ms(GC))
    if ms < _SHORTEST_MS or share < threshold:
        return
    if how is None:
        yield Nearly(f"serialization takes {percent(share)}, and no slow encoder of JSON does it")
        return
    yield requests.finding(
        f"{how} takes {milliseconds(ms)}, {percent(share)} of the request.",
        requests.endpoint,
        could_save_ms=ms,
        others_waited_ms=requests.others_waited_ms(SEGMENTS[SERIALIZATION]),
        evidence={"serialization_ms": ms, "share": share},
    )


def _by_hand_ms(requests: Requests) -> float:
    """What own code takes at lines that encode, by the share of the samples that saw it there."""
    weights = {True: 0, False: 0}
    for request in requests:
        for lane in request.trace.lanes:
            for sample in lane.samples:
                if sample.place is not None and sample.at_ns <= request.trace.response_end_ns:
                    weights[_encodes(sample.place, requests.run.sources)] += sample.weight_ns
    whole = sum(weights.values())
    return requests.segment_ms(OWN_CODE) * weights[True] / whole if whole else 0.0


def _encodes(place: Place | None, sources: Sources) -> bool:
    statement = sources.statement(place)
    return statement is not None and any(
        isinstance(node, ast.Call) and ast.unparse(node.func) in _ENCODERS
        for part in ast.iter_child_nodes(statement)
        # Of a block only its head stands at the line.
        if isinstance(part, ast.expr | ast.withitem)
        for node in ast.walk(part)
    )


def _how(requests: Requests) -> str | None:
    """Which slow way the answers are encoded by; None for a quick one, and for what is no JSON."""
    returned = [one.trace.returned for one in requests if one.trace.returned is not None]
    if returned:
        if any(one.is_fast for one in returned):
            return None
        if any(one.is_typed for one in returned):
            return "Encoding by way of Python's own objects"
        return "Encoding values of no declared type"
    slow = [
        one.segment_ms(SERIALIZATION) * 1e6 / max(1, one.trace.response_bytes)
        for one in requests
        if one.trace.response is not None and one.trace.response.content.endswith("json")
    ]
    if not slow or sum(slow) / len(slow) < _SLOW_NS_PER_BYTE:
        return None
    return "Encoding by json.dumps, or what works like it,"

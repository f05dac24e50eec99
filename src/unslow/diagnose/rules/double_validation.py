"""An answer that is validated twice.

Looks for: lists of a hundred and more Pydantic objects, or dictionaries made of such, that an
endpoint builds and that FastAPI then validates once more, since they are no objects of the response
model itself.
Costs: each value is validated twice, and copied.
Instead: return the rows or entities, and let FastAPI build the response model; or objects of the
response model itself, not `model_dump()` of them; or a `Response` with the bytes.
Misses: objects inside of objects; FastAPI before 0.126, which validates objects of the response
model itself again, too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from statistics import median
from typing import Final

from ...model.finding import Finding
from ...model.trace import SERIALIZATION, Returned
from ...numbers import milliseconds
from ..rule import Threshold, rule, swept
from ..sources import Function
from ..views import Requests

_LEAST_SHARE: Final = 0.1
"""Of what is computed for the request."""
_DUMPS: Final = frozenset({"model_dump", "dict"})


@rule(
    id="double-validation",
    title="The answer is validated twice",
    needs=("returned",),
    threshold=Threshold(100, "objects per answer", swept("double-validation")),
)
def double_validation(requests: Requests, threshold: float) -> Iterator[Finding]:
    """At most one finding."""
    returned = [one.trace.returned for one in requests if one.trace.returned is not None]
    twice = [one.items_count for one in returned if _is_validated_again(one, requests)]
    if len(twice) * 2 < len(requests) or median(twice) < threshold:
        return
    ms = requests.segment_ms(SERIALIZATION)
    if ms < _LEAST_SHARE * requests.computing_ms:
        return
    yield requests.finding(
        f"{median(twice):,.0f} objects are validated by the endpoint and again by FastAPI, within"
        f" {milliseconds(ms)} of serialization.",
        requests.endpoint,
        could_save_ms=ms,
        evidence={"objects": round(median(twice)), "serialization_ms": ms},
    )


def _is_validated_again(returned: Returned, requests: Requests) -> bool:
    if not returned.is_typed:
        return False
    if returned.kind == "model":
        return not returned.is_own_model
    return returned.kind == "dict" and _dumps_models(requests)


def _dumps_models(requests: Requests) -> bool:
    function = requests.run.sources.function(requests.endpoint)
    return function is not None and any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _DUMPS
        for repeated in _repeated(function)
        for node in ast.walk(repeated)
    )


def _repeated(function: Function) -> Iterator[ast.AST]:
    """What a function does for each of several items: what it does once makes no list."""
    for node in ast.walk(function):
        if isinstance(node, ast.For | ast.AsyncFor):
            yield from node.body
        elif isinstance(node, ast.ListComp | ast.GeneratorExp):
            yield node.elt

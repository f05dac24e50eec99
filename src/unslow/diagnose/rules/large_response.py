"""An answer that is too large.

Looks for: texts and JSON of half a megabyte and more, sent in one piece.
Costs: bytes on the way, memory on both sides, parsing at the client; all of it is made before the
first byte leaves.
Instead: pages, only the fields that are used, or a stream.
Misses: files and images, which are as large as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from ...model.finding import Finding
from ...model.trace import SEND, SERIALIZATION
from ...numbers import size
from ..rule import Nearly, Threshold, rule, swept
from ..texts import is_text
from ..views import Requests


@rule(
    id="large-response",
    title="The answer is very large",
    needs=("response",),
    threshold=Threshold(500_000, "bytes", swept("large-response")),
    fixes=("limit-rows", "compress"),
)
def large_response(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """At most one finding."""
    answers = [one for one in requests if is_text(one.trace.response) and not one.is_streamed]
    if len(answers) * 2 < len(requests):
        return
    half_bytes = median(one.trace.response_bytes for one in answers)
    if half_bytes < threshold:
        if half_bytes > threshold / 4:
            yield Nearly(f"answers have {size(half_bytes)}")
        return
    yield requests.finding(
        f"Half of the answers have {size(half_bytes)} or more, in one piece.",
        requests.endpoint,
        could_save_ms=requests.segment_ms(SERIALIZATION, SEND),
        evidence={"response_bytes": round(half_bytes)},
    )

"""A large text that is sent as it is.

Looks for: texts and JSON of 100 kB and more that go uncompressed to clients which take gzip, br or
zstd.
Costs: JSON shrinks to a fifth or a tenth; over a connection of 10 Mbit/s 100 kB take 80 ms.
Instead: compress in the proxy in front, or with `GZipMiddleware(minimum_size=...)`, at a low level:
it takes computing.
Misses: a proxy in front that compresses already; it is not seen from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from ...model.finding import Finding
from ...numbers import size
from ..rule import Nearly, Threshold, rule, swept
from ..texts import is_text
from ..views import Requests


@rule(
    id="uncompressed-response",
    title="A large text is sent uncompressed",
    needs=("response",),
    threshold=Threshold(100_000, "bytes", swept("uncompressed-response")),
    fixes=("compress",),
)
def uncompressed_response(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """At most one finding."""
    plain = []
    for request in requests:
        response = request.trace.response
        if response is None or not is_text(response) or not response.accepts_compression:
            continue
        if not response.is_compressed:
            plain.append(request.trace.response_bytes)
    if len(plain) * 2 < len(requests):
        return
    half_bytes = median(plain)
    if half_bytes < threshold:
        if half_bytes > threshold / 4:
            yield Nearly(f"answers of {size(half_bytes)} are sent uncompressed")
        return
    yield requests.finding(
        f"Half of the answers have {size(half_bytes)} or more, uncompressed, to clients that"
        " take compressed ones.",
        requests.endpoint,
        evidence={"response_bytes": round(half_bytes)},
    )

"""A new HTTP client for each request.

Looks for: calls of a service whose connections were kept by a client that no other request used.
Costs: a new connection, with TLS two round trips more, each time; making a client of httpx with TLS
alone takes 10 ms and more of computing, on the event loop.
Instead: one client per process, made when the app starts and closed when it ends.
Misses: clients that are kept and whose connections are not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from ...model.finding import Finding
from ...model.trace import Place
from ..addresses import steady
from ..rule import Nearly, Threshold, rule, swept
from ..views import RemoteCall, Requests

_LEAST_SHARE = 0.8


@rule(
    id="client-per-request",
    title="Each request makes an HTTP client of its own",
    needs=("remote",),
    threshold=Threshold(3, "requests with a client of their own", swept("client-per-request")),
    fixes=("share-client",),
)
def client_per_request(requests: Requests, threshold: float) -> Iterator[Finding | Nearly]:
    """One finding for each service and line."""
    lines: dict[tuple[str, Place | None], list[tuple[int, RemoteCall]]] = defaultdict(list)
    users: dict[tuple[int, int], set[int]] = defaultdict(set)
    for number, request in enumerate(requests):
        for call in request.remote_calls():
            if call.is_mail:
                continue
            lines[call.host, call.place].append((number, call))
            users[request.trace.process_id, call.pool].add(number)
    for (host, place), calls in lines.items():
        asked = _asked_again({number for number, _ in calls}, requests)
        alone = {
            number
            for number, call in calls
            if users[requests.counted[number].trace.process_id, call.pool] == {number}
        } & asked
        if len(alone) < threshold or len(alone) < _LEAST_SHARE * len(asked):
            if len(alone) > 1:
                yield Nearly(f"{len(alone)} of {len(asked)} requests had a client of their own")
            continue
        yield requests.finding(
            f"{len(alone)} of {len(asked)} requests called {host} with a client that no other"
            " request used.",
            place,
            shape=steady(host),
            evidence={"host": host, "clients": len(alone), "requests": len(asked)},
        )


def _asked_again(numbers: set[int], requests: Requests) -> set[int]:
    """Those whose process called another time: of others nobody knows if a client was kept."""
    processes = {number: requests.counted[number].trace.process_id for number in numbers}
    calls = Counter(processes.values())
    return {number for number, process in processes.items() if calls[process] > 1}

"""The same question twice.

Looks for: a query that a request sends again with the same parameters, with no write and no wait in
between: of what this request does nothing could have changed the answer.
Costs: a round trip, and what the answer takes, for something that is known already.
Instead: hand the result on, keep it on the request, or have one dependency that both use.
Misses: equal questions in other words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from ...model.finding import Finding
from ...model.trace import BLOCKING, UNEXPLAINED, Place, Statement
from ...numbers import times
from ..rule import Threshold, rule, swept
from ..views import Request, Requests, is_select, is_write


class _Key(NamedTuple):
    shape: str
    place: Place | None


@rule(
    id="duplicate-query",
    title="The same query runs again with the same parameters",
    needs=("statements",),
    threshold=Threshold(0.5, "of the requests repeat it", swept("duplicate-query")),
    fixes=("reuse-result",),
)
def duplicate_query(requests: Requests, threshold: float) -> Iterator[Finding]:
    """One finding for each shape and line that asks again."""
    repeats: dict[_Key, list[tuple[Request, int, int]]] = defaultdict(list)
    for request in requests:
        for first, again in _repeats(request):
            one = request.trace.statements[again]
            repeats[_Key(one.shape, one.place)].append((request, first, again))
    for key, found in repeats.items():
        count = len({id(request) for request, _, _ in found})
        if count < threshold * len(requests):
            continue
        request, first, _ = found[0]
        before = request.trace.statements[first].place
        ms = sum(one.costs[index].whole for one, _, index in found) / 1e6 / len(requests)
        repeats_count = len(found) / len(requests)
        yield requests.finding(
            f"It is sent again {times(repeats_count)} a request: the answer was known already, from"
            f" {_line(before)}; nothing was written in between.",
            key.place,
            could_save_ms=ms,
            round_trips=repeats_count,
            touched=None if before == key.place else before,
            shape=key.shape,
            evidence={"repeats": round(repeats_count, 2), "shape": key.shape},
        )


def _line(place: Place | None) -> str:
    return "an earlier line" if place is None else f"line {place.line} in {place.function}"


def _repeats(request: Request) -> Iterator[tuple[int, int]]:
    """The pairs of a query and the same one again."""
    same: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    statements = request.trace.statements
    for index, one in enumerate(statements):
        if one.parameters_key and not one.relationship and _asks(one.shape):
            # Texts of one shape may have equal parameters and other literals.
            same[one.shape, one.literals_key, one.parameters_key].append(index)
    ends = _ends(statements)
    for indices in same.values():
        for first, again in pairwise(indices):
            if not request.is_in_response(again) or any(first < end < again for end in ends):
                continue
            # Where nothing was there, it failed or somebody else has written it meanwhile.
            is_news = not statements[first].rows_count and statements[again].rows_count
            if not is_news and not _waits_between(request, first, again):
                yield first, again


def _ends(statements: Sequence[Statement]) -> list[int]:
    """The statements after which a known answer may be another one: writes, and taking them back.

    The ROLLBACK with which a session ends that has only read takes nothing back.
    """
    found = []
    has_written = False
    for index, one in enumerate(statements):
        words = one.shape.upper()
        if is_write(one.shape):
            has_written = True
            found.append(index)
        elif words.startswith("ROLLBACK TO"):
            found.append(index)
        elif words.startswith(("COMMIT", "ROLLBACK")):
            if has_written and words.startswith("ROLLBACK"):
                found.append(index)
            has_written = False
    return found


def _asks(shape: str) -> bool:
    words = shape.upper()
    return is_select(shape) and " FROM " in words and " FOR " not in words


def _waits_between(request: Request, first: int, again: int) -> bool:
    """Whether the request waited on purpose in between, as who asks whether something is done."""
    start, end = request.ends_ns[first], request.starts_ns[again]
    waited = 0
    for segment in (BLOCKING, UNEXPLAINED):
        # Not the slices: while a task waits for a service, what it awaits is noted as well.
        for one in request.pieces(segment):
            waited += max(0, min(one.end_ns, end) - max(one.start_ns, start))
    return waited * 2 > end - start > 0 and waited > 1_000_000

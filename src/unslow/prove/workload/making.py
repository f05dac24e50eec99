"""A workload made from an OpenAPI document: reads only, with ids that the app itself has named.

It grows in rounds. What needs no unknown id is planned at once; once that is answered, the ids in
the answers let more be planned, until nothing new comes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from difflib import get_close_matches
from typing import Final

from ...errors import UnslowError
from ...model.workload import LeftOut, Plan, Request
from .answers import Answer, sightings
from .building import BODIES, requests_of
from .filling import Given, NoValueError, Sources
from .openapi import Operation
from .side_effects import why_it_stays_out

_MAY_WRITE: Final = (
    "by its method it may write; what only reads can be named: --read-only-post 'METHOD ROUTE'"
)
_MOST_ASKED: Final = 3
"""How often an operation is asked while its answers name nothing: a user may have no posts."""
_PARENTS_COUNT: Final = 3
"""For so many a list is asked that others go on from: the first user may have two posts only."""
_MOST_PARENTS: Final = 6
"""With those that have none."""
_MOST_NAMES: Final = 10


class RouteMissingError(UnslowError):
    """A route was named that the document does not have."""


def planned(operations: Sequence[Operation], given: Given, answers: Sequence[Answer] = ()) -> Plan:
    """What can be sent by what is known so far, and what is left out and why.

    Raises:
        RouteMissingError: an operation that was named as read-only is not there.
    """
    _check_routes(operations, given)
    sources = Sources(given, sightings(answers))
    requests: list[Request] = []
    left_out: list[LeftOut] = []
    for operation in operations:
        why = _why_left_out(operation, given)
        try:
            requests += () if why else requests_of(operation, sources)
        except NoValueError as error:
            why = str(error)
        if why:
            may_write = why == _MAY_WRITE
            left_out.append(LeftOut(operation.method, operation.route, why, may_write))
    return Plan(tuple(requests), tuple(left_out))


def unasked(plan: Plan, answers: Sequence[Answer]) -> tuple[Request, ...]:
    """The requests, one of an operation, whose answers may still tell of ids."""
    asked = Counter(answer.request.operation for answer in answers)
    telling = Counter(answer.request.operation for answer in answers if sightings([answer]))
    sent = {_path(answer.request) for answer in answers}
    gone_on_from = _gone_on_from(plan)
    left: dict[str, list[Request]] = defaultdict(list)
    for request in plan.requests:
        name = request.operation
        has_more_below = request.route.rstrip("/") in gone_on_from
        wanted, most = (_PARENTS_COUNT, _MOST_PARENTS) if has_more_below else (1, _MOST_ASKED)
        is_open = telling[name] < wanted and asked[name] < most
        if is_open and _path(request) not in sent:
            left[name].append(request)
    return tuple(_next(requests, asked[name]) for name, requests in left.items())


def _gone_on_from(plan: Plan) -> frozenset[str]:
    """The routes below something that others go on from: the posts of a user, for one post."""
    routes = [one.route for one in plan.requests]
    routes += [one.route for one in plan.left_out if one.method == "GET"]
    whole = (route.rpartition("/{")[0] for route in routes)
    return frozenset(route for route in whole if "{" in route)


def _next(requests: Sequence[Request], asked_count: int) -> Request:
    """Of what is left the first, then the last, then one from the middle."""
    return requests[(0, -1, len(requests) // 2)[asked_count % 3]]


def _path(request: Request) -> tuple[str, str]:
    # Without the query: where a page is empty, so is one of another size.
    return request.method, request.target.partition("?")[0]


async def made(
    operations: Sequence[Operation], given: Given, ask: Callable[[Request], Awaitable[object]]
) -> Plan:
    """The whole workload: plans, asks and plans again until no answer names anything new.

    Args:
        operations: Those of the document.
        given: What is known beside it.
        ask: Sends one request and gives its answer's JSON; None if there is none.

    Raises:
        RouteMissingError: an operation that was named as read-only is not there.
    """
    answers: list[Answer] = []
    plan = planned(operations, given)
    while requests := unasked(plan, answers):
        answers += [Answer(request, await ask(request)) for request in requests]
        plan = planned(operations, given, answers)
    return plan


def _check_routes(operations: Sequence[Operation], given: Given) -> None:
    there = {name for operation in operations for name in _names(operation)}
    for name in sorted(given.read_only_posts - there):
        others = [f"{one.method} {one.route}" for one in operations if one.method != "GET"]
        raise RouteMissingError(
            f"{name!r} was named as an operation that only reads, and the app has none like it;"
            f" wanted is one of: {_likely(name, others) or 'none, all its operations are GET'}."
        )


def _likely(name: str, others: Sequence[str]) -> str:
    """Those that were probably meant, of what may be hundreds."""
    if len(others) <= _MOST_NAMES:
        return ", ".join(others)
    return ", ".join(get_close_matches(name, others, _MOST_NAMES, cutoff=0)) + " and others"


def _names(operation: Operation) -> tuple[str, str]:
    return f"{operation.method} {operation.route}", operation.route


def _why_left_out(operation: Operation, given: Given) -> str:
    is_allowed = not given.read_only_posts.isdisjoint(_names(operation))
    body = operation.body
    if operation.method != "GET" and not is_allowed:
        return _MAY_WRITE
    if operation.why_not:
        return operation.why_not
    if body is not None and body.is_required and body.content_type not in BODIES:
        return f"its body is {body.content_type}; a file for --requests can hold one"
    return "" if is_allowed else why_it_stays_out(operation.route)

"""The requests that a sample app is asked for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from string import Formatter
from typing import Any

Headers = tuple[tuple[str, str], ...]

COMPRESSING: Headers = (("accept-encoding", "gzip"),)
PLAIN: Headers = (("accept-encoding", "identity"),)


@dataclass(frozen=True, slots=True)
class Call:
    """One request; the headers are all that the client may send beside its host and length."""

    method: str
    """The HTTP method."""
    route: str
    """The template of the route, such as `/orders/{order_id}`."""
    path: str
    """The path and query to ask for."""
    headers: Headers = COMPRESSING
    """Name and value of each header; one for `accept-encoding` is always there."""
    json: Any = None
    """What to send as JSON, where there is something."""
    users_count: int = 1
    """How many users send it at the same moment."""
    status: int = 200
    """The status that each answer has."""


def calls(
    operation: str,
    count: int = 14,
    *,
    query: str = "",
    body: Callable[[int], Any] | None = None,
    headers: Headers = COMPRESSING,
    users_count: int = 1,
    status: int = 200,
    **values: Sequence[object],
) -> Iterator[Call]:
    """Asks for an operation several times; the n-th time with the n-th of each field's values.

    The fields of the route and of the query are filled in; values begin again at their end.
    """
    method, route = operation.split(" ")
    target = f"{route}?{query}" if query else route
    for number in range(count):
        chosen = {name: known[number % len(known)] for name, known in values.items()}
        yield Call(
            method,
            route,
            Formatter().vformat(target, (), chosen),
            headers,
            body(number) if body else None,
            users_count,
            status,
        )


def spread(first: int, last: int, count: int = 14) -> list[int]:
    """Numbers from one to another, evenly apart, in an order that jumps."""
    step = max((last - first) // count, 1)
    numbers = list(islice(range(first, last + 1, step), count))
    return numbers[::2] + numbers[1::2]

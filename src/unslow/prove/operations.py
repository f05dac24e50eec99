"""The operations of a check: what each is called, how it answered, why it is asked no more."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from ..model.trace import Trace
from ..model.workload import Exchange, LeftOut, Request
from .workload.sending import MOST_BYTES

_CONVERTER: Final = re.compile(r":\w+\}")
_ERRORS: Final = {
    "TimeoutError": "nothing in time",
    "TooLargeError": f"more than {MOST_BYTES // 1024**2} MB",
}


@dataclass(slots=True)
class Operation:
    """What is known of one operation while it is checked."""

    method: str
    route: str
    """The template; empty where the app has none for it."""
    paths: re.Pattern[str]
    """Those that belong to it."""
    requests: list[Request] = field(default_factory=list)
    asked: dict[Request, bool] = field(default_factory=dict)
    """Those that were watched once, and whether each of them counted."""
    sent_count: int = 0
    counted_count: int = 0
    alone_count: int = 0
    alone_ms: float = 0.0
    """Of all of `alone_count` together."""
    bad_answer: Exchange | None = None
    """The last one that did not count, of those that were watched."""
    closed: str = ""
    """Why it is not sent again."""
    missed: str = ""
    """What of it was not done, and why."""

    @property
    def is_open(self) -> bool:
        """Whether it may be sent again."""
        return self.counted_count > 0 and not self.closed

    @property
    def why_not(self) -> str:
        """Why it was not asked in all ways."""
        why = self.closed or self._how_it_failed() or self.missed
        # A path may be a value of the user's.
        return why if self.route or not why else f"{self.requests[0].source}: {why}"

    def _how_it_failed(self) -> str:
        if self.counted_count or self.bad_answer is None:
            return ""
        return f"it was answered {status_of(self.bad_answer)}"

    @property
    def name(self) -> str:
        """What it is called, for the user's eyes only."""
        return f"{self.method} {self.route or path_of(self.requests[0])}"

    @property
    def good(self) -> list[Request]:
        """The requests that counted when they were watched."""
        return [one for one in self.requests if self.asked.get(one)]

    def request(self, number: int) -> Request:
        """The request of a round, without those that are known not to count."""
        wanted = [one for one in self.requests if self.asked.get(one, True)]
        return wanted[number % len(wanted)]


class Operations:
    """All operations of a check."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str], Operation] = {}
        """By method and template, or by method and path where there is no template."""

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._all.values())

    @property
    def counted_count(self) -> int:
        """How many answered so that it counts."""
        return sum(1 for one in self if one.counted_count)

    def open(self) -> list[Operation]:
        """Those that may be sent again."""
        return [one for one in self if one.is_open]

    def known(self, request: Request) -> Operation | None:
        """The operation of a request; None where that is not known yet."""
        if request.route:
            return self._all.get((request.method, plain(request.route)))
        path = path_of(request)
        ours = (one for one in self if one.method == request.method)
        return next((one for one in ours if one.paths.fullmatch(path)), None)

    def add(self, request: Request, traces: Sequence[Trace] = ()) -> Operation:
        """Adds a request to its operation: its route is what the app has said of it."""
        one = self.known(request)
        if one is None:
            said = (each.route for each in traces if is_of(each, request))
            route, path = request.route or next(said, ""), path_of(request)
            paths = pattern(route) if route else re.compile(re.escape(path))
            one = Operation(request.method, plain(route), paths)
            self._all[request.method, plain(route) or path] = one
        if request not in one.requests:
            one.requests.append(request)
        return one

    def of(self, trace: Trace) -> Operation | None:
        """The operation of a trace."""
        return self._all.get((trace.method, plain(trace.route))) if trace.route else None

    def left_out(self, by_the_plan: Iterable[LeftOut]) -> tuple[LeftOut, ...]:
        """What was not asked in all ways, and why."""
        ours = (LeftOut(one.method, one.route, one.why_not) for one in self if one.why_not)
        return tuple(dict.fromkeys((*by_the_plan, *ours)))

    def count_with(self, left_out: Iterable[LeftOut]) -> int:
        """How many there are, with those that a plan has left out."""
        return len(self._all.keys() | {(one.method, plain(one.route)) for one in left_out})

    def uncounted_answers(self) -> list[str]:
        """Sentences about the operations of which none counted."""
        return [
            f"{one.name} was answered {says(one.bad_answer)}"
            for one in self
            if one.bad_answer is not None and not one.counted_count
        ]

    def why_nothing_counted(self) -> str:
        """A sentence about operations of which none counted, and what to do."""
        answers = [one.bad_answer for one in self if one.bad_answer is not None]
        if not answers:
            return (
                "No request counted: there was none to send. Give some in a file: --requests FILE,"
                " or values for the parameters of the app's routes in [tool.unslow.values]."
            )
        ((status, count),) = Counter(map(status_of, answers)).most_common(1)
        first = next(one for one in answers if status_of(one) == status)
        return (
            f"No request counted: {count} of {len(self)} operations answered {says(first)}."
            f" {_advice(first.status)}"
        )


def _advice(status: int) -> str:
    if status in (401, 403):
        return (
            "Give a login: --header 'Authorization: Bearer ...', or --login 'POST /token'"
            " --form username=... --form password=... --token-from access_token"
        )
    if status >= 500:
        return "Ask the app yourself, and look at what it writes: unslow run MODULE:APP"
    return "Give requests that it answers with 2xx in a file: --requests FILE"


def says(exchange: Exchange) -> str:
    """How a request was answered, as it stands in a sentence behind "answered".

    For the user's eyes only: the first line of an answer may repeat what was sent.
    """
    line = f' ("{exchange.first_line}")' if exchange.first_line else ""
    return status_of(exchange) + line


def status_of(exchange: Exchange) -> str:
    """The same, without the answer's own words."""
    if exchange.error:
        return _ERRORS.get(exchange.error, f"nothing ({exchange.error})")
    return str(exchange.status)


def is_of(trace: Trace, request: Request) -> bool:
    """Whether a trace has the route that a request leads to."""
    if trace.method != request.method or not trace.route:
        return False
    if request.route:
        return plain(trace.route) == plain(request.route)
    return pattern(trace.route).fullmatch(path_of(request)) is not None


def plain(route: str) -> str:
    """A template without the kinds of its parameters: `/files/{name:path}` as `/files/{name}`."""
    return _CONVERTER.sub("}", route)


def pattern(route: str) -> re.Pattern[str]:
    """The paths of a template; a parameter goes up to the next slash, but `{name:path}` on."""
    parts = re.split(r"(\{[^}]*\})", route)
    return re.compile(
        "".join(
            (".*" if one.endswith(":path}") else "[^/]+") if number % 2 else re.escape(one)
            for number, one in enumerate(parts)
        )
    )


def path_of(request: Request) -> str:
    """The path of a request as an app reads it: without its query, and decoded."""
    return unquote(request.target.partition("?")[0])

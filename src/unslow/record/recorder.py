"""What records in this process: on or off, its bounds, where closed traces go."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import Any

from ..current import OpenTrace, RawPlace
from ..model.trace import Coverage
from .armed import ArmedRequests

_PENDING = 5_000
_STALLS = 1_000
log = logging.getLogger("unslow")


class Recorder:
    """Takes closed traces and gives them to whoever finishes them, outside the request."""

    def __init__(self, slices_per_trace: int = 20_000) -> None:
        self.recording = False
        self.slices_per_trace = slices_per_trace
        self.closed: deque[OpenTrace] = deque()
        """Closed traces that are still to be finished."""
        self.finished: deque[bytes] = deque()
        """Traces as bytes, ready to be written."""
        self.finish: Callable[[OpenTrace], bytes | None] | None = None
        """Finishes a closed trace at once, where that is quick; None is left to the writer."""
        self.dropped_traces_count = 0
        self.on_first: Callable[[], None] | None = None
        """Called once, when the first trace closes."""
        self.on_app: Callable[[str], None] | None = None
        """Called with the server's name when it has taken an app that it will serve here."""
        self.on_app_failed: Callable[[str], None] | None = None
        """Called with the reason when a server could not load its app."""
        self.on_app_ended: Callable[[], None] | None = None
        """Called when a server has handled its last request."""
        self.coverage: dict[str, Coverage] = {}
        self.record_values = False
        self.watching = False
        """Whether it is watched what the app reads of the ORM's objects, at the price of time."""
        self.comparing = False
        """Whether bodies are hashed, so that equal answers can be told."""
        self.armed: ArmedRequests | None = None
        """Runs the requests of trials; only where a check has started the app."""
        self.stalls: deque[list[Any]] = deque(maxlen=_STALLS)
        """`[thread_id, start_ns, end_ns, raw place]`: loops held by what belongs to no request."""

    def keep(self, trace: OpenTrace, scope: MutableMapping[str, Any]) -> None:
        """Takes a closed trace; when nobody takes them off again, they are counted as dropped.

        A small trace is finished at once: its objects die young and nobody has to collect them, and
        no other thread asks for the interpreter's lock while requests run.
        """
        if not trace.route:
            trace.route = route_of(scope)
        if len(self.closed) + len(self.finished) >= _PENDING:
            self.dropped_traces_count += 1
        elif self.finish is not None and (data := self.finish(trace)) is not None:
            self.finished.append(data)
        else:
            self.closed.append(trace)
        if self.on_first is not None:
            first, self.on_first = self.on_first, None
            first()

    def stall(self, thread_id: int, start_ns: int, end_ns: int, place: RawPlace | None) -> None:
        """Notes that a loop was held outside requests; a stall that goes on grows."""
        last = self.stalls[-1] if self.stalls else None
        if last is not None and last[0] == thread_id and last[2] >= start_ns and last[3] == place:
            last[2] = end_ns
        else:
            self.stalls.append([thread_id, start_ns, end_ns, place])

    def cover(self, what: str, state: str, why: str = "") -> None:
        """Notes what is recorded and what is not, and why."""
        self.coverage[what] = Coverage(what, state, why)


def route_of(scope: MutableMapping[str, Any]) -> str:
    """The template of the matched route, as frameworks leave it in the scope; empty if none."""
    template = scope.get("path_template")  # Litestar
    if isinstance(template, str):
        return template
    path = getattr(scope.get("route"), "path", None)  # Starlette and what is made of it
    return path if isinstance(path, str) else ""


recorder = Recorder()
"""The one of this process."""

"""What was counted in a run of tests, and the sentence that says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_NO_REQUEST: Final = (
    "no request was seen. Seen are those that reach an ASGI app in the process of the tests:"
    " through the TestClient of FastAPI, Starlette or Litestar, httpx.ASGITransport, or a server in"
    " a thread. If the app runs in a process of its own: unslow run -- pytest. If another client"
    " calls it: app = unslow.install(app) in conftest.py"
)
_OTHER_LOOP: Final = (
    "no request was recorded: the apps ran on an event loop that is not asyncio's, such as trio's"
)


@dataclass(slots=True)
class Tally:
    """The counts of one process, or of all together."""

    tests_count: int = 0
    requests_count: int = 0
    senders: set[str] = field(default_factory=set)
    """The ids of the tests that have sent a request."""
    senders_elsewhere_count: int = 0
    """Those of other processes."""
    met_other_loop: bool = False
    lost_workers_count: int = 0
    """Workers that ended without telling what they have counted."""

    def note(self, labels: Iterable[str]) -> None:
        """Counts requests, each by the id of its test; empty where no test was running."""
        for label in labels:
            self.requests_count += 1
            if label:
                self.senders.add(label)

    def told(self) -> dict[str, Any]:
        """What a worker tells, in words that pass between processes."""
        return {
            "tests_count": self.tests_count,
            "requests_count": self.requests_count,
            "senders_count": len(self.senders),
            "met_other_loop": self.met_other_loop,
        }

    def add(self, told: Mapping[str, Any]) -> None:
        """Adds what a worker has told."""
        self.tests_count += told["tests_count"]
        self.requests_count += told["requests_count"]
        self.senders_elsewhere_count += told["senders_count"]
        self.met_other_loop = self.met_other_loop or told["met_other_loop"]

    def sentence(self) -> str:
        """How many requests of how many tests were recorded, or why there may be none."""
        if self.requests_count == 0:
            if self.tests_count == 0:
                return "no test ran, so nothing was recorded"
            return _OTHER_LOOP if self.met_other_loop else _NO_REQUEST
        senders_count = len(self.senders) + self.senders_elsewhere_count
        what = f"{_counted(self.requests_count, 'request')} of {_counted(senders_count, 'test')}"
        parts = [f"{what} {'was' if self.requests_count == 1 else 'were'} recorded"]
        if others_count := self.tests_count - senders_count:
            parts.append(f"{_counted(others_count, 'other test')} sent none")
        if self.lost_workers_count:
            parts.append(f"{_counted(self.lost_workers_count, 'worker')} ended without telling")
        return "; ".join(parts)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

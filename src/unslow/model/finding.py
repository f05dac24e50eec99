"""What is wrong, and where: findings, and what became of each rule on each route."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .trace import Place

FOUND: Final = "found"
CLEAN: Final = "clean"
NOT_CHECKED: Final = "not-checked"
BROKE: Final = "broke"
STATES: Final = (FOUND, CLEAN, NOT_CHECKED, BROKE)
"""What may become of a rule on a route."""

OWN: Final = "own"
OTHERS: Final = "others"

EvidenceValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, with the line to look at."""

    says: str
    """The evidence in one sentence."""
    place: Place | None
    """The line where it would be mended."""
    could_save_ms: float | None = None
    """At most this mean time per request is at stake; None where it is not about time."""
    saves_for: str = OWN
    """`own`: requests of this route would be quicker; `others`: those that wait beside them."""
    others_waited_ms: float | None = None
    """What requests waited, in all, because this held the event loop; None where nobody looked."""
    round_trips: float | None = None
    """Round trips per request at stake; None where it is not about statements."""
    touched: Place | None = None
    """The line that causes it, where that is another one: what reads an attribute, or waits."""
    shape: str = ""
    """The statement that it is about, or what else tells it from others in the same function."""
    evidence: Mapping[str, EvidenceValue] = field(default_factory=dict)
    rule: str = ""
    title: str = ""
    route: str = ""
    """`METHOD /route`; empty for what belongs to no single one."""
    fixes: tuple[str, ...] = ()
    code: str = ""
    """The line at `place`, where its file is as it was."""
    accepted: str = ""
    """Why it is accepted, by the baseline file; empty where it is not."""
    twin: int = 0
    """Of several that only their lines tell apart, which one it is, from the top; 0 is first."""

    @property
    def id(self) -> str:
        """The same as long as rule, route, function and shape are; lines may move."""
        function = "" if self.place is None else self.place.function
        text = f"{self.rule}\0{self.route}\0{function}\0{self.shape}"
        text += f"\0{self.twin}" if self.twin else ""
        return f"{self.rule}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"

    def at_stake_ms(self, requests_count: int) -> float:
        """What it takes in so many requests together, or costs those beside them."""
        return max((self.could_save_ms or 0.0) * requests_count, self.others_waited_ms or 0.0)

    def could_save_at_ms(self, round_trip_ms: float) -> float | None:
        """What is at stake where each round trip takes so much longer; None as `could_save_ms`."""
        if self.could_save_ms is None:
            return None
        return self.could_save_ms + (self.round_trips or 0.0) * round_trip_ms


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one rule on one route."""

    rule: str
    route: str
    state: str
    """One of `STATES`."""
    why: str = ""
    """What was missing, or how it broke; for a clean one what was nearly found."""

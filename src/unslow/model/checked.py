"""What a check has sent, and what it has not: kept beside what was recorded meanwhile."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from .workload import LeftOut


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check has sent, and what it has not."""

    target: str
    """MODULE:APP; empty for a command."""
    measured_since: float
    """When the measured requests began, in seconds since 1970: what was before warmed up."""
    operations_count: int
    counted_count: int
    """Operations of which a request counted."""
    left_out: tuple[LeftOut, ...]
    concurrency: int
    """How many users asked at once."""
    own_routes: tuple[str, ...] = ()
    """`METHOD /route` of what the check asked for itself, such as the app's document."""
    database_hosts: tuple[str, ...] = ()
    also_counted: frozenset[int] = frozenset()
    """Statuses that counted beside 2xx."""
    stopped_by: str = ""
    """What ended it before its time; empty where nothing did."""
    is_broken: bool = False
    """Whether the app, which answered well to one user, did not any more to many."""

    @property
    def may_write_count(self) -> int:
        """Operations that were not asked because of their methods."""
        return sum(one.may_write for one in self.left_out)

    @property
    def is_little(self) -> bool:
        """Whether less than half of what could be asked counted."""
        return 2 * self.counted_count < self.operations_count - self.may_write_count


def checked_text(checked: Checked) -> str:
    """It as a line of JSON."""
    return json.dumps({**asdict(checked), "also_counted": sorted(checked.also_counted)})


def checked_of(text: str) -> Checked:
    """The inverse of `checked_text`.

    Raises:
        ValueError, KeyError, TypeError: the text is damaged, or of another version.
    """
    told: dict[str, Any] = json.loads(text)
    told["left_out"] = tuple(LeftOut(**one) for one in told["left_out"])
    told["own_routes"] = tuple(told["own_routes"])
    told["database_hosts"] = tuple(told["database_hosts"])
    told["also_counted"] = frozenset(told["also_counted"])
    return Checked(**told)

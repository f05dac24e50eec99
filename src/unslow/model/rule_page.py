"""What there is to say about a rule."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RulePage:
    """The page of one rule, ready to be shown."""

    id: str
    title: str
    """What is wrong where it finds something, in one sentence."""
    area: str
    summary: str
    """What it is about, in a few words."""
    parts: tuple[tuple[str, str], ...]
    """Heads and texts: what it looks for, what that costs, what to do instead, what it misses."""
    threshold: float
    threshold_unit: str
    threshold_source: str
    """The script that shows what other values would find, or the reason for this one."""
    needs: tuple[str, ...]
    """What has to be recorded."""
    fixes: tuple[str, ...]
    """Ids of what can be tried."""

    def part(self, head: str) -> str:
        """The text below a head; empty where there is none."""
        return dict(self.parts).get(head, "")

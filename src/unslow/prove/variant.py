"""A variant of a fix while it is tried: whether it acts, what it answers, what it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median_low
from typing import Final

from ..diagnose.views import is_control
from ..fixes.catalogue import UNSAFE, Fix
from ..fixes.patches.patch import Subject
from ..model.proof import (
    BROKE,
    CHANGES_ANSWER,
    FASTER,
    NOT_TRIED,
    SLOWER,
    AlsoTried,
    Arm,
    Trial,
)
from ..model.trace import Trace
from .compare import Judged
from .experiment import Experiment, Recorded
from .link import Fared, SwitchRefusedError
from .same_answer import SameAnswer

_RANK: Final = (CHANGES_ANSWER, BROKE, NOT_TRIED)
"""Of variants that were all dropped the first of these says most."""


@dataclass(slots=True)
class Variant:
    """An arm that takes part in a trial."""

    name: str
    """How requests name it."""
    arm: Arm
    same: SameAnswer
    is_written: bool = False
    """Whether it stands in the source of an app of its own, with nothing to switch on."""
    fired_count: int = 0
    statements: list[int] = field(default_factory=list)
    """Of each recorded request."""
    verdict: str = ""
    """Why it takes part no longer, as a verdict; empty while it does."""
    why: str = ""
    race_ms: float | None = None
    """What a request took in the race, the median."""

    def drop(self, verdict: str, why: str) -> None:
        """It takes part no longer; the first reason holds."""
        if not self.verdict:
            self.verdict, self.why = verdict, why

    @property
    def statements_count(self) -> int | None:
        """Per request, the median; None where none was recorded."""
        return median_low(self.statements) if self.statements else None

    def switch_on(self, experiment: Experiment) -> None:
        """Switches it on; where the app refuses, it is dropped with the reason."""
        if self.is_written:
            return
        try:
            experiment.link.switch_on(self.name, self.arm)
        except SwitchRefusedError as error:
            self.drop(NOT_TRIED, str(error))

    def switch_off(self, experiment: Experiment) -> None:
        """Takes it back."""
        if not self.is_written:
            experiment.link.switch_off(self.name)

    def switch(self, experiment: Experiment) -> Callable[[bool], None]:
        """What switches it on, or off."""

        def switched(is_on: bool) -> None:
            if is_on:
                self.switch_on(experiment)
            else:
                self.switch_off(experiment)

        return switched

    def note(self, recorded: Recorded, *, is_enough: bool = True) -> None:
        """Notes how a recorded request went under it.

        Args:
            recorded: The request.
            is_enough: Whether it must have acted by now.
        """
        self.same.after(recorded.exchange)
        self.fared(recorded.fared, is_enough=is_enough)
        if recorded.trace is not None:
            self.statements.append(sent_count(recorded.trace))

    def fared(self, fared: Fared, *, is_enough: bool) -> None:
        """Notes how the switch fared; it is dropped where it broke, or did not act."""
        self.fired_count += fared.fired_count
        if fared.broke:
            self.drop(BROKE, fared.broke)
        elif is_enough and not self.fired_count and not self.is_written:
            self.drop(NOT_TRIED, "; ".join(fared.whys) or "the line was not reached")

    def compare(self, fix: Fix) -> None:
        """Drops it where it changes the answer, and that is not what it is for."""
        sameness = self.same.judged()
        if sameness.same is False and not fix.is_what_if:
            self.drop(CHANGES_ANSWER, sameness.why)

    def also_tried(self, best: Variant, times: float | None) -> AlsoTried:
        """It as one that did not win; its time by that of the one that did, in the same race."""
        if times is not None and self.race_ms and best.race_ms and not self.why:
            return AlsoTried(self.arm.says, times * best.race_ms / self.race_ms)
        return AlsoTried(self.arm.says, None, self.why)


def said_most(variants: Sequence[Variant]) -> Variant:
    """Of variants that were all dropped the one whose end says most."""
    return min(variants, key=lambda one: _RANK.index(one.verdict))


def trial_of(
    subject: Subject,
    fix: Fix,
    variant: Variant,
    others: Sequence[Variant],
    *,
    judged: Judged | None = None,
    in_crowd: Judged | None = None,
    statements_before: float | None = None,
    table: tuple[tuple[str, str], ...] = (),
) -> Trial:
    """What came of a trial, by its best variant."""
    verdict, why = _verdict(fix, variant, judged, in_crowd)
    comparison = None if judged is None else judged.comparison
    times = None if comparison is None else comparison.times
    return Trial(
        finding=subject.finding.id,
        arm=variant.arm,
        risk=UNSAFE if variant.arm.parameters.get("load_only") else fix.risk,
        verdict=verdict,
        why=why,
        fired_count=variant.fired_count,
        compared=comparison,
        in_crowd=None if in_crowd is None else in_crowd.comparison,
        statements_before=statements_before,
        statements_after=variant.statements_count,
        same_answer=variant.same.judged().same,
        also_tried=tuple(one.also_tried(variant, times) for one in others if one is not variant),
        table=table,
    )


def _verdict(
    fix: Fix, variant: Variant, judged: Judged | None, in_crowd: Judged | None
) -> tuple[str, str]:
    if variant.verdict:
        return variant.verdict, variant.why
    sameness = variant.same.judged()
    if fix.is_what_if:
        return CHANGES_ANSWER, "that is what it is for"
    if sameness.same is False:
        return CHANGES_ANSWER, sameness.why
    if judged is None:
        return NOT_TRIED, "there was no time left"
    if judged.verdict == FASTER and sameness.same is None:
        return NOT_TRIED, f"the answers could not be compared: {sameness.why}"
    if judged.verdict == FASTER and in_crowd is not None and in_crowd.verdict == SLOWER:
        return in_crowd.verdict, "alone it is faster, with many at once it is slower"
    return judged.verdict, judged.why


def sent_count(trace: Trace) -> int:
    """How many statements a request sent, without what controls transactions."""
    return sum(not is_control(one.shape) for one in trace.statements)

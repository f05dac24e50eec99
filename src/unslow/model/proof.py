"""What was tried, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

FASTER: Final = "faster"
SLOWER: Final = "slower"
NO_DIFFERENCE: Final = "no-difference"
CHANGES_ANSWER: Final = "changes-answer"
NOT_TRIED: Final = "not-tried"
BROKE: Final = "broke"
VERDICTS: Final = (FASTER, SLOWER, NO_DIFFERENCE, CHANGES_ANSWER, NOT_TRIED, BROKE)
"""What may come of a trial."""
_BEST_FIRST: Final = (FASTER, NO_DIFFERENCE, CHANGES_ANSWER, SLOWER, BROKE, NOT_TRIED)


@dataclass(frozen=True, slots=True)
class Arm:
    """A fix with all that its switch has to know; its parameters are plain data for JSON."""

    fix: str
    """The id of the fix."""
    says: str
    """What is changed, as it would stand in the source: `selectinload(User.posts)`."""
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How long the same requests took before and with a fix."""

    times: float
    """How many times as fast: 2.0 where it takes half of the time."""
    interval: tuple[float, float]
    """Where `times` lies, but for one time in twenty."""
    before_ms: float
    """The median over pair blocks."""
    after_ms: float
    blocks_count: int
    """Pair blocks: the same requests once in each arm."""
    floor: float
    """What is told from nothing on this route: the app beside itself, as `times`, at least 1."""
    smallest: float
    """The smallest gain, as `times`, that four of five trials with so many blocks show."""
    users_count: int = 1
    """How many asked at once."""


@dataclass(frozen=True, slots=True)
class AlsoTried:
    """A variant of the fix that was dropped on the way."""

    says: str
    times: float | None = None
    why: str = ""
    """Why it was dropped, where that is not its time."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One fix on one finding, tried on the running app; only its verdict may say "faster"."""

    finding: str
    """The id of the finding."""
    arm: Arm
    """What was switched on; of a fix that was not tried what would have been."""
    risk: str
    """`safe`, `unsafe` or `show-only`."""
    verdict: str
    """One of `VERDICTS`."""
    why: str = ""
    """Why it was not tried, how it broke, which part of the answer changed, why no gain counts."""
    fired_count: int = 0
    """How often the switch acted."""
    compared: Comparison | None = None
    """Alone or, for what requests share, with many at once; None where nothing was measured."""
    in_crowd: Comparison | None = None
    """The same with many at once, where `compared` is about one alone."""
    statements_before: float | None = None
    """Per request, the median."""
    statements_after: float | None = None
    same_answer: bool | None = None
    """None where the answers could not be compared."""
    at_round_trip_ms: Mapping[int, float] = field(default_factory=dict)
    """`times` where a round trip to the database takes so many milliseconds longer."""
    also_tried: tuple[AlsoTried, ...] = ()
    patch: str = ""
    """The unified diff; empty where no patch is certain."""
    advice: str = ""
    """What to change by hand, where there is no patch."""
    table: tuple[tuple[str, str], ...] = ()
    """What was measured at each setting, where a fix is one: the setting, and what it brought."""


@dataclass(frozen=True, slots=True)
class ProvenTotal:
    """All proven fixes switched on together, over all routes that they are for."""

    times: float
    before_ms: float
    """The sum over the routes of a request's median."""
    after_ms: float
    fixes_count: int


def best_first(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Trials by what came of them: what is faster before what is not, the fastest first."""

    def rank(trial: Trial) -> tuple[int, float]:
        times = 0.0 if trial.compared is None else trial.compared.times
        return _BEST_FIRST.index(trial.verdict), -times

    return tuple(sorted(trials, key=rank))

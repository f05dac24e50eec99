"""For how long an answer is given, and when it is computed anew."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

from ..errors import DefinitionError


@dataclass(frozen=True, slots=True)
class Lifetime:
    """For how long an answer is given, in seconds."""

    ttl_s: float
    """As fresh."""
    stale_s: float
    """As an old one after that, while a new one is on its way."""
    early: float
    """How early a fresh one is computed anew; 0 is never."""

    @property
    def whole_s(self) -> float:
        return self.ttl_s + self.stale_s

    def is_early(self, age_s: float, took_s: float) -> bool:
        """Whether this call is the one that has a fresh answer computed anew.

        The nearer its end and the longer it takes to compute, the likelier: XFetch, from Vattani,
        Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015;
        `early` is its beta, for which 1 is the optimum there.
        """
        draw = 1.0 - random.random()  # noqa: S311  # of no use to who guesses it
        return self.early > 0 and age_s - took_s * self.early * math.log(draw) >= self.ttl_s


def checked_lifetime(ttl: Any, stale: float, early: float | None, *, has_key: bool) -> Lifetime:
    """Checks the settings of `cached`.

    Raises:
        DefinitionError: They make no sense.
    """
    if callable(ttl):
        raise DefinitionError("got a function as ttl; wanted seconds: write @cached(ttl=60)")
    if early is None:
        early = 0.0 if has_key else 1.0
    if not (ttl > 0 and stale >= 0 and early >= 0):
        raise DefinitionError(
            f"got ttl={ttl}, stale={stale}, early={early}; wanted ttl above 0, the others 0 or more"
        )
    return Lifetime(ttl, stale, early)

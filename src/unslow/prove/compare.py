"""Whether the app was faster with a fix: from pair blocks to a verdict.

In a pair block the same request is sent once or twice as the app is and once with the fix, in
drawn order. Of each block counts where the fix stands among its neighbours: slower than all,
between them, faster than all. If the fix changes nothing, chance alone put it there, and every
place is equally likely, whatever the times look like: skewed, with outliers, drifting, dependent on
one another, slower for the first of a block. So the test is exact for any number of blocks. With
one baseline it is the sign test, with two the rank of one among three (a randomised block design
with within-block ranks, as in Friedman's test; Hollander, Wolfe and Chicken, *Nonparametric
Statistical Methods*, chapters 3 and 7). The estimate is the one that Hodges and Lehmann derive from
such a test, the median of all ratios before/after within blocks; the interval is what the test
would not refuse, and its ends are two of these ratios.

Looks are planned and paid for, so the interval of a look is one of a family that holds together in
19 of 20 trials (Jennison and Turnbull's repeated confidence intervals, by Bonferroni's bound).

Weighed against it in `bench/power.py`: the bootstrap of the median over blocks, and Wilcoxon's
signed ranks, want a block's number to lie evenly around nought. The mean of two times less a third
does not where times are skewed, as they are: the bootstrap then called one trial in eight faster in
which nothing was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, zip_longest
from statistics import median
from typing import Final, NamedTuple

from ..model.proof import FASTER, NO_DIFFERENCE, NOT_TRIED, SLOWER, Comparison
from ..numbers import counted, number, percent

_LEAST_TIMES: Final = 1.02
_LEAST_MS: Final = 0.2
"""Nobody changes code for less."""
APART_LEAST_TIMES: Final = 1.1
"""Two runs of one app differ by what neither shows alone: its process, its memory, the hour. The
medians of equal blocks scattered by 12.5 % on a machine with two shared cores."""
_APART_ALPHA: Final = 0.01
"""Batches still depend on one another: with 40 requests a run, what was to be wrong in 5 % was in
9 %, before any drift."""
_APART_PARTS_COUNT: Final = 3
"""Two would not see what rises and falls again."""
_APART_BATCHES_COUNT: Final = 10
"""Few and long: their medians depend on one another less than those of many short ones
(Schmeiser, Operations Research 30, 1982)."""
_MOSTLY_SEEN: Final = 1.43
"""A gain as large as half the interval is seen every other time; one so many times as large in four
of five: (1.96 + 0.84) / 1.96, by the normal distribution's quantiles."""
_DROP_ALPHA: Final = 0.125
"""Four blocks that all say the same."""
_DROP_TIMES: Final = 1.05
"""Of two variants that are closer than this, either will do."""
_CACHED_NULLS: Final = 256


@dataclass(frozen=True, slots=True)
class Block:
    """The same request, or crowd of requests, in random order: without the fix, and with it."""

    before_ms: tuple[float, ...]
    """Without it, once or several times; which one is the first is drawn, not taken by time."""
    after_ms: float

    def __post_init__(self) -> None:
        if not self.before_ms or min(*self.before_ms, self.after_ms) <= 0:
            raise ValueError(f"got {self}, wanted a time above 0 ms of each arm")


class Look(NamedTuple):
    """One of the times at which a trial may end."""

    blocks_count: int
    alpha: float
    """How often this look may be wrong where there is no difference."""


class Plan(NamedTuple):
    """When a trial is looked at; what the looks may be wrong in all is the sum of theirs."""

    looks: tuple[Look, ...]
    """The last one is the end."""

    def alpha_left(self, blocks_count: int) -> float:
        """What is left for a trial that ends after so many blocks.

        The clock may end it anywhere: how long a block took in all says nothing about which of its
        requests had the fix.
        """
        total = sum(one.alpha for one in self.looks)
        spent = sum(one.alpha for one in self.looks[:-1] if one.blocks_count <= blocks_count)
        return total - spent


OWN_PLAN: Final = Plan((Look(20, 0.001), Look(40, 0.01), Look(80, 0.039)))
"""For what changes its own request only."""
SHARED_PLAN: Final = Plan((Look(6, 0.003), Look(12, 0.012), Look(24, 0.035)))
"""For what requests share: a block is a crowd per arm, and dear. Six blocks with two baselines end
it where the fix was the fastest, or the slowest, in every one; by chance that is 1 in 365."""


VETO_PLAN: Final = Plan((Look(6, 0.035),))
"""For whether what is faster alone is slower in a crowd, with one baseline a block: six of six."""


class Judged(NamedTuple):
    """What came of it."""

    verdict: str
    """`faster`, `slower` or `no-difference`; `not-tried` where there was too little to judge."""
    why: str
    """Why no difference counts; empty for one that does."""
    comparison: Comparison | None
    """None only where there was too little."""


def look(blocks: Sequence[Block], plan: Plan, users_count: int = 1) -> Judged | None:
    """The verdict, where one is due; None to go on. To be asked after every block."""
    alpha = dict(plan.looks).get(len(blocks))
    if alpha is None:
        return None
    judged = _judged_at(blocks, alpha, plan, users_count)
    is_last = len(blocks) == plan.looks[-1].blocks_count
    return judged if is_last or judged.verdict in (FASTER, SLOWER) else None


def judged(blocks: Sequence[Block], plan: Plan, users_count: int = 1) -> Judged:
    """The verdict of a trial that ends here because its time is up, be it between two looks."""
    return _judged_at(blocks, plan.alpha_left(len(blocks)), plan, users_count)


def judged_apart(before_ms: Sequence[float], after_ms: Sequence[float]) -> Judged:
    """The verdict over two runs that were not measured side by side.

    Requests of one run depend on one another, so ten batches of consecutive ones stand for each
    run, and their medians are compared by the rank-sum test of Mann and Whitney (estimate and
    interval: Hodges and Lehmann, Moses; Hollander, Wolfe and Chicken, chapter 4). The difference
    has to exceed how far the thirds of one run lie apart, and 10 %. It sees less than a trial does,
    and is wrong more often where the machine was another one for the whole of one run.

    Args:
        before_ms: The times of one route, in the order in which they were measured.
        after_ms: The same of the other run.
    """
    before, after = _batches(before_ms), _batches(after_ms)
    gains = _Gains(
        sorted(one - other for one in before for other in after),
        _apart_ways(len(before), len(after)),
    )
    count = min(len(before), len(after))
    interval = gains.interval(_APART_ALPHA)
    if interval is None:
        return _too_few(counted(min(len(before_ms), len(after_ms)), "request"))
    drift = math.exp(max(_drift(before_ms), _drift(after_ms)))
    floor = max(APART_LEAST_TIMES, drift)
    medians = (median(before_ms), median(after_ms))
    comparison = _comparison(gains, interval, _APART_ALPHA, medians, count, floor)
    noise = "the thirds of one run" if drift == floor else "equal runs apart"
    return _verdict(comparison, counted(count, "batch", "batches"), noise)


def cannot_win(blocks: Sequence[Block], best_blocks: Sequence[Block]) -> bool:
    """Whether a variant may be dropped from a race, because another one is ahead for good.

    It may be asked after every block: what is dropped wrongly is a gain that was nearly had, and
    no verdict. Whoever wins is to be judged by blocks of its own: those of the race have chosen it.

    Args:
        blocks: Those of the variant.
        best_blocks: Those of the one that leads; each the same block of the race.
    """
    pairs = zip(blocks, best_blocks, strict=False)
    behind = sorted(math.log(one.after_ms) - math.log(best.after_ms) for one, best in pairs)
    interval = _Gains(behind, _paired_ways((1,) * len(behind))).interval(_DROP_ALPHA)
    return interval is not None and interval[0] > math.log(_DROP_TIMES)


class _Gains(NamedTuple):
    """Differences of logarithms, sorted, with the test that they are judged by."""

    logs: list[float]
    ways: tuple[int, ...]
    """In how many ways, all equally likely, so many of them are above 0 by chance: 0, 1, 2 ..."""

    def interval(self, alpha: float) -> tuple[float, float] | None:
        """All shifts that the test does not refuse; None where it could not refuse any."""
        total, tail, rank = sum(self.ways), 0, 0
        while (tail + self.ways[rank]) / total <= alpha / 2:
            tail += self.ways[rank]
            rank += 1
        return (self.logs[rank - 1], self.logs[-rank]) if rank else None


@lru_cache(_CACHED_NULLS)
def _paired_ways(baselines: tuple[int, ...]) -> tuple[int, ...]:
    """For blocks with so many baselines each: the fix has any place among them."""
    ways = [1]
    for count in baselines:
        ways = [sum(ways[max(0, i - count) : i + 1]) for i in range(len(ways) + count)]
    return tuple(ways)


@lru_cache(_CACHED_NULLS)
def _apart_ways(before_count: int, after_count: int) -> tuple[int, ...]:
    """For all pairs of two groups: the largest of all is one of the former, or of the latter."""
    if not before_count or not after_count:
        return (1,)
    former = (0,) * after_count + _apart_ways(before_count - 1, after_count)
    latter = _apart_ways(before_count, after_count - 1)
    return tuple(map(sum, zip_longest(former, latter, fillvalue=0)))


def _judged_at(blocks: Sequence[Block], alpha: float, plan: Plan, users_count: int) -> Judged:
    gains = _Gains(
        sorted(math.log(ms) - math.log(one.after_ms) for one in blocks for ms in one.before_ms),
        _paired_ways(tuple(sorted(len(one.before_ms) for one in blocks))),
    )
    interval = gains.interval(alpha)
    if interval is None:
        return _too_few(counted(len(blocks), "pair block"))
    medians = (
        median(ms for one in blocks for ms in one.before_ms),
        median(one.after_ms for one in blocks),
    )
    end_alpha = plan.alpha_left(len(blocks))
    comparison = _comparison(
        gains, interval, end_alpha, medians, len(blocks), _floor(blocks), users_count
    )
    return _verdict(comparison, counted(len(blocks), "pair block"))


def _floor(blocks: Sequence[Block]) -> float:
    """The app beside itself in the same blocks, as the estimate has it, and 2 % at least.

    Not the far end of its interval: that the difference is no chance is for the test to say, which
    keeps its promise alone. With that end a gain of 10 % was found in 34 of 100 trials with noise
    of 25 %, with the estimate in 78; wrong were 1.0 and 1.5 %.
    """
    twice = [one.before_ms for one in blocks if len(one.before_ms) > 1]
    if not twice:
        return _LEAST_TIMES
    beside_itself = median(math.log(ms[0]) - math.log(ms[1]) for ms in twice)
    return max(_LEAST_TIMES, math.exp(abs(beside_itself)))


def _comparison(
    gains: _Gains,
    interval: tuple[float, float],
    end_alpha: float,
    medians_ms: tuple[float, float],
    blocks_count: int,
    floor: float,
    users_count: int = 1,
) -> Comparison:
    low, high = gains.interval(end_alpha) or interval
    return Comparison(
        times=math.exp(median(gains.logs)),
        interval=(math.exp(interval[0]), math.exp(interval[1])),
        before_ms=medians_ms[0],
        after_ms=medians_ms[1],
        blocks_count=blocks_count,
        floor=floor,
        smallest=max(floor, math.exp(_MOSTLY_SEEN * (high - low) / 2)),
        users_count=users_count,
    )


def _verdict(comparison: Comparison, seen_by: str, noise: str = "the app beside itself") -> Judged:
    """What the figures that are shown say, and nothing else."""
    why = _why_not(comparison, seen_by, noise)
    if why:
        return Judged(NO_DIFFERENCE, why, comparison)
    return Judged(FASTER if comparison.times > 1 else SLOWER, "", comparison)


def _why_not(comparison: Comparison, seen_by: str, noise: str) -> str:
    """Why a difference does not count."""
    low, high = comparison.interval
    size = max(comparison.times, 1 / comparison.times)
    if low <= 1 <= high and max(high, 1 / low) >= _LEAST_TIMES:
        return f"not told from chance by {seen_by}"
    if size < _LEAST_TIMES:
        return f"less than {percent(_LEAST_TIMES - 1)}"
    if abs(comparison.before_ms - comparison.after_ms) < _LEAST_MS:
        return f"less than {number(_LEAST_MS)} ms"
    if size < comparison.floor:
        differed = percent(comparison.floor - 1)
        return f"not clear of the noise: {noise} differed by {differed}"
    return ""


def _too_few(measured: str) -> Judged:
    return Judged(NOT_TRIED, f"{measured} measured: too few to tell anything from chance", None)


def _batches(times_ms: Sequence[float]) -> list[float]:
    return _part_logs(times_ms, min(_APART_BATCHES_COUNT, len(times_ms)))


def _part_logs(times_ms: Sequence[float], count: int) -> list[float]:
    """The logarithms of the medians of so many consecutive parts."""
    ends = [i * len(times_ms) // count for i in range(count + 1)] if count else []
    return [math.log(median(times_ms[begin:end])) for begin, end in pairwise(ends)]


def _drift(times_ms: Sequence[float]) -> float:
    parts = _part_logs(times_ms, _APART_PARTS_COUNT)
    return max(parts) - min(parts)

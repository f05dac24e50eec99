"""How often a verdict is wrong, and how small a gain is found: `python -m bench.power`.

Simulates trials whose truth is known - none, gains and losses of 10 % and 25 % and of a factor of
two - and judges them by `unslow.prove.compare` as a check does, look by look. Times are log-normal
around a request's own mean, each noise half of the one before, under a slow drift of the whole
machine, with 2 % outliers of 3 to 10 times; what else is hard has a scene of its own. Then trials
of two runs apart, races between variants, and other floors and methods on the same blocks.

    python -m bench.power [--quick] [--json] [--trials N] [--only PART ...]

Ends with 1 where a figure is not what is promised for trials of own fixes.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from statistics import median, median_high
from typing import Any, Final, NamedTuple

from unslow.model.proof import FASTER, NO_DIFFERENCE, SLOWER
from unslow.prove.compare import (
    OWN_PLAN,
    SHARED_PLAN,
    Block,
    Judged,
    Look,
    Plan,
    cannot_win,
    judged,
    judged_apart,
    look,
)
from unslow.prove.turns import Turns

TRIALS: Final = 200
QUICK_TRIALS: Final = 40
MEAN_MS: Final = 20.0
OUTLIERS: Final = 0.02
CROWD_REQUESTS: Final = 40
RACE_BLOCKS: Final = 12
TIMES: Final = (1.0, 1.1, 1 / 1.1, 1.25, 1 / 1.25, 2.0, 1 / 2.0)
WRONG_AT_MOST: Final = 0.05
FOUND_AT_LEAST: Final = {1.1: 0.60, 1.25: 0.95, 2.0: 1.0}
PARTS: Final = ("own", "shared", "apart", "race", "floor", "methods")


@dataclass(frozen=True, slots=True)
class Scene:
    """What makes a trial hard."""

    name: str
    noise: float = 0.125
    """The standard deviation of a time's logarithm."""
    baselines: int = 2
    plan: Plan = OWN_PLAN
    is_skewed: bool = False
    """Noise that is never much below its mean, and often far above."""
    first_times: float = 1.0
    """The first of a block takes so many times as long: it finds nothing in any cache."""
    dependence: float = 0.5
    """How much of one time's noise is still in the next."""
    drift: float = 0.3
    is_crowd: bool = False
    is_promised: bool = False
    """Whether `FOUND_AT_LEAST` is to be reached."""


OWN_SCENES: Final = (
    Scene("noise of 10 %", 0.10, is_promised=True),
    Scene("noise of 12.5 %", is_promised=True),
    Scene("noise of 15 %", 0.15, is_promised=True),
    Scene("15 %, independent", 0.15, dependence=0.0, is_promised=True),
    Scene("15 %, one baseline", 0.15, baselines=1, is_promised=True),
    Scene("15 %, skewed", 0.15, is_skewed=True, is_promised=True),
    Scene("15 %, first +30 %", 0.15, first_times=1.3),
    Scene("noise of 25 %", 0.25),
)
SHARED_SCENES: Final = tuple(
    Scene(f"crowd, {name}", noise, baselines, SHARED_PLAN, is_crowd=True)
    for name, noise, baselines in (
        ("10 %", 0.10, 2),
        ("12.5 %", 0.125, 2),
        ("12.5 %, one baseline", 0.125, 1),
        ("25 %", 0.25, 2),
    )
)


class Row(NamedTuple):
    """What came of the trials of one scene with one truth."""

    part: str
    scene: str
    times: float
    trials: int
    faster: float
    slower: float
    blocks: float
    """On average, until the verdict."""
    reached: bool | None
    """None where nothing is promised."""


class Machine:
    """Takes its time, and never the same."""

    def __init__(self, random: Random, scene: Scene, expected_requests: int) -> None:
        self._random, self._scene = random, scene
        self._noise = random.gauss(0.0, 1.0)
        self._phase = random.uniform(0.0, math.tau)
        self._turn = math.tau / (expected_requests * random.uniform(0.5, 2.0))
        self._trend = random.uniform(-1.0, 1.0) * scene.drift / expected_requests
        self._sent = 0

    def ms(self, mean_ms: float) -> float:
        """How long one request takes, or the median one of a crowd."""
        self._sent += 1
        drift = self._scene.drift / 2 * math.sin(self._phase + self._turn * self._sent)
        shift = drift + self._trend * self._sent + self._scene.noise * self._next_noise()
        around_ms = mean_ms * math.exp(shift)
        if not self._scene.is_crowd:
            return around_ms * self._outlier()
        return median_high(
            around_ms * math.exp(self._random.gauss(0.0, 0.3)) * self._outlier()
            for _ in range(CROWD_REQUESTS)
        )

    def _next_noise(self) -> float:
        fresh = self._random.gauss(0.0, 1.0)
        if self._scene.is_skewed:
            fresh = self._random.expovariate(1.0) - 1.0
        kept = self._scene.dependence
        self._noise = kept * self._noise + math.sqrt(1 - kept**2) * fresh
        return self._noise

    def _outlier(self) -> float:
        is_one = self._random.random() < OUTLIERS
        return self._random.uniform(3.0, 10.0) if is_one else 1.0


def race_of(random: Random, scene: Scene, times: Sequence[float]) -> Iterator[list[Block]]:
    """Blocks without end; in each the baselines, and every variant, in random order."""
    most = scene.plan.looks[-1].blocks_count
    machine = Machine(random, scene, most * (scene.baselines + len(times)))
    arms = [*(1.0 for _ in range(scene.baselines)), *times]
    turns = Turns(random)
    while True:
        mean_ms = MEAN_MS * math.exp(random.gauss(0.0, 0.0 if scene.is_crowd else 0.5))
        took_ms = [0.0] * len(arms)
        for position, arm in enumerate(turns.next(range(len(arms)))):
            factor = 1.0 if position else scene.first_times
            took_ms[arm] = machine.ms(mean_ms * factor / arms[arm])
        before_ms = tuple(took_ms[: scene.baselines])
        yield [Block(before_ms, one) for one in took_ms[scene.baselines :]]


def trial(random: Random, scene: Scene, times: float) -> tuple[Judged, int]:
    """One trial until its verdict, and how many blocks it took."""
    blocks: list[Block] = []
    for (block,) in race_of(random, scene, [times]):
        blocks.append(block)
        if verdict := look(blocks, scene.plan):
            return verdict, len(blocks)
    raise AssertionError("a race has no end")


def row(part: str, scene: Scene, times: float, trials: int) -> Row:
    """What comes of many."""
    ended = [trial(Random(f"{scene.name} {times} {n}"), scene, times) for n in range(trials)]
    blocks = sum(count for _, count in ended) / trials
    verdicts = [one.verdict for one, _ in ended]
    is_promised = scene.is_promised or times == 1
    return _row(part, scene.name, times, verdicts, blocks, is_promised=is_promised)


def _row(
    part: str,
    name: str,
    times: float,
    verdicts: Sequence[str],
    blocks: float,
    *,
    is_promised: bool = False,
) -> Row:
    trials = len(verdicts)
    faster, slower = (verdicts.count(one) / trials for one in (FASTER, SLOWER))
    reached = None
    if is_promised:
        bound = WRONG_AT_MOST + 2 * math.sqrt(WRONG_AT_MOST * (1 - WRONG_AT_MOST) / trials)
        least = FOUND_AT_LEAST.get(max(times, 1 / times), 0.0)
        found = faster if times > 1 else slower
        reached = faster + slower <= bound if times == 1 else found >= least
    return Row(part, name, times, trials, faster, slower, blocks, reached)


def apart_rows(trials: int) -> Iterator[Row]:
    """Two runs, one after the other, each with a drift of its own."""
    for requests in (40, 200):
        for drift in (0.1, 0.3):
            scene = Scene(f"{requests} requests each, drift {drift:.0%}", 0.15, drift=drift)
            for times in (1.0, 1.1, 1.25, 1 / 1.25, 2.0):
                verdicts = []
                for number in range(trials):
                    random = Random(f"{scene.name} {times} {number}")
                    before_ms = _run(random, scene, requests, 1.0)
                    after_ms = _run(random, scene, requests, times)
                    verdicts.append(judged_apart(before_ms, after_ms).verdict)
                yield _row("apart", scene.name, times, verdicts, min(10, requests))


def _run(random: Random, scene: Scene, requests: int, times: float) -> list[float]:
    machine = Machine(random, scene, requests)
    return [machine.ms(MEAN_MS * math.exp(random.gauss(0, 0.2)) / times) for _ in range(requests)]


def race_rows(trials: int) -> Iterator[Row]:
    """Four variants; the one that leads after the race is judged by blocks of its own."""
    scene = Scene("four variants", 0.15)
    for name, times in (
        ("four that change nothing", (1.0, 1.0, 1.0, 1.0)),
        ("one of four gains 10 %", (1.1, 1.0, 1.0, 1.0)),
        ("one of four gains 2x", (2.0, 1.5, 1.0, 0.7)),
    ):
        verdicts, blocks = [], 0
        for number in range(trials):
            random = Random(f"{name} {number}")
            best, raced = _race(random, scene, times)
            result, judged_count = trial(random, scene, times[best])
            blocks += raced + judged_count
            # A verdict over another one than the best is no find of it.
            verdicts.append(result.verdict if times[best] == max(times) else "other")
        is_promised = max(times) == 1
        mean_blocks = blocks / trials
        yield _row("race", name, max(times), verdicts, mean_blocks, is_promised=is_promised)


def _race(random: Random, scene: Scene, times: Sequence[float]) -> tuple[int, int]:
    """The winner, and how many blocks the race took."""
    blocks: list[list[Block]] = [[] for _ in times]
    running = list(range(len(times)))
    for count, race in enumerate(islice(race_of(random, scene, times), RACE_BLOCKS), 1):
        for arm in running:
            blocks[arm].append(race[arm])
        best = max(running, key=lambda arm: _lead(blocks[arm]))
        running = [arm for arm in running if not cannot_win(blocks[arm], blocks[best])]
        if len(running) == 1:
            return best, count
    return best, RACE_BLOCKS


def _lead(blocks: Sequence[Block]) -> float:
    return median(math.log(ms / one.after_ms) for one in blocks for ms in one.before_ms)


def floor_rows(trials: int) -> Iterator[Row]:
    """The same trials by another floor: the far end of the interval of the app beside itself."""
    for scene in (Scene("15 %", 0.15, dependence=0.0), Scene("25 %", 0.25)):
        for times in (1.0, 1.1, 1.25):
            for name, is_clear in (("the estimate", _is_clear), ("its far end", _is_far_clear)):
                ended = [
                    _trial_by(is_clear, Random(f"{scene.name} {times} {number}"), scene, times)
                    for number in range(trials)
                ]
                blocks = sum(count for _, count in ended) / trials
                verdicts = [verdict for verdict, _ in ended]
                yield _row("floor", f"{name}, {scene.name}", times, verdicts, blocks)


def _trial_by(
    is_clear: Callable[[Sequence[Block], Judged], bool], random: Random, scene: Scene, times: float
) -> tuple[str, int]:
    blocks: list[Block] = []
    most = scene.plan.looks[-1].blocks_count
    for (block,) in islice(race_of(random, scene, [times]), most):
        blocks.append(block)
        verdict = look(blocks, scene.plan)
        if verdict and verdict.verdict != NO_DIFFERENCE and is_clear(blocks, verdict):
            return verdict.verdict, len(blocks)
    return NO_DIFFERENCE, most


def _is_clear(_blocks: Sequence[Block], _verdict: Judged) -> bool:
    return True


def _is_far_clear(blocks: Sequence[Block], verdict: Judged) -> bool:
    beside = [Block(one.before_ms[:1], one.before_ms[1]) for one in blocks]
    itself = judged(beside, Plan((Look(len(blocks), WRONG_AT_MOST),))).comparison
    if itself is None or verdict.comparison is None:
        return False
    low, high = itself.interval
    times = verdict.comparison.times
    return max(times, 1 / times) > max(high, 1 / low)


def method_rows(trials: int) -> Iterator[Row]:
    """One look at 5 % in trials without a difference, by what is taken, and by other methods."""
    methods: dict[str, Callable[[Sequence[Block]], str]] = {
        "place in the block": _by_place,
        "bootstrap of the median": _by_bootstrap,
        "signed ranks": _by_signed_ranks,
    }
    for kind, scene in (("even", Scene("", 0.15)), ("skewed", Scene("", 0.15, is_skewed=True))):
        for count in (6, 12, 24, 80):
            drawn = [
                [block for (block,) in islice(race_of(Random(f"{kind} {n}"), scene, [1.0]), count)]
                for n in range(trials)
            ]
            for name, method in methods.items():
                verdicts = [method(blocks) for blocks in drawn]
                yield _row("methods", f"{name}, {kind}", 1.0, verdicts, count)


def _by_place(blocks: Sequence[Block]) -> str:
    comparison = judged(blocks, Plan((Look(len(blocks), WRONG_AT_MOST),))).comparison
    return _says(*((0.0, 0.0) if comparison is None else map(math.log, comparison.interval)))


def _by_bootstrap(blocks: Sequence[Block]) -> str:
    gains = _block_gains(blocks)
    random = Random(len(blocks))
    drawn = sorted(median(random.choices(gains, k=len(gains))) for _ in range(400))
    return _says(drawn[9], drawn[-10])


def _by_signed_ranks(blocks: Sequence[Block]) -> str:
    """Wilcoxon's test: the exact number of ways in which ranks get so high a sum by chance."""
    gains = sorted(_block_gains(blocks), key=abs)
    ways = [1]
    for rank in range(1, len(gains) + 1):
        ways = [a + b for a, b in zip(ways + [0] * rank, [0] * rank + ways, strict=True)]
    plus = sum(rank for rank, gain in enumerate(gains, 1) if gain > 0)
    least = min(plus, len(ways) - 1 - plus)
    if sum(ways[: least + 1]) / sum(ways) > WRONG_AT_MOST / 2:
        return NO_DIFFERENCE
    return FASTER if plus > least else SLOWER


def _block_gains(blocks: Sequence[Block]) -> list[float]:
    """One number per block: the mean of the logarithms before, less the one after."""
    return [
        sum(map(math.log, one.before_ms)) / len(one.before_ms) - math.log(one.after_ms)
        for one in blocks
    ]


def _says(low: float, high: float) -> str:
    if low > 0:
        return FASTER
    return SLOWER if high < 0 else NO_DIFFERENCE


def rows(parts: Sequence[str], trials: int) -> Iterator[Row]:
    """All of it."""
    for part, scenes in (("own", OWN_SCENES), ("shared", SHARED_SCENES)):
        if part in parts:
            yield from (row(part, scene, times, trials) for scene in scenes for times in TIMES)
    if "apart" in parts:
        yield from apart_rows(trials)
    if "race" in parts:
        yield from race_rows(trials)
    if "floor" in parts:
        yield from floor_rows(trials)
    if "methods" in parts:
        yield from method_rows(trials)


def main() -> int:
    """Prints a line for each scene and truth."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    trials = given.trials or (QUICK_TRIALS if given.quick else TRIALS)
    found: list[Row] = []
    if not given.json:
        head = f"{'part':8} {'scene':32} {'truth':>6} {'faster':>7} {'slower':>7} {'blocks':>7}"
        print(f"{head}  reached")
    for one in rows(given.only, trials):
        found.append(one)
        if not given.json:
            print(_line(one), flush=True)
    if given.json:
        print(json.dumps([_as_data(one) for one in found], indent=2))
    return 0 if all(one.reached in (True, None) for one in found) else 1


def _line(one: Row) -> str:
    reached = {True: "yes", False: "NO", None: ""}[one.reached]
    return (
        f"{one.part:8} {one.scene:32} {one.times:6.2f} {one.faster:7.1%} {one.slower:7.1%}"
        f" {one.blocks:7.1f}  {reached}"
    ).rstrip()


def _as_data(one: Row) -> dict[str, Any]:
    return one._asdict()


if __name__ == "__main__":
    sys.exit(main())

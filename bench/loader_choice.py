"""Whether the loader that a trial chooses is the quickest: `python -m bench.loader_choice`.

Five shapes of data, on which the lazy loop, `selectinload`, `joinedload` and `subqueryload` rank
differently. On each a trial chooses, as `unslow check` does: one of the loaders, or the loop as it
is. Then all of them are measured side by side, longer than the trial did, and the time of the
chosen one is divided by that of the best: the regret.

    python -m bench.loader_choice [--runs N] [--quick] [--json]

Ends with 1 where a regret is above 1.1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Final
from urllib.parse import urlsplit

from bench.loader_app import DATABASE_VARIABLE, DISTANT_VARIABLE, SHAPES, Shape, fill
from bench.served import Served, served
from unslow.fixes.catalogue import fix_of
from unslow.fixes.patches.eager_load import candidates
from unslow.fixes.patches.files import text_of
from unslow.fixes.patches.patch import Subject
from unslow.model.finding import Finding
from unslow.model.proof import FASTER, Arm, Trial
from unslow.model.trace import Trace
from unslow.model.workload import Exchange, Request
from unslow.postgres.server import embedded_server
from unslow.prove.experiment import BASELINE, Allowance, End, Experiment
from unslow.prove.link import WATCH
from unslow.prove.network import SlowNetwork
from unslow.prove.own_trial import OwnTrial, typical_ms
from unslow.prove.workload.sending import open_client

RUNS: Final = 5
MOST_REGRET: Final = 1.1
BLOCKS: Final = 25
QUICK_BLOCKS: Final = 9
FIX: Final = fix_of("eager-load")
AS_IT_IS: Final = "as it is"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a trial chose on one shape, and what that was worth."""

    shape: str
    chosen: str
    best: str
    regret: float
    verdict: str
    ms: Mapping[str, float]
    """By loader, the mean of the long measurement, without a tenth at each end."""
    trial_s: float


@contextmanager
def served_shapes() -> Iterator[Served]:
    """The app on a database of its own, one of its two ways a longer one."""
    with embedded_server() as server:
        url = server.create_database("loaders")
        fill(url)
        parts = urlsplit(url)
        with SlowNetwork(str(parts.hostname), parts.port or 5432, delay_ms=1.0) as network:
            distant = url.replace(f":{parts.port}/", f":{network.port}/")
            variables = {DATABASE_VARIABLE: url, DISTANT_VARIABLE: distant}
            with served("bench.loader_app:make_app", variables) as app:
                yield app


async def seen(end: End, request: Request, count: int) -> list[Trace]:
    """Some requests, recorded and watched, so that there is something to go by."""
    experiment = Experiment(end, (), Allowance(1_000, time.monotonic() + 60))
    end.link.arm(WATCH)
    try:
        recorded = [await experiment.recorded(request, BASELINE) for _ in range(count)]
    finally:
        end.link.disarm(WATCH)
    return [one.trace for one in recorded if one.trace is not None]


def subject_of(shape: Shape, traces: Sequence[Trace]) -> Subject:
    """The finding that there would be: some shapes are none, and are asked all the same."""
    first = next(one for one in traces[0].statements if not one.relationship)
    finding = Finding(
        says="",
        place=first.place,
        evidence={"relationship": shape.relationship},
        rule="lazy-load-loop",
        route=f"GET {shape.route}",
        fixes=(FIX.id,),
    )
    return Subject(finding, tuple(traces), text_of)


async def measured(
    end: End, request: Request, arms: Sequence[Arm], blocks_count: int
) -> dict[str, float]:
    """Every loader and the loop as it is, in turns."""
    experiment = Experiment(end, (), Allowance(10_000, time.monotonic() + 600))
    names = {f"all-{number}": arm for number, arm in enumerate(arms)}
    taken: dict[str, list[float]] = {name: [] for name in (BASELINE, *names)}
    try:
        for name, arm in names.items():
            end.link.switch_on(name, arm)
        for _ in range(blocks_count):
            found = await experiment.block(request, tuple(taken), _unseen)
            for name, times in found.items():
                taken[name] += times
    finally:
        for name in names:
            end.link.switch_off(name)
    said = {BASELINE: AS_IT_IS, **{name: arm.says for name, arm in names.items()}}
    return {said[name]: typical_ms(times) for name, times in taken.items() if times}


def _unseen(_arm: str, _exchange: Exchange) -> None:
    """Answers are compared by the trial."""


async def choose(end: End, shape: Shape, blocks_count: int) -> Choice:
    """One trial on one shape, and the long measurement behind it."""
    request = Request("GET", shape.route, route=shape.route)
    traces = await seen(end, request, 3)
    subject = subject_of(shape, traces)
    experiment = Experiment(end, (), Allowance(5_000, time.monotonic() + 120))
    begun = time.monotonic()
    trial = await OwnTrial(experiment, subject, FIX, [request], users_count=1).run()
    took_s = time.monotonic() - begun
    arms = list(candidates(subject))
    if trial.arm not in arms:
        arms.append(trial.arm)
    ms = await measured(end, request, arms, blocks_count)
    chosen = _chosen(trial)
    best = min(ms, key=lambda name: ms[name])
    return Choice(shape.name, chosen, best, ms[chosen] / ms[best], trial.verdict, ms, took_s)


def _chosen(trial: Trial) -> str:
    return trial.arm.says if trial.verdict == FASTER else AS_IT_IS


async def run_all(app: Served, runs: int, blocks: int) -> list[Choice]:
    """Every shape, so many times."""
    async with open_client(app.address) as client:
        end = End(client, app.link)
        for shape in SHAPES:
            await client.get(shape.route)
        choices = []
        for _ in range(runs):
            for shape in SHAPES:
                choices.append(await choose(end, shape, blocks))
                _say(choices[-1])
        return choices


def _say(one: Choice) -> None:
    times = "  ".join(f"{name} {ms:.1f}" for name, ms in sorted(one.ms.items(), key=lambda i: i[1]))
    print(
        f"{one.shape}\n  chosen {one.chosen} ({one.verdict}, {one.trial_s:.0f} s), best {one.best},"
        f" regret {one.regret:.2f}\n  ms: {times}",
        file=sys.stderr,
        flush=True,
    )


def main() -> int:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    runs, blocks = (1, QUICK_BLOCKS) if given.quick else (given.runs, BLOCKS)
    with served_shapes() as app:
        choices = asyncio.run(run_all(app, runs, blocks))
    if given.json:
        print(json.dumps([asdict(one) for one in choices], indent=2))
    else:
        for shape in SHAPES:
            mine = [one for one in choices if one.shape == shape.name]
            chosen = ", ".join(sorted({one.chosen for one in mine}))
            worst = max(one.regret for one in mine)
            print(f"{shape.name:42} worst regret {worst:.2f}  chosen: {chosen}")
    return int(any(one.regret > MOST_REGRET for one in choices))


if __name__ == "__main__":
    sys.exit(main())

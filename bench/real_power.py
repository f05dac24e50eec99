"""How often a verdict on a real app is wrong, and how small a gain is found.

An app on a real PostgreSQL, asked over real sockets, in which an arm does more or less of the same
work: none (the app beside itself), and gains and losses of 10 %, 25 % and a factor of two. Blocks,
looks and verdicts are those of a check.

    python -m bench.real_power [--quick] [--json]

Ends with 1 where more than 5 % and two standard errors of the trials of nothing have a verdict, or
less than 60 %, 95 % and 100 % of the gains and losses have theirs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Final

from bench.planted_app import DATABASE_VARIABLE
from bench.served import Served, served
from unslow.model.proof import FASTER, NO_DIFFERENCE, SLOWER, Arm
from unslow.model.workload import Exchange, Request
from unslow.postgres.server import embedded_server
from unslow.prove.compare import OWN_PLAN, Block, Judged, look
from unslow.prove.experiment import BASELINE, Allowance, End, Experiment
from unslow.prove.workload.sending import open_client

NOTHING_TRIALS: Final = 40
PLANTED_TRIALS: Final = 20
WRONG_AT_MOST: Final = 0.05
PLANTED: Final = {91: (FASTER, 0.60), 80: (FASTER, 0.95), 50: (FASTER, 1.0)}
"""What the arm costs in percent of the app, for gains of 1.1, 1.25 and 2 times."""
PLANTED_LOSSES: Final = {110: (SLOWER, 0.60), 125: (SLOWER, 0.95), 200: (SLOWER, 1.0)}
NOWHERE: Final = Arm("limit-rows", "", {"path": "/nowhere", "line": 1, "function": "", "limit": 1})
"""A switch that never acts: it only has requests run under an arm."""


@dataclass(frozen=True, slots=True)
class Row:
    """What came of the trials of one planted difference."""

    cost_percent: int
    trials: int
    faster: int
    slower: int
    no_difference: int
    blocks_mean: float
    is_right: bool


async def trial(end: End, arm: str) -> Judged:
    """One trial, as the proof of an own fix goes."""
    experiment = Experiment(end, (), Allowance(10_000, time.monotonic() + 300))
    request = Request("GET", "/work", route="/work")
    blocks: list[Block] = []
    while True:
        taken = await experiment.block(request, (BASELINE, BASELINE, arm), _unseen)
        blocks.append(Block(taken[BASELINE], taken[arm][0]))
        judged = look(blocks, OWN_PLAN)
        if judged is not None:
            return judged


def _unseen(_arm: str, _exchange: Exchange) -> None:
    """The answers are the same."""


async def trials(end: End, cost_percent: int, count: int) -> Row:
    """Some trials of one planted difference."""
    arm = f"{cost_percent}-percent"
    end.link.switch_on(arm, NOWHERE)
    try:
        judged = [await trial(end, arm) for _ in range(count)]
    finally:
        end.link.switch_off(arm)
    verdicts = Counter(one.verdict for one in judged)
    blocks = [one.comparison.blocks_count for one in judged if one.comparison is not None]
    row = Row(
        cost_percent,
        count,
        verdicts[FASTER],
        verdicts[SLOWER],
        verdicts[NO_DIFFERENCE],
        sum(blocks) / len(blocks),
        _is_right(cost_percent, verdicts, count),
    )
    print(row, file=sys.stderr, flush=True)
    return row


def _is_right(cost_percent: int, verdicts: Counter[str], count: int) -> bool:
    wanted = (PLANTED | PLANTED_LOSSES).get(cost_percent)
    if wanted is not None:
        return verdicts[wanted[0]] / count >= wanted[1]
    error = math.sqrt(WRONG_AT_MOST * (1 - WRONG_AT_MOST) / count)
    return (verdicts[FASTER] + verdicts[SLOWER]) / count <= WRONG_AT_MOST + 2 * error


async def run_all(app: Served, *, is_quick: bool) -> list[Row]:
    """Trials of nothing, then of each gain and loss."""
    nothing, planted = (10, 3) if is_quick else (NOTHING_TRIALS, PLANTED_TRIALS)
    async with open_client(app.address) as client:
        end = End(client, app.link)
        for _ in range(20):
            await client.get("/work")
        counts = {100: nothing} | dict.fromkeys((*PLANTED, *PLANTED_LOSSES), planted)
        return [await trials(end, cost_percent, count) for cost_percent, count in counts.items()]


def main() -> int:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with embedded_server() as server:
        url = server.create_database("planted").replace("postgresql://", "postgresql+psycopg://")
        with served("bench.planted_app:make_app", {DATABASE_VARIABLE: url}) as app:
            rows = asyncio.run(run_all(app, is_quick=given.quick))
    if given.json:
        print(json.dumps([asdict(one) for one in rows], indent=2))
    else:
        print("costs  trials  faster  slower  no difference  blocks")
        for one in rows:
            print(
                f"{one.cost_percent:4} %  {one.trials:6}  {one.faster:6}  {one.slower:6}"
                f"  {one.no_difference:13}  {one.blocks_mean:6.0f}"
                f"{'' if one.is_right else '  not what is wanted'}"
            )
    return int(not all(one.is_right for one in rows))


if __name__ == "__main__":
    sys.exit(main())

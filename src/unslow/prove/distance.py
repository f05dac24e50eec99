"""A proven fix once more, with the database further away."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from statistics import median
from typing import Final

from ..model.proof import FASTER, Trial
from ..model.workload import Exchange, Request
from .experiment import BASELINE, Experiment, TrialOverError
from .link import Link
from .network import SlowNetwork

ROUND_TRIPS_MS: Final = (1, 5)
"""Of a database in the same and in the next data centre."""
_BLOCKS: Final = 7
_ARM: Final = "distant"


@contextmanager
def distant_databases(link: Link) -> Iterator[Sequence[SlowNetwork]]:
    """Leads the app's databases through proxies, for the length of the block; none if none can be.

    Raises:
        WireError: the app's process does not answer.
    """
    with ExitStack() as stack:
        ways: dict[str, SlowNetwork] = {}
        for address in link.database_addresses():
            host, _, port = address.rpartition(":")
            ways[address] = stack.enter_context(SlowNetwork(host, int(port)))
        if ways:
            stack.callback(link.reroute, {})
            link.reroute({address: way.port for address, way in ways.items()})
        yield tuple(ways.values())


async def at_distance(
    trial: Trial,
    experiment: Experiment,
    requests: Sequence[Request],
    users_count: int,
    networks: Sequence[SlowNetwork],
) -> Trial:
    """A trial, with how many times as fast it is where each round trip takes longer.

    The median over a few blocks: a figure beside a verdict, and none itself.
    """
    if trial.verdict != FASTER or not networks:
        return trial
    found: dict[int, float] = {}

    def switched(is_on: bool) -> None:
        if is_on:
            experiment.link.switch_on(_ARM, trial.arm)
        else:
            experiment.link.switch_off(_ARM)

    try:
        # Each connection of a pool is opened anew when it is next taken.
        crowd = [requests[index % len(requests)] for index in range(2 * users_count)]
        await experiment.crowd(crowd, users_count, BASELINE)
        for ms in ROUND_TRIPS_MS:
            for one in networks:
                one.delay_ms = ms
            times = await _times(experiment, requests, switched)
            if times is not None:
                found[ms] = times
    except TrialOverError:
        # What is known by now is told.
        pass
    finally:
        for one in networks:
            one.delay_ms = 0.0
    return replace(trial, at_round_trip_ms=found)


async def _times(
    experiment: Experiment, requests: Sequence[Request], switched: Callable[[bool], None]
) -> float | None:
    ratios = []
    for number in range(_BLOCKS):
        request = requests[number % len(requests)]
        taken: Mapping[str, tuple[float, ...]] = await experiment.block(
            request, (BASELINE, _ARM), _unseen, switched
        )
        if taken.get(BASELINE) and taken.get(_ARM):
            ratios.append(taken[BASELINE][0] / taken[_ARM][0])
    return median(ratios) if ratios else None


def _unseen(_arm: str, _exchange: Exchange) -> None:
    """Answers were compared in the trial."""

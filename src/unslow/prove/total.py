"""All proven fixes on top of one another: a measured total, not a sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING, Final

from ..fixes.catalogue import OWN, fix_of
from ..model.proof import ProvenTotal, Trial
from ..model.workload import Exchange
from .crowds import Crowds
from .experiment import BASELINE, Experiment, TrialOverError
from .link import SwitchRefusedError

if TYPE_CHECKING:
    from .trials import Stage

_ARM: Final = "all"
_PAIRS_COUNT: Final = 3
_LONGEST_S: Final = 30.0
_ALONE_COUNT: Final = 3
"""Requests of a route in a block, where its fix is no matter of crowds."""


async def total_of(
    stage: Stage,
    proven: Sequence[tuple[str, Trial]],
    experiment_of: Callable[[str, float], Experiment],
) -> ProvenTotal | None:
    """What a request of each route with a proven fix takes, with none of them and with all.

    Alone or in a crowd, as its fix was proven. None where nothing is proven, or time is up.

    Args:
        stage: The app.
        proven: The route and the trial of each proven fix.
        experiment_of: What sends requests of a route, for so many seconds.
    """
    if not proven:
        return None
    blocks: dict[bool, list[float]] = {False: [], True: []}
    routes = {route: fix_of(trial.arm.fix).changes != OWN for route, trial in proven}
    experiments = {route: experiment_of(route, _LONGEST_S) for route in routes}
    try:
        for number in range(_PAIRS_COUNT):
            for is_on in (number % 2 == 0, number % 2 == 1):
                blocks[is_on].append(await _block(stage, proven, experiments, routes, is_on))
    except (TrialOverError, SwitchRefusedError):
        if not blocks[True] or not blocks[False]:
            return None
    before_ms, after_ms = median(blocks[False]), median(blocks[True])
    return ProvenTotal(before_ms / after_ms, before_ms, after_ms, len(proven))


async def _block(
    stage: Stage,
    proven: Sequence[tuple[str, Trial]],
    experiments: dict[str, Experiment],
    routes: dict[str, bool],
    is_on: bool,
) -> float:
    """The sum over the routes of what a request takes."""
    arm = _ARM if is_on else BASELINE
    try:
        for _, trial in proven if is_on else ():
            stage.link.switch_on(_ARM, trial.arm)
        return sum(
            [
                await _took_ms(stage, experiments[route], route, routes[route], arm)
                for route in routes
            ]
        )
    finally:
        stage.link.switch_off(_ARM)


async def _took_ms(
    stage: Stage, experiment: Experiment, route: str, in_crowd: bool, arm: str
) -> float:
    requests = stage.requests[route]
    if in_crowd:
        ms = await Crowds(experiment, requests, stage.users_count).block(arm, _unseen)
        if ms is None:
            raise TrialOverError("too few were answered")
        return ms
    times_ms = [
        ms
        for request in requests[:_ALONE_COUNT]
        for ms in (await experiment.block(request, (arm,), _unseen)).get(arm, ())
    ]
    if not times_ms:
        raise TrialOverError("too few were answered")
    return median(times_ms)


def _unseen(_arm: str, _exchange: Exchange) -> None:
    """Answers were compared in the trials."""

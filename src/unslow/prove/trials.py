"""All trials of a check: each fix of each finding, as far as there is time, and all proven ones."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import httpx

from ..errors import UnslowError
from ..fixes.catalogue import OWN, SHOW_ONLY, Fix, fix_of
from ..fixes.patches.patch import (
    CannotTryError,
    CannotWriteError,
    Subject,
    diff_of,
    patcher_of,
)
from ..model.proof import BROKE, FASTER, NOT_TRIED, Arm, ProvenTotal, Trial
from ..model.proof_codec import Tried
from ..model.workload import Headers, Request
from ..numbers import counted
from .distance import at_distance, distant_databases
from .effects import locks_rows
from .experiment import Allowance, End, Experiment, TrialOverError, UnansweredError
from .guard import Guard
from .link import Link
from .own_trial import OwnTrial
from .shared_trial import SharedTrial
from .total import total_of

REQUESTS_COUNT: Final = 4
"""Different requests of a route, at most: the answers to each are compared from the start."""
_LONGEST_OWN_S: Final = 30.0
_LONGEST_SHARED_S: Final = 25.0
_LONGEST_DISTANT_S: Final = 15.0
_RESERVED_S: Final = 40.0
"""Kept back for what comes behind the trials: the database further away, and the total."""
_RESERVED_SHARE: Final = 0.25
"""Of the time that there is, at most."""
_LEAST_LEFT_S: Final = 3.0
"""No trial begins that has less."""

Told = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """The running app, and what may be sent to it."""

    client: httpx.AsyncClient
    link: Link
    headers: Headers
    requests: Mapping[str, Sequence[Request]]
    """By route, such as `GET /users/{user_id}`: those that count and may be sent again."""
    users_count: int
    left_count: Callable[[str], int]
    """How many more requests a route may be sent."""
    deadline: float
    """By `time.monotonic`."""
    also_counted: Collection[int] = ()


class Trials:
    """Tries the fixes of findings, one after the other."""

    def __init__(
        self, stage: Stage, folder: Path, told: Told, keep: Callable[[Tried], None]
    ) -> None:
        """Tells `keep` after each trial what came of all of them so far."""
        self._stage = stage
        self._folder = folder
        self._told = told
        self._keep = keep
        self._trials: list[Trial] = []
        self._left: list[Subject] = []
        self._allowances: dict[str, Allowance] = {}
        self._guard: Guard | None = None
        whole_s = stage.deadline - time.monotonic()
        self._deadline = stage.deadline - min(_RESERVED_S, _RESERVED_SHARE * whole_s)
        """Until the trials are over; what comes behind them has the rest."""

    async def run(self, subjects: Sequence[Subject]) -> Tried:
        """Tries them in this order; each fix of a finding has a trial, also if it was not tried.

        Meanwhile the app's databases refuse to write, as far as that can be had.

        Raises:
            WireError: the app's process does not answer any more.
        """
        self._guard = Guard(self._stage.link, subjects)
        with self._guard:
            total = await self._all(subjects)
        tried = self._tried()._replace(total=total)
        self._keep(tried)
        return tried

    async def _all(self, subjects: Sequence[Subject]) -> ProvenTotal | None:
        wanted = [(subject, fix) for subject in subjects for fix in _fixes(subject)]
        for number, (subject, fix) in enumerate(wanted):
            self._told(f"Trying {fix.id} on {subject.finding.route}", number / len(wanted))
            trial = await self._trial(subject, fix)
            self._trials.append(_written(trial, subject, fix, self._folder))
            self._keep(self._tried())
        self._deadline = self._stage.deadline
        self._told("Trying all proven fixes together", 1.0)
        total = await total_of(self._stage, self._proven(subjects), self._experiment)
        await self._look_from_afar(subjects)
        return total

    async def _look_from_afar(self, subjects: Sequence[Subject]) -> None:
        """Measures the proven ones that save statements with the database further away."""
        routes = {one.finding.id: one.finding.route for one in subjects}
        numbers = [
            number
            for number, one in enumerate(self._trials)
            if one.verdict == FASTER and fix_of(one.arm.fix).saves_statements
        ]
        if not numbers or self._left_s() < _LEAST_LEFT_S:
            return
        self._told("Trying with the database further away", 1.0)
        with distant_databases(self._stage.link) as networks:
            for number in numbers:
                route = routes[self._trials[number].finding]
                self._trials[number] = await at_distance(
                    self._trials[number],
                    self._experiment(route, _LONGEST_DISTANT_S),
                    self._stage.requests[route][:REQUESTS_COUNT],
                    self._stage.users_count,
                    networks,
                )
                self._keep(self._tried())

    def _left_s(self) -> float:
        return self._deadline - time.monotonic()

    def _tried(self) -> Tried:
        return Tried(tuple(self._trials), left=tuple(self._sentences()))

    def _proven(self, subjects: Sequence[Subject]) -> list[tuple[str, Trial]]:
        routes = {one.finding.id: one.finding.route for one in subjects}
        return [(routes[one.finding], one) for one in self._trials if one.verdict == FASTER]

    async def _trial(self, subject: Subject, fix: Fix) -> Trial:
        if fix.risk == SHOW_ONLY:
            return _not_tried(subject, fix, "")
        why = self._why_not(subject)
        if why:
            return _not_tried(subject, fix, why)
        try:
            return await self._running(subject, fix).run()
        except UnansweredError as reason:
            why = f"{reason}: they may write, which is refused while fixes are tried"
            return _not_tried(subject, fix, why)
        except (CannotTryError, TrialOverError) as reason:
            return _not_tried(subject, fix, str(reason))
        except UnslowError:
            # The app, or the wire to it, is gone.
            raise
        except Exception as error:
            # A fix that breaks takes nothing but itself along.
            return Trial(subject.finding.id, Arm(fix.id, ""), fix.risk, BROKE, _how(error))

    def _why_not(self, subject: Subject) -> str:
        if self._stage.link.processes_count != 1:
            count = counted(self._stage.link.processes_count, "process", "processes")
            return f"the app runs in {count}, and a trial wants one: start it with one worker"
        if not self._stage.requests.get(subject.finding.route):
            return "none of its requests may be sent again"
        if any(map(locks_rows, subject.traces)):
            return "it locks rows (FOR UPDATE and the like), which is refused while fixes are tried"
        if self._left_s() < _LEAST_LEFT_S:
            self._left.append(subject)
            return "there was no time left"
        return ""

    def _running(self, subject: Subject, fix: Fix) -> OwnTrial | SharedTrial:
        route = subject.finding.route
        kind = OwnTrial if fix.changes == OWN else SharedTrial
        longest_s = _LONGEST_OWN_S if fix.changes == OWN else _LONGEST_SHARED_S
        requests = self._stage.requests[route][:REQUESTS_COUNT]
        experiment = self._experiment(route, longest_s)
        return kind(experiment, subject, fix, requests, self._stage.users_count)

    def _experiment(self, route: str, longest_s: float) -> Experiment:
        stage = self._stage
        if route not in self._allowances:
            self._allowances[route] = Allowance(stage.left_count(route), 0.0)
        # All trials of a route have its requests together, and each a time of its own.
        allowance = self._allowances[route]
        allowance.deadline = min(self._deadline, time.monotonic() + longest_s)
        end = End(stage.client, stage.link)
        return Experiment(end, stage.headers, allowance, stage.also_counted)

    def _sentences(self) -> Iterator[str]:
        routes = list(dict.fromkeys(one.finding.route for one in self._left))
        if routes:
            findings = counted(len(self._left), "finding")
            yield f"There was no time to try what is for {findings} of {', '.join(routes)}."
        if self._guard is not None:
            yield from self._guard.sentences()


def _how(error: Exception) -> str:
    """How something of ours broke, without what an error may quote."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}, a mistake of ours"


def _fixes(subject: Subject) -> list[Fix]:
    return [fix_of(one) for one in subject.finding.fixes]


def _not_tried(subject: Subject, fix: Fix, why: str) -> Trial:
    """A trial that did not take place; with the arm that it would have had, if there is one."""
    try:
        arms = patcher_of(fix.id).candidates(subject)
    except CannotTryError as reason:
        arms, why = (), str(reason) if fix.risk != SHOW_ONLY else why
    except Exception as error:
        arms, why = (), _how(error)
    arm = arms[0] if arms else Arm(fix.id, "")
    return Trial(subject.finding.id, arm, fix.risk, NOT_TRIED, why)


def _written(trial: Trial, subject: Subject, fix: Fix, folder: Path) -> Trial:
    """With its patch where it is proven, and with what is told where it is not tried."""
    if trial.verdict != FASTER and not (fix.risk == SHOW_ONLY or fix.is_what_if):
        return trial
    try:
        patch = patcher_of(fix.id).write(subject, trial.arm)
    except CannotWriteError as reason:
        return replace(trial, advice=str(reason))
    except Exception as error:
        return replace(trial, advice=f"The patch could not be written ({_how(error)}).")
    return replace(trial, patch=diff_of(patch.edits, folder), advice=patch.advice)

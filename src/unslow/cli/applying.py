"""Measures a patch that is written: the app of before and the patched one run side by side."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from typing import Final, NamedTuple

from ..doctor import Proven
from ..fixes.catalogue import fix_of
from ..model.proof import Trial
from ..prove.applied import PATCHED, AppliedTrial
from ..prove.check import Check
from ..prove.experiment import Allowance, End, Experiment, TrialOverError
from ..prove.link import Link
from ..prove.trials import REQUESTS_COUNT, Stage
from ..prove.workload.sending import open_client
from ..report.progress import stages
from ..settings import Settings
from .asking import Asked, another, app_of, begun, wait_until_recorded
from .ending import Ending, cancelling
from .recording import Recording

_LONGEST_S: Final = 90.0


def measured(
    one: Proven, write: Callable[[], None], asked: Asked, settings: Settings, ending: Ending
) -> Trial:
    """What comes of a fix that is written.

    Args:
        one: The fix.
        write: Writes it; called when the app of before runs and has answered.
        asked: The app, and how it is asked.
        settings: What holds for both.
        ending: What a signal ends.

    Raises:
        Ended: a signal came.
        UnslowError: an app could not be started, or did not answer.
    """
    route = one.subject.finding.route

    async def work(told: Callable[[str, float], None], kept: Settings) -> Trial:
        ending.call_instead(cancelling())
        async with AsyncExitStack() as stack:
            before = stack.enter_context(_running(asked, kept))
            client = await stack.enter_async_context(open_client(before.address))
            stage = await _asked_once(End(client, before.link), asked, route, told)
            if not stage.requests.get(route):
                raise TrialOverError(f"no request of {route} counted")
            told("Writing the patch, and starting the patched app", 0.5)
            write()
            after = stack.enter_context(_running(another(asked), kept))
            patched = End(await stack.enter_async_context(open_client(after.address)), after.link)
            told("Measuring both", 0.7)
            return await _compared(one, stage, patched)

    ending.hold()
    try:
        with stages() as told, tempfile.TemporaryDirectory(prefix="unslow-fix-") as folder:
            return asyncio.run(work(told, replace(settings, folder=folder)))
    except asyncio.CancelledError:
        ending.release()
        raise
    finally:
        ending.hold()


class _App(NamedTuple):
    """A running app."""

    address: str
    link: Link


@contextmanager
def _running(asked: Asked, settings: Settings) -> Iterator[_App]:
    """Starts an app for the length of the block."""
    with Recording(settings) as recording, app_of(asked.running, recording) as app:
        wait_until_recorded(app, asked.running, recording, settings)
        yield _App(app.address, Link(recording.listener, recording.serving_peers))


async def _asked_once(
    end: End, asked: Asked, route: str, told: Callable[[str, float], None]
) -> Stage:
    """Finds the requests of the route, as a check does, and looks that they may be sent again."""
    check = Check(end.client, end.link, asked.limits, asked.who.headers, told)
    plan = await begun(check, end.link, asked)
    made = [one for one in plan.requests if one.operation == route]
    # Those of a file have no route yet: the app says it.
    for request in made[:REQUESTS_COUNT] or plan.requests:
        await check.ask(request)
    return check.stage()


async def _compared(one: Proven, stage: Stage, patched: End) -> Trial:
    subject, arm = one.subject, one.trial.arm
    route = subject.finding.route
    allowance = Allowance(stage.left_count(route), time.monotonic() + _LONGEST_S)
    experiment = Experiment(
        End(stage.client, stage.link),
        stage.headers,
        allowance,
        stage.also_counted,
        others={PATCHED: patched},
    )
    requests = stage.requests[route][:REQUESTS_COUNT]
    trial = AppliedTrial(experiment, subject, fix_of(arm.fix), requests, stage.users_count)
    return await trial.run_written(arm)

"""The calibration app on an event loop of its own, and how a case on it is judged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

import uvloop

from tests.calibration.app import make_app
from tests.calibration.driver import Driver, Exchange, Recording, Seen, get
from tests.calibration.stubs import running_stubs
from tests.calibration.world import USERS, World, opened_world

REQUESTS: Final = 5
PATIENCE_S: Final = 6.0
PAUSE_S: Final = 0.1
"""Other work on the machine can disturb a whole case: it is then measured again, for so long."""

LOOPS: Final[dict[str, Callable[[], asyncio.AbstractEventLoop]]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}

Judge = Callable[[Sequence[Seen]], list[str]]


class Stage:
    """The app, plain and under `@app.middleware("http")`, on one loop."""

    def __init__(self, runner: asyncio.Runner, recording: Recording, world: World) -> None:
        self.run = runner.run
        self.world = world
        self.plain = Driver(recording, make_app(world))
        self.under_middleware = Driver(recording, make_app(world, http_middleware=True))

    def measured(
        self,
        judge: Judge,
        *exchanges: Callable[[], Exchange],
        rounds: int = REQUESTS,
        driver: Driver | None = None,
    ) -> list[Seen]:
        """Requests that are sent at once, some rounds of them, until their medians are right.

        Returns:
            The requests of the attempt that was right.

        Raises:
            AssertionError: None was; says which lines were wrong in each.
        """
        return self.run(self._measured(judge, exchanges, rounds, driver or self.plain))

    async def _measured(
        self,
        judge: Judge,
        exchanges: Sequence[Callable[[], Exchange]],
        rounds: int,
        driver: Driver,
    ) -> list[Seen]:
        # The first round fills pools and starts worker threads, which live as long as this task.
        await self._round(driver, exchanges)
        wrong = []
        end = monotonic() + PATIENCE_S
        while monotonic() < end:
            seen = [one for _ in range(rounds) for one in await self._round(driver, exchanges)]
            wrong.append(judge(seen))
            if not wrong[-1]:
                return seen
            await asyncio.sleep(PAUSE_S)
        raise AssertionError("\n".join("; ".join(found) for found in wrong))

    async def _round(self, driver: Driver, make: Sequence[Callable[[], Exchange]]) -> list[Seen]:
        exchanges = [one() for one in make]
        seen = await driver.send(*exchanges)
        for exchange in exchanges:
            assert exchange.error is None, exchange.error
            assert exchange.status == 200, exchange.answer
        return seen

    def alone(self, judge: Judge, path: str, driver: Driver | None = None) -> list[Seen]:
        """One request after the other."""
        return self.measured(judge, lambda: get(path), driver=driver)

    def crowd(self, judge: Judge, path: str, driver: Driver | None = None) -> list[Seen]:
        """Ten users at once."""
        users = [lambda: get(path)] * USERS
        return self.measured(judge, *users, rounds=1, driver=driver)


@contextmanager
def opened_stage(recording: Recording, loop: str, database_url: str) -> Iterator[Stage]:
    """Opens all that the app speaks to on a new loop, and closes it."""
    parts = urlsplit(database_url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 5432
    with (
        running_stubs(host, port) as stubs,
        asyncio.Runner(loop_factory=LOOPS[loop]) as runner,
    ):
        world: Any = opened_world(database_url, stubs)
        opened = runner.run(world.__aenter__())
        try:
            yield Stage(runner, recording, opened)
        finally:
            runner.run(world.__aexit__(None, None, None))

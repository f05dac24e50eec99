"""A recording with every probe, and the calibration app under it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.calibration.driver import Recording
from tests.calibration.stage import LOOPS, Stage, opened_stage
from tests.calibration.world import fill


@pytest.fixture(scope="session")
def filled_database_url(
    new_database: Callable[[], AbstractContextManager[str]],
) -> Iterator[str]:
    """A database with the calibration app's tables."""
    with new_database() as url:
        fill(url)
        yield url


@pytest.fixture(scope="module")
def recording() -> Iterator[Recording]:
    """All probes and the watchdog; none may fail to start, and none may break."""
    recording = Recording()
    recording.start()
    try:
        assert recording.off() == []
        yield recording
    finally:
        recording.stop()
    assert recording.off() == []


@pytest.fixture(scope="module", params=LOOPS)
def stage(
    request: pytest.FixtureRequest, recording: Recording, filled_database_url: str
) -> Iterator[Stage]:
    """The calibration app on each kind of event loop."""
    with opened_stage(recording, request.param, filled_database_url) as stage:
        yield stage

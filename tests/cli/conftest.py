"""Signals as a shell hands them down."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _hang_up_is_not_ignored() -> Iterator[None]:
    """Under `nohup` all that is started ignores SIGHUP, and what is tested here would too."""
    before = signal.getsignal(signal.SIGHUP)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)

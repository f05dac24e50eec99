from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from unslow.cli.child import Child, Signals


@pytest.fixture(params=["with senders", "by looking"])
def signals(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Signals]:
    if request.param == "by looking":
        # As on macOS.
        monkeypatch.delattr(signal, "sigtimedwait")
    with Signals() as held:
        yield held


def test_a_signal_is_held_back_until_it_is_asked_for(signals: Signals) -> None:
    # To this thread: others may not hold it back.
    signal.raise_signal(signal.SIGUSR1)

    assert (signal.SIGUSR1, False) == signals.next(5)
    assert signals.next(0) is None


def test_what_was_meant_for_the_command_does_not_hit_us_when_it_has_ended() -> None:
    with Signals():
        signal.raise_signal(signal.SIGUSR1)

    assert signal.SIGUSR1 not in signal.sigpending()


def test_a_command_ends_with_its_exit_code_and_time_is_kept(signals: Signals) -> None:
    code = "import time; time.sleep(0.2); raise SystemExit(3)"
    command = Child([sys.executable, "-S", "-c", code], os.environ, signals)

    assert command.wait(0.01) is None
    assert 3 == command.wait(10)
    assert 3 == command.wait(0)


def test_a_command_starts_with_the_signals_that_we_were_started_with(signals: Signals) -> None:
    code = (
        "import signal, sys\n"
        "blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])\n"
        "sys.exit(len(blocked))\n"
    )
    before = len(signals.mask_before)

    assert before == Child([sys.executable, "-S", "-c", code], os.environ, signals).wait(10)


def test_a_command_that_takes_no_sigterm_is_ended_all_the_same(signals: Signals) -> None:
    shell = "trap '' TERM; while true; do sleep 0.1; done"
    command = Child(["sh", "-c", shell], os.environ, signals)

    command.end(0.3)

    assert -signal.SIGKILL == command.wait(0)

from __future__ import annotations

import os
import signal

import pytest

from unslow.cli.ending import Ended, Ending


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_block_with_the_exit_code_that_a_shell_would_give(
    number: signal.Signals, exit_code: int
) -> None:
    with pytest.raises(Ended) as ended, Ending():
        os.kill(os.getpid(), number)

    assert exit_code == ended.value.exit_code


def test_a_signal_passes_by_what_catches_exceptions() -> None:
    assert not issubclass(Ended, Exception)


def test_a_signal_waits_while_it_is_held() -> None:
    with Ending() as ending:
        ending.hold()
        os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(Ended):
            ending.release()


def test_only_the_first_signal_raises_so_that_what_it_led_to_comes_to_its_end() -> None:
    with Ending() as ending:
        with pytest.raises(Ended):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(Ended):
            ending.release()


def test_something_else_is_done_instead_for_a_signal_that_came_before_too() -> None:
    done: list[str] = []
    with Ending() as ending:
        ending.hold()
        os.kill(os.getpid(), signal.SIGINT)
        ending.call_instead(lambda: done.append("instead"))
        os.kill(os.getpid(), signal.SIGINT)

        assert ["instead", "instead"] == done
        with pytest.raises(Ended):
            ending.release()


def test_what_was_done_for_a_signal_is_forgotten_and_the_next_one_raises() -> None:
    with Ending() as ending:
        for _ in range(2):
            with pytest.raises(Ended):
                os.kill(os.getpid(), signal.SIGINT)
            ending.forget()
            ending.release()


def test_without_a_signal_there_is_nothing_to_raise() -> None:
    with Ending() as ending:
        ending.hold()
        ending.release()


def test_what_was_done_with_a_signal_before_is_done_again_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with Ending():
        assert before is not signal.getsignal(signal.SIGTERM)

    assert before is signal.getsignal(signal.SIGTERM)


def test_a_signal_that_was_ignored_stays_so_as_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Ending():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)

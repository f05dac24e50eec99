"""A command run as our child, that behaves as if we were not there.

It has our terminal and stands in our process group: what a terminal sends, it gets by itself; what
is sent to us alone, we hand on. Our signals are held back and taken one by one, because only then
the system says who sent them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from ..errors import CommandError
from .processes import started_at, with_descendants

_HANDED_ON = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)
_HELD = (*_HANDED_ON, signal.SIGCHLD)
# The kernel sends these to the whole group in the foreground. A hang-up goes to one process only.
_FOR_THE_GROUP = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGWINCH})
# Python ignores these from its start on; a command expects their defaults.
_GIVEN_BACK = tuple(
    getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name)
)
_LOOK_EVERY_S = 0.02
# The end of a child is told by a signal, which a thread that does not hold it back may swallow.
_LOOK_AT_LEAST_EVERY_S = 1.0

FileActions = tuple[tuple[int, int, int], ...]
"""What is done to the command's files, as `os.posix_spawn` takes it."""


class Signals:
    """Holds our signals back, and gives them out one by one.

    To be entered before any thread starts: threads inherit what is held back.
    """

    def __init__(self) -> None:
        self.mask_before: set[signal.Signals] = set()

    def __enter__(self) -> Signals:
        # Where it was ignored, the system would throw exit codes away.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self.mask_before = {
            one
            for one in signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
            if isinstance(one, signal.Signals)
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        while self.next(0) is not None:
            # It was meant for the command, which has ended.
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, self.mask_before)

    def next(self, timeout_s: float) -> tuple[int, bool] | None:
        """The next signal, and whether its sender has reached the child as well; None if none."""
        if not hasattr(signal, "sigtimedwait"):
            return self._next_by_looking(timeout_s)
        info = signal.sigtimedwait(_HELD, timeout_s)
        if info is None:
            return None
        by_kernel = info.si_code > 0
        return info.si_signo, by_kernel and info.si_signo in _FOR_THE_GROUP

    def _next_by_looking(self, timeout_s: float) -> tuple[int, bool] | None:
        """The same where the system has no wait with a deadline and tells no sender (macOS)."""
        deadline = time.monotonic() + timeout_s
        while not (pending := signal.sigpending() & set(_HELD)):
            if time.monotonic() >= deadline:
                return None
            time.sleep(_LOOK_EVERY_S)
        number = signal.sigwait(pending)
        return number, number in _FOR_THE_GROUP and _in_foreground()


def _in_foreground() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


class Child:
    """A running command.

    Raises:
        CommandError: it cannot be started.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        signals: Signals,
        file_actions: FileActions = (),
    ) -> None:
        self.arguments = tuple(arguments)
        self._signals = signals
        self._status: int | None = None
        try:
            self.process_id = os.posix_spawnp(
                arguments[0],
                list(arguments),
                environment,
                file_actions=file_actions,
                setsigmask=signals.mask_before,
                setsigdef=_GIVEN_BACK,
            )
        except OSError as error:
            raise CommandError(why_not_started(arguments[0], error)) from error

    def wait(self, timeout_s: float) -> int | None:
        """Hands signals on until the command ends or the time is over.

        Returns:
            The command's exit code, as `subprocess` counts (-15: died of signal 15), or None.
        """
        deadline = time.monotonic() + timeout_s
        while not self._has_ended():
            left = deadline - time.monotonic()
            taken = self._signals.next(min(max(left, 0), _LOOK_AT_LEAST_EVERY_S))
            if taken is None:
                if left <= 0:
                    return None
                continue
            number, reached = taken
            if number != signal.SIGCHLD and not reached:
                self._send(number)
        return self._status

    def end(self, grace_s: float) -> None:
        """Ends the command and all that came of it: asked first, then without asking."""
        asked = {one: started_at(one) for one in with_descendants(self.process_id)}
        for one in asked:
            _send(one, signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while (left := _still_there(asked)) and time.monotonic() < deadline:
            if self.wait(_LOOK_EVERY_S) is not None:
                time.sleep(_LOOK_EVERY_S)
        for one in left:
            _send(one, signal.SIGKILL)
        self.wait(grace_s)

    def _has_ended(self) -> bool:
        # As the first process of a container we inherit every orphan.
        anyone = -1 if os.getpid() == 1 else self.process_id
        while self._status is None:
            try:
                process_id, status = os.waitpid(anyone, os.WNOHANG)
            except ChildProcessError:
                # Somebody else has taken its exit code.
                self._status = 0
                break
            if process_id == 0:
                break
            if process_id == self.process_id:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status is not None

    def _send(self, number: int) -> None:
        _send(self.process_id, number)


def _still_there(asked: Mapping[int, int | None]) -> tuple[int, ...]:
    """Those that are still the processes that they were: numbers are used again."""
    return tuple(one for one, start in asked.items() if start and started_at(one) == start)


def _send(process_id: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(process_id, number)


def why_not_started(program: str, error: OSError) -> str:
    """Why a command cannot be started, and what to do."""
    if isinstance(error, FileNotFoundError):
        return f"There is no command {program!r}. Write it as your shell would find it."
    if isinstance(error, PermissionError):
        return f"{program!r} may not be executed. Make it executable, or name its interpreter."
    if error.errno == errno.ENOEXEC:
        return f"{program!r} is no program and names no interpreter in its first line."
    return f"{program!r} cannot be started: {error.strerror}."


def end_as(exit_code: int) -> None:
    """Ends our own process as the command ended: with its exit code, or of its signal."""
    sys.stdout.flush()
    sys.stderr.flush()
    if exit_code >= 0:
        sys.exit(exit_code)
    _leave_no_core()
    number = -exit_code
    with contextlib.suppress(OSError, ValueError):
        # SIGKILL and SIGSTOP have no handler to be set.
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    # The first process of a container does not die of a signal.
    sys.exit(128 + number)


def _leave_no_core() -> None:
    """The command has left its own; ours would only hide it."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))

"""Ends all that a command has started as soon as whoever started it is gone, however that is.

A program of its own that needs nothing but the standard library (`python session_keeper.py 5`): it
reads a line from its standard input, and waits until that closes, as it does when its owner is
killed. The line holds the number of a session, and what stands in the environment of all that came
of it, also in sessions of their own. It asks each of these processes to end, and kills what is left
after so many seconds.
"""

import os
import signal
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import NamedTuple

_LOOK_EVERY_S = 0.05


class Process(NamedTuple):
    """A process as the system tells of it."""

    number: int
    started: str
    """When it started, in the system's own ticks: a number may be used again."""
    parent: int = 0
    group: int = 0
    session: int = 0

    @property
    def identity(self) -> tuple[int, str]:
        """What no other process has."""
        return self.number, self.started


def living() -> Iterator[Process]:
    """All processes that have not ended, and wait only for a parent to take note of it."""
    for one in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{one}/stat", errors="replace") as status:
            fields = status.read().rpartition(")")[2].split()
            if fields[0] not in {"Z", "X"}:
                yield Process(int(one), fields[19], *map(int, fields[1:4]))


def has_in_environment(number: int, mark: str) -> bool:
    """Whether a process was started with a variable, or is a fork of one that was."""
    with suppress(OSError), open(f"/proc/{number}/environ", "rb") as environment:
        return mark.encode() in environment.read().split(b"\0")
    return False


def kept(session: int, mark: str, known: Collection[Process]) -> set[Process]:
    """What lives of a session, of the known processes, and of what came of both."""
    if not os.path.isdir("/proc/self"):
        # Only the group is told of: its number below zero stands for all of it.
        try:
            os.killpg(session, 0)
        except OSError:
            return set()
        return {Process(-session, "")}
    everyone = tuple(living())
    identities = {one.identity for one in known}
    found = {
        one
        for one in everyone
        if session in (one.group, one.session)
        or one.identity in identities
        or (mark and has_in_environment(one.number, mark))
    }
    while True:
        numbers = {one.number for one in found}
        more = {one for one in everyone if one.parent in numbers} - found
        if not more:
            return found
        found |= more


def tell(processes: Collection[Process], number: int) -> None:
    """Sends each of them a signal."""
    for one in processes:
        with suppress(OSError):
            os.kill(one.number, number)


def end(session: int, mark: str, within_s: float) -> None:
    """Ends a session and what came of it: asked first, then without asking."""
    left = kept(session, mark, ())
    tell(left, signal.SIGTERM)
    deadline = time.monotonic() + within_s
    while left and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)
        left = kept(session, mark, left)
    tell(left, signal.SIGKILL)


def main() -> None:
    """Keeps the session that it is told of."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    session, _, mark = sys.stdin.readline().rstrip("\n").partition(" ")
    sys.stdin.read()
    if session:
        end(int(session), mark, float(sys.argv[1]))


if __name__ == "__main__":
    main()

"""Why no process of a command said hello."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..wire import ADDRESS_VARIABLE
from .processes import arguments_of, environment_of, program_of, with_descendants

_WITH_VALUE = "WX"
_LAST = "cm"
_FLAGS = {
    "I": "which keeps PYTHONPATH and the environment out",
    "E": "which keeps PYTHONPATH out",
    "S": "which starts no sitecustomize",
}

BY_HAND = (
    "let the app take the agent in itself: `app = unslow.install(app)` in its source, with unslow"
    " installed in its environment"
)
_ALONE = f"{BY_HAND}, and start it without `unslow run`"
_KEEP = "Leave PYTHONPATH and the UNSLOW_ variables in its environment, or"


class Reason(NamedTuple):
    """Why nothing was heard, and what to do about it; two sentences without their stops."""

    says: str
    advice: str


_OF_TROUBLE = {
    "python": "Start the app with a newer Python",
    "protocol": (
        "Install the same unslow there as here, or none: then `unslow run` brings the agent along"
    ),
    "agent": f"Mend what that names, or {BY_HAND}",
}


def why_silent(
    troubles: Mapping[str, str], process_id: int, arguments: Sequence[str], folder: Path
) -> Reason:
    """The likeliest reason.

    Args:
        troubles: What processes told of themselves, by its kind.
        process_id: The command's first process, still running or ended.
        arguments: What the command was started with.
        folder: The injected folder.
    """
    for what, says in troubles.items():
        if what in _OF_TROUBLE:
            return Reason(says, _OF_TROUBLE[what])
    below = with_descendants(process_id)
    pythons = [one for one in below if _is_python(program_of(one))]
    for one in pythons:
        reason = _reason_of(arguments_of(one), environment_of(one), folder)
        if reason is not None:
            return Reason(
                f"{_named(arguments_of(one))} (process {one}) {reason.says}", reason.advice
            )
    # Where the system does not tell, or the process is gone, the command's own words have to do.
    reason = _reason_in_words(arguments)
    if reason is not None:
        return Reason(f"{_named(arguments)} {reason.says}", reason.advice)
    if program_of(process_id) and not pythons:
        programs = ", ".join(dict.fromkeys(filter(None, map(program_of, below))))
        return Reason(
            f"no Python runs in it (it runs {programs}); an app in a container, on another machine"
            " or behind a service manager is out of reach",
            f"Give the command that starts Python itself, or {_ALONE}",
        )
    return Reason(
        "no Python process with the agent in it came up",
        f"If it only needs longer, set UNSLOW_HELLO_TIMEOUT_S=60; otherwise {BY_HAND}",
    )


def _reason_of(
    arguments: Sequence[str], environment: Mapping[str, str] | None, folder: Path
) -> Reason | None:
    flag = flag_that_keeps_out(arguments[1:])
    if flag:
        return _flagged(flag)
    if environment is None:
        return Reason(
            "runs as another user, out of the agent's reach", f"Start it as you, or {_ALONE}"
        )
    if ADDRESS_VARIABLE not in environment:
        return Reason(
            "was started with a clean environment, in which nothing leads to the agent",
            f"{_KEEP} {_ALONE}",
        )
    if str(folder) not in environment.get("PYTHONPATH", "").split(os.pathsep):
        return Reason(
            "was started with a PYTHONPATH of its own, in which the agent does not stand",
            f"{_KEEP} {BY_HAND}",
        )
    return None


def _reason_in_words(arguments: Sequence[str]) -> Reason | None:
    program = os.path.basename(arguments[0])
    flag = flag_that_keeps_out(arguments[1:]) if _is_python(program) else ""
    if flag:
        return _flagged(flag)
    if program == "env" and {"-", "-i", "--ignore-environment"} & set(arguments[1:]):
        return Reason(
            "starts with a clean environment, in which nothing leads to the agent",
            f"{_KEEP} {_ALONE}",
        )
    if program in {"sudo", "su", "runuser", "doas"}:
        return Reason(
            "starts as another user, with an environment in which nothing leads to the agent",
            f"Start unslow itself so: {program} ... unslow run ..., or {_ALONE}",
        )
    return None


def _flagged(flag: str) -> Reason:
    return Reason(f"runs with -{flag}, {_FLAGS[flag]}", f"Start it without -{flag}, or {BY_HAND}")


def flag_that_keeps_out(arguments: Sequence[str]) -> str:
    """The first of Python's flags I, E, S among the arguments of an interpreter; empty if none."""
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-") or argument in {"-", "--"}:
            return ""
        if argument.startswith("--"):
            if argument == "--check-hash-based-pycs":
                next(rest, None)
            continue
        for index, letter in enumerate(argument[1:], start=1):
            if letter in _FLAGS:
                return letter
            if letter in _LAST:
                return ""
            if letter in _WITH_VALUE:
                if index == len(argument) - 1:
                    next(rest, None)
                break
    return ""


def _is_python(program: str) -> bool:
    return program.startswith(("python", "pypy"))


def _named(arguments: Sequence[str]) -> str:
    shown = shlex.join(arguments[:4])
    return f"`{shown} ...`" if len(arguments) > 4 else f"`{shown}`"

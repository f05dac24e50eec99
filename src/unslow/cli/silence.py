"""Why no process of a command said hello."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..wire import ADDRESS_VARIABLE
from .processes import arguments_of, environment_of, program_of, with_descendants

_WITH_VALUE = "WX"
_LAST = "cm"
_REASONS = {
    "I": "which keeps PYTHONPATH and the environment out",
    "E": "which keeps PYTHONPATH out",
    "S": "which starts no sitecustomize",
}


def why_silent(process_id: int, arguments: Sequence[str], folder: Path) -> str:
    """The likeliest reason, as a sentence without its stop.

    Args:
        process_id: The command's first process, still running or ended.
        arguments: What the command was started with.
        folder: The injected folder.
    """
    below = with_descendants(process_id)
    pythons = [one for one in below if _is_python(program_of(one))]
    for one in pythons:
        reason = _reason_of(arguments_of(one), environment_of(one), folder)
        if reason:
            return f"{_named(arguments_of(one))} (process {one}) {reason}"
    # Where the system does not tell, or the process is gone, the command's own words have to do.
    reason = _reason_in_words(arguments)
    if reason:
        return f"{_named(arguments)} {reason}"
    if program_of(process_id) and not pythons:
        programs = ", ".join(dict.fromkeys(filter(None, map(program_of, below))))
        return (
            f"no Python runs in it (it runs {programs}); an app in a container, on another machine"
            " or behind a service manager is out of reach"
        )
    return "no Python process with the agent in it came up"


def _reason_of(
    arguments: Sequence[str], environment: Mapping[str, str] | None, folder: Path
) -> str:
    flag = flag_that_keeps_out(arguments[1:])
    if flag:
        return f"runs with -{flag}, {_REASONS[flag]}"
    if environment is None:
        return "runs as another user, out of reach of the agent"
    if ADDRESS_VARIABLE not in environment:
        return "was started with a clean environment, in which nothing leads to the agent"
    if str(folder) not in environment.get("PYTHONPATH", "").split(os.pathsep):
        return "was started with a PYTHONPATH of its own, in which the agent does not stand"
    return ""


def _reason_in_words(arguments: Sequence[str]) -> str:
    program = os.path.basename(arguments[0])
    if _is_python(program):
        flag = flag_that_keeps_out(arguments[1:])
        return f"runs with -{flag}, {_REASONS[flag]}" if flag else ""
    clean = {"-", "-i", "--ignore-environment"}
    if program == "env" and clean & set(arguments[1:]):
        return "starts with a clean environment, in which nothing leads to the agent"
    if program in {"sudo", "su", "runuser", "doas"}:
        return "starts as another user, with an environment in which nothing leads to the agent"
    return ""


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
            if letter in _REASONS:
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

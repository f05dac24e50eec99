"""A test that fails as long as a fix is not there, and passes with it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from ..doctor import Proven
from ..errors import UnslowError
from ..fixes.catalogue import fix_of
from ..testing import NotCountedError, statements_of

_TEXT: Final = '''\
"""Holds {route} to its statements; written by `unslow fix --with-tests`."""

from unslow.testing import statements_of


def test_{name}_sends_at_most_{count}_statements() -> None:
    assert statements_of("{target}", "{route}") <= {count}
'''


class NoTestError(UnslowError):
    """No test could be written for a fix; the message says why."""


def count_of(one: Proven, target: str) -> int:
    """How many statements a request sends now.

    Raises:
        NoTestError: the fix is not about statements, or they could not be counted.
    """
    if not fix_of(one.trial.arm.fix).saves_statements:
        raise NoTestError(f"{one.trial.arm.fix} is not about statements, which a test can count")
    try:
        return statements_of(target, one.subject.finding.route)
    except NotCountedError as reason:
        raise NoTestError(str(reason)) from reason


def write_test(one: Proven, target: str, count: int, folder: Path) -> Path:
    """Writes a test that holds a route to so many statements.

    Raises:
        NoTestError: there is such a file already, or it cannot be written.
    """
    route = one.subject.finding.route
    name = re.sub(r"\W+", "_", route.lower()).strip("_")
    file = folder / f"test_{name}_statements.py"
    if file.exists():
        raise NoTestError(f"{file} is there already")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = _TEXT.format(route=route, name=name, count=count, target=target)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NoTestError(f"{file} cannot be written: {error.strerror}") from error
    return file


def passes(file: Path) -> bool:
    """Whether a test passes.

    Raises:
        NoTestError: it could not be run.
    """
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        last = (done.stdout + done.stderr).strip().splitlines()[-1:]
        raise NoTestError(f"{file} could not be run by pytest: {''.join(last)}")
    return done.returncode == 0

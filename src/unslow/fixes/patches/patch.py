"""What a fix's file in this folder offers: arms to try, and the patch of one of them."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol, cast

from ...errors import UnslowError
from ...model.finding import Finding
from ...model.proof import Arm
from ...model.trace import Trace

_NO_END: Final = "\n\\ No newline at end of file\n"
"""What stands in a diff behind a last line that has no end."""


class CannotTryError(UnslowError):
    """A fix cannot be tried on a finding; the message says why, as a sentence without a name."""


class CannotWriteError(UnslowError):
    """A fix cannot be written with certainty; the message says why."""


class Subject(NamedTuple):
    """A finding, with what a fix may have to know to be planned and written."""

    finding: Finding
    traces: Sequence[Trace]
    """Requests of the finding's route that count, some of them watched for what is read."""
    read: Callable[[str], str | None]
    """The text of a source file by its path; None where it cannot be read or is newer than the
    recording."""


class Edit(NamedTuple):
    """A file with its text before and after."""

    path: str
    before: str
    after: str


class Patch(NamedTuple):
    """A fix as it is written: edits where they are certain, else what to do by hand."""

    edits: tuple[Edit, ...] = ()
    advice: str = ""
    """Sentences, with the line and what to write there."""


class Patcher(Protocol):
    """The two functions that each file of a fix has."""

    @staticmethod
    def candidates(subject: Subject) -> tuple[Arm, ...]:
        """The arms that are worth trying; of a fix without a switch the one that is shown.

        Raises:
            CannotTryError: there is none.
        """

    @staticmethod
    def write(subject: Subject, arm: Arm) -> Patch:
        """The patch of an arm on the source as it is now; what is not certain is advice."""


def patcher_of(fix_id: str) -> Patcher:
    """The file of a fix."""
    name = f"{__package__}.{fix_id.replace('-', '_')}"
    return cast(Patcher, importlib.import_module(name))


def refined(fix_id: str, subject: Subject, arm: Arm) -> Arm | None:
    """The same arm with less to load, where a fix knows how; None where there is nothing less."""
    with_columns: Callable[[Subject, Arm], Arm | None] | None = getattr(
        patcher_of(fix_id), "with_columns", None
    )
    return None if with_columns is None else with_columns(subject, arm)


def diff_of(edits: Iterable[Edit], folder: Path) -> str:
    """A unified diff of edits, with paths from a folder on, as `git apply` takes it."""
    return "".join(_diff(one, folder) for one in edits)


def _diff(edit: Edit, folder: Path) -> str:
    path = Path(edit.path)
    name = (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()
    # Like git: without the tab, what follows a space is read as a time.
    end = "\t" if " " in name else ""
    lines = difflib.unified_diff(
        _lines(edit.before), _lines(edit.after), f"a/{name}{end}", f"b/{name}{end}"
    )
    return "".join(line if line.endswith("\n") else f"{line}{_NO_END}" for line in lines)


def _lines(text: str) -> list[str]:
    """Lines as git counts them; `str.splitlines` also ends them at a form feed and others."""
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + lines[-1:] * bool(lines[-1])

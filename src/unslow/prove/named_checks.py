"""Which two checks are meant: by the beginnings of their names, by folders, or the newest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import UnslowError
from ..model.checked import Checked, checked_of
from ..store import StoreMissingError, StoreReader, reading

_CHECKS_TOLD: Final = 5
_UNREADABLE: Final = (ValueError, KeyError, TypeError)
"""What `checked_of` raises at what another version has written."""


class TwoChecksError(UnslowError):
    """There are no two checks to compare, or it is not clear which ones are meant."""


class NamedCheck(NamedTuple):
    """A check in a store."""

    folder: Path
    run: str
    checked: Checked


def two_checks(
    folder: Path, before: str | None = None, after: str | None = None
) -> tuple[NamedCheck, NamedCheck]:
    """The two checks that are meant.

    Without names the newest one, and before it the newest of the same target; with one name that
    one, and after it the newest of the same target.

    Args:
        folder: The folder of the store.
        before: The beginning of a run's name in it; or the folder of a store, for its newest check.
        after: The same of the other one.

    Raises:
        TwoChecksError: they are not there, not clear, or one and the same.
        StoreMissingError, StoreFormatError, StoreDamagedError: as `reading` does.
    """
    if before is None:
        return _newest_two(folder)
    first = _named(folder, before)
    second = _newest_after(folder, first) if after is None else _named(folder, after)
    if (first.folder.resolve(), first.run) == (second.folder.resolve(), second.run):
        raise TwoChecksError(
            f"Both are the check {first.run!r}. Name two, by more of their names; without names the"
            " newest two are compared."
        )
    return first, second


def _newest_two(folder: Path) -> tuple[NamedCheck, NamedCheck]:
    with reading(folder) as reader:
        checks = _checks(folder, reader)
    if not checks:
        raise TwoChecksError(_none(folder))
    newest = checks[-1]
    same = [one for one in checks[:-1] if one.checked.target == newest.checked.target]
    if same:
        return same[-1], newest
    others = f" The others are {_told(checks[:-1])}; name two." if checks[:-1] else ""
    raise TwoChecksError(
        f"{folder} holds one check of {_target(newest)} only, {newest.run!r}: there is nothing to"
        f" compare it with. Check once more, or name the folder of another store.{others}"
    )


def _newest_after(folder: Path, first: NamedCheck) -> NamedCheck:
    """The newest check of the same target; in the same store one that is newer."""
    with reading(folder) as reader:
        checks = _checks(folder, reader)
    if first.folder.resolve() == folder.resolve():
        checks = checks[checks.index(first._replace(folder=folder)) + 1 :]
    same = [one for one in checks if one.checked.target == first.checked.target]
    if not same:
        raise TwoChecksError(
            f"{folder} holds no newer check of {_target(first)} than {first.run!r}. Check once"
            " more, or name both."
        )
    return same[-1]


def _named(folder: Path, name: str) -> NamedCheck:
    """The one that a name means."""
    store = Path(name)
    if store.is_dir():
        with reading(store) as reader:
            checks = _checks(store, reader)
        if not checks:
            raise TwoChecksError(_none(store))
        return checks[-1]
    try:
        with reading(folder) as reader:
            runs = reader.runs()
            checks = _checks(folder, reader)
    except StoreMissingError as error:
        raise TwoChecksError(f"{name!r} is not the folder of a store. {error}") from error
    found = [one for one in checks if one.run.startswith(name)]
    exact = [one for one in found if one.run == name]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        raise TwoChecksError(
            f"{name!r} may be {_told(found)}. Give more of the name of the one that is meant."
        )
    raise TwoChecksError(_unknown(folder, name, checks, runs))


def _unknown(folder: Path, name: str, checks: Sequence[NamedCheck], runs: Sequence[str]) -> str:
    if not checks:
        return _none(folder)
    is_run = any(one.startswith(name) for one in runs)
    what = "is a run, but no check" if is_run else "is the beginning of no run"
    return (
        f"{name!r} {what} in {folder}, nor the folder of a store; the checks there are"
        f" {_told(checks)}. Name one of them by its beginning."
    )


def _none(folder: Path) -> str:
    return (
        f"{folder} holds no check. Only checks send the same requests twice; make two, with what is"
        " to be compared between them: unslow check MODULE:APP"
    )


def _checks(folder: Path, reader: StoreReader) -> list[NamedCheck]:
    """The checks of a store that can be read, oldest first."""
    found = []
    for run in reader.runs():
        text = reader.check(run)
        if text is not None:
            try:
                found.append(NamedCheck(folder, run, checked_of(text)))
            except _UNREADABLE:
                continue
    return found


def _target(check: NamedCheck) -> str:
    return check.checked.target or "a command"


def _told(checks: Sequence[NamedCheck]) -> str:
    newest = checks[: -_CHECKS_TOLD - 1 : -1]
    told = ", ".join(f"{one.run!r} of {_target(one)}" for one in newest)
    left = len(checks) - len(newest)
    return f"{told} and {left} older" if left else told

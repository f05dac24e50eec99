"""`unslow fix`: the patches of what a check has proven, written and measured again."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from ..doctor import Proven, proven_fixes
from ..errors import UnslowError
from ..fixes.patches.files import apply, take_back
from ..fixes.patches.moved import moved
from ..fixes.patches.patch import CannotWriteError, Edit, Patch, diff_of, patcher_of
from ..model.checked import Checked
from ..model.proof import FASTER, Trial
from ..report.places import place_text
from ..report.verdicts import trial_words
from ..settings import Settings, load
from .applying import measured
from .asking import Asked, asked_of, asking_options
from .behind import TakesCommand, command_of
from .ending import Ending
from .proof_test import NoTestError, count_of, passes, write_test

_HELP: Final = """\
Show the patches of the fixes that the last check has proven, or write them.

\b
  unslow fix                                  all of them, as a diff
  unslow fix lazy-load-loop-3fa9c1            of this finding
  unslow fix lazy-load-loop-3fa9c1 --apply    write it, and measure it again

With --apply each patch is written, the app is started as it was and as it is now, both are sent
the same requests in turns, and the patch is taken back if it is not faster or an answer changed.
Options for the login and the requests are those of unslow check, also from its settings.

\b
Exit code 0: all is shown, or written and proven again; 1: a patch was taken back, or could not be
written; 2: it could not be done.
"""


class UncleanError(UnslowError):
    """Files that would be written have changes that are not committed."""


class NothingProvenError(UnslowError):
    """No fix is proven, or none of the finding that was named."""


@click.command(
    cls=TakesCommand,
    options_metavar="[OPTIONS]",
    help=_HELP,
    short_help="Show or write the patches of what a check has proven.",
)
@click.argument("findings", metavar="[FINDING ...]", nargs=-1)
@click.option("--apply", "is_applied", is_flag=True, help="Write them, and measure them again.")
@click.option(
    "--allow-dirty", is_flag=True, help="Write also where git has changes that are not committed."
)
@click.option(
    "--with-tests",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="With --apply: write a test there that fails without the patch and passes with it.",
)
@click.option("--run", metavar="RUN", help="The beginning of the run's name.")
@asking_options
@click.option(
    "--folder", type=click.Path(file_okay=False), help="Folder with the traces.  [default: .unslow]"
)
@click.pass_context
def fix(
    ctx: click.Context,
    /,
    findings: tuple[str, ...],
    is_applied: bool,
    allow_dirty: bool,
    with_tests: Path | None,
    run: str | None,
    folder: str | None,
    **given: Any,
) -> None:
    """Shows patches, or writes them."""
    settings = load()
    settings = replace(settings, folder=folder or settings.folder, record_values=False)
    checked, proven = proven_fixes(Path(settings.folder), run)
    wanted = _wanted(proven, findings)
    if not is_applied:
        if with_tests is not None:
            raise click.UsageError("--with-tests belongs to --apply: a test is run with the patch")
        _show(wanted)
        return
    asked = _asked(checked, command_of(ctx), given, settings)
    writing = _Writing(asked, settings, with_tests, allow_dirty=allow_dirty)
    stay = [writing.stays(one) for one in wanted]
    ctx.exit(0 if all(stay) else 1)


def _wanted(proven: Sequence[Proven], findings: Sequence[str]) -> tuple[Proven, ...]:
    """Those of the findings that were named, by the beginnings of their ids; all if none was.

    Raises:
        NothingProvenError: there is none.
    """
    if not proven:
        raise NothingProvenError(
            "The last check has proven no fix; unslow report says what was tried, and what came of"
            " it."
        )
    ids = ", ".join(dict.fromkeys(one.trial.finding for one in proven))
    for name in findings:
        if not any(one.trial.finding.startswith(name) for one in proven):
            raise NothingProvenError(
                f"{name!r} is no finding with a proven fix; those that have one are {ids}."
            )
    return tuple(
        one
        for one in proven
        if not findings or any(one.trial.finding.startswith(name) for name in findings)
    )


def _show(wanted: Sequence[Proven]) -> None:
    """Each with its gain and its diff; all on stdout, which `git apply` takes."""
    texts: dict[str, str] = {}
    for one in wanted:
        click.echo(_title(one))
        patch = _patch(one, texts)
        texts.update((edit.path, edit.after) for edit in patch.edits)
        if patch.advice:
            click.echo(f"  {patch.advice}")
        click.echo()
        if patch.edits:
            click.echo(diff_of(patch.edits, Path.cwd()))


def _title(one: Proven) -> str:
    place = one.subject.finding.place
    where = "" if place is None else f" at {place_text(place, Path.cwd())}"
    return f"{one.trial.finding}{where}\n  {trial_words(one.trial)}"


def _patch(one: Proven, texts: dict[str, str]) -> Patch:
    """A patch on top of others, whose texts are given; where it cannot be written its advice."""
    subject, arm = moved(one.subject, one.trial.arm, texts)
    try:
        return patcher_of(one.trial.arm.fix).write(subject, arm)
    except CannotWriteError as reason:
        return Patch(advice=str(reason))


def _asked(
    checked: Checked | None, command: Sequence[str], given: dict[str, Any], settings: Settings
) -> Asked:
    """What is asked of the app that was checked.

    Raises:
        UsageError: the app was started by a command, which cannot run twice at one address.
    """
    target = "" if checked is None else checked.target
    if command or given["url"] or not target:
        raise click.UsageError(
            "--apply starts the app twice, side by side, so it wants an app that was checked as"
            " MODULE:APP. Check it so, or write the patch yourself: unslow fix > fix.patch"
        )
    return asked_of((target,), (), given, settings)


class _Writing:
    """Writes patches, one on top of the other, and measures each."""

    def __init__(
        self, asked: Asked, settings: Settings, tests: Path | None, *, allow_dirty: bool
    ) -> None:
        self._asked = asked
        self._settings = settings
        self._tests = tests
        self._allow_dirty = allow_dirty
        self._texts: dict[str, str] = {}
        """What those that stay have made of files."""

    def stays(self, one: Proven) -> bool:
        """Writes one; whether it stays.

        Raises:
            Ended: a signal came; what was being measured is taken back.
            UncleanError: git could not give a file back.
            UnslowError: an app could not be started.
        """
        click.echo(_title(one))
        patch = _patch(one, self._texts)
        if not patch.edits:
            click.echo(f"  not written: {patch.advice}\n")
            return False
        if not self._allow_dirty:
            _check_clean([edit.path for edit in patch.edits if edit.path not in self._texts])
        trial = self._written(one, patch.edits)
        stays = trial.verdict == FASTER
        click.echo(f"  {'written' if stays else 'taken back'}: {trial_words(trial)}")
        if stays:
            self._texts.update((edit.path, edit.after) for edit in patch.edits)
            self._test(one, patch.edits)
        click.echo()
        return stays

    def _written(self, one: Proven, edits: Sequence[Edit]) -> Trial:
        """Writes a patch, measures it, and takes it back if it is not what it was to be."""
        is_written = stays = False

        def write() -> None:
            nonlocal is_written
            apply(edits)
            is_written = True

        try:
            with Ending() as ending:
                trial = measured(one, write, self._asked, self._settings, ending)
            stays = trial.verdict == FASTER
            return trial
        finally:
            if is_written and not stays:
                take_back(edits)

    def _test(self, one: Proven, edits: Sequence[Edit]) -> None:
        """Writes a test, sees it pass, and fail without the patch."""
        if self._tests is None:
            return
        target = self._asked.running.name
        try:
            file = write_test(one, target, count_of(one, target), self._tests)
            is_right = passes(file)
            take_back(edits)
            try:
                is_right = is_right and not passes(file)
            finally:
                apply(edits)
        except NoTestError as reason:
            click.echo(f"  no test: {reason}")
            return
        if not is_right:
            file.unlink()
        result = "passes, and fails without it" if is_right else "did not tell both apart: removed"
        click.echo(f"  test: {file} {result}")


def _check_clean(paths: Sequence[str]) -> None:
    """Checks that git could give files back.

    Raises:
        UncleanError: it could not.
    """
    for path in paths:
        folder = Path(path).parent
        done = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain", "--", path],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise UncleanError(
                f"{path} is in no git repository, so nobody could give it back. Put it into one, or"
                " write it all the same: --allow-dirty"
            )
        if done.stdout.strip():
            raise UncleanError(
                f"{path} has changes that are not committed. Commit or stash them, so that the"
                " patch stands by itself, or write it all the same: --allow-dirty"
            )

"""`unslow fix`: the patches of what a check has proven, written and measured again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
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
        _show(wanted)
        return
    asked = _asked(checked, command_of(ctx), given, settings)
    ctx.exit(0 if all(_applied(wanted, asked, settings, allow_dirty=allow_dirty)) else 1)


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


def _applied(
    wanted: Sequence[Proven], asked: Asked, settings: Settings, *, allow_dirty: bool
) -> Iterator[bool]:
    """Writes one after the other; whether each stays."""
    texts: dict[str, str] = {}
    for one in wanted:
        click.echo(_title(one))
        patch = _patch(one, texts)
        if not patch.edits:
            click.echo(f"  not written: {patch.advice}\n")
            yield False
            continue
        if not allow_dirty:
            _check_clean([edit.path for edit in patch.edits if edit.path not in texts])
        trial = _written(one, patch.edits, asked, settings)
        stays = trial.verdict == FASTER
        if stays:
            texts.update((edit.path, edit.after) for edit in patch.edits)
        click.echo(f"  {'written' if stays else 'taken back'}: {trial_words(trial)}\n")
        yield stays


def _written(one: Proven, edits: Sequence[Edit], asked: Asked, settings: Settings) -> Trial:
    """Writes a patch, measures it, and takes it back if it is not what it was to be."""
    is_written = False
    stays = False

    def write() -> None:
        nonlocal is_written
        apply(edits)
        is_written = True

    try:
        with Ending() as ending:
            trial = measured(one, write, asked, settings, ending)
        stays = trial.verdict == FASTER
        return trial
    finally:
        if is_written and not stays:
            take_back(edits)


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

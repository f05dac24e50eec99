"""Source files on disk: read as they are, written all or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from .patch import CannotWriteError, Edit

_LONGEST_BYTES: Final = 2_000_000


def text_of(path: str) -> str | None:
    """The text of a file with its line ends as they are; None where it is no UTF-8 text."""
    try:
        file = Path(path)
        if file.stat().st_size > _LONGEST_BYTES:
            return None
        return file.read_bytes().decode()
    except (OSError, ValueError):
        return None


def apply(edits: Iterable[Edit]) -> None:
    """Writes edits, all of them or none; modes of files stay, and links stay links.

    Raises:
        CannotWriteError: a file is not what the edit was made for, or cannot be written.
    """
    todo = tuple(edits)
    for one in todo:
        if text_of(one.path) != one.before:
            raise CannotWriteError(
                f"{one.path} has changed since the patch was made. Nothing was written;"
                " check again to get a patch of the file as it is now."
            )
    staged: list[tuple[str, str]] = []
    try:
        for one in todo:
            path = os.path.realpath(one.path)
            staged.append((_staged(path, one.after), path))
        _replace(staged, todo)
    except OSError as error:
        where = error.filename or "a file"
        raise CannotWriteError(
            f"{where} cannot be written ({error.strerror}). Nothing was written; make it"
            " writable and apply the patch again."
        ) from error
    finally:
        for name, _ in staged:
            with suppress(OSError):
                os.unlink(name)


def take_back(edits: Iterable[Edit]) -> None:
    """Makes files again what they were before edits.

    Raises:
        CannotWriteError: a file is not what the edit made of it, or cannot be written.
    """
    apply(Edit(one.path, one.after, one.before) for one in reversed(tuple(edits)))


def _staged(path: str, text: str) -> str:
    """The name of a new file beside another, with its mode."""
    number, name = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".unslow-")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(text.encode())
        shutil.copymode(path, name)
    except OSError:
        os.unlink(name)
        raise
    return name


def _replace(staged: list[tuple[str, str]], edits: tuple[Edit, ...]) -> None:
    """Puts new files in the places of the old ones; if one fails, the others go back."""
    done: list[tuple[str, str]] = []
    try:
        for (name, path), one in zip(staged, edits, strict=True):
            os.replace(name, path)
            done.append((path, one.before))
    except OSError:
        for path, before in reversed(done):
            os.replace(_staged(path, before), path)
        raise

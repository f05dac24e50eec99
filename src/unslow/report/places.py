"""Lines of code as text."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Final

from ..model.trace import Place

_LIBRARIES: Final = frozenset(("site-packages", "dist-packages"))


def path_text(path: str, folder: Path) -> str:
    """The path from `folder` where it is inside it; that of a library from its package on."""
    parts = PurePath(path).parts
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] in _LIBRARIES:
            return str(PurePath(*parts[index + 1 :]))
    return inner_path(path, folder)


def inner_path(path: str, folder: Path) -> str:
    """The path from `folder` where it is inside it, else as it is."""
    pure = PurePath(path)
    return str(pure.relative_to(folder)) if pure.is_relative_to(folder) else path


def place_text(place: Place, folder: Path) -> str:
    """A line of code: `app/users.py:97 in get_user`."""
    where = f"{path_text(place.path, folder)}:{place.line}"
    return f"{where} in {place.function}" if place.function else where

"""Lines of code, and functions, as text."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Final

from ..model.trace import Place
from .lines import ELLIPSIS

_LIBRARIES: Final = frozenset(("site-packages", "dist-packages"))
_PARTS_COUNT: Final = 4
"""Folders and file that are shown of a path that is neither in the folder nor in a package."""
_FEWEST_PARTS_COUNT: Final = 2
_UNNAMED: Final = frozenset(
    ("<locals>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "__call__")
)


def path_text(path: str, folder: Path, parts_count: int = _PARTS_COUNT) -> str:
    """The path from `folder` where it is inside it; that of a library from its package on.

    Of any other path so many parts are left, counted from its end.
    """
    parts = PurePath(path).parts
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] in _LIBRARIES:
            return str(PurePath(*parts[index + 1 :]))
    inner = inner_path(path, folder)
    if inner == path and len(parts) - 1 > parts_count:
        return str(PurePath(ELLIPSIS, *parts[-parts_count:]))
    return inner


def inner_path(path: str, folder: Path) -> str:
    """The path from `folder` where it is inside it, else as it is."""
    pure = PurePath(path)
    return str(pure.relative_to(folder)) if pure.is_relative_to(folder) else path


def place_text(place: Place, folder: Path, parts_count: int = _PARTS_COUNT) -> str:
    """A line of code: `app/users.py:97 in get_user`."""
    where = f"{path_text(place.path, folder, parts_count)}:{place.line}"
    function = function_text(place.function)
    return f"{where} in {function}" if function else where


def place_texts(place: Place, folder: Path, *, brief: bool = False) -> tuple[str, ...]:
    """The same, and how it can be said in less room, the longest first.

    Where it may be brief, the last of them leaves the function out.
    """
    counts = range(_PARTS_COUNT, _FEWEST_PARTS_COUNT - 1, -1)
    texts = dict.fromkeys(place_text(place, folder, count) for count in counts)
    if brief:
        texts[f"{path_text(place.path, folder, _FEWEST_PARTS_COUNT)}:{place.line}"] = None
    return tuple(texts)


def function_text(name: str) -> str:
    """A function's name without the parts that Python gives to what has none."""
    return ".".join(part for part in name.split(".") if part not in _UNNAMED)


def what_text(what: str) -> str:
    """What a line of the receipt is about; names inside functions lose what says only that."""
    if what.startswith("generation "):
        return f"garbage collection, {what}"
    if "<locals>" not in what and "__call__" not in what:
        return what
    return function_text(what).replace(".", " ")

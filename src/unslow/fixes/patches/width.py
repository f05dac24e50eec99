"""How long the lines of a project may be."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from .layout import WIDEST

_USUAL: Final = 88
"""Of Black and ruff, where a project says nothing."""
_MOST_FOLDERS: Final = 12
_TOOLS: Final = ("ruff", "black")
_OLD: Final = re.compile(r"^\s*max[-_]line[-_]length\s*=\s*(\d+)", re.M)

Read = Callable[[str], str | None]


def width_of(path: str, read: Read) -> int:
    """The longest line that a file's project allows, but 100 at most.

    Taken from what formats the project; else from the file's own lines.
    """
    for folder in list(Path(path).parents)[:_MOST_FOLDERS]:
        for name, found in (
            ("ruff.toml", _of_ruff),
            (".ruff.toml", _of_ruff),
            ("pyproject.toml", _of_project),
            (".flake8", _of_flake8),
        ):
            text = read(str(folder / name))
            width = None if text is None else found(text)
            if width is not None:
                return min(width, WIDEST)
    lines = (read(path) or "").split("\n")
    return WIDEST if any(len(line.rstrip()) > _USUAL for line in lines) else _USUAL


def _of_ruff(text: str) -> int | None:
    return _length(_toml(text))


def _of_project(text: str) -> int | None:
    tools = _toml(text).get("tool", {})
    found = [_length(tools[one]) for one in _TOOLS if one in tools]
    return found[0] if found else None


def _of_flake8(text: str) -> int | None:
    found = _OLD.search(text)
    return int(found[1]) if found else None


def _length(table: Mapping[str, Any]) -> int:
    length = table.get("line-length", _USUAL)
    return length if isinstance(length, int) else _USUAL


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}

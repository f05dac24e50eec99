"""What the system tells about processes. On systems without /proc: nothing, and that is fine."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")


def with_descendants(process_id: int) -> tuple[int, ...]:
    """A process and all that came of it and still live, parents first."""
    children: dict[int, list[int]] = {}
    for folder in _PROC.glob("[0-9]*") if _PROC.is_dir() else ():
        parent = _parent_of(folder)
        if parent is not None:
            children.setdefault(parent, []).append(int(folder.name))
    found = [process_id]
    for one in found:
        found.extend(children.get(one, ()))
    return tuple(found)


def started_at(process_id: int) -> int | None:
    """When a process started, in the system's own ticks; None when it ended or is not told of."""
    fields = _status_of(_PROC / str(process_id))
    return None if fields is None or fields[0] in {"Z", "X"} else int(fields[19])


def _parent_of(folder: Path) -> int | None:
    fields = _status_of(folder)
    return None if fields is None else int(fields[1])


def _status_of(folder: Path) -> list[str] | None:
    """The fields of a process's status behind its name, which may hold anything."""
    try:
        return (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def arguments_of(process_id: int) -> tuple[str, ...]:
    """The command line of a process; empty where it is not told."""
    return _texts(_PROC / str(process_id) / "cmdline")


def environment_of(process_id: int) -> dict[str, str] | None:
    """The environment that a process was started with; None where it is not told."""
    texts = _texts(_PROC / str(process_id) / "environ")
    if not texts and not os.access(_PROC / str(process_id) / "environ", os.R_OK):
        return None
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def program_of(process_id: int) -> str:
    """The name of the file that a process executes; empty where it is not told."""
    try:
        return Path(os.readlink(_PROC / str(process_id) / "exe")).name
    except OSError:
        return ""


def _texts(file: Path) -> tuple[str, ...]:
    try:
        data = file.read_bytes()
    except OSError:
        return ()
    return tuple(os.fsdecode(text) for text in data.removesuffix(b"\0").split(b"\0") if text)

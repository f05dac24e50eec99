"""What `unslow run` puts on the path of a command's Python processes.

A folder with one file, `sitecustomize.py`, and beside it, in a folder of its own, a copy of the
agent. Nothing else of ours becomes importable there: a console script of another environment must
not see our libraries.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

AGENT: Final = (
    "__init__.py",
    "agent.py",
    "current.py",
    "errors.py",
    "fixes/__init__.py",
    "fixes/catalogue.py",
    "fixes/switches",
    "model",
    "patching.py",
    "record",
    "settings.py",
    "store.py",
    "trial_arms.py",
    "wire.py",
)
"""What of the package the agent is made of: all of it stands on the standard library alone."""

_PACKAGE: Final = Path(__file__).parent.parent


def make_folder() -> Path:
    """A new temporary folder with `sitecustomize.py` and a copy of the agent, for PYTHONPATH.

    Every user may read it: a server may start as root, and import the rest of the agent when it has
    become somebody else.
    """
    folder = Path(tempfile.mkdtemp(prefix="unslow-agent-"))
    shutil.copy(Path(__file__).with_name("sitecustomize.py"), folder)
    agent = folder / "agent" / _PACKAGE.name
    agent.mkdir(parents=True)
    for name in AGENT:
        source = _PACKAGE / name
        (agent / name).parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, agent / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, agent / name)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def with_folder_first(environ: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The environment with a folder first in its PYTHONPATH."""
    before = environ.get("PYTHONPATH")
    # An empty PYTHONPATH counts as none; an empty entry in a longer one means the current folder.
    path = f"{folder}{os.pathsep}{before}" if before else str(folder)
    return {**environ, "PYTHONPATH": path}

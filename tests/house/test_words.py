"""What is written in the tree: no left-over marks, and modules that are named for what they hold.

That each public module, class and function has a docstring is held by ruff's rules D.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import ROOT

KINDS = {".cfg", ".html", ".ini", ".js", ".md", ".py", ".sh", ".sql", ".toml", ".txt", ".yml"}
FOLDERS = ("src", "tests", "tools", "bench", "docs", "examples", ".ci")
# Spelt in halves, so that this file does not find itself.
MARKS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")


def texts() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if path.suffix in KINDS or path.name == "Makefile")
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and (path.suffix in KINDS or folder == ".ci"):
                yield path


def test_no_mark_of_unfinished_work_is_left_in_the_tree() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in texts()
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if MARKS.search(line)
    ]

    assert [] == found


@pytest.mark.parametrize(
    "name", ["util", "utils", "helper", "helpers", "common", "manager", "misc"]
)
def test_no_module_has_a_name_that_says_nothing(name: str) -> None:
    parts = {
        part.removesuffix(".py")
        for folder in ("src", "tests", "tools", "bench", "examples")
        for path in (ROOT / folder).rglob("*.py")
        for part in path.relative_to(ROOT).parts
    }

    assert name not in parts

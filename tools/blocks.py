"""The blocks of output in the README and the docs.

A block is made by the program: the line `<!-- made by: COMMAND -->` stands above its fence. What a
quick command prints is compared by running it; what a long one printed lies in `docs/output/`, and
the block must equal that file. `COMMAND | head -N` shows the first N lines only.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import ROOT

OUTPUT = ROOT / "docs" / "output"

_BLOCK = re.compile(
    r"(?P<head><!-- made by: (?P<command>[^\n]+?)(?: \| head -(?P<lines>\d+))? -->\n+```[a-z]*\n)"
    r"(?P<text>.*?)(?=^```)",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """One block of output in one page."""

    page: Path
    command: str
    lines: int | None
    """How many lines of the output it shows; None for all."""
    text: str

    @property
    def is_quick(self) -> bool:
        """Whether the command only looks something up, so that a test can run it each time."""
        return self.command.endswith("--help") or self.command.startswith("unslow rules")

    def shown(self, printed: str) -> str:
        """The part of what the command printed that stands in the block."""
        return "".join(printed.splitlines(keepends=True)[: self.lines])

    @property
    def file(self) -> Path:
        """Where the output of a command that takes long is kept."""
        return OUTPUT / f"{re.sub(r'[^a-z0-9]+', '-', self.command.lower()).strip('-')}.txt"


def pages() -> list[Path]:
    """The README and every page of the docs."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    for match in _BLOCK.finditer(page.read_text()):
        yield _block(page, match)


def _block(page: Path, match: re.Match[str]) -> Block:
    lines = int(match["lines"]) if match["lines"] else None
    return Block(page, match["command"], lines, match["text"])


def output(command: str) -> str:
    """Run a block's command and give what it printed on stdout, as on a terminal of 100 columns."""
    program, *arguments = shlex.split(command)
    start = {"unslow": (sys.executable, "-m", "unslow"), "python": (sys.executable,)}[program]
    done = subprocess.run(
        [*start, *arguments],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "100", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.strip("\n").splitlines())


def write(page: Path, printed: Mapping[str, str]) -> None:
    """Put what each command printed into its blocks."""

    def filled(match: re.Match[str]) -> str:
        return match["head"] + _block(page, match).shown(printed[match["command"]])

    page.write_text(_BLOCK.sub(filled, page.read_text()))

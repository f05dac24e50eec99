"""What a command prints as lines that fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from rich.console import Console, Group
from rich.text import Text

from ..report.as_text import WIDTH, plain_signs


def print_lines(lines_of: Callable[[int], Iterable[Text]]) -> None:
    """Prints lines on stdout, made as wide as the terminal or COLUMNS says."""
    console = Console()
    is_known = console.file.isatty() or os.environ.get("COLUMNS", "").isdigit()
    lines = list(lines_of(console.width if is_known else WIDTH))
    if console.options.ascii_only:
        lines = [plain_signs(line) for line in lines]
    for line in lines:
        line.rstrip()
    # Every line fits already; soft wrapping keeps the console from breaking or cutting any.
    console.print(Group(*lines), soft_wrap=True)

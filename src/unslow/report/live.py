"""The report in place, again and again, while an app runs."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ..model.report import Report
from .as_text import plain_signs, report_lines

_FEWEST_LINES: Final = 5


def is_screen(console: Console) -> bool:
    """Whether the console can be written over.

    The file is asked: to rich, `FORCE_COLOR` makes a terminal of everything.
    """
    return console.file.isatty() and not console.is_dumb_terminal


class LiveReport:
    """Shows the newest report on stderr, cut to the height of the terminal.

    Nothing happens where stderr is not a terminal; at the end nothing is left of it.

    Args:
        folder: Where shown paths start from, by default the current one.
        console: Where to show it.
        room_above_count: How many lines of the terminal are left to what is shown above it.
    """

    def __init__(
        self,
        *,
        folder: Path | None = None,
        console: Console | None = None,
        room_above_count: int = 0,
    ) -> None:
        self._folder = folder
        self._console = console or Console(stderr=True)
        self._room_above_count = room_above_count
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if is_screen(self._console):
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                vertical_overflow="crop",
            )
            self._live.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show_above(self, text: str) -> None:
        """Show lines of somebody else's output above the report, in their own colours."""
        self._console.print(Text.from_ansi(text), soft_wrap=True)

    def update(self, report: Report) -> None:
        """Show this report instead of the one before."""
        if self._live is None:
            return
        width, height = self._console.size
        height = max(_FEWEST_LINES, height - 1 - self._room_above_count)
        lines = cut(report_lines(report, width=width, folder=self._folder), height)
        if self._console.options.ascii_only:
            lines = [plain_signs(line) for line in lines]
        for line in lines:
            # A terminal narrower than the narrowest report: cut, so that no line takes two.
            line.truncate(width)
        self._live.update(Group(*lines), refresh=True)


def cut(lines: list[Text], height: int) -> list[Text]:
    """The first lines, with a last one that says how many more there are."""
    if len(lines) <= height:
        return lines
    told = lines[: max(0, height - 1)]
    return [*told, Text(f"… {len(lines) - len(told)} more lines", "dim")]

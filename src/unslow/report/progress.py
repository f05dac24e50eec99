"""A progress bar on stderr for whatever takes longer than a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from .live import is_screen

_DRAWN_PER_S: Final = 10.0


@contextmanager
def progress(
    description: str, *, console: Console | None = None
) -> Iterator[Callable[[float], None]]:
    """Show a bar until the block ends; what is given takes the part that is done, 0 to 1.

    Until it is told of a part, the bar says only that something goes on.

    Nothing is shown where stderr is not a terminal, and nothing is left at the end.
    """
    with _bar(description, console) as update:
        yield lambda part: update(description, part)


@contextmanager
def stages(
    *, console: Console | None = None, per_s: float = _DRAWN_PER_S
) -> Iterator[Callable[[str, float], None]]:
    """The same for several things one after the other, each named as it goes on.

    Args:
        console: Where to show it.
        per_s: How often it is drawn in a second.
    """
    with _bar("", console, per_s) as update:
        yield update


@contextmanager
def _bar(
    description: str, console: Console | None, per_s: float = _DRAWN_PER_S
) -> Iterator[Callable[[str, float], None]]:
    console = console or Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(text_format_no_percentage=" " * 4),
        TimeElapsedColumn(),
        console=console,
        refresh_per_second=per_s,
        transient=True,
        redirect_stdout=False,
        disable=not is_screen(console),
    )
    with bar:
        task = bar.add_task(description, total=None)

        def update(what: str, part: float) -> None:
            bar.update(task, description=what, total=1.0, completed=min(1.0, max(0.0, part)))

        yield update

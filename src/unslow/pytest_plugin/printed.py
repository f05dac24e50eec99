"""The report of a run, as text for pytest's terminal."""

from __future__ import annotations

import io
import sys
from datetime import datetime
from pathlib import Path
from typing import Final

from ..doctor import report_of_store
from ..errors import CommandLineMissingError

_TARGET: Final = "pytest"


def report_text(
    store_folder: Path,
    run: str | None,
    *,
    newest_count: int,
    width: int | None,
    has_colours: bool,
    shown_from: Path,
    baseline: str,
) -> str:
    """The report of a run, for a terminal of this width, or for a file where it is None.

    `baseline` is the file of accepted findings, from the folder that paths are shown from.

    Raises:
        CommandLineMissingError: rich is not installed.
        StoreMissingError, StoreFormatError, StoreDamagedError: the store cannot be read.
        BaselineError: the file of accepted findings cannot be read.
    """
    try:
        from rich.console import Console

        from ..report.accepted import with_accepted
        from ..report.as_text import print_report
        from ..report.baseline_file import read_baseline
    except ImportError as error:
        raise CommandLineMissingError(
            "all is recorded, but the report needs the command line tool, which is not installed."
            " Install it, pip install 'unslow[cli]', and look again: unslow report"
        ) from error
    report = report_of_store(store_folder, run, target=_TARGET, newest_count=newest_count)
    today = datetime.now().astimezone().date()
    report = with_accepted(report, read_baseline(shown_from / baseline), today)
    # Of the same encoding as the terminal: the report is written in what that can show.
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    paper = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace", newline="")
    console = Console(file=paper, force_terminal=has_colours, legacy_windows=False)
    print_report(report, console, width=width, folder=shown_from)
    paper.seek(0)
    return paper.read()

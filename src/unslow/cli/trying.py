"""Trying the fixes of what a run has found, while its app still runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ..doctor import subjects_of
from ..model.checked import Checked
from ..model.proof_codec import Tried, tried_text
from ..prove.trials import Stage, Trials
from ..store import write_tried


async def tried_on(
    stage: Stage,
    folder: Path,
    run: str,
    checked: Checked | None,
    told: Callable[[str, float], None],
) -> None:
    """Tries each fix of each finding, and keeps what came of it in the store as it comes.

    Raises:
        WireError: the app's process does not answer any more.
        StoreMissingError, StoreFormatError, StoreDamagedError: the store cannot be read.
    """
    since = time.time()
    told("Looking what was found", 0.0)
    stage.link.flush()
    subjects = subjects_of(folder, run, checked)

    def keep(tried: Tried) -> None:
        write_tried(folder, run, since, tried_text(tried))

    await Trials(stage, Path.cwd(), told, keep).run(subjects)

"""The baseline's file: read, and written so that it is whole or as it was before."""

from __future__ import annotations

import os
from pathlib import Path

from ..model.baseline import Baseline, BaselineError, baseline_of, baseline_text


def read_baseline(path: Path, *, must_exist: bool = False) -> Baseline:
    """What the file accepts; nothing where there is no file, unless it has to be there.

    Raises:
        BaselineError: it cannot be read, or is damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if not must_exist:
            return Baseline()
        raise BaselineError(f"There is no file {path}. Name the one that accepts.") from error
    except UnicodeDecodeError as error:
        raise BaselineError(
            f"{path} is not UTF-8 ({error.reason}, byte {error.start}). Save it as UTF-8."
        ) from error
    except OSError as error:
        raise BaselineError(
            f"{path} cannot be read: {error.strerror}. Name another file, or let it be read."
        ) from error
    return baseline_of(text, str(path))


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Writes the file.

    Raises:
        BaselineError: it cannot be written.
    """
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{target.name}.new")
    try:
        beside.write_text(baseline_text(baseline), encoding="utf-8")
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise BaselineError(
            f"{path} cannot be written: {error.strerror}. Name another file, or let it be written."
        ) from error

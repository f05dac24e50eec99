"""Keeps our own frames out of what pytest prints of a failed test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final

_MARK: Final = "__tracebackhide__"
"""pytest leaves the frames of a module out that has this name."""

_OURS: Final = ("unslow.pytest_plugin.", "unslow.record.")


def hide_own_frames() -> None:
    """Marks what stands between a test and its app."""
    for module in _own_modules():
        module.setdefault(_MARK, True)


def show_own_frames() -> None:
    """Takes the marks away."""
    for module in _own_modules():
        module.pop(_MARK, None)


def _own_modules() -> Iterator[dict[str, Any]]:
    for name, module in tuple(sys.modules.items()):
        if name.startswith(_OURS):
            yield vars(module)

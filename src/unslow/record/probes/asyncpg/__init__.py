"""asyncpg: statements, prepared statements, cursors, copies, connections and pools."""

from __future__ import annotations

from typing import Final

from ...probe import Installation, ProbeOffError
from . import driver, pools

_OLDEST: Final = (0, 28)
_NEWEST_TRIED: Final = (0, 32)
"""The private names that are used are the same from the one to the other."""


def install(installation: Installation, _module: str) -> None:
    """Starts recording what goes through asyncpg.

    Raises:
        ProbeOffError: asyncpg is older than 0.28, or a private name looks otherwise.
    """
    import asyncpg

    version = asyncpg.__version__
    number = tuple(int(part) for part in version.split(".")[:2])
    if number < _OLDEST:
        raise ProbeOffError(f"asyncpg {version} was found, 0.28 or newer is recorded")
    driver.install(installation)
    pools.install(installation)
    newer = "" if number <= _NEWEST_TRIED else "newer than the versions that were tried"
    installation.cover(f"asyncpg {version}", "on", newer)

"""psycopg 3 and psycopg_pool: statements, cursors, copies, connections, pools; sync and async."""

from __future__ import annotations

from typing import Final

from ...probe import Installation, ProbeOffError
from . import driver, pools

_OLDEST: Final = (3, 1)
_NEWEST_TRIED: Final = (3, 3)
"""Of psycopg and of psycopg_pool, whose private names are the same from the one to the other."""


def install(installation: Installation, module: str) -> None:
    """Starts recording what goes through psycopg, or through its pools.

    Raises:
        ProbeOffError: The library is older than 3.1, or a private name looks otherwise.
    """
    if module == "psycopg":
        import psycopg

        version = psycopg.__version__
    else:
        import psycopg_pool

        version = psycopg_pool.__version__
    number = tuple(int(part) for part in version.split(".")[:2])
    if number < _OLDEST:
        raise ProbeOffError(f"{module} {version} was found, 3.1 or newer is recorded")
    (driver if module == "psycopg" else pools).install(installation)
    newer = "" if number <= _NEWEST_TRIED else "newer than the versions that were tried"
    installation.cover(f"{module} {version}", "on", newer)

"""SQLAlchemy 2: statements, rows, the ORM's own work, lineage, pools; sync and async."""

from __future__ import annotations

from ...probe import Installation, ProbeOffError
from . import engine, orm, pool

_PARTS = {
    "sqlalchemy.engine": engine.install,
    "sqlalchemy.pool": pool.install,
    "sqlalchemy.orm": orm.install,
}


def install(installation: Installation, module: str) -> None:
    """Starts the part that belongs to one of SQLAlchemy's packages.

    Raises:
        ProbeOffError: this SQLAlchemy is older than 2.0.
    """
    import sqlalchemy

    version: str = getattr(sqlalchemy, "__version__", "0")
    if int(version.partition(".")[0]) < 2:
        raise ProbeOffError(f"SQLAlchemy {version} was found, 2.0 or newer is recorded")
    _PARTS[module](installation)

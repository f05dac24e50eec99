"""SQLAlchemy 2: statements, rows, the ORM's own work, lineage, pools; sync and async."""

from __future__ import annotations

from ...probe import Installation, ProbeOffError
from . import coroutines, engine, orm, pool, rows


def install(installation: Installation, module: str) -> None:
    """Starts the part that belongs to one of SQLAlchemy's packages.

    Raises:
        ProbeOffError: This SQLAlchemy is older than 2.0.
    """
    import sqlalchemy

    version = sqlalchemy.__version__
    if int(version.partition(".")[0]) < 2:
        raise ProbeOffError(f"SQLAlchemy {version} was found, 2.0 or newer is recorded")
    if module == "sqlalchemy.orm":
        orm.install(installation)
        return
    if module == "sqlalchemy.ext.asyncio":
        coroutines.install(installation)
        return
    pool.install(installation)
    rows.install(installation)
    engine.install(installation)
    installation.cover(f"sqlalchemy {version}")

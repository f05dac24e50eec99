"""Creates the tables of the demo, fills them, and drops them again."""

from collections.abc import Callable

from sqlalchemy import Connection, Engine, create_engine, inspect, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import AddConstraint, CreateIndex, CreateTable

from ..errors import DemoError
from .models import Base
from .rows import Counts, counts, inserts

DROPPED_WITHIN_S = 5
COMMIT = "commit"
STATISTICS = "statistics"
"""What is made from the moment on in which the tables are there."""
LOADED_SHARE = 0.7
"""How much of the time passes before the keys and indexes are made."""


def fill(
    url: str, on_progress: Callable[[str, float], None] | None = None, *, scale: float = 1.0
) -> None:
    """Creates the tables of the demo in an empty database and fills them.

    All or nothing: what fails half way leaves the database as it was.

    Args:
        url: The database, `postgresql://...`.
        on_progress: Called with what is made now and the share that is done, 0.0 to 1.0.
        scale: 1.0 for the whole demo, less for tests.

    Raises:
        DemoError: The database is not reachable, or has tables of these names.
    """
    engine, where = _engine(url)
    try:
        _fill(engine, where, counts(scale), on_progress or _ignore)
    except SQLAlchemyError as error:
        raise DemoError(
            f"The demo's data could not be written to {where}: {_reason(error)}. "
            "It wants a running PostgreSQL and the right to create tables there."
        ) from error


def clear(url: str) -> None:
    """Drops the tables that `fill` has made.

    Raises:
        DemoError: The database is not reachable, or somebody else uses the tables.
    """
    engine, where = _engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text(f"SET LOCAL lock_timeout = '{DROPPED_WITHIN_S}s'"))
            Base.metadata.drop_all(connection)
    except SQLAlchemyError as error:
        raise DemoError(
            f"The demo's tables stay in {where}: {_reason(error)}. "
            f"Drop them there: {', '.join(sorted(Base.metadata.tables))}."
        ) from error


def _engine(url: str) -> tuple[Engine, str]:
    """What speaks to the database, and how messages call it: without a password."""
    address = make_url(url)
    where = f"{address.host}:{address.port or 5432}/{address.database}"
    return create_engine(address.set(drivername="postgresql+psycopg"), poolclass=NullPool), where


def _reason(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0].rstrip(".")


def _ignore(_what: str, _share: float) -> None:
    return None


def _fill(
    engine: Engine, where: str, rows: Counts, on_progress: Callable[[str, float], None]
) -> None:
    with engine.begin() as connection:
        _refuse_tables_that_exist(connection, where)
        connection.execute(text("SET LOCAL maintenance_work_mem = '128MB'"))
        for table in Base.metadata.sorted_tables:
            connection.execute(CreateTable(table, include_foreign_key_constraints=[]))
        statements = tuple(inserts(rows))
        for number, (what, insert, parameters) in enumerate(statements):
            on_progress(what, LOADED_SHARE * number / len(statements))
            connection.execute(text(insert), parameters)
        on_progress("keys and indexes", LOADED_SHARE)
        _add_keys_and_indexes(connection)
        on_progress(COMMIT, 0.9)
    on_progress(STATISTICS, 0.9)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # VACUUM too, so that no autovacuum starts while requests are measured.
        connection.execute(text("VACUUM (ANALYZE) users, posts, comments, leads, orders"))
    on_progress("done", 1.0)


def _refuse_tables_that_exist(connection: Connection, where: str) -> None:
    taken = sorted(set(inspect(connection).get_table_names()) & set(Base.metadata.tables))
    if taken:
        raise DemoError(
            f"The database {where} already has the tables {', '.join(taken)}. "
            "The demo wants an empty database: create one with createdb and give its address."
        )


def _add_keys_and_indexes(connection: Connection) -> None:
    """Comes after the rows, which then load in half of the time."""
    for table in Base.metadata.sorted_tables:
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            connection.execute(CreateIndex(index))
        for key in sorted(table.foreign_key_constraints, key=lambda each: str(each.name)):
            connection.execute(AddConstraint(key))
        connection.execute(
            text(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), max(id))"
                f" FROM {table.name}"
            )
        )

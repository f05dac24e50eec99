"""Makes the tables of a sample app, always the same."""

import psycopg

TABLES = "SELECT format('%%I.%%I', schemaname, tablename) FROM pg_tables WHERE schemaname = %s"


def rebuild(database_url: str, schema: str, script: str) -> None:
    """Drops a schema, makes it again and fills it with a script of SQL."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        connection.execute(f"SET search_path = {schema}".encode())
        connection.execute(script.encode())
        tables = ", ".join(name for (name,) in connection.execute(TABLES, (schema,)))
        # Else the first requests would pay for plans without statistics and for hint bits.
        connection.execute(f"VACUUM (ANALYZE) {tables}".encode())

"""One engine or pool for all requests, as it is told."""

import ast

import pytest

from tests.fixes.patches.told import MARK, advice, says, subject

FIX = "share-engine"


@pytest.mark.parametrize(
    ("imports", "line", "what", "code"),
    [
        ("import asyncpg", "asyncpg.connect(url)", "pool", "asyncpg.create_pool(...)"),
        ("import psycopg", "psycopg.connect(url)", "pool", "psycopg_pool.ConnectionPool("),
        (
            "from psycopg import AsyncConnection",
            "AsyncConnection.connect(url)",
            "pool",
            "psycopg_pool.AsyncConnectionPool(",
        ),
        (
            "from sqlalchemy import create_engine",
            "create_engine(url).connect()",
            "engine",
            "engine = create_engine(...)",
        ),
    ],
)
def test_what_opens_the_connection_decides_what_is_shared(
    imports: str, line: str, what: str, code: str
) -> None:
    text = f"{imports}\n\n\ndef show(url):\n    return {line}  {MARK}\n"
    about = subject(text)

    told = advice(FIX, about)

    assert says(FIX, about) == f"one {what} for the process"
    assert "Line 5 of shop.py, in `show`, opens a connection for this request alone" in told
    assert code in told


def test_the_code_for_an_asynchronous_pool_is_python() -> None:
    text = f"import asyncpg\n\n\nasync def show(url):\n    await asyncpg.connect(url)  {MARK}\n"

    ast.parse(advice(FIX, subject(text)).partition("\n")[2])


def test_an_engine_that_keeps_nothing_is_named() -> None:
    text = f"""
    from sqlalchemy import NullPool
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(URL, poolclass=NullPool)


    async def show(session):
        return await session.get(Branch, 1)  {MARK}
    """

    told = advice(FIX, subject(text))

    assert "Leave `poolclass=NullPool` out" in told
    assert "behind a pooler" in told


def test_an_engine_at_the_top_of_the_module_is_not_blamed() -> None:
    text = f"""
    from sqlalchemy import create_engine

    engine = create_engine(URL)


    def show(session):
        return session.get(Branch, 1)  {MARK}
    """

    assert "look for `NullPool`" in advice(FIX, subject(text))


def test_the_driver_tells_where_the_source_does_not() -> None:
    text = f"async def show(database):\n    return await database.one()  {MARK}\n"

    assert "asyncpg.create_pool" in advice(FIX, subject(text, shape="asyncpg"))

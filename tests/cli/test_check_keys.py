"""`unslow check` on an app that names no ids itself: its tables do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.injection.running import clean_environment

MODELS = """
import os
from fastapi import FastAPI, HTTPException
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

class Base(DeclarativeBase):
    pass

class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]

def shown(order):
    if order is None:
        raise HTTPException(404)
    return {"title": order.title}

app = FastAPI()
url = os.environ["SHOP_DATABASE_URL"]
"""
APPS = {
    "postgresql+psycopg": """
engine = create_engine(url)

@app.get("/orders/{order_id}")
def order(order_id: int):
    with Session(engine) as session:
        return shown(session.get(Order, order_id))
""",
    "postgresql+asyncpg": """
engine = create_async_engine(url)

@app.get("/orders/{order_id}")
async def order(order_id: int):
    async with AsyncSession(engine) as session:
        return shown(await session.get(Order, order_id))
""",
}
KEYS = (70_000_001, 70_000_002)


@pytest.fixture
def shop_url(database_url: str) -> str:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, title text NOT NULL)")
        for key in KEYS:
            connection.execute("INSERT INTO orders VALUES (%s, 'a book')", [key])
    return database_url


def check(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    arguments = ("check", "shop:app", "--concurrency", "1", "--json", "--time", "20", "--no-trials")
    return subprocess.run(
        [sys.executable, "-m", "unslow", *arguments],
        cwd=folder,
        env=clean_environment(SHOP_DATABASE_URL=url),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("scheme", APPS)
def test_an_order_is_asked_for_by_the_key_of_its_table_which_is_written_nowhere(
    scheme: str, shop_url: str, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(MODELS + APPS[scheme])

    done = check(tmp_path, shop_url.replace("postgresql", scheme, 1))

    assert done.returncode in (0, 1), done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    (order,) = [one for one in report["endpoints"] if one["route"] == "/orders/{order_id}"]
    assert order["requests_counted"] > 0
    assert 0 == order["errors"]
    written = [done.stdout.encode(), done.stderr.encode()]
    written += [path.read_bytes() for path in (tmp_path / ".unslow").rglob("*") if path.is_file()]
    assert [] == [text for text in written if any(str(key).encode() in text for key in KEYS)]


def test_a_table_without_rows_leaves_its_operation_out(shop_url: str, tmp_path: Path) -> None:
    with psycopg.connect(shop_url) as connection:
        connection.execute("DELETE FROM orders")
    (tmp_path / "shop.py").write_text(MODELS + APPS["postgresql+psycopg"])

    done = check(tmp_path, shop_url.replace("postgresql", "postgresql+psycopg", 1))

    assert 2 == done.returncode
    assert "No request counted: there was none to send" in done.stderr

"""Keys whose values are not the ones that a driver gives."""

from __future__ import annotations

import enum
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import types
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.fast.doors import run
from tests.fast.view.blog import opened_engine
from unslow.fast import View


class Base(DeclarativeBase):
    """Of all tables here."""


class Colour(enum.Enum):
    RED = "red"


class Upper(types.TypeDecorator[str]):
    """Kept in capitals, and small in Python."""

    impl = types.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:  # noqa: ARG002  # SQLAlchemy gives it
        return value and value.upper()

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:  # noqa: ARG002  # as above
        return value and value.lower()


class ByColour(Base):
    __tablename__ = "by_colour"

    id: Mapped[Colour] = mapped_column(types.Enum(Colour), primary_key=True)
    said: Mapped[str]


class ByPadded(Base):
    __tablename__ = "by_padded"

    id: Mapped[str] = mapped_column(types.CHAR(4), primary_key=True)
    said: Mapped[str]


class ByUpper(Base):
    __tablename__ = "by_upper"

    id: Mapped[str] = mapped_column(Upper, primary_key=True)
    said: Mapped[str]


class ByUuidText(Base):
    __tablename__ = "by_uuid_text"

    id: Mapped[str] = mapped_column(types.Uuid(as_uuid=False), primary_key=True)
    said: Mapped[str]


class ByUuid(Base):
    __tablename__ = "by_uuid"

    id: Mapped[str] = mapped_column(types.Uuid, primary_key=True)
    said: Mapped[str]


UUID = "8f14e45f-ceea-467f-a8f5-1b0b2c3d4e5f"
KEYS: list[tuple[type[Any], Any]] = [
    (ByColour, Colour.RED),
    (ByPadded, "a"),
    (ByUpper, "a"),
    (ByUuidText, UUID),
    (ByUuid, uuid.UUID(UUID)),
]


class Said(BaseModel):
    said: str


@pytest.fixture(scope="module")
def url(new_database: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    with new_database() as made:
        run(fill(made))
        yield made


async def fill(url: str) -> None:
    async with opened_engine(url) as engine:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            session.add_all(kind(id=key, said="here") for kind, key in KEYS)
            await session.commit()


@pytest.mark.parametrize(("kind", "key"), KEYS, ids=lambda one: getattr(one, "__name__", ""))
def test_a_row_is_found_by_a_key_of_any_type(url: str, kind: type[Any], key: Any) -> None:
    async def case() -> bytes | None:
        async with opened_engine(url) as engine:
            return await View(Said, kind, engine).document(key)

    assert {"said": "here"} == json.loads(run(case()) or b"null")

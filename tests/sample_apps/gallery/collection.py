"""The gallery's tables and its database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from sqlalchemy import ForeignKey, MetaData
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from ..settings import from_environment


class Base(DeclarativeBase):
    metadata = MetaData(schema="gallery")


class Artist(Base):
    __tablename__ = "artists"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    country: Mapped[str]


class Work(Base):
    __tablename__ = "works"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    year: Mapped[int]
    artist_id: Mapped[int] = mapped_column(ForeignKey("gallery.artists.id"))
    description: Mapped[str]
    provenance: Mapped[str]
    condition: Mapped[str]
    literature: Mapped[str]
    technique: Mapped[str]
    insured_cents: Mapped[int]
    height_mm: Mapped[int]
    width_mm: Mapped[int]

    artist: Mapped[Artist] = relationship()


class Exhibit(Base):
    __tablename__ = "exhibits"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    room_id: Mapped[int]
    place: Mapped[int]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    engine = create_async_engine(from_environment().sqlalchemy_url("asyncpg"), pool_size=6)
    app.state.new_session = async_sessionmaker(engine)
    yield
    await engine.dispose()


async def open_session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.new_session() as session:
        yield session


DbSession = Annotated[AsyncSession, Depends(open_session)]

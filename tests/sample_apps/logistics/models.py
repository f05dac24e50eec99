"""The carrier's tables."""

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Table(DeclarativeBase):
    metadata = MetaData(schema="logistics")


class Parcel(Table):
    __tablename__ = "parcels"

    id: Mapped[int] = mapped_column(primary_key=True)
    depot_id: Mapped[int]
    code: Mapped[str]
    grams: Mapped[int]
    state: Mapped[str]


class Claim(Table):
    __tablename__ = "claims"

    id: Mapped[int] = mapped_column(primary_key=True)
    parcel_id: Mapped[int]
    cents: Mapped[int]
